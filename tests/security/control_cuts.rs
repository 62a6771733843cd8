//! The control channel from the supervisor's end, cut at each message that a child says: `bulkhead-hostile` takes the place of a
//! component in a running node and leaves, or says half of it and stays. The others do not notice, the node answers within a
//! second, and with the real binary back everything is as it was. (The child's end: `schema/control/tests/cut.rs`.)

use std::path::Path;
use std::time::{Duration, Instant};

use bulkhead_tests::family::{Member, family};
use bulkhead_tests::node::{Node, binaries};
use bulkhead_tests::proc::is_alive;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::hostile::{armed, linked};

/// Time in which a call must be answered.
const PROMPT: Duration = Duration::from_secs(1);
/// How many places there are to cut; `bulkhead-hostile` lists them.
const CUTS: usize = 9;
const FIRST_AFTER_READY: usize = 5;

fn replace(folder: &Path, component: &str, binary: &Path) {
    // A running binary cannot be written over.
    std::fs::rename(binary, folder.join(format!("bitcoin-{component}"))).unwrap();
}

fn others(node: &Node, component: &str) -> Vec<Member> {
    // Key stores are children of the wallet's life.
    let own = |member: &Member| member.component == component || member.component == "keystore";
    family(node.pid().cast_signed()).into_iter().filter(|member| !own(member)).collect()
}

fn cut(component: &str, at: usize) {
    let what = format!("{component} cut at {at}");
    let folder = linked("");
    let datadir = tempfile::tempdir().unwrap();
    let mut node = Node::spawn_from(folder.path(), datadir.path(), &["-debug=ipc"]).unwrap();
    node.wait_until_ready().unwrap();
    node.call("createwallet", json!(["w"])).unwrap();
    let members = others(&node, component);
    let real = folder.path().join("real");
    std::fs::hard_link(binaries().join(format!("bitcoin-{component}")), &real).unwrap();
    let hostile = folder.path().join("hostile");
    armed(&hostile, &format!("{component} cut{at} 1"));
    let victim = node.pid_of(component).unwrap();
    replace(folder.path(), component, &hostile);
    kill(Pid::from_raw(victim), Signal::SIGKILL).unwrap();
    let births = |node: &Node| node.log().matches(&format!("Process bitcoin-{component} pid ")).count();
    // Its own end, and that of the one that was cut.
    node.wait_for(&format!("{what}: the cut"), |node| births(node) >= 2).unwrap();
    if component != "rpc" {
        let asked = Instant::now();
        assert_eq!(node.call("getblockcount", json!([])).unwrap(), 0, "{what}");
        let other = if component == "wallet" { "getconnectioncount" } else { "listwallets" };
        node.call(other, json!([])).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert!(asked.elapsed() < PROMPT, "{what}: {:?}", asked.elapsed());
    }
    replace(folder.path(), component, &real);
    // A wallet that says that it is ready says that it has loaded everything: what it has not is forgotten, and can be loaded.
    let forgotten = component == "wallet" && at >= FIRST_AFTER_READY;
    let healed = |node: &Node| {
        if forgotten {
            // It may be loaded already, by the last time we looked.
            let _ = node.call("loadwallet", json!(["w"]));
        }
        node.call("getconnectioncount", json!([])).is_ok() && node.wallet("w", "getbalance", json!([])).is_ok()
    };
    node.wait_for(&format!("{what}: the real one"), healed).unwrap();
    for member in members {
        assert!(is_alive(member.pid), "{what}: {} ended", member.component);
    }
    assert!(node.stop().unwrap().status.success(), "{what}");
}

#[test]
fn a_child_that_is_cut_off_at_any_message_harms_nobody_and_is_replaced() {
    std::thread::scope(|scope| {
        for component in ["net", "rpc", "wallet"] {
            scope.spawn(move || (0..CUTS).for_each(|at| cut(component, at)));
        }
    });
}
