//! Limits of one process: who exceeds them ends, and nobody else.

use bulkhead_tests::family::family;
use bulkhead_tests::node::Node;
use bulkhead_tests::proc::{is_alive, limits};
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
    let end = "[warning] bitcoin-rpc ended with exit code 134";
    node.wait_for("the end of rpc", |node| node.log().contains(end)).unwrap();
    assert!(node.log().contains(" [error] bitcoin-rpc ends: out of memory: "), "{}", node.log());
    for member in members.iter().filter(|member| member.component != "rpc") {
        assert!(is_alive(member.pid), "{} ended", member.component);
    }
    node.wait_until_ready().unwrap();
    assert_eq!(node.call("getblockcount", json!([])).unwrap(), 0);
    assert!(node.stop().unwrap().status.success());
}

/// Something that takes more memory in one process than it has, and the process.
type Greed = (&'static str, fn(&Node));

/// Who gets no memory ends, so nobody waits for these answers.
const GREEDY: [Greed; 5] = [
    ("rpc", |node| drop(node.call("echo", json!(["x".repeat(4 << 20)])))),
    ("chain", |node| drop(node.call("testmempoolaccept", json!([["00".repeat(4 << 20)]])))),
    ("net", |node| drop(node.call("setban", json!(["x".repeat(4 << 20), "add"])))),
    ("wallet", |node| drop(node.wallet("w", "getaddressinfo", json!(["x".repeat(4 << 20)])))),
    ("keystore", |node| {
        let address = node.wallet("w", "getnewaddress", json!(["", "legacy"])).unwrap_or_default();
        drop(node.wallet("w", "signmessage", json!([address, "x".repeat(900 << 10)])));
    }),
];

/// Takes all further memory from a process. False: we may not.
fn starve(pid: i32) -> bool {
    // Limits of a process that is not dumpable are root's to change.
    let root = nix::unistd::geteuid().is_root();
    let limit = ["--pid", &pid.to_string(), "--data=1"];
    assert!(!root || std::process::Command::new("prlimit").args(limit).status().unwrap().success());
    root
}

/// Notify takes no large message from anybody and keeps none; what it does when memory is refused to it is tested with its filter in
/// `sandbox/tests/confinement.rs`.
#[test]
fn whoever_gets_no_memory_says_so_and_ends() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    std::thread::scope(|scope| {
        for (component, greed) in GREEDY {
            scope.spawn(move || {
                let mut node = Node::start(&["-debug=ipc"]).unwrap();
                node.call("createwallet", json!(["w"])).unwrap();
                let pid = node.pid_of(component).unwrap();
                assert!(starve(pid));
                greed(&node);
                let word = format!(" [error] bitcoin-{component} ends: out of memory: ");
                node.wait_for(&word, |node| node.log().contains(&word)).unwrap();
                let end = format!("Process bitcoin-{component} pid {pid} ended with exit code 134");
                node.wait_for(&end, |node| node.log().contains(&end)).unwrap();
                if component == "chain" {
                    assert_eq!(node.wait_for_end().unwrap().status.code(), Some(1));
                } else {
                    node.wait_for("answers", |node| node.call("getconnectioncount", json!([])).is_ok()).unwrap();
                    assert!(node.stop().unwrap().status.success());
                }
            });
        }
    });
}

/// A directory of many wallets is a long answer; the supervisor makes it.
#[test]
fn a_supervisor_that_gets_no_memory_says_so_and_takes_everybody_along() {
    const WALLETS: usize = 2000;
    let mut node = Node::start(&[]).unwrap();
    for number in 0..WALLETS {
        let folder = node.datadir().join(format!("regtest/wallets/{number:0200}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("wallet.dat"), [&b"SQLite format 3\0"[..], &[0; 496]].concat()).unwrap();
    }
    let members = family(node.pid().cast_signed());
    if !starve(node.pid().cast_signed()) {
        return;
    }
    drop(node.call("listwalletdir", json!([])));
    assert_eq!(node.wait_for_end().unwrap().status.code(), Some(134));
    assert!(node.log().contains(" [error] bitcoin-node ends: out of memory: "), "{}", node.log());
    for member in members {
        crate::support::wait_for_end(member.pid);
    }
}

/// An exception of C++ that nobody catches, as for memory that is refused, ends in `abort` of the library of C++.
#[test]
fn libraries_of_cpp_find_the_abort_that_says_why() {
    let chain = bulkhead_tests::node::binaries().join("bitcoin-chain");
    let symbols = std::process::Command::new("nm").args(["-D", "--defined-only"]).arg(chain).output().unwrap().stdout;
    assert!(String::from_utf8(symbols).unwrap().lines().any(|line| line.ends_with(" T abort")));
}

#[test]
fn chain_has_a_limit_that_follows_its_caches_or_the_users_word() {
    let by_caches = (8 << 30) + 2 * ((64 << 20) + 50_000_000);
    let chosen: [(&[&str], u64); 2] =
        [(&["-dbcache=64", "-maxmempool=50"], by_caches), (&["-dbcache=64", "-processmemory=chain:700"], 700 << 20)];
    for (arguments, bytes) in chosen {
        let node = Node::start(arguments).unwrap();
        assert_eq!(
            limits(node.pid_of("chain").unwrap(), "Max data size").unwrap(),
            [bytes.to_string(), bytes.to_string()],
            "{arguments:?}"
        );
        assert!(node.stop().unwrap().status.success());
    }
}

#[test]
fn a_limit_that_is_none_stops_the_start() {
    let memory = ["rpc", "rpc:1", "nobody:100", "node:100", "rpc:99999999999999999999"].map(|text| ("-processmemory", text));
    let cpu = ["rpc:0", "gui:100", "rpc:x"].map(|text| ("-processcpu", text));
    for (option, text) in memory.into_iter().chain(cpu) {
        let error = Node::start(&[&format!("{option}={text}")]).err().expect("refused").to_string();
        assert!(error.contains(&format!("Error: Invalid {option}='{text}'")), "{error}");
    }
}
