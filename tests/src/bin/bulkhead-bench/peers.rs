//! What peers cost: small messages of one peer, and a hundred peers that say nothing; beside Bitcoin Core if
//! `BITCOIND_REFERENCE` names a binary.

use std::io::Read;
use std::process::Command;
use std::time::{Duration, Instant};

use bitcoin::p2p::message::NetworkMessage;
use bulkhead_tests::node::{Node, binaries};
use bulkhead_tests::peer::{Peer, encode};
use bulkhead_tests::watch::look;
use serde_json::json;

use crate::{Outcome, reference};

/// Connections that say nothing.
const IDLE: usize = 100;
/// How long they are watched.
const WATCHED: Duration = Duration::from_secs(30);
/// Until what a connection costs in its first moments is over.
const SETTLED: Duration = Duration::from_secs(5);
const PINGS: usize = 300_000;
/// Pings that leave with one write.
const BATCH: usize = 1000;
/// Bytes of a `pong` with its header.
const PONG_SIZE: usize = 32;

/// What one node needs.
struct Cost {
    pings_per_second: f64,
    kibibytes_per_peer: f64,
    /// Percent of one processor, with no peer and with the idle ones.
    processor: [f64; 2],
}

/// Name of a figure, and which it is.
type Figure = (&'static str, fn(&Cost) -> f64);

/// Measures and prints.
pub fn run() -> Outcome<()> {
    let ours = measure(Command::new(binaries().join("bitcoin-node")))?;
    let core = reference().map(|binary| measure(Command::new(binary))).transpose()?;
    println!("{:<44} {:>14} {:>14}", "figure", "ours", "Core");
    let figures: [Figure; 4] = [
        ("ping and pong through one peer, per second", |cost| cost.pings_per_second),
        ("memory of an idle peer, KiB", |cost| cost.kibibytes_per_peer),
        ("CPU without peers, percent", |cost| cost.processor[0]),
        ("CPU of 100 idle peers, percent", |cost| cost.processor[1]),
    ];
    for (name, figure) in figures {
        let core = core.as_ref().map_or_else(|| "-".to_owned(), |core| format!("{:.2}", figure(core)));
        println!("{name:<44} {:>14.2} {core:>14}", figure(&ours));
    }
    Ok(())
}

fn measure(node: Command) -> Outcome<Cost> {
    let node = Node::start_by(node, &["-connect=0"])?;
    let pid = i32::try_from(node.pid()).map_err(|error| error.to_string())?;
    let percent = || {
        let before = look(pid);
        std::thread::sleep(WATCHED);
        (look(pid).cpu - before.cpu) / WATCHED.as_secs_f64() * 100.0
    };
    std::thread::sleep(SETTLED);
    let alone = percent();
    let before = look(pid).memory;
    let peers = (0..IDLE).map(|_| Peer::connect(node.p2p_port())).collect::<Outcome<Vec<_>>>()?;
    node.wait_for("all peers", |node| node.call("getconnectioncount", json!([])).is_ok_and(|count| count == IDLE))?;
    std::thread::sleep(SETTLED);
    let idle = percent();
    let after = look(pid).memory;
    drop(peers);
    let pings_per_second = pings(&node)?;
    node.stop()?;
    let kibibytes_per_peer = (after as f64 - before as f64) / IDLE as f64 / 1024.0;
    Ok(Cost { pings_per_second, kibibytes_per_peer, processor: [alone, idle] })
}

fn pings(node: &Node) -> Outcome<f64> {
    let mut peer = Peer::connect(node.p2p_port())?;
    let batch: Vec<u8> = (0..BATCH as u64).flat_map(|nonce| encode(NetworkMessage::Ping(nonce))).collect();
    let mut answers = peer.stream()?;
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let sending = scope.spawn(move || (0..PINGS / BATCH).try_for_each(|_| peer.send_bytes(&batch)));
        // What a node says after the handshake is less than one batch.
        let mut left = (PINGS - BATCH) * PONG_SIZE;
        let mut piece = vec![0; 64 * 1024];
        while left > 0 {
            match answers.read(&mut piece) {
                Ok(count) if count > 0 => left = left.saturating_sub(count),
                other => return Err(format!("pongs end: {other:?}")),
            }
        }
        let elapsed = begin.elapsed();
        sending.join().map_err(|_| "the sender ended early")??;
        Ok((PINGS - BATCH) as f64 / elapsed.as_secs_f64())
    })
}
