//! What users see of the mempool when blocks are taken back.

use bulkhead_tests::node::Node;
use serde_json::{Value, json};

use super::crosscheck::call;

/// Its program is the hash of a script that is always true.
const ANYONE: &str = "bcrt1qft5p2uhsdcdc3l2ua4ap5qqfg4pjaqlp250x7us7a8qqhrxrxfsqseac85";

/// Spends the first output of a transaction without a signature; gives id and value of the new one, in satoshi.
fn spend(node: &Node, (txid, value): (&str, i64), sequence: u32) -> (String, i64) {
    let left = value - 1000;
    let amount = format!("{}.{:08}", left / 100_000_000, left % 100_000_000);
    let inputs = json!([{"txid": txid, "vout": 0, "sequence": sequence}]);
    let made = call(
        node,
        "createrawtransaction",
        json!([inputs, {"bcrt1qft5p2uhsdcdc3l2ua4ap5qqfg4pjaqlp250x7us7a8qqhrxrxfsqseac85": amount}]),
    );
    // The program of that address is the hash of a script that is always true.
    let unsigned = made.as_str().unwrap();
    let body = unsigned.len() - 8;
    let hex = format!("{}0001{}010151{}", &unsigned[..8], &unsigned[8..body], &unsigned[body..]);
    (call(node, "sendrawtransaction", json!([hex])).as_str().unwrap().to_owned(), left)
}

fn invalidate(node: &Node, height: u32) {
    let hash = call(node, "getblockhash", json!([height]));
    assert_eq!(call(node, "invalidateblock", json!([hash])), Value::Null);
}

/// As in Core, which keeps the locks that it computed while the blocks below the spent outputs are there.
#[test]
fn a_lock_of_zero_blocks_on_an_unconfirmed_parent_ends_with_the_second_block_that_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start_in(folder.path(), &[]).unwrap();
    call(&node, "generatetoaddress", json!([102, ANYONE]));
    let coinbase = |height: u32| {
        let block = call(&node, "getblock", json!([call(&node, "getblockhash", json!([height]))]));
        block["tx"][0].as_str().unwrap().to_owned()
    };
    let mut families = Vec::new();
    for (height, sequence) in [(1, 0), (2, 0xffff_fffd)] {
        let parent = spend(&node, (&coinbase(height), 5_000_000_000), sequence);
        let child = spend(&node, (&parent.0, parent.1), sequence);
        families.push([parent.0, child.0]);
    }
    let pool = || {
        let pool = call(&node, "getrawmempool", json!([]));
        let mut ids: Vec<String> = serde_json::from_value(pool).unwrap();
        ids.sort();
        ids
    };
    let sorted = |ids: &[&String]| {
        let mut ids: Vec<String> = ids.iter().map(|id| (*id).clone()).collect();
        ids.sort();
        ids
    };
    let [[parent, child], [other_parent, other_child]] = &families[..] else { panic!("two families") };
    call(&node, "generatetoaddress", json!([1, ANYONE]));
    assert_eq!(pool(), Vec::<String>::new());
    invalidate(&node, 103);
    assert_eq!(pool(), sorted(&[parent, child, other_parent, other_child]));
    invalidate(&node, 102);
    // The second family has no relative locks.
    assert_eq!(pool(), sorted(&[parent, other_parent, other_child]));
    node.stop().unwrap();
}

#[test]
fn the_first_block_stays_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start_in(folder.path(), &[]).unwrap();
    call(&node, "generatetoaddress", json!([2, ANYONE]));
    invalidate(&node, 0);
    assert_eq!(call(&node, "getblockcount", json!([])), 2);
    node.stop().unwrap();
}
