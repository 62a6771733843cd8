//! The chain that Bitcoin Core made: imported with `-loadblock`, synced to a second node over P2P, and every figure
//! that Core reports compared with what the RPCs of both nodes answer.

use std::path::Path;

use bulkhead_tests::node::Node;
use serde_json::{Value, json};

pub(crate) fn data(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/crosscheck").join(name)
}

pub(crate) fn expected() -> Value {
    serde_json::from_slice(&std::fs::read(data("expected.json")).unwrap()).unwrap()
}

/// Equal, with numbers by value: `14337.5` is `14337.50000000`. Fields that only ours has are not compared.
fn same(ours: &Value, core: &Value, at: &str) {
    match (ours, core) {
        (_, Value::Object(fields)) => {
            for (name, value) in fields {
                let found = ours.get(name).unwrap_or_else(|| panic!("{at}.{name} is missing in {ours}"));
                same(found, value, &format!("{at}.{name}"));
            }
        }
        (Value::Array(ours), Value::Array(core)) => {
            assert_eq!(ours.len(), core.len(), "{at}");
            for (index, (ours, core)) in ours.iter().zip(core).enumerate() {
                same(ours, core, &format!("{at}[{index}]"));
            }
        }
        (Value::Number(ours), Value::Number(core)) => {
            let (ours, core) = (ours.as_f64().unwrap(), core.as_f64().unwrap());
            assert!((ours - core).abs() <= 1e-9 * core.abs().max(1.0), "{at}: {ours} is not {core}");
        }
        _ => assert_eq!(ours, core, "{at}"),
    }
}

pub(crate) fn call(node: &Node, method: &str, params: Value) -> Value {
    node.call(method, params).unwrap_or_else(|error| panic!("{method}: {error:?}"))
}

fn compare_tip(node: &Node, expected: &Value) {
    let info = call(node, "getblockchaininfo", json!([]));
    assert_eq!(info["bestblockhash"], expected["besthash"]);
    assert_eq!(info["chainwork"], expected["chainwork"]);
    let utxo = call(node, "gettxoutsetinfo", json!(["hash_serialized_3"]));
    for field in ["height", "bestblock", "txouts", "bogosize", "hash_serialized_3", "total_amount", "transactions"] {
        same(&utxo[field], &expected["utxo"]["hash_serialized_3"][field], field);
    }
    let muhash = call(node, "gettxoutsetinfo", json!(["muhash"]));
    assert_eq!(muhash["muhash"], expected["utxo"]["muhash"]["muhash"]);
    same(&call(node, "getchaintxstats", json!([])), &expected["chaintxstats"], "chaintxstats");
    for (height, facts) in expected["at"].as_object().unwrap() {
        let height: u32 = height.parse().unwrap();
        assert_eq!(call(node, "getblockhash", json!([height])), facts["hash"]);
        same(&call(node, "getblockstats", json!([height])), &facts["stats"], &format!("stats of {height}"));
    }
}

#[test]
fn the_chain_of_core_gives_cores_figures_imported_and_synced() {
    let expected = expected();
    let load = format!("-loadblock={}", data("blocks.dat").display());
    let first = Node::start(&[&load]).unwrap();
    let height = expected["height"].clone();
    let reached = |node: &Node| node.call("getblockcount", json!([])).is_ok_and(|count| count == height);
    first.wait_for("the import", reached).unwrap();
    compare_tip(&first, &expected);
    // The operator of the node that made the file had invalidated branches: the hashes are compared, not the status.
    let tips = call(&first, "getchaintips", json!([]));
    let hashes = |tips: &Value| -> std::collections::BTreeSet<String> {
        tips.as_array().unwrap().iter().map(|tip| tip["hash"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(hashes(&tips), hashes(&expected["tips"]));
    for transaction in expected["transactions"].as_array().unwrap() {
        let (txid, block) = (&transaction["txid"], &transaction["blockhash"]);
        let mut ours = call(&first, "getrawtransaction", json!([txid, 2, block]));
        // Counted from the tip at the time when Core was asked.
        ours["confirmations"] = transaction["confirmations"].clone();
        same(&ours, transaction, txid.as_str().unwrap());
    }

    let second = Node::start(&[]).unwrap();
    call(&second, "addnode", json!([format!("127.0.0.1:{}", first.p2p_port()), "onetry"]));
    second.wait_for("the sync", reached).unwrap();
    compare_tip(&second, &expected);
    for node in [first, second] {
        let ended = node.stop().unwrap();
        assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
    }
}
