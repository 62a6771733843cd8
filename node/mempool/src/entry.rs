//! One unconfirmed transaction with what policy needs to know about it.

use crate::cluster::ClusterId;
use crate::feerate::FeeFrac;
use bitcoin::{BlockHash, Transaction, Txid, Wtxid};
use bulkhead_consensus::sequence::SequenceLocks;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Relative locks of a transaction, as they were computed once, and what must still hold for them to be right (Core:
/// `LockPoints`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockPoints {
    /// The locks.
    pub locks: SequenceLocks,
    /// Height of the highest block that created a spent output, and its hash: it must be on the chain. Outputs of unconfirmed
    /// transactions do not count. The first block, if there is no other.
    pub highest: (i32, BlockHash),
}

/// What the caller measured when it accepted a transaction.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// The transaction.
    pub tx: Arc<Transaction>,
    /// Inputs minus outputs, satoshi.
    pub fee: i64,
    /// Time of acceptance, unix seconds.
    pub time: i64,
    /// Height of the tip at acceptance.
    pub height: i32,
    /// Pool sequence at acceptance; 0 for transactions of disconnected blocks.
    pub sequence: u64,
    /// Whether an input spends a coinbase.
    pub spends_coinbase: bool,
    /// Until when it was locked.
    pub lock_points: LockPoints,
    /// Signature operation cost.
    pub sigop_cost: i64,
}

/// A transaction in the pool.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What was measured.
    pub new: NewEntry,
    /// Transaction id.
    pub txid: Txid,
    /// Witness transaction id.
    pub wtxid: Wtxid,
    /// Weight units.
    pub weight: i64,
    /// Weight or what the signature operations count for, whichever is larger.
    pub adjusted_weight: i64,
    /// Fee plus what `prioritisetransaction` added.
    pub modified_fee: i64,
    /// Estimated memory, bytes.
    pub memory: u64,
    /// Direct parents in the pool.
    pub parents: BTreeSet<Txid>,
    /// Direct children in the pool.
    pub children: BTreeSet<Txid>,
    /// Its cluster.
    pub(crate) cluster: ClusterId,
}

impl Entry {
    pub(crate) fn new(new: NewEntry, txid: Txid, fee_delta: i64, bytes_per_sigop: i64, cluster: ClusterId) -> Self {
        let weight = new.tx.weight().to_wu() as i64;
        Self {
            txid,
            wtxid: new.tx.compute_wtxid(),
            weight,
            adjusted_weight: weight.max(new.sigop_cost * bytes_per_sigop),
            modified_fee: new.fee.saturating_add(fee_delta),
            memory: estimate_memory(&new.tx),
            parents: BTreeSet::new(),
            children: BTreeSet::new(),
            cluster,
            new,
        }
    }

    /// Size in virtual bytes, signature operations counted.
    pub fn vsize(&self) -> i64 {
        (self.adjusted_weight + 3) / 4
    }

    /// Modified fee for the adjusted weight.
    pub fn frac(&self) -> FeeFrac {
        FeeFrac::new(self.modified_fee, self.adjusted_weight)
    }
}

/// What an allocator hands out for `bytes` on a 64-bit machine.
fn allocation(bytes: usize) -> u64 {
    if bytes == 0 { 0 } else { ((bytes + 31) >> 4 << 4) as u64 }
}

/// Memory of a transaction as Core estimates it, so that `-maxmempool` evicts at similar points.
fn estimate_memory(tx: &Transaction) -> u64 {
    const ENTRY: u64 = 528;
    const TX_STRUCT: usize = 128;
    let script = |len: usize| if len > 36 { allocation(len) } else { 0 };
    let inputs: u64 = tx
        .input
        .iter()
        .map(|input| {
            let items: u64 = input.witness.iter().map(|item| allocation(item.len())).sum();
            script(input.script_sig.len()) + allocation(input.witness.len() * 24) + items + 96
        })
        .sum();
    let outputs: u64 = tx.output.iter().map(|output| script(output.script_pubkey.len())).sum();
    ENTRY + allocation(TX_STRUCT) + allocation(tx.input.len() * 112) + allocation(tx.output.len() * 48) + inputs + outputs
}
