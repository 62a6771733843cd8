//! Is every permission needed? A node does the work of its life under the recorder; a rule of a list that admitted
//! none of its calls must say why it is there all the same.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

use bulkhead_tests::node::Node;
use bulkhead_tests::port::reserve_port;
use bulkhead_tests::proof::{complaints, load};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// Nobody's address.
const ADDRESS: &str = "bcrt1p9yfmy5h72durp7zrhlw9lf7jpwjgvwdg0jr0lqmmjtgg83266lqsekaqka";

fn recorded(records: &Path, datadir: &Path, arguments: &[&str]) -> Node {
    Node::start_recorded(Path::new(env!("CARGO_BIN_EXE_bulkhead-record")), records, datadir, arguments).unwrap()
}

fn call(node: &Node, method: &str, params: Value) -> Value {
    node.call(method, params).unwrap_or_else(|error| panic!("{method}: {error:?}"))
}

fn wallet(node: &Node, method: &str, params: Value) -> Value {
    node.wallet("w", method, params).unwrap_or_else(|error| panic!("{method}: {error:?}"))
}

fn send_signal(node: &Node, component: &str, signal: Signal) -> i32 {
    let pid = node.pid_of(component).unwrap();
    kill(Pid::from_raw(pid), signal).unwrap();
    pid
}

/// Kills a process and waits for the next one of its kind.
fn replace(node: &Node, component: &str) {
    let before = send_signal(node, component, Signal::SIGKILL);
    node.wait_for(&format!("another {component}"), |node| {
        node.processes().is_ok_and(|rows| {
            rows.iter().any(|row| row["process"] == component && row["pid"] != before && row["state"] == "ready")
        })
    })
    .unwrap();
}

/// Indexes, notifications, peers in both directions, wallets, key stores, files named at run time, deaths.
fn first_life(records: &Path, datadir: &Path, peer: &Node) {
    let publisher = reserve_port().unwrap();
    let zmq = format!("-zmqpubrawblock=tcp://127.0.0.1:{publisher}");
    let socket = datadir.join("ipc.sock");
    let ipc = format!("-ipcbind=unix:{}", socket.display());
    let notify = ["-blocknotify=true %s", "-walletnotify=true %s", "-startupnotify=true", "-shutdownnotify=true"];
    let mut arguments = vec!["-debug=ipc", "-txindex", "-coinstatsindex", "-blockfilterindex", "-rest", &zmq, &ipc];
    arguments.extend(notify);
    let node = recorded(records, datadir, &arguments);
    let subscriber = TcpStream::connect(("127.0.0.1", publisher)).unwrap();
    let client = UnixStream::connect(&socket).unwrap();

    call(&node, "createwallet", json!(["w"]));
    let address = wallet(&node, "getnewaddress", json!([]));
    call(&node, "generatetoaddress", json!([101, address]));
    let spent = wallet(&node, "sendtoaddress", json!([ADDRESS, 1]));
    call(&node, "getrawtransaction", json!([spent, 1]));
    call(&node, "gettxoutsetinfo", json!(["muhash"]));

    // Peers: we call, we are called, over both families, by name.
    for (from, to) in [(&node, peer), (peer, &node)] {
        call(from, "addnode", json!([format!("127.0.0.1:{}", to.p2p_port()), "onetry"]));
        node.wait_for("a peer", |node| node.call("getconnectioncount", json!([])).is_ok_and(|count| count.as_u64() > Some(0)))
            .unwrap();
        peer.wait_for("blocks", |peer| {
            peer.call("getbestblockhash", json!([])).ok() == node.call("getbestblockhash", json!([])).ok()
        })
        .unwrap();
    }
    call(&node, "addnode", json!([format!("[::1]:{}", peer.p2p_port()), "onetry"]));
    call(&node, "addnode", json!([format!("localhost:{}", peer.p2p_port()), "onetry"]));
    call(peer, "generatetoaddress", json!([1, ADDRESS]));
    node.wait_for("a block of the peer", |node| node.call("getblockcount", json!([])).is_ok_and(|count| count == 102)).unwrap();
    call(&node, "setban", json!(["192.0.2.7", "add"]));

    // Files that are named at run time.
    let file = |name: &str| datadir.join(name).display().to_string();
    wallet(&node, "backupwallet", json!([file("backup.dat")]));
    call(&node, "restorewallet", json!(["restored", file("backup.dat"), true]));
    call(&node, "listwalletdir", json!([]));
    call(&node, "unloadwallet", json!(["restored", false]));
    call(&node, "savemempool", json!([]));
    wallet(&node, "encryptwallet", json!(["secret"]));
    wallet(&node, "walletpassphrase", json!(["secret", 60]));
    wallet(&node, "rescanblockchain", json!([]));
    call(&node, "signmessagewithprivkey", json!(["cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87JcbXMTcA", "text"]));

    call(&node, "setmocktime", json!([0]));
    call(&node, "logging", json!([["rpc"], ["ipc"]]));
    call(&node, "echoipc", json!(["text"]));
    let log = datadir.join("regtest/debug.log");
    std::fs::rename(&log, log.with_extension("old")).unwrap();
    send_signal(&node, "node", Signal::SIGHUP);
    node.wait_for("a new log", |_| log.exists()).unwrap();

    for component in ["net", "notify", "keystore", "wallet", "rpc"] {
        replace(&node, component);
        node.wait_for("answers", |node| node.call("getconnectioncount", json!([])).is_ok()).unwrap();
    }
    drop((subscriber, client));
    assert!(node.stop().unwrap().status.success());
}

/// Starts on existing data: after what may be a crash of the key store, then with a rebuild; ends by signal.
fn later_lives(records: &Path, datadir: &Path) {
    std::fs::write(datadir.join("regtest/wallets/w/wallet.dat-journal"), [0; 512]).unwrap();
    for arguments in [["-wallet=w", "-txindex"], ["-reindex", "-prune=1"]] {
        let mut node = recorded(records, datadir, &arguments);
        node.wait_for("the blocks", |node| node.call("getblockcount", json!([])).is_ok_and(|count| count == 102)).unwrap();
        call(&node, "getblock", json!([call(&node, "getbestblockhash", json!([]))]));
        send_signal(&node, "node", Signal::SIGTERM);
        assert!(node.wait_for_end().unwrap().status.success());
    }
}

#[test]
fn every_rule_is_needed_and_every_excuse_is_true() {
    let (records, datadir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let peer = Node::start(&["-disablewallet"]).unwrap();
    first_life(records.path(), datadir.path(), &peer);
    later_lives(records.path(), datadir.path());
    peer.stop().unwrap();
    let found = load(records.path()).unwrap();
    let mut wrong = Vec::new();
    for policy in bulkhead_policies::ALL.iter().filter(|policy| policy.name != "gui") {
        let seen = found.get(policy.name).unwrap_or_else(|| panic!("{} was not recorded", policy.name));
        wrong.extend(complaints(policy, seen).into_iter().map(|complaint| format!("{}: {complaint}", policy.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
