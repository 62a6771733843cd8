//! The end of a node whose processes do not want to end.

use bulkhead_tests::node::Node;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

/// Chain may take as long as it needs; one that does nothing at all is given up.
#[test]
fn a_chain_that_does_nothing_is_not_waited_for() {
    let mut node = Node::start(&["-debug=ipc"]).unwrap();
    let chain = node.pid_of("chain").unwrap();
    kill(Pid::from_raw(chain), Signal::SIGSTOP).unwrap();
    kill(Pid::from_raw(node.pid().cast_signed()), Signal::SIGTERM).unwrap();
    let text = " [error] bitcoin-chain does not end and is killed";
    // Longer than anything else may take.
    for _ in 0..3 {
        if node.wait_for("the end of patience", |node| node.log().contains(text)).is_ok() {
            break;
        }
    }
    assert_eq!(node.wait_for_end().unwrap().status.code(), Some(1));
    assert_eq!(node.log().matches(text).count(), 1);
    assert!(node.log().contains(&format!("Process bitcoin-chain pid {chain} ended with signal 9")), "{}", node.log());
    // Nothing is lost but time.
    let node = Node::start_in(node.datadir(), &[]).unwrap();
    assert_eq!(node.call("getblockcount", json!([])).unwrap(), 0);
    node.stop().unwrap();
}
