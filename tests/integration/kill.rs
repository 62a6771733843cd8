//! Crash safety: `bitcoin-chain` is killed at a random moment, again and again, while it syncs, reorganises, writes its cache and
//! prunes. After each start the tip is on the best chain that could be known, and the coins are those of a clean replay.
//!
//! `BULKHEAD_KILLS` says how often (default 20; `make kill-test` asks for 300), `BULKHEAD_SEED` which moments.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bulkhead_tests::chain::{Recipe, ensure};
use bulkhead_tests::node::{Node, PATIENCE};
use bulkhead_tests::proc::children;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::run;

/// Small caches and batches, so that writes happen often and in many parts.
const SMALL: [&str; 6] =
    ["-disablewallet", "-dbcache=4", "-dbbatchsize=20000", "-fastprune", "-checkblocks=3", "-peerblockfilters=0"];
/// After so many kills the work is let through.
const LET_THROUGH: u64 = 3;
/// The shorter chain is synced first; the other one makes all of it stale.
const SHORT: Recipe = Recipe { blocks: 130, transactions: 9_000, tail: 0, seed: 11 };
const LONG: Recipe = Recipe { blocks: 136, transactions: 9_000, tail: 0, seed: 12 };
/// Long enough that files can be pruned.
const PRUNED: Recipe = Recipe { blocks: 160, transactions: 3_000, tail: 420, seed: 13 };

/// Hash and muhash of the coins at each height of a chain that was replayed without a crash.
struct Truth(HashMap<String, (i64, String)>);

impl Truth {
    fn of(file: &Path, height: u32) -> Self {
        let node = Node::start(&["-disablewallet", "-coinstatsindex", &format!("-loadblock={}", file.display())]).unwrap();
        node.wait_for("the whole chain is replayed and indexed", |node| {
            let index = node.call("getindexinfo", json!([])).unwrap_or_default();
            index["coinstatsindex"]["best_block_height"] == height && index["coinstatsindex"]["synced"] == true
        })
        .unwrap();
        let mut truth = HashMap::new();
        for at in 0..=height {
            let info = node.call("gettxoutsetinfo", json!(["muhash", at])).unwrap();
            let text = |name: &str| info[name].as_str().unwrap().to_owned();
            truth.insert(text("bestblock"), (i64::from(at), text("muhash")));
        }
        assert_eq!(node.stop().unwrap().status.code(), Some(0));
        Self(truth)
    }
}

/// Small and repeatable.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn load(file: &Path) -> String {
    format!("-loadblock={}", file.display())
}

/// Starts a node and waits until it answers. A port that was free a moment ago may be taken by somebody else on the machine.
fn start(datadir: &Path, arguments: &[&str]) -> Result<Node, String> {
    let taken = |result: &Result<Node, String>| matches!(result, Err(error) if error.contains("Unable to bind"));
    let mut result = Node::start_in(datadir, arguments);
    for _ in 0..5 {
        if !taken(&result) {
            break;
        }
        result = Node::start_in(datadir, arguments);
    }
    result
}

/// Kills the chain process and waits for the end of the node; false if the node has ended by itself.
fn kill_chain(mut node: Node) -> bool {
    let supervisor = i32::try_from(node.pid()).unwrap();
    let mut queue = vec![supervisor];
    let mut killed = false;
    while let Some(parent) = queue.pop() {
        for (pid, name) in children(parent) {
            queue.push(pid);
            if name == "bitcoin-chain" {
                killed |= kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok();
            }
        }
    }
    if !killed {
        return false;
    }
    let ended = node.wait_for_end().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    true
}

/// Starts on what the crash has left, and compares with the clean replays. Gives the height.
fn verify(datadir: &Path, truths: &[&Truth], what: &str) -> i64 {
    let node = start(datadir, &SMALL).unwrap_or_else(|error| panic!("{what}: {error}"));
    let info = node.call("gettxoutsetinfo", json!(["muhash"])).unwrap();
    let best = info["bestblock"].as_str().unwrap();
    let expected = truths.iter().find_map(|truth| truth.0.get(best));
    let (height, muhash) = expected.unwrap_or_else(|| panic!("{what}: the tip {best} is on no chain"));
    assert_eq!((info["height"].as_i64(), info["muhash"].as_str()), (Some(*height), Some(muhash.as_str())), "{what}");
    // No chain with data has more work than the tip's.
    let tips = node.call("getchaintips", json!([])).unwrap();
    for tip in tips.as_array().unwrap() {
        let connectable = ["valid-fork", "valid-headers"].contains(&tip["status"].as_str().unwrap());
        assert!(!connectable || tip["height"].as_i64().unwrap() <= *height, "{what}: {tips}");
    }
    let height = *height;
    // This end is a crash too: nothing is to be written in the end that was not written before.
    kill_chain(node);
    height
}

/// Waits for a moment in which the node works, the longer the larger `spread` is.
fn wait_a_while(random: &mut Random, spread: Duration) {
    std::thread::sleep(Duration::from_micros(random.below(spread.as_micros() as u64)));
}

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("bulkhead-kill").tempdir().unwrap()
}

#[test]
fn kills_during_sync_and_reorganisation() {
    let kills = number("BULKHEAD_KILLS", 20).div_ceil(2);
    let mut random = Random(number("BULKHEAD_SEED", 1) | 1 << 40);
    let files: Vec<PathBuf> = [SHORT, LONG].iter().map(|recipe| ensure(recipe).unwrap().0).collect();
    let truths = [Truth::of(&files[0], SHORT.height()), Truth::of(&files[1], LONG.height())];
    let truths: Vec<&Truth> = truths.iter().collect();
    let started = Instant::now();
    let mut datadir = folder();
    let mut done = 0;
    // How long each kind of work takes; known once it was waited for.
    let mut longest = [Duration::from_secs(2); 2];
    let (mut short_seen, mut long_seen) = (0, 0);
    while done < kills {
        // The short chain first; when it is there, the long one makes it stale.
        let mut height = verify(datadir.path(), &truths, &format!("kill {done}"));
        if height == i64::from(LONG.height()) {
            datadir = folder();
            height = 0;
        }
        // From there on, also in the middle of the long one.
        let on_short = height >= i64::from(SHORT.height());
        let (kind, goal) = if on_short { (1, LONG.height()) } else { (0, SHORT.height()) };
        let file = load(&files[kind]);
        let arguments = [&SMALL[..], &[file.as_str()]].concat();
        let node = Node::spawn_in(datadir.path(), &arguments).unwrap();
        wait_a_while(&mut random, longest[kind]);
        if !kill_chain(node) {
            continue;
        }
        done += 1;
        *(if on_short { &mut long_seen } else { &mut short_seen }) += 1;
        // Now and then the work is let through, on any machine.
        if done % LET_THROUGH == 0 {
            let begin = Instant::now();
            let node = start(datadir.path(), &arguments).unwrap();
            node.wait_for("the chain is synced", |node| {
                node.call("getblockcount", json!([])).is_ok_and(|height| height.as_u64() >= Some(u64::from(goal)))
            })
            .unwrap();
            longest[kind] = begin.elapsed().clamp(Duration::from_millis(200), PATIENCE);
            // In order, so that the work is really over and the other kind is next.
            node.stop().unwrap();
        }
    }
    let height = verify(datadir.path(), &truths, "the last kill");
    eprintln!(
        "{done} kills in {:.0} s: {short_seen} while syncing, {long_seen} while reorganising; last height {height}",
        started.elapsed().as_secs_f64()
    );
    assert!(short_seen > 0 && long_seen > 0, "both kinds of work were interrupted");
}

#[test]
fn kills_during_pruning() {
    let kills = number("BULKHEAD_KILLS", 20) / 2;
    let mut random = Random(number("BULKHEAD_SEED", 2) | 1 << 41);
    let (file, made) = ensure(&PRUNED).unwrap();
    let truth = Truth::of(&file, PRUNED.height());
    let pruning = [&SMALL[..], &["-prune=1"]].concat();
    let mut datadir = folder();
    let mut done = 0;
    let mut height = 0;
    while done < kills {
        if height == 0 {
            // A new directory with the whole chain.
            datadir = folder();
            let node = start(datadir.path(), &[&pruning[..], &[load(&file).as_str()]].concat()).unwrap();
            let synced = |node: &Node| node.call("getbestblockhash", json!([])).is_ok_and(|hash| hash == made.tip.as_str());
            node.wait_for("the chain is synced", synced).unwrap();
            kill_chain(node);
            height = 1;
        }
        let node = start(datadir.path(), &pruning).unwrap();
        let info = node.call("gettxoutsetinfo", json!(["muhash"])).unwrap();
        let best = info["bestblock"].as_str().unwrap();
        assert_eq!(info["muhash"].as_str(), truth.0.get(best).map(|(_, muhash)| muhash.as_str()), "kill {done}");
        // What is on disk and what is known to be pruned fit each other.
        let blocks = node.call("getblockchaininfo", json!([])).unwrap();
        let lowest = blocks["pruneheight"].as_i64().unwrap_or(0);
        for at in [lowest, lowest + 1, info["height"].as_i64().unwrap()] {
            let hash = node.call("getblockhash", json!([at])).unwrap();
            node.call("getblock", json!([hash, 1])).unwrap_or_else(|error| panic!("kill {done}, block {at}: {error:?}"));
        }
        let below = i64::from(PRUNED.height()) - 289;
        if lowest >= below - 20 {
            height = 0;
        }
        let target = lowest + 1 + random.below(60) as i64;
        let pid = node.pid();
        let moment = random.below(30_000);
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(moment));
            for (pid, name) in children(i32::try_from(pid).unwrap())
                .into_iter()
                .flat_map(|(pid, name)| children(pid).into_iter().chain([(pid, name)]))
            {
                if name == "bitcoin-chain" {
                    // It may have ended.
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
            }
        });
        // The answer may or may not come before the end.
        let _: Result<Value, _> = node.call("pruneblockchain", json!([target.min(below)]));
        killer.join().unwrap();
        let mut node = node;
        assert_eq!(node.wait_for_end().unwrap().status.code(), Some(1));
        done += 1;
    }
}

#[test]
fn writes_that_end_in_their_middle_are_finished_by_the_next_start() {
    let (file, _) = ensure(&SHORT).unwrap();
    let truth = Truth::of(&file, SHORT.height());
    let datadir = folder();
    let (load, height) = (load(&file), format!("-stopatheight={}", SHORT.height()));
    let arguments = [&SMALL[..], &[load.as_str(), height.as_str(), "-dbcrashratio=12"]].concat();
    // Each run gets somewhat further before one of its batches is the last.
    let ended = (0..500).map(|_| run(datadir.path(), &arguments)).find(|ended| ended.code == Some(0));
    assert!(ended.is_some(), "the chain is never synced");
    let log = std::fs::read_to_string(datadir.path().join("regtest/debug.log")).unwrap();
    assert!(log.contains("Simulating a crash") && log.contains("Replaying blocks"));
    assert_eq!(verify(datadir.path(), &[&truth], "after simulated crashes"), i64::from(SHORT.height()));
}
