//! `-checkmempool`: the pool is looked over after what changes it (Core: `CTxMemPool::check`). A fault ends the node, as what
//! such a pool leads to (blocks that are not valid, fees that are not paid) is worse.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use bitcoin::{OutPoint, Txid};
use bulkhead_mempool::{Entry, Mempool};
use bulkhead_store::StoreError;

use super::coins::{PackageCoins, find_coin, is_mature};
use crate::engine::State;

/// What the pool holds against the chain or against itself.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Its links, clusters or totals disagree.
    #[error("{0}")]
    Links(String),
    /// A coin that neither the chain nor the pool has.
    #[error("{txid} spends {outpoint}, which is not there")]
    MissingCoin {
        /// Who spends it.
        txid: Txid,
        /// What is spent.
        outpoint: OutPoint,
    },
    /// An output of a coinbase that is too young for the next block.
    #[error("{txid} spends the young coinbase {outpoint}")]
    Immature {
        /// Who spends it.
        txid: Txid,
        /// What is spent.
        outpoint: OutPoint,
    },
    /// Inputs minus outputs are not the fee that was noted.
    #[error("{txid} pays {paid} satoshi, {noted} were noted")]
    Fee {
        /// Who pays.
        txid: Txid,
        /// Inputs minus outputs.
        paid: i64,
        /// The entry's fee.
        noted: i64,
    },
    /// Coins that cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How often to look, and whom to tell.
pub(super) struct Checks {
    /// One of so many times; 0 for never.
    every: u32,
    count: AtomicU32,
    fatal: Box<dyn Fn(&str) + Send + Sync>,
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checks").field("every", &self.every).finish_non_exhaustive()
    }
}

impl Default for Checks {
    fn default() -> Self {
        Self::new(0, Box::new(|_| {}))
    }
}

impl Checks {
    pub(super) fn new(every: u32, fatal: Box<dyn Fn(&str) + Send + Sync>) -> Self {
        Self { every, count: AtomicU32::new(0), fatal }
    }

    /// Looks, if it is time to.
    pub(super) fn run(&self, state: &State, pool: &Mempool) {
        if self.every == 0 || !self.count.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.every) {
            return;
        }
        if let Err(fault) = check(state, pool) {
            tracing::error!("CheckMempool: {fault}");
            (self.fatal)("The mempool is inconsistent.");
        }
    }
}

/// Looks over the whole pool.
///
/// # Errors
/// The first fault.
pub fn check(state: &State, pool: &Mempool) -> Result<(), Fault> {
    tracing::debug!(target: "mempool", "Checking mempool with {} transactions", pool.len());
    pool.check().map_err(Fault::Links)?;
    pool.iter().try_for_each(|entry| check_coins(state, pool, entry))
}

fn check_coins(state: &State, pool: &Mempool, entry: &Entry) -> Result<(), Fault> {
    let (tx, txid) = (&entry.new.tx, entry.txid);
    let next = state.height() + 1;
    let alone = PackageCoins::default();
    let mut paid = 0;
    for input in &tx.input {
        let outpoint = input.previous_output;
        let coin = find_coin(state, pool, &alone, &outpoint)?.ok_or(Fault::MissingCoin { txid, outpoint })?;
        if !is_mature(&coin, next) {
            return Err(Fault::Immature { txid, outpoint });
        }
        paid += coin.output.value.to_sat() as i64; // at most the money that exists
    }
    paid -= tx.output.iter().map(|output| output.value.to_sat() as i64).sum::<i64>();
    if paid == entry.new.fee { Ok(()) } else { Err(Fault::Fee { txid, paid, noted: entry.new.fee }) }
}
