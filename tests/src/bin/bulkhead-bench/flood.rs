//! What `getblockcount` takes while a hundred hostile peers send whatever costs us most; beside Bitcoin Core if
//! `BITCOIND_REFERENCE` names a binary.

use std::net::Shutdown;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::p2p::message::NetworkMessage;
use bitcoin::p2p::message_blockdata::{GetHeadersMessage, Inventory};
use bitcoin::pow::CompactTarget;
use bitcoin::{BlockHash, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut, Txid, Witness, Wtxid};
use bulkhead_tests::node::{Node, binaries};
use bulkhead_tests::peer::{Peer, encode};

use crate::split::http_latency;
use crate::{Outcome, reference};

const HOSTILE: u32 = 100;
/// Names in one `inv` and in one `getdata`.
const NAMES: u32 = 200;
const PINGS: u64 = 20;
/// Until the queues are full.
const FILLING: Duration = Duration::from_secs(3);

/// Figures of one node.
struct Latency {
    quiet: (f64, f64),
    flooded: (f64, f64),
    /// What the peers got rid of during the measurement, per second.
    messages: f64,
}

/// Name of a figure, and which it is.
type Figure = (&'static str, fn(&Latency) -> f64);

/// Measures and prints.
pub fn run() -> Outcome<()> {
    let ours = measure(Command::new(binaries().join("bitcoin-node")))?;
    let core = reference().map(|binary| measure(Command::new(binary))).transpose()?;
    println!("{:<52} {:>10} {:>10}", "getblockcount over HTTP", "ours", "Core");
    let figures: [Figure; 5] = [
        ("without peers, p50 us", |latency| latency.quiet.0),
        ("without peers, p99 us", |latency| latency.quiet.1),
        ("while 100 hostile peers flood, p50 us", |latency| latency.flooded.0),
        ("while 100 hostile peers flood, p99 us", |latency| latency.flooded.1),
        ("messages of theirs that are taken, per second", |latency| latency.messages),
    ];
    for (name, figure) in figures {
        let core = core.as_ref().map_or_else(|| "-".to_owned(), |core| format!("{:.0}", figure(core)));
        println!("{name:<52} {:>10.0} {core:>10}", figure(&ours));
    }
    Ok(())
}

fn measure(node: Command) -> Outcome<Latency> {
    let node = Node::start_by(node, &["-connect=0"])?;
    let quiet = http_latency(&node)?;
    let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let peers = (0..HOSTILE).map(|_| Peer::connect(node.p2p_port())).collect::<Outcome<Vec<_>>>()?;
    let streams = peers.iter().map(Peer::stream).collect::<Outcome<Vec<_>>>()?;
    let measured = std::thread::scope(|scope| {
        for (number, (mut peer, stream)) in (0u32..).zip(peers.into_iter().zip(&streams)) {
            let (over, sent) = (&over, &sent);
            scope.spawn(move || {
                for round in (number..).step_by(HOSTILE as usize) {
                    let (batch, messages) = batch(round);
                    if over.load(Relaxed) || peer.send_bytes(&batch).is_err() {
                        return;
                    }
                    sent.fetch_add(messages, Relaxed);
                }
            });
            scope.spawn(move || drain(stream));
        }
        std::thread::sleep(FILLING);
        let (begin, before) = (Instant::now(), sent.load(Relaxed));
        let flooded = http_latency(&node);
        let messages = (sent.load(Relaxed) - before) as f64 / begin.elapsed().as_secs_f64();
        over.store(true, Relaxed);
        // One that the node disconnected is shut already.
        streams.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        flooded.map(|flooded| Latency { quiet, flooded, messages })
    })?;
    node.stop()?;
    Ok(measured)
}

fn drain(mut stream: &std::net::TcpStream) {
    // It ends with the connection.
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

fn name(number: u32) -> [u8; 32] {
    let mut name = [7; 32];
    name[..4].copy_from_slice(&number.to_le_bytes());
    name
}

/// Nothing that would have the peer disconnected, and everything different each time; how many messages it is.
fn batch(round: u32) -> (Vec<u8>, u64) {
    let names = (0..NAMES).map(|offset| name(round.wrapping_mul(NAMES) + offset));
    let parent = OutPoint::new(Txid::from_byte_array(name(round)), 0);
    let input = TxIn { previous_output: parent, script_sig: ScriptBuf::new(), sequence: Sequence::MAX, witness: Witness::new() };
    let output = TxOut { value: bitcoin::Amount::from_sat(1000), script_pubkey: ScriptBuf::from(vec![0x51; 30]) };
    let orphan = Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![input],
        output: vec![output; 20],
    };
    let locator = (0..101).map(|offset| BlockHash::from_byte_array(name(round ^ offset << 24))).collect();
    let attack = [
        NetworkMessage::Inv(names.clone().map(|name| Inventory::WTx(Wtxid::from_byte_array(name))).collect()),
        NetworkMessage::GetData(names.map(|name| Inventory::WitnessTransaction(Txid::from_byte_array(name))).collect()),
        NetworkMessage::GetHeaders(GetHeadersMessage::new(locator, BlockHash::all_zeros())),
        NetworkMessage::Tx(orphan),
        NetworkMessage::Headers(vec![unconnected(round)]),
    ];
    let messages = attack.len() as u64 + PINGS;
    (attack.into_iter().chain((0..PINGS).map(NetworkMessage::Ping)).flat_map(encode).collect(), messages)
}

/// A header with proof of work (on regtest) whose parent nobody knows.
fn unconnected(round: u32) -> Header {
    let mut header = Header {
        version: Version::TWO,
        prev_blockhash: BlockHash::from_byte_array(name(round)),
        merkle_root: TxMerkleNode::all_zeros(),
        time: 1_700_000_000,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    };
    while header.validate_pow(header.target()).is_err() {
        header.nonce += 1;
    }
    header
}
