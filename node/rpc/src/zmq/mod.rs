//! `-zmqpub...`: tells subscribers what happens in chain (Core: src/zmq/).
//!
//! Sockets are bound by the supervisor. Each subscriber has a queue of its own, as long as the high water mark says; what
//! does not fit is not sent, as with ZeroMQ.

mod socket;
mod zmtp;

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::{Block, Transaction};
use bulkhead_rpc_util::codec::{decode_block, decode_tx};
use bulkhead_schema::decode::{data, hash32};
use bulkhead_schema::limits::MAX_BLOCK_BYTES;
use bulkhead_schema::wire::rpc_chain_capnp::chain_events;

use socket::Socket;

/// One topic at one address.
struct Notifier {
    topic: &'static str,
    address: String,
    socket: Rc<Socket>,
    /// Messages sent.
    sequence: Cell<u32>,
}

/// All notifiers.
pub struct Publisher {
    notifiers: Vec<Notifier>,
    /// The block that was connected last, for "rawblock" when it becomes the tip.
    newest: RefCell<Option<([u8; 32], Vec<u8>)>>,
}

const TOPICS: [&str; 5] = ["hashblock", "hashtx", "rawblock", "rawtx", "sequence"];

/// Hash as users see it.
fn reversed(mut hash: [u8; 32]) -> [u8; 32] {
    hash.reverse();
    hash
}

/// Body of a "sequence" message.
fn sequence_body(hash: [u8; 32], label: u8, mempool: Option<u64>) -> Vec<u8> {
    let mut body = reversed(hash).to_vec();
    body.push(label);
    body.extend(mempool.map(u64::to_le_bytes).into_iter().flatten());
    body
}

impl Publisher {
    /// Starts to accept subscribers on the sockets. `lines`: "topic address mark name" for each notifier; one that names no
    /// socket is left out. `None` without notifiers.
    ///
    /// # Errors
    /// A socket cannot be used.
    pub fn start(lines: &[String], sockets: Vec<(String, OwnedFd)>) -> std::io::Result<Option<Rc<Self>>> {
        let mut opened: Vec<(String, Rc<Socket>)> = Vec::new();
        for (name, descriptor) in sockets {
            // Notifiers of one address share a socket; the first says how long queues are.
            let fields = lines.iter().map(|line| line.split(' ').collect::<Vec<_>>());
            let Some(fields) = fields.into_iter().find(|fields| fields.get(3) == Some(&name.as_str())) else { continue };
            let mark = fields.get(2).and_then(|mark| mark.parse().ok()).unwrap_or(socket::DEFAULT_MARK);
            let is_unix = fields.get(1).is_some_and(|address| address.starts_with("ipc://"));
            opened.push((name, Socket::open(descriptor, is_unix, mark)?));
        }
        let notifier = |line: &String| {
            let mut fields = line.split(' ');
            let (topic, address) = (fields.next()?.strip_prefix("pub")?, fields.next()?);
            let name = fields.nth(1)?;
            let topic = TOPICS.into_iter().find(|known| *known == topic)?;
            let socket = opened.iter().find(|(have, _)| have == name).map(|(_, socket)| Rc::clone(socket))?;
            Some(Notifier { topic, address: address.to_owned(), socket, sequence: Cell::new(0) })
        };
        let notifiers: Vec<Notifier> = lines.iter().filter_map(notifier).collect();
        Ok((!notifiers.is_empty()).then(|| Rc::new(Self { notifiers, newest: RefCell::new(None) })))
    }

    fn publish(&self, topic: &str, what: &str, body: impl Fn() -> Vec<u8>) {
        for notifier in self.notifiers.iter().filter(|notifier| notifier.topic == topic) {
            tracing::debug!(target: "zmq", "Publish {what} to {}", notifier.address);
            let sequence = notifier.sequence.get();
            notifier.sequence.set(sequence.wrapping_add(1));
            notifier.socket.publish(topic.as_bytes(), || zmtp::message(&[topic.as_bytes(), &body(), &sequence.to_le_bytes()]));
        }
    }

    fn transaction(&self, tx: &Transaction) {
        let txid = tx.compute_txid();
        self.publish("hashtx", &format!("hashtx {txid}"), || reversed(txid.to_byte_array()).to_vec());
        self.publish("rawtx", &format!("rawtx {txid}"), || serialize(tx));
    }

    fn block(&self, block: &Block, label: u8) {
        for tx in &block.txdata {
            self.transaction(tx);
        }
        let hash = block.block_hash();
        let what = if label == b'C' { "connect" } else { "disconnect" };
        let body = || sequence_body(hash.to_byte_array(), label, None);
        self.publish("sequence", &format!("sequence block {what} {hash}"), body);
    }

    fn tip(&self, hash: [u8; 32]) {
        let shown = hex::encode(reversed(hash));
        self.publish("hashblock", &format!("hashblock {shown}"), || reversed(hash).to_vec());
        let newest = self.newest.borrow();
        if let Some((_, block)) = newest.as_ref().filter(|(newest, _)| *newest == hash) {
            self.publish("rawblock", &format!("rawblock {shown}"), || block.clone());
        }
    }
}

/// What chain calls.
pub struct Events(pub Rc<Publisher>);

fn block_of(bytes: &[u8]) -> Result<Block, capnp::Error> {
    let bytes = data("block", bytes, MAX_BLOCK_BYTES).map_err(bulkhead_link::failed)?;
    decode_block(bytes).ok_or_else(|| bulkhead_link::failed("block cannot be decoded"))
}

impl chain_events::Server for Events {
    async fn block_connected(
        self: Rc<Self>,
        params: chain_events::BlockConnectedParams,
        _: chain_events::BlockConnectedResults,
    ) -> Result<(), capnp::Error> {
        let bytes = params.get()?.get_block()?;
        let block = block_of(bytes)?;
        *self.0.newest.borrow_mut() = Some((block.block_hash().to_byte_array(), bytes.to_vec()));
        self.0.block(&block, b'C');
        Ok(())
    }

    async fn block_disconnected(
        self: Rc<Self>,
        params: chain_events::BlockDisconnectedParams,
        _: chain_events::BlockDisconnectedResults,
    ) -> Result<(), capnp::Error> {
        self.0.block(&block_of(params.get()?.get_block()?)?, b'D');
        Ok(())
    }

    async fn updated_tip(
        self: Rc<Self>,
        params: chain_events::UpdatedTipParams,
        _: chain_events::UpdatedTipResults,
    ) -> Result<(), capnp::Error> {
        self.0.tip(hash32("hash", params.get()?.get_hash()?).map_err(bulkhead_link::failed)?);
        Ok(())
    }

    async fn transaction_added(
        self: Rc<Self>,
        params: chain_events::TransactionAddedParams,
        _: chain_events::TransactionAddedResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let bytes = data("transaction", params.get_transaction()?, MAX_BLOCK_BYTES).map_err(bulkhead_link::failed)?;
        let tx = decode_tx(bytes, false, true).ok_or_else(|| bulkhead_link::failed("transaction cannot be decoded"))?;
        let (txid, sequence) = (tx.compute_txid(), params.get_sequence());
        self.0.transaction(&tx);
        let body = || sequence_body(txid.to_byte_array(), b'A', Some(sequence));
        self.0.publish("sequence", &format!("hashtx mempool acceptance {txid}"), body);
        Ok(())
    }

    async fn transaction_removed(
        self: Rc<Self>,
        params: chain_events::TransactionRemovedParams,
        _: chain_events::TransactionRemovedResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let (txid, sequence) = (hash32("txid", params.get_txid()?).map_err(bulkhead_link::failed)?, params.get_sequence());
        let body = || sequence_body(txid, b'R', Some(sequence));
        self.0.publish("sequence", &format!("hashtx mempool removal {}", hex::encode(reversed(txid))), body);
        Ok(())
    }
}
