//! Components that were taken over: `bulkhead-hostile` in the place of one binary, in a copy of the folder of binaries. It is
//! confined and wired like the real one and misbehaves with everything that its edges and its control channel allow.
//!
//! What must hold, whatever it does: every other process lives and keeps its bound of memory, debug.log names who broke a contract
//! and does not grow with every call, the node still stops when it is asked to, and no private key of the locked wallet is in any
//! process's memory or in any file.
//! `BULKHEAD_HOSTILE_SEEDS` runs more conversations (default 1 for each way to misbehave).

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bulkhead_tests::family::{Member, family};
use bulkhead_tests::hostile::{conversation, edge};
use bulkhead_tests::node::{CallError, Node, PATIENCE, binaries};
use bulkhead_tests::proc::is_alive;
use bulkhead_tests::secrets::{self, Secret};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tempfile::TempDir;

use crate::support::wait_for_end;

/// How long each attack lasts.
const ATTACK: Duration = Duration::from_secs(2);
/// Most memory that a process under attack may hold, in KiB: what it holds without attack (chain: 150 MiB), a few messages of
/// the largest size of an edge, and slack.
const MAX_RESIDENT: u64 = 900 * 1024;
/// The same where the window was taken over: its edges carry figures.
const MAX_RESIDENT_BESIDE_WINDOW: u64 = 64 * 1024;
/// Most lines of debug.log of a node that nobody told to log every call.
const MAX_LINES: usize = 2000;
/// The window and the node that it starts may have so many: fewer than what stays on the way when nobody reads.
const DESCRIPTORS_OF_WINDOW: u32 = 4096;
const PASSPHRASE: &str = "a long passphrase for the test";
const MARK: &[u8] = b"BULKHEAD-HOSTILE-ORDERS";

/// A data directory with blocks and a locked wallet named "w", and the keys of that wallet.
struct Victim {
    datadir: TempDir,
    secrets: Vec<Secret>,
}

fn victim() -> Victim {
    let datadir = tempfile::tempdir().unwrap();
    let node = Node::start_in(datadir.path(), &[]).unwrap();
    node.call("createwallet", json!(["w", false, false, PASSPHRASE])).unwrap();
    let address = node.wallet("w", "getnewaddress", json!([])).unwrap();
    node.call("generatetoaddress", json!([3, address])).unwrap();
    node.wallet("w", "walletpassphrase", json!([PASSPHRASE, 60])).unwrap();
    let descriptors = node.wallet("w", "listdescriptors", json!([true])).unwrap();
    node.stop().unwrap();
    let secrets = secrets::of_descriptors(&descriptors);
    assert!(!secrets.is_empty(), "{descriptors}");
    Victim { datadir, secrets }
}

/// A folder of all binaries but that of one component.
pub fn linked(without: &str) -> TempDir {
    let folder = tempfile::tempdir_in(binaries()).unwrap();
    for entry in std::fs::read_dir(binaries()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("bitcoin-") && path.extension().is_none() && name != format!("bitcoin-{without}") {
            std::fs::hard_link(&path, folder.path().join(&name)).unwrap();
        }
    }
    folder
}

/// Writes a binary to a path that may be executed.
pub fn write_binary(path: &Path, binary: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, binary).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Writes `bulkhead-hostile` with orders.
pub fn armed(path: &Path, orders: &str) {
    let mut binary = std::fs::read(env!("CARGO_BIN_EXE_bulkhead-hostile")).unwrap();
    let places: Vec<usize> = (0..binary.len() - 64).filter(|at| binary[*at..].starts_with(MARK)).collect();
    assert_eq!(places.len(), 1, "one place for orders");
    let mut text = [b' '; 64];
    text[..orders.len()].copy_from_slice(orders.as_bytes());
    binary[places[0]..places[0] + 64].copy_from_slice(&text);
    write_binary(path, &binary);
}

/// The folder of binaries with one of them replaced.
fn replaced(component: &str, orders: &str) -> TempDir {
    let folder = linked(component);
    armed(&folder.path().join(format!("bitcoin-{component}")), orders);
    folder
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            copy(&path, &target);
        } else if kind.is_file() {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

fn resident(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// All processes but the one that was taken over.
fn others(node: &Node, component: &str) -> Vec<Member> {
    let mut members = family(node.pid().cast_signed());
    members.retain(|member| member.component != component);
    members
}

fn assert_unharmed(members: &[Member], what: &str) {
    for member in members {
        assert!(is_alive(member.pid), "{what}: {} ended", member.component);
        let resident = resident(member.pid);
        assert!(resident < MAX_RESIDENT, "{what}: {} holds {resident} KiB", member.component);
    }
}

/// Without chain there is no node: it may stop, if it says why and all of its processes end in order.
fn assert_unharmed_or_stopped(node: &Node, members: &[Member], what: &str) {
    let (alive, ended): (Vec<Member>, Vec<Member>) = members.iter().cloned().partition(|member| is_alive(member.pid));
    if ended.is_empty() {
        return assert_unharmed(&alive, what);
    }
    let over = |node: &Node| !is_alive(node.pid().cast_signed()) && node.log().contains("Shutdown done");
    node.wait_for(&format!("{what}: the end"), over).unwrap_or_else(|error| panic!("{error}: {}", node.log()));
    let log = node.log();
    assert!(log.contains("[error]"), "{what}: {ended:?} ended and debug.log does not say why");
    for member in members.iter().filter(|member| !["node", "spawner"].contains(&member.component.as_str())) {
        let end = format!("Process bitcoin-{} pid {} ended with exit code 0", member.component, member.pid);
        assert!(log.contains(&end), "{what}: {} did not end in order: {log}", member.component);
    }
}

/// No process and no file holds a private key of the locked wallet.
fn assert_no_secret(node: &Node, victim: &Victim, datadir: &Path, what: &str) {
    for member in family(node.pid().cast_signed()) {
        match secrets::in_memory(member.pid, &victim.secrets) {
            Ok(found) => assert!(found.is_empty(), "{what}: memory of {} holds {found:?}", member.component),
            // The one that was taken over ends itself now and then.
            Err(error) => assert!(!is_alive(member.pid), "{what}: memory of {}: {error}", member.component),
        }
    }
    let found = secrets::in_files(datadir, &victim.secrets);
    assert!(found.is_empty(), "{what}: {found:?}");
}

fn locked(result: Result<serde_json::Value, CallError>) -> bool {
    matches!(result, Err(CallError::Rpc { code: -13, .. }))
}

/// One attack on a fresh copy of the victim.
fn attack(victim: &Victim, component: &str, mode: &str, seed: u64) {
    let what = format!("{component} {mode} {seed}");
    let folder = replaced(component, &format!("{component} {mode} {seed}"));
    let datadir = tempfile::tempdir().unwrap();
    copy(victim.datadir.path(), datadir.path());
    let log = datadir.path().join("regtest/debug.log");
    std::fs::remove_file(&log).unwrap();
    // Who only calls is not to fill the log, unless the user asks for every call. Where chain was taken over the log has to show how
    // the others ended.
    let quiet = component != "chain" && ["flood", "deaf", "keep", "warn"].contains(&mode);
    let arguments = if quiet { &["-wallet=w"][..] } else { &["-wallet=w", "-debug=ipc"] };
    let mut node = if component == "gui" {
        Node::spawn_window_from(folder.path(), datadir.path(), DESCRIPTORS_OF_WINDOW, arguments).unwrap()
    } else {
        Node::spawn_from(folder.path(), datadir.path(), arguments).unwrap()
    };
    let told = |node: &Node, text: &str| node.log().contains(text);
    node.wait_for(&format!("{what}: the attack"), |node| told(node, "misbehaves")).unwrap();
    // A window that breaks its control channel is a window that was closed.
    let closes = component == "gui" && ["control", "again", "ask"].contains(&mode);
    let serves = !["rpc", "chain"].contains(&component) && !closes;
    if serves {
        node.wait_until_ready().unwrap_or_else(|error| panic!("{what}: {error}; debug.log: {}", node.log()));
    }
    node.wait_for(&format!("{what}: the others"), |node| closes || others(node, component).len() >= 4).unwrap();
    let members = others(&node, component);
    let supervisor = members.iter().find(|member| member.component == "node").map(|member| member.pid);
    std::thread::sleep(ATTACK);
    if component == "chain" || closes {
        assert_unharmed_or_stopped(&node, &members, &what);
    } else {
        assert_unharmed(&members, &what);
    }
    if component == "gui" {
        let largest = members.iter().map(|member| resident(member.pid)).max();
        assert!(largest < Some(MAX_RESIDENT_BESIDE_WINDOW), "{what}: {largest:?} KiB");
    }
    if quiet {
        let lines = node.log().lines().count();
        assert!(lines < MAX_LINES, "{what}: {lines} lines in debug.log");
    }
    if serves {
        let asked = Instant::now();
        assert_eq!(node.call("getblockcount", json!([])).unwrap(), 3, "{what}");
        if component != "wallet" {
            // Takes a new process, to which descriptors are passed.
            node.call("createwallet", json!(["another"])).unwrap_or_else(|error| panic!("{what}: {error:?}"));
            let address = node.wallet("w", "getnewaddress", json!(["", "legacy"])).unwrap();
            assert!(locked(node.wallet("w", "signmessage", json!([address, "text"]))), "{what}");
        } else {
            // A wallet that was taken over answers something or nothing; the front door must come back.
            let answer = node.wallet("w", "getwalletinfo", json!([]));
            assert!(!matches!(answer, Err(CallError::Transport(_))), "{what}: {answer:?}");
        }
        assert!(asked.elapsed() < PATIENCE, "{what}");
    }
    assert_no_secret(&node, victim, datadir.path(), &what);
    if mode == "talk" {
        let edges = bulkhead_schema::limits::EDGES.iter().filter(|edge| edge.name.split('-').any(|end| end == component));
        let named = edges.filter(|edge| told(&node, &format!("{}: the other side broke the contract", edge.name))).count();
        assert!(named > 0, "{what}: debug.log names no edge");
    }
    assert!(!told(&node, "gave a signature"), "{what}");
    assert_eq!(told(&node, "says too much"), mode == "warn", "{what}");
    if mode == "control" {
        assert!(told(&node, "asked for what it may not have"), "{what}");
        assert!(!Path::new("/tmp/planted").exists(), "{what}");
    }
    match supervisor.filter(|pid| is_alive(*pid)) {
        Some(pid) => kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap(),
        None => assert!(component == "chain" || closes, "{what}: there is no supervisor"),
    }
    node.wait_for_end().unwrap_or_else(|error| panic!("{what}: {error}"));
    for member in members {
        wait_for_end(member.pid);
    }
}

fn attacks(component: &str, modes: &[&str]) {
    if !nix::unistd::geteuid().is_root() {
        // Reading the memory of processes that are not dumpable takes root.
        return;
    }
    let victim = victim();
    let seeds = std::env::var("BULKHEAD_HOSTILE_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    // Most of an attack is waiting, so all go on at once.
    std::thread::scope(|scope| {
        for mode in modes {
            let victim = &victim;
            scope.spawn(move || (1..=seeds).for_each(|seed| attack(victim, component, mode, seed)));
        }
    });
}

const MODES: [&str; 11] = ["talk", "flood", "deaf", "keep", "half", "silence", "huge", "descriptors", "control", "again", "ask"];

#[test]
fn net_taken_over_harms_nobody() {
    attacks("net", &[&MODES[..], &["warn"]].concat());
}

#[test]
fn front_door_taken_over_harms_nobody() {
    attacks("rpc", &MODES);
}

#[test]
fn chain_taken_over_harms_nobody() {
    attacks("chain", &MODES);
}

#[test]
fn window_taken_over_harms_nobody() {
    attacks("gui", &MODES);
}

#[test]
fn wallet_taken_over_gets_no_key_and_no_signature() {
    attacks("wallet", &["keystore", "talk", "flood", "half", "silence", "huge", "descriptors", "control"]);
}

/// It says that it is ready and has loaded nothing: the next one loads what there was to load.
#[test]
fn wallet_taken_over_makes_nobody_forget_the_wallets() {
    let victim = victim();
    let folder = replaced("wallet", "wallet silence 1");
    let mut node = Node::spawn_from(folder.path(), victim.datadir.path(), &["-wallet=w"]).unwrap();
    node.wait_until_ready().unwrap();
    let ready = |node: &Node| {
        node.processes().is_ok_and(|rows| rows.iter().any(|row| row["process"] == "wallet" && row["state"] == "ready"))
    };
    node.wait_for("the wallet that was taken over", |node| ready(node) && node.log().contains("misbehaves")).unwrap();
    let binary = folder.path().join("bitcoin-wallet");
    std::fs::remove_file(&binary).unwrap();
    std::fs::copy(binaries().join("bitcoin-wallet"), &binary).unwrap();
    kill(Pid::from_raw(node.pid_of("wallet").unwrap()), Signal::SIGKILL).unwrap();
    let loaded = |node: &Node| node.call("listwallets", json!([])).is_ok_and(|list| list == json!(["w"]));
    node.wait_for("the wallet in the next process", loaded).unwrap();
    assert!(node.stop().unwrap().status.success());
}

/// The key store decrypts a key for the moment in which it signs, so not even its own memory holds one in between.
#[test]
fn keys_of_an_unlocked_wallet_are_in_no_memory() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let victim = victim();
    let node = Node::start_in(victim.datadir.path(), &["-wallet=w"]).unwrap();
    let holders = || {
        let holds = |pid| !secrets::in_memory(pid, &victim.secrets).unwrap().is_empty();
        let family = family(node.pid().cast_signed()).into_iter();
        family.filter(|member| holds(member.pid)).map(|member| member.component).collect::<Vec<_>>()
    };
    node.wallet("w", "walletpassphrase", json!([PASSPHRASE, 600])).unwrap();
    assert!(holders().is_empty(), "{:?}", holders());
    let address = node.wallet("w", "getnewaddress", json!(["", "legacy"])).unwrap();
    node.wallet("w", "signmessage", json!([address, "text"])).unwrap();
    assert!(holders().is_empty(), "{:?}", holders());
    assert!(secrets::in_files(victim.datadir.path(), &victim.secrets).is_empty());
    node.stop().unwrap();
}

/// Whoever can connect to the socket of `-ipcbind` can say anything.
#[test]
fn outside_clients_cannot_harm_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let socket: PathBuf = folder.path().join("node.sock");
    let node = Node::start(&["-debug=ipc", &format!("-ipcbind=unix:{}", socket.display())]).unwrap();
    let members = family(node.pid().cast_signed());
    let outside = edge("outside-rpc").unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let begin = Instant::now();
    let mut conversations = 0;
    while begin.elapsed() < ATTACK * 3 {
        let mut bytes = Vec::new();
        while bytes.len() < 2000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.push(state.to_be_bytes()[0]);
        }
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        for message in conversation(&bytes, &outside).messages {
            // The front door may hang up, or stop reading from who does not listen.
            if stream.write_all(&message).is_err() {
                break;
            }
        }
        conversations += 1;
    }
    assert!(conversations > 20, "{conversations}");
    assert_unharmed(&members, "outside clients");
    assert_eq!(node.call("getblockcount", json!([])).unwrap(), 0);
    assert!(node.log().contains("outside-rpc: the other side broke the contract"));
    node.stop().unwrap();
}
