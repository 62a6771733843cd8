//! The same looks and attempts on a running node.

use std::os::unix::net::UnixListener;

use bulkhead_tests::actions::{Targets, Verdict, all};
use bulkhead_tests::family::{Member, family};
use bulkhead_tests::inject::Held;
use bulkhead_tests::node::Node;
use bulkhead_tests::proc::{descriptors, is_alive, threads};
use nix::errno::Errno;
use serde_json::json;

use crate::birth::{assert_confined, assert_no_network};

/// Components that a node with one loaded wallet runs.
const EXPECTED: [&str; 7] = ["chain", "keystore", "net", "node", "rpc", "spawner", "wallet"];

fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A node that has done some work: a wallet named "probe", blocks that pay it, a signature.
fn working_node(arguments: &[&str]) -> (Node, Vec<Member>) {
    let node = Node::start(arguments).unwrap();
    node.call("createwallet", json!(["probe"])).unwrap();
    let address = node.wallet("probe", "getnewaddress", json!(["", "legacy"])).unwrap();
    node.call("generatetoaddress", json!([3, address])).unwrap();
    node.wallet("probe", "signmessage", json!([address, "text"])).unwrap();
    let members = family(node.pid().cast_signed());
    (node, members)
}

fn one<'a>(members: &'a [Member], component: &str) -> &'a Member {
    members.iter().find(|member| member.component == component).unwrap()
}

#[test]
fn every_thread_of_every_process_is_confined() {
    let (node, members) = working_node(&[]);
    let found: Vec<_> = members.iter().map(|member| member.component.as_str()).collect();
    for component in EXPECTED {
        assert!(found.contains(&component), "{component} is not among {found:?}");
    }
    for member in &members {
        assert_confined(&member.component, member.pid);
        if ["chain", "rpc", "wallet", "keystore"].contains(&&*member.component) {
            assert_no_network(member.pid);
        }
    }
    node.stop().unwrap();
}

#[test]
fn every_descriptor_is_one_of_the_policy() {
    let (node, members) = working_node(&[]);
    let datadir = node.datadir().join("regtest");
    let below = |part: &str| datadir.join(part).to_string_lossy().into_owned();
    for member in &members {
        let folders: Vec<String> = match member.component.as_str() {
            "chain" => ["blocks", "chainstate", "indexes", "mempool.dat"].map(below).to_vec(),
            "keystore" => vec![below("wallets/probe")],
            "net" => ["peers.dat", "banlist.json"].map(below).to_vec(),
            // The supervisor holds the locks; its runner of commands keeps what commands inherit.
            "node" | "notify" => continue,
            _ => Vec::new(),
        };
        for (number, target) in descriptors(member.pid).unwrap() {
            let plain = ["socket:", "pipe:", "anon_inode:"].iter().any(|kind| target.starts_with(kind));
            let named = target == "/dev/null" || target == below("debug.log");
            let granted = folders.iter().any(|folder| target.starts_with(folder.as_str()));
            assert!(plain || named || granted, "{}: descriptor {number} is {target}", member.component);
        }
    }
    node.stop().unwrap();
}

#[test]
fn getsandboxinfo_tells_what_the_kernel_says() {
    let (node, members) = working_node(&[]);
    let rows = node.processes().unwrap();
    for member in members.iter().filter(|member| !["spawner", "notify"].contains(&&*member.component)) {
        let row = rows.iter().find(|row| row["pid"] == member.pid);
        let row = row.unwrap_or_else(|| panic!("{member:?} is not in {rows:?}"));
        assert_eq!(row["process"], member.component);
        assert_eq!(row["missing"], json!([]), "{row}");
        let policy = bulkhead_policies::policy(&member.component).unwrap();
        assert!(row.to_string().contains(policy.filter_hash), "{row}");
    }
    node.stop().unwrap();
}

/// Tries every action that does not end the process, in every process that shall refuse it: confined in every thread, because
/// filters and Landlock are a thread's own; otherwise in the first.
fn try_all(node: &Node, members: &[Member], confined: bool) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let datadir = node.datadir().join("regtest");
    let mut tried = 0;
    for member in members.iter().filter(|member| !["spawner", "notify"].contains(&&*member.component)) {
        let sibling = one(members, if member.component == "net" { "rpc" } else { "net" }).pid;
        let targets = Targets::of(&datadir.to_string_lossy(), &socket.to_string_lossy(), sibling);
        let threads = if confined { threads(member.pid).unwrap() } else { vec![member.pid] };
        for thread in threads {
            // A thread of a pool may end meanwhile.
            let Ok(mut held) = Held::stop_thread(member.pid, thread) else { continue };
            for action in all() {
                if action.deadly || action.excuse(&member.component).is_some() {
                    continue;
                }
                let verdict = action.attempt(&mut held, &targets).unwrap();
                tried += 1;
                match verdict {
                    Verdict::Refused(_) if confined => {}
                    Verdict::Reached | Verdict::Refused(Errno::ENOSYS) if !confined => {}
                    other => panic!("{} thread {thread}: {}: {other}", member.component, action.name),
                }
            }
        }
        targets.clean();
    }
    tried
}

#[test]
fn live_processes_refuse_every_forbidden_action_and_live_on() {
    if !root() {
        return;
    }
    let (node, members) = working_node(&[]);
    let tried = try_all(&node, &members, true);
    assert!(tried > 1000, "only {tried} attempts");
    assert!(members.iter().all(|member| is_alive(member.pid)));
    assert_eq!(node.call("getblockcount", json!([])).unwrap(), 3);
    assert_eq!(node.wallet("probe", "getwalletinfo", json!([])).unwrap()["walletname"], "probe");
    node.stop().unwrap();
}

/// Negative control: without the sandbox the same attempts get through, so the test above can fail.
#[test]
fn the_same_actions_get_through_without_the_sandbox() {
    if !root() {
        return;
    }
    let (node, members) = working_node(&["-sandbox=off"]);
    try_all(&node, &members, false);
    node.stop().unwrap();
}

#[test]
fn deadly_action_in_net_ends_net_only_and_it_is_born_again() {
    if !root() {
        return;
    }
    let (node, members) = working_node(&[]);
    let net = one(&members, "net").pid;
    let execve = all().into_iter().find(|action| action.name == "run a program").unwrap();
    let mut held = Held::stop(net).unwrap();
    let targets = Targets::of("/nonexistent", "/nonexistent", one(&members, "chain").pid);
    assert_eq!(execve.attempt(&mut held, &targets).unwrap(), Verdict::Killed);
    drop(held);
    node.wait_for("another bitcoin-net", |node| {
        node.pid_of("net").is_ok_and(|pid| pid != net) && node.call("getconnectioncount", json!([])).is_ok()
    })
    .unwrap();
    for member in members.iter().filter(|member| member.component != "net") {
        assert!(is_alive(member.pid), "{}", member.component);
    }
    node.stop().unwrap();
}
