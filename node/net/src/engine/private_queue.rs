//! Transactions that are being broadcast privately: each is sent to a few peers, over connections that serve nothing else,
//! until it comes back from the network (Core: `private_broadcast.cpp`). Times are microseconds.

use std::collections::HashMap;

use bulkhead_wire::Endpoint;
use bulkhead_wire::skim::TxNames;

use super::SECOND;
use super::headers_index::Hash;
use super::peer::PeerId;

/// Transactions that are broadcast privately at once.
pub const MAX_TRANSACTIONS: usize = 10_000;
/// Sent to nobody for so long, a transaction is tried again.
const STALE_UNSENT: i64 = 5 * 60 * SECOND;
/// Not heard of again for so long after a peer had taken it, a transaction is tried again.
const STALE_SENT: i64 = 60 * SECOND;

/// One peer that a transaction was meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    peer: PeerId,
    /// Where the peer is.
    pub address: Endpoint,
    /// When the transaction was picked for it.
    pub picked: i64,
    /// When it confirmed that it has the transaction.
    pub confirmed: Option<i64>,
}

/// A transaction and what was done for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Its names.
    pub names: TxNames,
    /// Serialized, with witness.
    pub bytes: Vec<u8>,
    /// When it was added.
    pub added: i64,
    /// In the order in which peers were picked.
    pub attempts: Vec<Attempt>,
}

impl Queued {
    /// Peers that confirmed.
    #[must_use]
    pub fn confirmations(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.confirmed.is_some()).count()
    }

    fn last_confirmed(&self) -> Option<i64> {
        self.attempts.iter().filter_map(|attempt| attempt.confirmed).max()
    }

    /// The least is the most urgent: least often tried and confirmed, longest ago.
    fn urgency(&self) -> impl Ord + use<> {
        let last_picked = self.attempts.iter().map(|attempt| attempt.picked).max();
        (self.attempts.len(), self.confirmations(), last_picked, self.last_confirmed(), self.added)
    }

    fn is_stale(&self, now: i64) -> bool {
        match self.last_confirmed() {
            None => self.added < now - STALE_UNSENT,
            Some(last) => last < now - STALE_SENT,
        }
    }
}

/// What became of an addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addition {
    /// It is new.
    Added,
    /// It was there.
    Present,
    /// There are too many.
    Full,
}

/// The transactions, by wtxid.
#[derive(Debug, Default)]
pub(crate) struct PrivateQueue {
    transactions: HashMap<Hash, Queued>,
    /// Which transaction a peer was picked for; as many as there are attempts.
    by_peer: HashMap<PeerId, Hash>,
}

impl PrivateQueue {
    pub(crate) fn add(&mut self, names: TxNames, bytes: Vec<u8>, now: i64) -> Addition {
        if self.transactions.contains_key(&names.wtxid) {
            return Addition::Present;
        }
        if self.transactions.len() >= MAX_TRANSACTIONS {
            return Addition::Full;
        }
        self.transactions.insert(names.wtxid, Queued { names, bytes, added: now, attempts: Vec::new() });
        Addition::Added
    }

    pub(crate) fn remove(&mut self, wtxid: &Hash) -> Option<Queued> {
        let removed = self.transactions.remove(wtxid)?;
        for attempt in &removed.attempts {
            self.by_peer.remove(&attempt.peer);
        }
        Some(removed)
    }

    /// The most urgent transaction, which the peer now stands for. A peer gets one transaction, ever: two would tell it that
    /// they come from the same node.
    pub(crate) fn pick(&mut self, peer: PeerId, address: Endpoint, now: i64) -> Option<&Queued> {
        if self.by_peer.contains_key(&peer) {
            return None;
        }
        let picked = self.transactions.values_mut().min_by_key(|queued| queued.urgency())?;
        picked.attempts.push(Attempt { peer, address, picked: now, confirmed: None });
        self.by_peer.insert(peer, picked.names.wtxid);
        Some(picked)
    }

    /// The transaction that the peer was picked for.
    pub(crate) fn of_peer(&self, peer: PeerId) -> Option<&Queued> {
        self.transactions.get(self.by_peer.get(&peer)?)
    }

    /// The peer has what it was sent.
    pub(crate) fn confirm(&mut self, peer: PeerId, now: i64) {
        let queued = self.by_peer.get(&peer).and_then(|wtxid| self.transactions.get_mut(wtxid));
        if let Some(attempt) = queued.and_then(|queued| queued.attempts.iter_mut().find(|attempt| attempt.peer == peer)) {
            attempt.confirmed = Some(now);
        }
    }

    /// Whether the peer has confirmed what it was sent.
    pub(crate) fn is_confirmed(&self, peer: PeerId) -> bool {
        let attempts = self.of_peer(peer).map_or(&[][..], |queued| &queued.attempts);
        attempts.iter().any(|attempt| attempt.peer == peer && attempt.confirmed.is_some())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.transactions.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Queued> {
        self.transactions.values()
    }

    /// Transactions that are to be tried again.
    pub(crate) fn stale(&self, now: i64) -> Vec<&Queued> {
        self.iter().filter(|queued| queued.is_stale(now)).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(number: u8) -> TxNames {
        TxNames { txid: [number; 32], wtxid: [number + 100; 32], length: 1 }
    }

    fn queue(count: u8) -> PrivateQueue {
        let mut queue = PrivateQueue::default();
        for number in 0..count {
            assert_eq!(queue.add(names(number), vec![number], i64::from(number)), Addition::Added);
        }
        queue
    }

    fn picked(queue: &mut PrivateQueue, peer: PeerId, now: i64) -> u8 {
        queue.pick(peer, Endpoint::NONE, now).unwrap().names.txid[0]
    }

    #[test]
    fn same_transaction_is_taken_once_and_too_many_are_refused() {
        let mut queue = queue(1);
        assert_eq!(queue.add(names(0), Vec::new(), 5), Addition::Present);
        for number in 1..MAX_TRANSACTIONS {
            let mut wtxid = [0; 32];
            wtxid[..8].copy_from_slice(&number.to_le_bytes());
            assert_eq!(queue.add(TxNames { txid: [0; 32], wtxid, length: 0 }, Vec::new(), 0), Addition::Added);
        }
        assert_eq!(queue.add(names(1), Vec::new(), 0), Addition::Full);
        assert_eq!(queue.add(names(0), Vec::new(), 0), Addition::Present);
    }

    #[test]
    fn least_often_and_longest_ago_sent_comes_first() {
        let mut queue = queue(2);
        assert_eq!([picked(&mut queue, 1, 10), picked(&mut queue, 2, 20)], [0, 1]);
        // Both were picked once; one was confirmed.
        queue.confirm(1, 30);
        assert_eq!(picked(&mut queue, 3, 40), 1);
        assert_eq!(picked(&mut queue, 4, 50), 0);
        // Twice each, the second longer ago for 1, but 0 has a confirmation.
        assert_eq!(picked(&mut queue, 5, 60), 1);
    }

    #[test]
    fn a_peer_gets_one_transaction() {
        let mut queue = queue(2);
        assert_eq!(picked(&mut queue, 1, 10), 0);
        assert_eq!(queue.pick(1, Endpoint::NONE, 11), None);
        assert_eq!(queue.of_peer(1).unwrap().bytes, [0]);
        assert!(!queue.is_confirmed(1));
        queue.confirm(1, 12);
        assert!(queue.is_confirmed(1) && !queue.is_confirmed(2));
        assert_eq!(queue.remove(&names(0).wtxid).unwrap().confirmations(), 1);
        assert_eq!(queue.of_peer(1), None);
        assert_eq!(queue.remove(&names(0).wtxid), None);
        queue.remove(&names(1).wtxid);
        assert!(queue.is_empty() && queue.by_peer.is_empty());
        assert_eq!(queue.pick(2, Endpoint::NONE, 13), None);
    }

    #[test]
    fn stale_is_what_nobody_took_or_what_did_not_come_back() {
        let mut queue = queue(1);
        assert!(queue.stale(STALE_UNSENT).is_empty());
        assert_eq!(queue.stale(STALE_UNSENT + 1).len(), 1);
        picked(&mut queue, 1, STALE_UNSENT);
        queue.confirm(1, STALE_UNSENT);
        assert!(queue.stale(STALE_UNSENT + STALE_SENT).is_empty());
        assert_eq!(queue.stale(STALE_UNSENT + STALE_SENT + 1).len(), 1);
    }
}
