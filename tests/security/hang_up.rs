//! Streams that end although both of their processes live, as when chain hangs up on who breaks its contract: a new stream comes
//! from the supervisor only, to whoever starts.

use std::collections::BTreeSet;

use bulkhead_control::CONTROL_DESCRIPTOR;
use bulkhead_tests::family::by_component;
use bulkhead_tests::inject::{Answer, Held};
use bulkhead_tests::node::Node;
use bulkhead_tests::proc::{descriptors, is_alive};
use nix::libc;
use serde_json::json;

/// How `/proc/<pid>/fd` names the sockets of this machine that are none of a network.
fn local_sockets() -> BTreeSet<String> {
    let table = std::fs::read_to_string("/proc/net/unix").unwrap();
    table.lines().skip(1).filter_map(|row| row.split_whitespace().nth(6)).map(|inode| format!("socket:[{inode}]")).collect()
}

/// Ends all streams of a process but that to its supervisor. Returns how many.
fn end_streams(pid: i32) -> usize {
    let local = local_sockets();
    let streams =
        descriptors(pid).unwrap().into_iter().filter(|(number, name)| *number != CONTROL_DESCRIPTOR && local.contains(name));
    let streams: Vec<i32> = streams.map(|(number, _)| number).collect();
    let mut held = Held::stop(pid).unwrap();
    for stream in &streams {
        let both = [u64::try_from(*stream).unwrap(), libc::SHUT_RDWR.unsigned_abs().into()];
        let answer = held.call(libc::SYS_shutdown, &both).unwrap();
        assert!(matches!(answer, Answer::Value(0)), "{answer:?}");
    }
    streams.len()
}

#[test]
fn whoever_chain_hangs_up_on_is_born_again() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    // The others may not call shutdown.
    for component in ["net", "rpc"] {
        let mut node = Node::start(&["-debug=ipc"]).unwrap();
        let before = by_component(node.pid().cast_signed());
        assert!(end_streams(before[component]) >= 2);
        let end = format!("Process bitcoin-{component} pid {} ended with exit code 1", before[component]);
        node.wait_for(&end, |node| node.log().contains(&end)).unwrap();
        assert!(node.log().contains("bitcoin-chain has hung up"), "{}", node.log());
        let reborn =
            |node: &Node| by_component(node.pid().cast_signed()).get(component).is_some_and(|pid| *pid != before[component]);
        node.wait_for("another one", reborn).unwrap();
        node.wait_until_ready().unwrap();
        node.wait_for("net at work", |node| node.call("getconnectioncount", json!([])).is_ok()).unwrap();
        for (name, pid) in before.iter().filter(|(name, _)| *name != component) {
            assert!(is_alive(*pid), "{name} ended");
        }
        assert!(node.stop().unwrap().status.success());
    }
}
