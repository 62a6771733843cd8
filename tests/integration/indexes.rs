//! Indexes of a node whose chain process is killed while it builds them.

use bulkhead_tests::node::Node;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::crosscheck::{call, data, expected};

const INDEXES: [&str; 4] = ["-txindex", "-txospenderindex", "-blockfilterindex", "-coinstatsindex"];

fn all_synced(node: &Node) -> bool {
    let info = node.call("getindexinfo", json!([])).unwrap_or_default();
    info.as_object().is_some_and(|info| info.len() == INDEXES.len() && info.values().all(|index| index["synced"] == true))
}

#[test]
fn indexes_that_are_killed_while_they_are_built_catch_up_with_cores_figures() {
    let expected = expected();
    let folder = tempfile::tempdir().unwrap();
    let load = format!("-loadblock={}", data("blocks.dat").display());
    let node = Node::start_in(folder.path(), &[&load]).unwrap();
    let reached = |node: &Node| node.call("getblockcount", json!([])).is_ok_and(|count| count == expected["height"]);
    node.wait_for("the import", reached).unwrap();
    node.stop().unwrap();

    for round in 0..3 {
        let mut node = Node::start_in(folder.path(), &INDEXES).unwrap();
        if round == 0 {
            assert!(!all_synced(&node), "the indexes were built before the kill");
        }
        kill(Pid::from_raw(node.pid_of("chain").unwrap()), Signal::SIGKILL).unwrap();
        assert_eq!(node.wait_for_end().unwrap().status.code(), Some(1));
    }
    let node = Node::start_in(folder.path(), &INDEXES).unwrap();
    node.wait_for("the indexes", all_synced).unwrap();
    for (height, facts) in expected["at"].as_object().unwrap() {
        let height: u32 = height.parse().unwrap();
        assert_eq!(call(&node, "gettxoutsetinfo", json!(["muhash", height]))["muhash"], facts["muhash"], "{height}");
        assert_eq!(call(&node, "getblockfilter", json!([facts["hash"]])), facts["filter"], "{height}");
    }
    for transaction in expected["transactions"].as_array().unwrap() {
        let hex: Value = call(&node, "getrawtransaction", json!([transaction["txid"]]));
        assert_eq!(hex, transaction["hex"]);
    }
    let ended = node.stop().unwrap();
    assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
}
