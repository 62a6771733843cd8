//! What net remembers of the mempool: enough to announce transactions without a question to chain.

use std::collections::{HashMap, VecDeque};

use super::chain_view::AcceptedTx;
use super::headers_index::Hash;
use super::recent::RecentSet;

/// Transactions of the mempool that are remembered; only those may wait for their announcement.
const REMEMBERED: usize = 100_000;
/// Refused transactions that are remembered (Core's filters have this size).
const REJECTED: usize = 120_000;

/// Confirmed transactions that are remembered: those of some six blocks.
const CONFIRMED: usize = 48_000;

/// Transactions of the mempool, and those that were refused.
#[derive(Debug)]
pub(crate) struct MempoolView {
    /// Number of the mempool's next change, as far as we heard.
    pub(crate) sequence: u64,
    by_wtxid: HashMap<Hash, AcceptedTx>,
    by_txid: HashMap<Hash, Hash>,
    order: VecDeque<Hash>,
    /// Refused for good, until the tip changes.
    pub(crate) rejected: RecentSet,
    /// Refused for their fee alone, and packages that were refused.
    pub(crate) reconsiderable: RecentSet,
    /// Confirmed lately, until blocks are taken back.
    pub(crate) confirmed: RecentSet,
}

impl Default for MempoolView {
    fn default() -> Self {
        Self {
            sequence: 1,
            by_wtxid: HashMap::new(),
            by_txid: HashMap::new(),
            order: VecDeque::new(),
            rejected: RecentSet::new(REJECTED),
            reconsiderable: RecentSet::new(REJECTED),
            confirmed: RecentSet::new(CONFIRMED),
        }
    }
}

impl MempoolView {
    pub(crate) fn insert(&mut self, tx: AcceptedTx) {
        self.sequence = self.sequence.max(tx.sequence + 1);
        if self.by_wtxid.insert(tx.wtxid, tx).is_none() {
            self.order.push_back(tx.wtxid);
        }
        self.by_txid.insert(tx.txid, tx.wtxid);
        while self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.remove(&oldest);
        }
    }

    /// It left the mempool.
    pub(crate) fn remove(&mut self, wtxid: &Hash) {
        if let Some(tx) = self.by_wtxid.remove(wtxid) {
            self.by_txid.remove(&tx.txid);
        }
        // Removed ones stay in the order until they are the oldest; they must not outnumber the others.
        if self.order.len() > 1000 && self.order.len() > self.by_wtxid.len() * 2 {
            let left = &self.by_wtxid;
            self.order.retain(|wtxid| left.contains_key(wtxid));
        }
    }

    pub(crate) fn by_wtxid(&self, wtxid: &Hash) -> Option<AcceptedTx> {
        self.by_wtxid.get(wtxid).copied()
    }

    pub(crate) fn by_txid(&self, txid: &Hash) -> Option<AcceptedTx> {
        self.by_txid.get(txid).and_then(|wtxid| self.by_wtxid(wtxid))
    }

    /// The tip has changed: what was refused may be fine now.
    pub(crate) fn forget_rejected(&mut self) {
        self.rejected.clear();
        self.reconsiderable.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn tx(number: u32) -> AcceptedTx {
        let mut txid = [0; 32];
        txid[..4].copy_from_slice(&number.to_le_bytes());
        let mut wtxid = txid;
        wtxid[31] = 1;
        AcceptedTx { txid, wtxid, fee_rate: 1, vsize: 1, sequence: u64::from(number), ancestors: 1 }
    }

    #[test]
    fn transactions_are_found_until_they_leave() {
        let mut view = MempoolView::default();
        view.insert(tx(7));
        assert_eq!(view.sequence, 8);
        assert_eq!(view.by_txid(&tx(7).txid), Some(tx(7)));
        view.remove(&tx(7).wtxid);
        assert!(view.by_txid(&tx(7).txid).is_none() && view.by_wtxid(&tx(7).wtxid).is_none());
    }

    #[test]
    fn memory_is_bounded_with_and_without_removals() {
        let mut view = MempoolView::default();
        for number in 0..u32::try_from(REMEMBERED).unwrap() + 10 {
            view.insert(tx(number));
        }
        assert_eq!((view.by_wtxid.len(), view.by_txid.len(), view.order.len()), (REMEMBERED, REMEMBERED, REMEMBERED));
        for number in 0..u32::try_from(REMEMBERED).unwrap() + 10 {
            view.remove(&tx(number).wtxid);
        }
        assert!(view.by_txid.is_empty() && view.order.len() <= 1000);
    }
}
