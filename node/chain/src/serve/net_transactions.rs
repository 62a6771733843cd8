//! Transactions that come from the network, and those that it wants. All of these take the engine's lock: call them on a
//! thread that may wait.

use std::collections::HashMap;
use std::sync::Arc;

use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::{Transaction, Txid, Wtxid};
use bulkhead_consensus::PreparedBlock;
use bulkhead_mempool::{Kind, Reject};

use crate::mempool_accept::{AcceptOptions, PackageOutcome, submit_package as judge_package};
use crate::rpc::Context;

/// Bytes of transactions in one answer.
const MAX_ANSWER: usize = 8_000_000;

/// A transaction by its txid or (`true`) its wtxid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxId {
    /// 32 bytes, internal order.
    pub hash: [u8; 32],
    /// It is a wtxid.
    pub witness: bool,
}

/// What became of a transaction.
pub struct Submitted {
    /// Accepted, or why not.
    pub verdict: Result<(), Reject>,
    /// Transactions that it spends and that are neither in the mempool nor confirmed lately.
    pub missing_parents: Vec<Txid>,
    /// Transactions in the mempool, and their memory in bytes.
    pub pool: (usize, u64),
}

fn submitted(context: &Context, tx: &Transaction, verdict: Result<(), Reject>) -> Submitted {
    let missing = verdict.as_ref().is_err_and(|reject| reject.kind == Kind::MissingInputs);
    let missing_parents = if missing { missing_parents(context, tx) } else { Vec::new() };
    let pool = context.pool.lock();
    Submitted { verdict, missing_parents, pool: (pool.len(), pool.memory()) }
}

/// Judges a transaction from the network.
pub fn submit_transaction(context: &Context, tx: &Arc<Transaction>) -> Submitted {
    // What is confirmed would look as if it spent nothing that exists.
    if context.recent.is_confirmed(tx.compute_wtxid().as_byte_array()) {
        return submitted(context, tx, Err(Reject::new(Kind::Conflict, "txn-already-known")));
    }
    let options = AcceptOptions { time: context.now(), ..AcceptOptions::default() };
    let verdict = context.pool.accept(&context.state(), tx, &options).map(|_| ());
    if let Err(reject) = &verdict
        && !matches!(reject.kind, Kind::WitnessStripped)
        && !reject.reason.starts_with("txn-already")
    {
        context.recent.keep_extra(tx);
    }
    submitted(context, tx, verdict)
}

/// Judges a transaction without any effect.
pub fn test_transaction(context: &Context, tx: &Arc<Transaction>) -> Result<(), Reject> {
    let options = AcceptOptions { time: context.now(), test_only: true, ..AcceptOptions::default() };
    context.pool.accept(&context.state(), tx, &options).map(|_| ())
}

/// Judges a parent and a child that pays for it. Whether both are in the mempool now, and what became of each.
pub fn submit_package(context: &Context, transactions: &[Arc<Transaction>]) -> (bool, Vec<Submitted>) {
    let options = AcceptOptions { time: context.now(), ..AcceptOptions::default() };
    let outcomes = judge_package(&context.state(), &context.pool, transactions, &options).outcomes;
    let accepted = outcomes.iter().all(|outcome| matches!(outcome, PackageOutcome::Accepted(_) | PackageOutcome::Known { .. }));
    let told = transactions.iter().zip(outcomes).map(|(tx, outcome)| {
        let verdict = match outcome {
            PackageOutcome::Accepted(_) => Ok(()),
            PackageOutcome::Known { .. } => Err(Reject::new(Kind::Conflict, "txn-already-in-mempool")),
            PackageOutcome::KnownOtherWitness(_) => Err(Reject::new(Kind::Conflict, "txn-same-nonwitness-data-in-mempool")),
            PackageOutcome::Refused(reject) => Err(reject),
            PackageOutcome::NotValidated => Err(Reject::new(Kind::Reconsiderable, "package-not-validated")),
        };
        submitted(context, tx, verdict)
    });
    (accepted, told.collect())
}

fn missing_parents(context: &Context, tx: &Transaction) -> Vec<Txid> {
    let pool = context.pool.lock();
    let mut parents: Vec<Txid> = tx.input.iter().map(|input| input.previous_output.txid).collect();
    parents.sort_unstable();
    parents.dedup();
    parents.retain(|txid| pool.get(txid).is_none() && !context.recent.is_confirmed_txid(txid));
    parents
}

/// Transactions of the mempool that came in before a number of its changes, or of the newest block; empty: unknown. The
/// answer may be shorter than the question, for its size.
pub fn transactions(context: &Context, ids: &[TxId], before: u64, newest: Option<&NewestBlock>) -> Vec<Vec<u8>> {
    let pool = context.pool.lock();
    let mut found = Vec::new();
    let mut size = 0;
    for id in ids {
        let entry = if id.witness {
            pool.get_by_wtxid(&Wtxid::from_byte_array(id.hash))
        } else {
            pool.get(&Txid::from_byte_array(id.hash))
        };
        let bytes = match entry.filter(|entry| entry.new.sequence < before) {
            Some(entry) => serialize(&*entry.new.tx),
            None => newest.and_then(|block| block.transaction(&id.hash)).map(serialize).unwrap_or_default(),
        };
        if size > 0 && size + bytes.len() > MAX_ANSWER {
            break;
        }
        size += bytes.len();
        found.push(bytes);
    }
    found
}

/// Which of these are in the mempool or were confirmed lately.
pub fn have_transactions(context: &Context, ids: &[TxId]) -> Vec<u8> {
    let pool = context.pool.lock();
    let have = |id: &TxId| {
        let here = if id.witness {
            pool.get_by_wtxid(&Wtxid::from_byte_array(id.hash)).is_some()
        } else {
            pool.get(&Txid::from_byte_array(id.hash)).is_some()
        };
        here || context.recent.is_confirmed(&id.hash)
    };
    ids.iter().map(|id| u8::from(have(id))).collect()
}

/// Peers have fetched these: their first broadcast is over.
pub fn broadcast_seen(context: &Context, txids: &[Txid]) {
    let mut pool = context.pool.lock();
    for txid in txids {
        pool.remove_unbroadcast(txid);
    }
}

/// The newest block on top of the tip, whose transactions peers may still ask for.
#[derive(Debug)]
pub struct NewestBlock {
    block: Arc<PreparedBlock>,
    places: HashMap<[u8; 32], usize>,
}

impl NewestBlock {
    /// Indexes a block.
    pub fn new(block: Arc<PreparedBlock>) -> Self {
        let mut places = HashMap::with_capacity(block.txids().len() * 2);
        for (place, (tx, txid)) in block.block().txdata.iter().zip(block.txids()).enumerate() {
            places.insert(txid.to_byte_array(), place);
            places.insert(tx.compute_wtxid().to_byte_array(), place);
        }
        Self { block, places }
    }

    fn transaction(&self, id: &[u8; 32]) -> Option<&Transaction> {
        self.places.get(id).and_then(|place| self.block.block().txdata.get(*place))
    }
}
