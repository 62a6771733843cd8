//! Limits of one process: who exceeds them ends, and nobody else.

use bulkhead_tests::family::family;
use bulkhead_tests::node::Node;
use bulkhead_tests::proc::is_alive;
use serde_json::json;

#[test]
fn a_process_that_exceeds_its_memory_ends_alone() {
    let mut node = Node::start(&["-processmemory=rpc:96"]).unwrap();
    let members = family(node.pid().cast_signed());
    let text = json!(["x".repeat(30 << 20)]);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            // Nobody who is answered by a process that ends gets an answer.
            scope.spawn(|| drop(node.call("echo", text.clone())));
        }
    });
    node.wait_for("the end of rpc", |node| node.log().contains("[warning] bitcoin-rpc ended with signal")).unwrap();
    for member in members.iter().filter(|member| member.component != "rpc") {
        assert!(is_alive(member.pid), "{} ended", member.component);
    }
    node.wait_until_ready().unwrap();
    assert_eq!(node.call("getblockcount", json!([])).unwrap(), 0);
    assert!(node.stop().unwrap().status.success());
}

#[test]
fn a_limit_that_is_none_stops_the_start() {
    for text in ["rpc", "rpc:1", "nobody:100", "node:100", "rpc:99999999999999999999"] {
        let error = Node::start(&[&format!("-processmemory={text}")]).err().expect("refused").to_string();
        assert!(error.contains(&format!("Error: Invalid -processmemory='{text}'")), "{error}");
    }
}
