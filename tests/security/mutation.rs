//! Is a filter as small as it can be? A node whose filter lacks one rule does the work of a life; something must fail.
//!
//! A few rules are taken out in every run, one of each process. `BULKHEAD_MUTATIONS=all` (`make mutation`) takes out each in turn,
//! `BULKHEAD_MUTATIONS=net` those of one process, and shows those that this life does not miss: to look at, not errors, because
//! `minimality.rs` has seen each of them made. Rules that say themselves why no test can prove them are left in.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bulkhead_policies::{ALL, Policy, Proof};
use bulkhead_tests::mutant::mutate;
use bulkhead_tests::node::{Node, binaries};
use bulkhead_tests::proof::describe;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::hostile::{linked, write_binary};

/// A start that takes longer has failed.
const START: Duration = Duration::from_secs(10);
/// What is taken out in every run: process and system call.
const SAMPLE: [(&str, &str); 8] = [
    ("node", "sendmsg"),
    ("chain", "epoll_wait"),
    ("net", "recvmsg"),
    ("rpc", "epoll_ctl"),
    ("wallet", "sendmsg"),
    ("keystore", "mlock"),
    ("notify", "recvmsg"),
    ("spawner", "clone"),
];
/// How many lives go on at once: most of one is waiting.
const AT_ONCE: usize = 3;

fn failed(what: &str) -> impl Fn(bulkhead_tests::node::CallError) -> String {
    move |error| format!("{what}: {error:?}")
}

fn start(folder: &Path, datadir: &Path, arguments: &[&str]) -> Result<Node, String> {
    let mut node = Node::spawn_from(folder, datadir, arguments)?;
    let begin = Instant::now();
    while let Err(error) = node.call("getblockcount", json!([])) {
        if begin.elapsed() > START || node.ended() {
            return Err(format!("no start: {error:?}"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(node)
}

/// Lines that a whole life leaves in the log, one of each process that has something to say of its own accord.
const LINES: [&str; 5] = ["Shutdown done", "UpdateTip: ", "net thread exit", "setKeyPool.size() = ", "IPC client send RpcChain"];

/// The end of a node by a signal, and what it left in its log.
fn stop(mut node: Node, datadir: &Path) -> Result<(), String> {
    kill(Pid::from_raw(node.pid().cast_signed()), Signal::SIGTERM).map_err(|error| error.to_string())?;
    let ended = node.wait_for_end()?;
    if !ended.status.success() || !ended.stderr.is_empty() {
        return Err(format!("ended with {} and {:?}", ended.status, ended.stderr));
    }
    let log = std::fs::read(datadir.join("regtest/debug.log")).map_err(|error| error.to_string())?;
    let log = String::from_utf8_lossy(&log).into_owned();
    let bad = |line: &&str| ["[error]", ":error]", "[warning]", "panicked"].iter().any(|word| line.contains(word));
    log.lines().find(bad).map_or(Ok(()), |line| Err(format!("debug.log: {line}")))?;
    LINES.iter().find(|line| !log.contains(**line)).map_or(Ok(()), |line| Err(format!("debug.log has no \"{line}\"")))
}

/// What a user does with a node, twice on the same data. The first thing that goes wrong.
fn live(folder: &Path) -> Result<(), String> {
    // Its own, or it would bring the blocks of an earlier life.
    let peer = Node::start(&["-disablewallet"])?;
    let datadir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = datadir.path();
    let arguments = ["-debug=ipc", "-blocknotify=true %s", "-txindex", "-coinstatsindex", "-blockfilterindex"];
    let node = start(folder, path, &arguments)?;
    let call = |method: &str, params: Value| node.call(method, params).map_err(failed(method));
    let wallet = |method: &str, params: Value| node.wallet("w", method, params).map_err(failed(method));
    call("createwallet", json!(["w"]))?;
    let address = wallet("getnewaddress", json!([]))?;
    call("addnode", json!([format!("127.0.0.1:{}", peer.p2p_port()), "onetry"]))?;
    let begin = Instant::now();
    while call("getconnectioncount", json!([]))?.as_u64() == Some(0) {
        if begin.elapsed() > START {
            return Err("no peer".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    call("generatetoaddress", json!([101, address]))?;
    wallet("sendtoaddress", json!([address, 1]))?;
    call("getrawmempool", json!([]))?;
    wallet("backupwallet", json!([path.join("backup.dat").display().to_string()]))?;
    call("unloadwallet", json!(["w", false]))?;
    call("restorewallet", json!(["r", path.join("backup.dat").display().to_string()]))?;
    call("unloadwallet", json!(["r", false]))?;
    call("loadwallet", json!(["w"]))?;
    wallet("encryptwallet", json!(["secret"]))?;
    wallet("walletpassphrase", json!(["secret", 60]))?;
    wallet("sendtoaddress", json!([address, 1]))?;
    call("savemempool", json!([]))?;
    call("setmocktime", json!([0]))?;
    call("echoipc", json!(["text"]))?;
    stop(node, path)?;
    let node = start(folder, path, &["-wallet=w"])?;
    node.wallet("w", "getbalance", json!([])).map_err(failed("getbalance"))?;
    stop(node, path)
}

/// What goes wrong without one rule; nothing: it is not needed.
fn without(policy: &Policy, rule: usize) -> Option<String> {
    let name = if policy.name == "spawner" { "node" } else { policy.name };
    let folder = linked(name);
    let mut binary = std::fs::read(binaries().join(policy.binary)).unwrap();
    mutate(&mut binary, policy, rule).unwrap_or_else(|error| panic!("{}: rule {rule}: {error}", policy.name));
    write_binary(&folder.path().join(policy.binary), &binary);
    live(folder.path()).err()
}

/// What takes part: rules that a test can prove, of processes that have a node around them.
fn provable(policy: &Policy) -> Vec<usize> {
    (0..policy.rules.len()).filter(|index| policy.rules[*index].proof == Proof::Exercised).collect()
}

#[test]
fn a_node_that_lacks_a_rule_does_not_get_through_its_life() {
    let whole = linked("");
    assert_eq!(live(whole.path()), Ok(()), "with every rule");
    let wish = std::env::var("BULKHEAD_MUTATIONS").unwrap_or_default();
    let mut plan = Vec::new();
    for policy in ALL.iter().filter(|policy| policy.name != "gui") {
        let all = wish == "all" || wish == policy.name;
        let sampled = |rule: &usize| wish.is_empty() && SAMPLE.contains(&(policy.name, policy.rules[*rule].name));
        plan.extend(provable(policy).into_iter().filter(|rule| all || sampled(rule)).map(|rule| (*policy, rule)));
    }
    assert!(!wish.is_empty() || plan.len() >= SAMPLE.len(), "the sample names rules that are not there");
    assert!(!plan.is_empty(), "nobody is called {wish}");
    let next = Mutex::new(plan.into_iter());
    let needless = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((policy, rule)) = { next.lock().unwrap().next() } {
                    let name = format!("{}: {}", policy.name, describe(&policy.rules[rule]));
                    let failure = without(policy, rule);
                    println!("{name}: {}", failure.as_deref().unwrap_or("NOTHING FAILS"));
                    needless.lock().unwrap().extend(failure.is_none().then_some(name));
                }
            });
        }
    });
    let needless = needless.into_inner().unwrap();
    // A whole run also takes out what this life does not miss: advice to the kernel, memory and descriptors that are given back.
    assert!(needless.is_empty() || !wish.is_empty(), "nothing fails without\n{}", needless.join("\n"));
    println!("nothing fails without {} rules", needless.len());
}
