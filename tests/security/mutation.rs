//! Is a filter as small as it can be? A node whose filter lacks one rule does the work of a life; something must fail.
//!
//! A few rules are taken out in every run, one of each process. `BULKHEAD_MUTATIONS=all` (`make mutation`) takes out each in turn,
//! `BULKHEAD_MUTATIONS=net,rpc:close` those of one process and of one call. A rule whose refusal goes unnoticed must say what is
//! lost by it (`unmissed`), and this life must make the call all the same: then the process that makes it is ended. Rules that say
//! themselves why no test can prove them are left in.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bulkhead_policies::{ALL, Policy, Proof};
use bulkhead_tests::mutant::{Instead, mutate};
use bulkhead_tests::node::{Node, binaries};
use bulkhead_tests::port::reserve_port;
use bulkhead_tests::proc::threads;
use bulkhead_tests::proof::describe;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::hostile::{linked, write_binary};

/// A start that takes longer has failed.
const START: Duration = Duration::from_secs(20);
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

/// A peer that listens on both versions of IP, where there are both, and all of its addresses.
fn peer() -> Result<(Node, Vec<String>), String> {
    let port = reserve_port().map_err(|error| error.to_string())?;
    let newer = format!("[::1]:{port}");
    let bind = format!("-bind={newer}");
    let both = TcpListener::bind(&newer).is_ok();
    // Its own, or it would bring the blocks of an earlier life.
    let arguments = ["-disablewallet", &bind];
    let peer = Node::start(&arguments[..1 + usize::from(both)])?;
    let address = format!("127.0.0.1:{}", peer.p2p_port());
    Ok((peer, std::iter::once(address).chain(both.then_some(newer)).collect()))
}

/// Connects in both directions, and looks at what the node knows of its peers.
fn connect(node: &Node, peer: &Node, addresses: &[String]) -> Result<(), String> {
    for address in addresses {
        node.call("addnode", json!([address, "onetry"])).map_err(failed("addnode"))?;
    }
    peer.call("addnode", json!([format!("127.0.0.1:{}", node.p2p_port()), "onetry"])).map_err(failed("addnode"))?;
    let begin = Instant::now();
    loop {
        let peers = node.call("getpeerinfo", json!([])).map_err(failed("getpeerinfo"))?;
        let known = peers.as_array().map_or(&[][..], Vec::as_slice).iter().filter(|peer| peer["addrbind"].is_string()).count();
        if known == addresses.len() + 1 {
            return Ok(());
        }
        if begin.elapsed() > START {
            return Err(format!("no peers: {peers}"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What shows in processes that work as they should: names of threads, the own row of the supervisor.
fn look(node: &Node) -> Result<(), String> {
    for component in ["chain", "net", "rpc", "wallet"] {
        let pid = node.pid_of(component)?;
        let own = format!("bitcoin-{component}");
        let threads = threads(pid).map_err(|error| error.to_string())?;
        let named = threads.into_iter().any(|thread| {
            std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/comm")).is_ok_and(|name| !own.starts_with(name.trim()))
        });
        if !named {
            return Err(format!("no thread of {component} has a name"));
        }
    }
    let rows = node.processes()?;
    let own = rows.iter().any(|row| row["process"] == "node" && row["pid"] == node.pid());
    own.then_some(()).ok_or_else(|| format!("getsandboxinfo does not show the supervisor: {rows:?}"))
}

/// Databases remove what they do not need any more: old lists of tables, journals of wallets.
fn tidy(folder: &Path) -> Result<(), String> {
    let mut lists = 0;
    for entry in std::fs::read_dir(folder).map_err(|error| error.to_string())?.flatten() {
        if entry.path().is_dir() {
            tidy(&entry.path())?;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with("-journal") {
            return Err(format!("{name} was left in {}", folder.display()));
        }
        lists += u32::from(name.starts_with("MANIFEST-"));
    }
    if lists > 1 { Err(format!("{} has {lists} lists of tables", folder.display())) } else { Ok(()) }
}

/// The end of a node by a signal, and what it left in its log.
fn stop(mut node: Node, datadir: &Path) -> Result<(), String> {
    kill(Pid::from_raw(node.pid().cast_signed()), Signal::SIGTERM).map_err(|error| error.to_string())?;
    let ended = node.wait_for_end()?;
    if !ended.status.success() || !ended.stderr.is_empty() {
        return Err(format!("ended with {} and {:?}", ended.status, ended.stderr));
    }
    let log = std::fs::read(datadir.join("regtest/debug.log")).map_err(|error| error.to_string())?;
    let log = String::from_utf8_lossy(&log).into_owned();
    let bad = |line: &&str| {
        ["[error]", ":error]", "[warning]", "panicked", " ended with signal 11", " ended with signal 31"]
            .iter()
            .any(|word| line.contains(word))
    };
    log.lines().find(bad).map_or(Ok(()), |line| Err(format!("debug.log: {line}")))?;
    LINES.iter().find(|line| !log.contains(**line)).map_or(Ok(()), |line| Err(format!("debug.log has no \"{line}\"")))
}

/// What a user does with a node, twice on the same data. The first thing that goes wrong.
fn live(folder: &Path) -> Result<(), String> {
    let (peer, addresses) = peer()?;
    let datadir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = datadir.path();
    let notified = path.join("notified");
    let command = format!("-blocknotify=touch {}", notified.display());
    let late = path.join("late");
    let last = format!("-shutdownnotify=sleep 0.2; touch {}", late.display());
    let arguments = ["-debug=ipc", &command, &last, "-txindex", "-coinstatsindex", "-blockfilterindex"];
    let node = start(folder, path, &arguments)?;
    let call = |method: &str, params: Value| node.call(method, params).map_err(failed(method));
    let wallet = |method: &str, params: Value| node.wallet("w", method, params).map_err(failed(method));
    call("createwallet", json!(["w"]))?;
    let address = wallet("getnewaddress", json!([]))?;
    connect(&node, &peer, &addresses)?;
    look(&node)?;
    call("generatetoaddress", json!([101, address]))?;
    wallet("sendtoaddress", json!([address, 1]))?;
    call("getrawmempool", json!([]))?;
    // Relative to the data directory, which is the working directory.
    wallet("backupwallet", json!(["regtest/backup.dat"]))?;
    call("dumptxoutset", json!(["utxo.dat", "latest"]))?;
    let wallets = call("listwalletdir", json!([]))?;
    if wallets["wallets"][0]["name"] != "w" {
        return Err(format!("listwalletdir: {wallets}"));
    }
    call("unloadwallet", json!(["w", false]))?;
    call("restorewallet", json!(["r", path.join("regtest/backup.dat").display().to_string()]))?;
    call("unloadwallet", json!(["r", false]))?;
    call("loadwallet", json!(["w"]))?;
    wallet("encryptwallet", json!(["secret"]))?;
    wallet("walletpassphrase", json!(["secret", 60]))?;
    wallet("sendtoaddress", json!([address, 1]))?;
    call("savemempool", json!([]))?;
    call("setmocktime", json!([0]))?;
    call("echoipc", json!(["text"]))?;
    node.wait_for("a notification", |_| notified.exists())?;
    stop(node, path)?;
    if !late.exists() {
        return Err("the last command was not waited for".into());
    }
    // As after a crash of the key store.
    std::fs::write(path.join("regtest/wallets/w/wallet.dat-journal"), [0; 512]).map_err(|error| error.to_string())?;
    let node = start(folder, path, &["-debug=ipc", "-wallet=w"])?;
    node.wallet("w", "getbalance", json!([])).map_err(failed("getbalance"))?;
    stop(node, path)?;
    tidy(path)
}

/// What goes wrong when calls that one rule admits are answered otherwise.
fn without(policy: &Policy, rule: usize, instead: Instead) -> Option<String> {
    let name = if policy.name == "spawner" { "node" } else { policy.name };
    let folder = linked(name);
    let mut binary = std::fs::read(binaries().join(policy.binary)).unwrap();
    mutate(&mut binary, policy, rule, instead).unwrap_or_else(|error| panic!("{}: rule {rule}: {error}", policy.name));
    write_binary(&folder.path().join(policy.binary), &binary);
    live(folder.path()).err()
}

/// How a rule shows that it is needed, or why it does not.
fn judge(policy: &Policy, rule: usize) -> Result<String, String> {
    let unmissed = policy.rules[rule].unmissed;
    match (without(policy, rule, Instead::Refuse), unmissed) {
        (Some(failure), None) => Ok(failure),
        // Chance decides whether a test sees some of these losses.
        (Some(failure), Some(_)) => Ok(format!("missed this time: {failure}")),
        // Refused without a trace: then it must be made, and what is lost must be said.
        (None, unmissed) => match (without(policy, rule, Instead::Kill), unmissed) {
            (Some(end), Some(_)) => Ok(format!("unmissed, but made: {end}")),
            (Some(end), None) => Err(format!("nobody misses it, though it is made: {end}")),
            (None, _) => Err("nobody makes it".to_owned()),
        },
    }
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
        let wished = |rule: &usize| {
            let call = policy.rules[*rule].name;
            let one = format!("{}:{call}", policy.name);
            let sampled = wish.is_empty() && SAMPLE.contains(&(policy.name, call));
            sampled || wish.split(',').any(|word| ["all", policy.name, &one].contains(&word))
        };
        plan.extend(provable(policy).into_iter().filter(wished).map(|rule| (*policy, rule)));
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
                    let complaint = judge(policy, rule);
                    println!("{name}: {complaint:?}");
                    needless.lock().unwrap().extend(complaint.err().map(|why| format!("{name}: {why}")));
                }
            });
        }
    });
    let needless = needless.into_inner().unwrap();
    assert!(needless.is_empty(), "{} rules\n{}", needless.len(), needless.join("\n"));
}
