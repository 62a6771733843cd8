//! What crosses the edge between net and chain for one transaction and for one block: calls and bytes, as the node that
//! receives them counts (`-debug=ipc`).

use bulkhead_tests::node::Node;
use serde_json::{Value, json};

use crate::Outcome;

/// Relayed in one measurement.
const TRANSACTIONS: usize = PER_BLOCK * BLOCKS;
const BLOCKS: usize = 20;
/// Transactions in each block.
const PER_BLOCK: usize = 5;
/// Blocks until a coinbase can be spent.
const MATURITY: usize = 100;
/// Of a transaction, in bitcoins.
const FEE: f64 = 0.0001;
const INTERFACES: [&str; 3] = [" NetChain.", " NetEvents.", " PartialBlock."];
const MINER: &str = "miner";

/// What one life of a node's edge carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Traffic {
    calls: i64,
    bytes: i64,
}

/// Measures and prints.
pub fn run() -> Outcome<()> {
    // To peers with this permission transactions go at once: one by one, which costs us most.
    let sender = Node::start(&["-connect=0", "-whitelist=noban@127.0.0.1"])?;
    let call = |method: &str, params: Value| sender.call(method, params).map_err(|error| format!("{method}: {error:?}"));
    let wallet =
        |method: &str, params: Value| sender.wallet(MINER, method, params).map_err(|error| format!("{method}: {error:?}"));
    call("createwallet", json!([MINER]))?;
    let address = wallet("getnewaddress", json!([]))?;
    let mine = |count: usize| call("generatetoaddress", json!([count, address]));
    // A mature coin for each transaction.
    mine(MATURITY + 3 * TRANSACTIONS)?;
    // Each spends one coin to its last satoshi but the fee: no coin selection, and none waits for another.
    let send = |count: usize| -> Outcome<()> {
        let coins = wallet("listunspent", json!([1]))?;
        for coin in coins.as_array().into_iter().flatten().take(count) {
            let left = coin["amount"].as_f64().unwrap_or_default() - FEE;
            let outputs = json!({address.as_str().unwrap_or_default(): format!("{left:.8}")});
            let unsigned = call("createrawtransaction", json!([[coin], outputs]))?;
            let signed = wallet("signrawtransactionwithwallet", json!([unsigned]))?;
            call("sendrawtransaction", json!([signed["hex"]]))?;
        }
        Ok(())
    };
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let life = |work: &dyn Fn(&Node) -> Outcome<()>| -> Outcome<Traffic> {
        let peer = format!("-connect=127.0.0.1:{}", sender.p2p_port());
        let node = Node::start_in(folder.path(), &[&peer, "-debug=ipc", "-debug=net"])?;
        same(&sender, &node, "getbestblockhash")?;
        work(&node)?;
        let log = folder.path().join("regtest/debug.log");
        node.stop()?;
        let text = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
        std::fs::remove_file(&log).map_err(|error| error.to_string())?;
        traffic(&text)
    };
    life(&|_| Ok(()))?;
    let nothing = life(&|_| Ok(()))?;
    let transactions = life(&|node| {
        send(TRANSACTIONS)?;
        same(&sender, node, "getrawmempool")
    })?;
    mine(1)?;
    life(&|_| Ok(()))?;
    let blocks = life(&|node| {
        for _ in 0..BLOCKS {
            send(PER_BLOCK)?;
            same(&sender, node, "getrawmempool")?;
            mine(1)?;
            same(&sender, node, "getbestblockhash")?;
        }
        Ok(())
    })?;
    sender.stop()?;
    println!("{:<60} {:>10} {:>10}", "edge between net and chain of a node that receives", "calls", "bytes");
    let row = |name: &str, traffic: Traffic, less: Traffic, by: usize| {
        let each = |with: i64, without: i64| (with - without) as f64 / by as f64;
        println!("{name:<60} {:>10.2} {:>10.0}", each(traffic.calls, less.calls), each(traffic.bytes, less.bytes));
    };
    row("start, handshake and stop", nothing, Traffic { calls: 0, bytes: 0 }, 1);
    row("one transaction that comes alone", transactions, nothing, TRANSACTIONS);
    row(&format!("one compact block of {PER_BLOCK} known transactions"), blocks, transactions, BLOCKS);
    Ok(())
}

/// Waits until both nodes answer the same.
fn same(one: &Node, other: &Node, method: &str) -> Outcome<()> {
    let sorted = |node: &Node| {
        let mut answer = node.call(method, json!([])).map_err(|error| format!("{method}: {error:?}"))?;
        answer.as_array_mut().into_iter().for_each(|list| list.sort_by_key(Value::to_string));
        Outcome::Ok(answer)
    };
    let wanted = sorted(one)?;
    other.wait_for(method, |node| sorted(node).is_ok_and(|answer| answer == wanted))
}

/// Calls either way, and the bytes of the connection when it was over.
fn traffic(log: &str) -> Outcome<Traffic> {
    let ours = |line: &&str| INTERFACES.iter().any(|interface| line.contains(interface));
    let calls = log.lines().filter(|line| line.contains("IPC server recv request")).filter(ours).count();
    let end = log.lines().find_map(|line| line.split_once("net-chain: IPC connection closed, ")).ok_or("the edge has no end")?.1;
    let bytes = end.split(' ').filter_map(|word| word.parse::<i64>().ok()).sum();
    Ok(Traffic { calls: i64::try_from(calls).map_err(|error| error.to_string())?, bytes })
}
