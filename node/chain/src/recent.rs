//! Transactions that are not in the mempool and still matter to relay: those confirmed lately, which nobody must fetch
//! again, and those refused or replaced lately, which may turn up in the next block.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoin::hashes::Hash;
use bitcoin::{Transaction, Txid, Wtxid};
use bulkhead_consensus::PreparedBlock;
use bulkhead_mempool::Event;
use bulkhead_mempool::pool::RemovalReason;

use crate::engine::{BlockNode, Listener, State};

/// Ids of confirmed transactions that are remembered: those of some six blocks.
const MAX_CONFIRMED: usize = 48_000;
/// Larger transactions are not kept for compact blocks, bytes.
const MAX_EXTRA_SIZE: usize = 100_000;

#[derive(Debug, Default)]
struct Confirmed {
    ids: HashSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

impl Confirmed {
    fn insert(&mut self, id: [u8; 32]) {
        if !self.ids.insert(id) {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > MAX_CONFIRMED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}

/// A ring of transactions that may help to put a compact block together.
#[derive(Debug, Default)]
struct Extra {
    capacity: usize,
    ring: VecDeque<(Wtxid, Arc<Transaction>)>,
}

/// Both memories, bounded.
#[derive(Debug, Default)]
pub struct RecentTransactions {
    confirmed: Mutex<Confirmed>,
    extra: Mutex<Extra>,
}

impl RecentTransactions {
    /// Empty memories. `extra`: `-blockreconstructionextratxn`.
    pub fn new(extra: u64) -> Self {
        let capacity = usize::try_from(extra).unwrap_or(usize::MAX);
        Self { extra: Mutex::new(Extra { capacity, ring: VecDeque::new() }), ..Self::default() }
    }

    fn confirmed(&self) -> MutexGuard<'_, Confirmed> {
        self.confirmed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a transaction with this txid or wtxid was confirmed lately.
    pub fn is_confirmed(&self, id: &[u8; 32]) -> bool {
        self.confirmed().ids.contains(id)
    }

    /// Whether the transaction was confirmed lately.
    pub fn is_confirmed_txid(&self, txid: &Txid) -> bool {
        self.is_confirmed(txid.as_byte_array())
    }

    /// Keeps a transaction that did not enter the mempool, or had to leave it.
    pub fn keep_extra(&self, tx: &Arc<Transaction>) {
        if tx.total_size() >= MAX_EXTRA_SIZE {
            return;
        }
        let mut extra = self.extra.lock().unwrap_or_else(PoisonError::into_inner);
        if extra.capacity == 0 {
            return;
        }
        if extra.ring.len() >= extra.capacity {
            extra.ring.pop_front();
        }
        extra.ring.push_back((tx.compute_wtxid(), Arc::clone(tx)));
    }

    /// What is kept.
    pub fn extra(&self) -> Vec<(Wtxid, Arc<Transaction>)> {
        let extra = self.extra.lock().unwrap_or_else(PoisonError::into_inner);
        extra.ring.iter().map(|(wtxid, tx)| (*wtxid, Arc::clone(tx))).collect()
    }

    /// Hears what happens in the mempool.
    pub fn pool_event(&self, event: &Event) {
        if let Event::Removed { tx, reason: RemovalReason::Replaced, .. } = event {
            self.keep_extra(tx);
        }
    }
}

impl Listener for RecentTransactions {
    fn block_connected(&self, state: &State, block: &Arc<PreparedBlock>, _: &BlockNode) {
        if state.initial_download() {
            return;
        }
        let mut confirmed = self.confirmed();
        for (tx, txid) in block.block().txdata.iter().zip(block.txids()) {
            confirmed.insert(txid.to_byte_array());
            if tx.input.iter().any(|input| !input.witness.is_empty()) {
                confirmed.insert(tx.compute_wtxid().to_byte_array());
            }
        }
    }

    fn block_disconnected(&self, _: &State, _: &Arc<PreparedBlock>, _: &BlockNode) {
        // They are unconfirmed again, and others may want them.
        *self.confirmed() = Confirmed::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::constants::genesis_block;

    #[test]
    fn extra_transactions_are_bounded_by_number_and_size() {
        let recent = RecentTransactions::new(2);
        let tx = genesis_block(bitcoin::Network::Regtest).txdata.remove(0);
        let with_lock = |lock| {
            let lock_time = bitcoin::absolute::LockTime::from_consensus(lock);
            Arc::new(Transaction { lock_time, ..tx.clone() })
        };
        (0..3).for_each(|lock| recent.keep_extra(&with_lock(lock)));
        let kept: Vec<Wtxid> = recent.extra().into_iter().map(|(wtxid, _)| wtxid).collect();
        assert_eq!(kept, [with_lock(1).compute_wtxid(), with_lock(2).compute_wtxid()]);
        let mut large = tx.clone();
        large.output[0].script_pubkey = bitcoin::ScriptBuf::from_bytes(vec![0; MAX_EXTRA_SIZE]);
        recent.keep_extra(&Arc::new(large));
        assert_eq!(recent.extra().len(), 2);
        let none = RecentTransactions::new(0);
        none.keep_extra(&with_lock(0));
        assert!(none.extra().is_empty());
    }

    #[test]
    fn confirmed_ids_are_bounded() {
        let mut confirmed = Confirmed::default();
        for number in 0..MAX_CONFIRMED as u64 + 1 {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_le_bytes());
            confirmed.insert(id);
        }
        assert_eq!(confirmed.ids.len(), MAX_CONFIRMED);
        assert!(!confirmed.ids.contains(&[0; 32]));
    }
}
