//! Random deaths while wallets are in use: every call comes back, and what was confirmed to a user is there afterwards.
//! `BULKHEAD_KILLS=1000 cargo test -p bulkhead-tests --release --test security kills` is the long run.

use std::time::{Duration, Instant};

use bulkhead_tests::family::family;
use bulkhead_tests::node::{Node, PATIENCE};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// Kills of the run that is part of `make test`.
const KILLS: u64 = 15;
const PASSPHRASE: &str = "another long passphrase";
/// Chain is not among them: its end is the node's end, see `tests/integration/life.rs`.
const MORTAL: [&str; 4] = ["net", "rpc", "wallet", "keystore"];
/// A call that is cut by a death has to come back; the time is for a machine that does many other things.
const PROMPT: Duration = Duration::from_secs(20);

/// What a wallet told its user.
#[derive(Default)]
struct Confirmed {
    /// Wallet, address, label.
    addresses: Vec<(&'static str, String, String)>,
    /// Wallet, transaction that pays it, in a block.
    coins: Vec<(&'static str, String)>,
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// Times a call that may fail.
fn attempt(call: impl FnOnce() -> Result<Value, bulkhead_tests::node::CallError>) -> Option<Value> {
    let begin = Instant::now();
    let answer = call();
    assert!(begin.elapsed() < PROMPT, "a call took {:?}: {answer:?}", begin.elapsed());
    answer.ok()
}

/// Uses both wallets a little.
fn work(node: &Node, round: u64, confirmed: &mut Confirmed) {
    for wallet in ["plain", "locked"] {
        let label = format!("label {round}");
        let Some(address) = attempt(|| node.wallet(wallet, "getnewaddress", json!([label, "legacy"]))) else { continue };
        let address = address.as_str().unwrap().to_owned();
        confirmed.addresses.push((wallet, address.clone(), label));
        let Some(blocks) = attempt(|| node.call("generatetoaddress", json!([1, address]))) else { continue };
        if let Some(block) = attempt(|| node.call("getblock", json!([blocks[0], 1]))) {
            confirmed.coins.push((wallet, block["tx"][0].as_str().unwrap().to_owned()));
        }
        attempt(|| node.wallet(wallet, "getbalances", json!([])));
    }
}

fn kill_one(node: &Node, random: &mut Random) -> Option<&'static str> {
    let victim = MORTAL[random.below(MORTAL.len())];
    let members = family(node.pid().cast_signed());
    let alive: Vec<i32> = members.iter().filter(|member| member.component == victim).map(|member| member.pid).collect();
    if alive.is_empty() {
        return None;
    }
    // It may have ended just now.
    kill(Pid::from_raw(alive[random.below(alive.len())]), Signal::SIGKILL).ok().map(|()| victim)
}

fn loaded(node: &Node) -> bool {
    let wallets = node.call("listwallets", json!([])).ok();
    wallets.is_some_and(|wallets| ["plain", "locked"].iter().all(|name| wallets.as_array().unwrap().contains(&json!(name))))
}

#[test]
fn wallets_keep_what_they_confirmed_through_random_kills() {
    let kills: u64 = std::env::var("BULKHEAD_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let node = Node::start(&["-keypool=5"]).unwrap();
    node.call("createwallet", json!(["plain"])).unwrap();
    node.call("createwallet", json!(["locked", false, false, PASSPHRASE])).unwrap();
    let mut confirmed = Confirmed::default();
    let mut random = Random(0x6b69_6c6c);
    let mut killed = 0;
    let begin = Instant::now();
    while killed < kills {
        assert!(begin.elapsed() < PATIENCE * 2 + Duration::from_secs(10) * u32::try_from(kills).unwrap(), "only {killed} kills");
        // A worker in the middle of a call when the blow falls.
        let round = killed;
        let hit = std::thread::scope(|scope| {
            let worker = scope.spawn(|| work(&node, round, &mut confirmed));
            std::thread::sleep(Duration::from_millis(random.below(40) as u64));
            let hit = kill_one(&node, &mut random);
            worker.join().unwrap();
            hit
        });
        killed += u64::from(hit.is_some());
    }
    node.wait_for("both wallets", loaded).unwrap_or_else(|error| panic!("{error}; debug.log: {}", node.log()));
    node.wait_for("all components", |node| {
        let members = family(node.pid().cast_signed());
        MORTAL.iter().all(|component| members.iter().any(|member| member.component == *component))
    })
    .unwrap();
    assert!(confirmed.addresses.len() > 5 && !confirmed.coins.is_empty(), "too little was confirmed to prove anything");
    node.wait_for("an unlocked wallet", |node| node.wallet("locked", "walletpassphrase", json!([PASSPHRASE, 600])).is_ok())
        .unwrap();
    for (wallet, address, label) in &confirmed.addresses {
        let info = node.wallet(wallet, "getaddressinfo", json!([address])).unwrap();
        assert_eq!((&info["ismine"], &info["labels"]), (&json!(true), &json!([label])), "{wallet} {address}");
        let signature = node.wallet(wallet, "signmessage", json!([address, "text"])).unwrap();
        assert_eq!(node.call("verifymessage", json!([address, signature, "text"])).unwrap(), true, "{wallet} {address}");
    }
    for (wallet, txid) in &confirmed.coins {
        let tx = node.wallet(wallet, "gettransaction", json!([txid])).unwrap();
        assert!(tx["confirmations"].as_i64() > Some(0), "{wallet} {txid}: {tx}");
    }
    println!("{killed} kills, {} addresses and {} coins in place", confirmed.addresses.len(), confirmed.coins.len());
    assert!(node.stop().unwrap().status.success());
}
