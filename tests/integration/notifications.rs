//! The user's commands, and that values can't become shell syntax.

use bulkhead_tests::node::Node;
use serde_json::json;
use std::fs;

#[test]
fn commands_run_with_their_values() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let startup = format!("-startupnotify=echo started >> {}", file("start").display());
    let block = format!("-blocknotify=echo %s >> {}", file("block").display());
    let shutdown = format!("-shutdownnotify=echo stopping >> {}", file("stop").display());
    let node = Node::start(&["-disablewallet", &startup, &block, &shutdown]).unwrap();
    node.wait_for("startupnotify ran", |_| fs::read_to_string(file("start")).is_ok_and(|text| text == "started\n")).unwrap();
    let address = "bcrt1p9yfmy5h72durp7zrhlw9lf7jpwjgvwdg0jr0lqmmjtgg83266lqsekaqka";
    let hashes = node.call("generatetoaddress", json!([2, address])).unwrap();
    node.wait_for("blocknotify ran twice", |_| {
        let text = fs::read_to_string(file("block")).unwrap_or_default();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        let mut wanted: Vec<&str> = hashes.as_array().unwrap().iter().filter_map(|hash| hash.as_str()).collect();
        wanted.sort_unstable();
        lines == wanted
    })
    .unwrap();
    // The end waits for the shutdown command.
    node.stop().unwrap();
    assert_eq!(fs::read_to_string(file("stop")).unwrap(), "stopping\n");
}
