//! Damage to what the chain is kept in: a clear error, nothing lost, and a rebuild heals.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use bulkhead_tests::chain::{Recipe, ensure};
use bulkhead_tests::node::{Node, PATIENCE, binaries};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::run;

const ADDRESS: &str = "bcrt1p9yfmy5h72durp7zrhlw9lf7jpwjgvwdg0jr0lqmmjtgg83266lqsekaqka";
const BLOCKS: i64 = 30;
const CORRUPTED: &str = "Corrupted block database detected.\nPlease restart with -reindex or -reindex-chainstate to recover.";

/// A stopped node's directory with a short chain, and what `gettxoutsetinfo` says of it.
struct Chain {
    folder: tempfile::TempDir,
    truth: Value,
}

impl Chain {
    fn new(arguments: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("bulkhead-damage").tempdir().unwrap();
        let node = Node::start_in(folder.path(), &[&["-disablewallet"], arguments].concat()).unwrap();
        node.call("generatetoaddress", json!([BLOCKS, ADDRESS])).unwrap();
        let truth = node.call("gettxoutsetinfo", json!(["muhash"])).unwrap();
        assert_eq!(node.stop().unwrap().status.code(), Some(0));
        Self { folder, truth }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("regtest").join(name)
    }

    /// Starts with `option` and finds all as it was, and again without it.
    fn heals(&self, option: &str) {
        for arguments in [&["-disablewallet", option][..], &["-disablewallet"]] {
            let node = Node::start_in(self.folder.path(), arguments).unwrap();
            node.wait_for("all blocks are back", |node| {
                node.call("getblockcount", json!([])).is_ok_and(|height| height == BLOCKS)
            })
            .unwrap();
            let info = node.call("gettxoutsetinfo", json!(["muhash"])).unwrap();
            for field in ["height", "bestblock", "muhash", "txouts", "total_amount"] {
                assert_eq!(info[field], self.truth[field], "{field}");
            }
            assert_eq!(node.stop().unwrap().status.code(), Some(0));
        }
    }
}

fn tables(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "sst")).collect()
}

/// Flips bits in the values of the largest table, all over it.
fn damage_values(directory: &Path) {
    let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
    let table = tables(directory).into_iter().max_by_key(size).unwrap();
    let mut bytes = fs::read(&table).unwrap();
    // What the table says of itself stands at its end.
    let end = bytes.len() * 2 / 3;
    for at in (40..end).step_by(500) {
        bytes[at] ^= 0x10;
    }
    fs::write(table, bytes).unwrap();
}

#[test]
fn corrupt_coins_are_noticed_and_rebuilt_from_the_blocks() {
    let chain = Chain::new(&[]);
    // What lies in the log moves to tables at the next start.
    Node::start_in(chain.folder.path(), &["-disablewallet"]).unwrap().stop().unwrap();
    let blocks = fs::read(chain.path("blocks/blk00000.dat")).unwrap();
    damage_values(&chain.path("chainstate"));
    let failure = run(chain.folder.path(), &["-disablewallet"]);
    assert_eq!(failure.code, Some(1));
    let texts = [CORRUPTED, "Error opening coins database.\nPlease restart with -reindex or -reindex-chainstate to recover."];
    assert!(texts.contains(&failure.stderr.trim_end()), "{}", failure.stderr);
    assert_eq!(fs::read(chain.path("blocks/blk00000.dat")).unwrap(), blocks);
    chain.heals("-reindex-chainstate");
}

#[test]
fn coins_that_cannot_be_read_stop_the_node() {
    let recipe = Recipe { blocks: 130, transactions: 300, tail: 0, seed: 21 };
    let (file, made) = ensure(&recipe).unwrap();
    let folder = tempfile::Builder::new().prefix("bulkhead-damage").tempdir().unwrap();
    let load = format!("-loadblock={}", file.display());
    let ended = run(folder.path(), &["-disablewallet", &load, "-stopatheight=115"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    // What lies in the log moves to tables at the next start.
    let ended = run(folder.path(), &["-disablewallet", "-stopatheight=1"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let chainstate = folder.path().join("regtest/chainstate");
    damage_values(&chainstate);
    run(folder.path(), &["-disablewallet", "-checklevel=0"])
        .is("Error: A fatal internal error occurred, see debug.log for details: Error reading from database, shutting down.");
    let node = Node::start_in(folder.path(), &["-disablewallet", "-reindex-chainstate"]).unwrap();
    let synced = |node: &Node| node.call("getbestblockhash", json!([])).is_ok_and(|hash| hash == made.tip.as_str());
    node.wait_for("the chain is back", synced).unwrap();
    assert_eq!(node.stop().unwrap().status.code(), Some(0));
}

#[test]
fn a_corrupt_block_index_is_noticed_and_rebuilt_from_the_blocks() {
    let chain = Chain::new(&[]);
    Node::start_in(chain.folder.path(), &["-disablewallet"]).unwrap().stop().unwrap();
    damage_values(&chain.path("blocks/index"));
    let failure = run(chain.folder.path(), &["-disablewallet"]);
    assert_eq!(failure.code, Some(1));
    let recover = "block database.\nPlease restart with -reindex or -reindex-chainstate to recover.";
    assert!(failure.stderr.starts_with("Error ") && failure.stderr.trim_end().ends_with(recover), "{}", failure.stderr);
    chain.heals("-reindex");
}

#[test]
fn a_missing_undo_file_is_noticed_and_written_anew() {
    let chain = Chain::new(&[]);
    fs::remove_file(chain.path("blocks/rev00000.dat")).unwrap();
    run(chain.folder.path(), &["-disablewallet"]).is(CORRUPTED);
    chain.heals("-reindex");
    assert!(fs::metadata(chain.path("blocks/rev00000.dat")).unwrap().len() > 0);
}

#[test]
fn a_missing_block_file_is_noticed() {
    let chain = Chain::new(&[]);
    let path = chain.path("blocks/blk00000.dat");
    let aside = path.with_extension("aside");
    fs::rename(&path, &aside).unwrap();
    run(chain.folder.path(), &["-disablewallet"])
        .is("Error loading block database.\nPlease restart with -reindex or -reindex-chainstate to recover.");
    fs::rename(&aside, &path).unwrap();
    chain.heals("-checkblocks=0");
}

#[test]
fn bytes_between_blocks_are_passed_over_by_a_rebuild() {
    let chain = Chain::new(&["-blocksxor=0"]);
    let path = chain.path("blocks/blk00000.dat");
    let bytes = fs::read(&path).unwrap();
    let magic = [0xfa, 0xbf, 0xb5, 0xda];
    let starts: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..*at + 4] == magic).collect();
    assert_eq!(starts.len() as i64, BLOCKS + 1);
    // Noise, a record that is too long, one that is too short, half a magic number: behind block 10, 20 and 30.
    let noise: Vec<u8> = (0..3000u32).flat_map(|number| number.wrapping_mul(0x9e37_79b1).to_le_bytes()).collect();
    let long = [&magic[..], &[0xff, 0xff, 0xff, 0x7f], &[7; 100]].concat();
    let short = [&magic[..], &[3, 0, 0, 0], &magic[..2]].concat();
    let mut damaged = bytes[..starts[11]].to_vec();
    damaged.extend(&noise);
    damaged.extend(&bytes[starts[11]..starts[21]]);
    damaged.extend(&long);
    damaged.extend(&bytes[starts[21]..starts[30]]);
    damaged.extend(&short);
    damaged.extend(&bytes[starts[30]..]);
    fs::write(&path, damaged).unwrap();
    run(chain.folder.path(), &["-disablewallet", "-blocksxor=0"]).is(CORRUPTED);
    chain.heals("-reindex");
}

#[test]
fn the_index_of_another_network_is_refused_and_left_alone() {
    let folder = tempfile::Builder::new().prefix("bulkhead-damage").tempdir().unwrap();
    let mut other = Command::new(binaries().join("bitcoin-node"))
        .args(["-chain=testnet4", "-printtoconsole=0", "-listen=0", "-connect=0", "-disablewallet", "-server=0"])
        .arg(format!("-datadir={}", folder.path().display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let log = folder.path().join("testnet4/debug.log");
    let started = Instant::now();
    while !fs::read_to_string(&log).is_ok_and(|text| text.contains("Done loading")) {
        assert!(started.elapsed() < PATIENCE, "the other network does not start");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    kill(Pid::from_raw(i32::try_from(other.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(other.wait().unwrap().code(), Some(0));
    fs::create_dir(folder.path().join("regtest")).unwrap();
    for name in ["blocks", "chainstate"] {
        fs::rename(folder.path().join("testnet4").join(name), folder.path().join("regtest").join(name)).unwrap();
    }
    let block_file = folder.path().join("regtest/blocks/blk00000.dat");
    let before = fs::read(&block_file).unwrap();
    run(folder.path(), &["-disablewallet"]).is("Error: Incorrect or no genesis block found. Wrong datadir for network?");
    assert_eq!(fs::read(&block_file).unwrap(), before);
}
