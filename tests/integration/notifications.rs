//! The user's commands, and that values can't become shell syntax.

use bulkhead_tests::family::family;
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

/// A node whose `-startupnotify` shows its confinement and asks to be traced, which is granted to everybody whom no
/// filter stops. The confinement, and result and error number of the call.
fn startup_command(mode: &str) -> (Node, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let command = format!(
        "-startupnotify=grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status > {0}; \
         perl -e 'print syscall(101, 0, 0, 0, 0), \" \", $! + 0' > {1}; mv {0} {2}",
        file("new").display(),
        file("traceme").display(),
        file("status").display()
    );
    let node = Node::start(&["-disablewallet", mode, &command]).unwrap();
    node.wait_for("the command ran", |_| file("status").exists()).unwrap();
    let status = fs::read_to_string(file("status")).unwrap().replace('\t', "");
    let traceme = fs::read_to_string(file("traceme")).unwrap();
    (node, status, traceme)
}

#[test]
fn commands_are_refused_what_no_notification_needs() {
    let (node, status, traceme) = startup_command("-sandbox=strict");
    assert_eq!(status, "CapEff:0000000000000000\nCapBnd:0000000000000000\nNoNewPrivs:1\nSeccomp:2\n");
    assert_eq!(traceme, "-1 1");
    // The same holds for those that run the commands.
    for member in family(node.pid().cast_signed()) {
        let status = fs::read_to_string(format!("/proc/{}/status", member.pid)).unwrap();
        assert!(status.contains("Seccomp:\t2") && status.contains("NoNewPrivs:\t1"), "{member:?}: {status}");
    }
    node.stop().unwrap();
    let (node, _, traceme) = startup_command("-sandbox=off");
    assert_eq!(traceme, "0 0", "the control: without the filter the call is granted");
    node.stop().unwrap();
}
