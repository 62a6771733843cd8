//! Processes that die: what comes back, what stops the node, and that nothing is left over.

use bulkhead_tests::node::Node;
use bulkhead_tests::proc::is_alive;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::time::{Duration, Instant};

const ADDRESS: &str = "bcrt1p9yfmy5h72durp7zrhlw9lf7jpwjgvwdg0jr0lqmmjtgg83266lqsekaqka";

fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// Kills a component and waits until another process has taken its place and serves.
fn kill_and_wait(node: &Node, component: &str) -> i32 {
    let before = node.pid_of(component).unwrap();
    send(before, Signal::SIGKILL);
    let back = |node: &Node| {
        node.processes().is_ok_and(|rows| {
            rows.iter().any(|row| row["process"] == component && row["pid"] != before && row["state"] == "ready")
        })
    };
    node.wait_for(&format!("{component} is back"), back).unwrap();
    node.pid_of(component).unwrap()
}

#[test]
fn net_rpc_and_notify_come_back() {
    let node = Node::start(&["-disablewallet", "-blocknotify=true"]).unwrap();
    node.call("generatetoaddress", json!([3, ADDRESS])).unwrap();
    for component in ["net", "rpc", "notify"] {
        kill_and_wait(&node, component);
        // The whole way through the new process works, and the chain has lost nothing.
        node.wait_for("calls are answered", |node| node.call("getblockcount", json!([])).is_ok()).unwrap();
        assert_eq!(node.call("getblockcount", json!([])).unwrap(), json!(3));
        node.wait_for("net answers", |node| node.call("getconnectioncount", json!([])).is_ok()).unwrap();
    }
    let end = node.stop().unwrap();
    assert_eq!((end.status.code(), end.stderr.as_str()), (Some(0), ""));
}

#[test]
fn wallet_and_keystore_come_back_locked() {
    let node = Node::start(&[]).unwrap();
    node.call("createwallet", json!(["w"])).unwrap();
    let address = node.wallet("w", "getnewaddress", json!([])).unwrap();
    node.wallet("w", "encryptwallet", json!(["secret"])).unwrap();
    node.wallet("w", "walletpassphrase", json!(["secret", 600])).unwrap();
    for component in ["keystore", "wallet"] {
        let before = node.pid_of(component).unwrap();
        send(before, Signal::SIGKILL);
        let loaded = |node: &Node| {
            node.pid_of(component).is_ok_and(|pid| pid != before)
                && node.call("listwallets", json!([])).is_ok_and(|list| list == json!(["w"]))
                && node.wallet("w", "getwalletinfo", json!([])).is_ok()
        };
        node.wait_for(&format!("wallet is back after {component} died"), loaded).unwrap();
        let info = node.wallet("w", "getwalletinfo", json!([])).unwrap();
        assert_eq!(info["unlocked_until"], json!(0), "locked after {component} died");
        let owned = node.wallet("w", "getaddressinfo", json!([address])).unwrap();
        assert_eq!(owned["ismine"], json!(true));
        node.wallet("w", "walletpassphrase", json!(["secret", 600])).unwrap();
    }
    let end = node.stop().unwrap();
    assert_eq!((end.status.code(), end.stderr.as_str()), (Some(0), ""));
}

/// A wallet that stopped before the tip would be scanned at the next start, from blocks that may be pruned by then.
#[test]
fn wallets_see_every_block_before_they_end() {
    let datadir = tempfile::tempdir().unwrap();
    let node = Node::start_in(datadir.path(), &[]).unwrap();
    node.call("createwallet", json!(["w", false, false, "", false, true, true])).unwrap();
    node.call("generatetoaddress", json!([300, ADDRESS])).unwrap();
    node.stop().unwrap();
    let node = Node::start_in(datadir.path(), &[]).unwrap();
    let info = node.wallet("w", "getwalletinfo", json!([])).unwrap();
    assert_eq!(info["lastprocessedblock"]["height"], json!(300));
    // debug.log goes on from the first run.
    assert!(!node.log().contains("Rescanning last"), "the wallet was behind");
    node.stop().unwrap();
}

#[test]
fn death_of_chain_stops_the_node_and_the_next_start_recovers() {
    let mut node = Node::start(&["-disablewallet"]).unwrap();
    node.call("generatetoaddress", json!([5, ADDRESS])).unwrap();
    let all: Vec<i32> = pids(&node);
    send(node.pid_of("chain").unwrap(), Signal::SIGKILL);
    let end = node.wait_for_end().unwrap();
    assert_eq!(end.status.code(), Some(1));
    let text = "Error: A fatal internal error occurred, see debug.log for details: ";
    assert!(end.stderr.starts_with(text) && end.stderr.lines().count() == 1, "{}", end.stderr);
    gone(&all);
    let node_again = Node::start_in(node.datadir(), &["-disablewallet"]).unwrap();
    let height = node_again.call("getblockcount", json!([])).unwrap().as_i64().unwrap();
    assert!((0..=5).contains(&height));
    node_again.stop().unwrap();
}

#[test]
fn death_of_the_supervisor_ends_all_children() {
    let mut node = Node::start(&[]).unwrap();
    node.call("createwallet", json!(["w"])).unwrap();
    let all = pids(&node);
    assert!(all.len() >= 7, "{all:?}");
    send(i32::try_from(node.pid()).unwrap(), Signal::SIGKILL);
    node.wait_for_end().unwrap();
    let start = Instant::now();
    gone(&all);
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn stop_and_signals_end_cleanly() {
    for signal in [None, Some(Signal::SIGTERM), Some(Signal::SIGINT)] {
        let mut node = Node::start(&[]).unwrap();
        node.call("createwallet", json!(["w"])).unwrap();
        let all = pids(&node);
        let end = match signal {
            None => {
                node.call("stop", json!([])).unwrap();
                node.wait_for_end().unwrap()
            }
            Some(signal) => {
                send(i32::try_from(node.pid()).unwrap(), signal);
                node.wait_for_end().unwrap()
            }
        };
        assert_eq!((end.status.code(), end.stderr.as_str()), (Some(0), ""), "{signal:?}");
        gone(&all);
        let folder = node.datadir().join("regtest");
        assert!(!folder.join(".cookie").exists() && !folder.join("bitcoind.pid").exists());
        let directories: Vec<String> = std::fs::read_dir(&folder)
            .unwrap()
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        assert!(directories.iter().all(|name| ["blocks", "chainstate", "indexes", "wallets"].contains(&name.as_str())));
    }
}

#[test]
fn log_is_reopened_on_sighup() {
    let mut node = Node::start(&["-disablewallet"]).unwrap();
    let log = node.datadir().join("regtest/debug.log");
    std::fs::rename(&log, log.with_extension("old")).unwrap();
    send(i32::try_from(node.pid()).unwrap(), Signal::SIGHUP);
    node.wait_for("a new log exists", |_| log.exists()).unwrap();
    node.call("stop", json!([])).unwrap();
    node.wait_for_end().unwrap();
    assert!(std::fs::read_to_string(&log).unwrap().contains("Shutdown done"));
}

fn pids(node: &Node) -> Vec<i32> {
    node.processes().unwrap().iter().filter_map(|row| i32::try_from(row["pid"].as_i64()?).ok()).collect()
}

/// All of them are gone, or about to be within a second.
fn gone(pids: &[i32]) {
    let start = Instant::now();
    while pids.iter().any(|pid| is_alive(*pid)) {
        assert!(start.elapsed() < Duration::from_secs(1), "left over: {pids:?}");
        std::thread::yield_now();
    }
}
