//! Which transaction to ask from whom, and when (Core: `txrequest.h`).
//!
//! Pure: time comes in with each call. A peer holds at most [`MAX_ANNOUNCEMENTS`] announcements unless it is exempt, so
//! memory is bounded by the number of peers; no call looks at more than what is due.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bitcoin::hashes::siphash24;

use super::SECOND;
use super::headers_index::Hash;
use super::peer::PeerId;

/// Announcements kept per peer.
pub const MAX_ANNOUNCEMENTS: usize = 5000;
/// Requests in flight above which a peer has to wait.
const MAX_IN_FLIGHT: usize = 100;
/// Delay for announcements by txid while peers with wtxids exist.
const TXID_DELAY: i64 = 2 * SECOND;
/// Delay for inbound peers.
const INBOUND_DELAY: i64 = 2 * SECOND;
/// Delay for peers that have many requests open.
const OVERLOAD_DELAY: i64 = 2 * SECOND;
/// After this long another peer is asked.
const REQUEST_TIMEOUT: i64 = 60 * SECOND;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not before this time.
    Delayed(i64),
    /// Could be asked, but someone else is better or is being asked.
    Ready,
    /// The one to ask next.
    Best,
    /// Asked; has until this time.
    Requested(i64),
    /// Asked without success.
    Done,
}

#[derive(Debug, Clone, Copy)]
struct Announcement {
    peer: PeerId,
    by_wtxid: bool,
    preferred: bool,
    /// Drawn for this peer and transaction, so that nobody can make himself the one who is asked.
    luck: u64,
    order: u64,
    state: State,
}

#[derive(Debug, Default)]
struct Announcer {
    preferred: bool,
    wtxid: bool,
    exempt: bool,
    announcements: usize,
    in_flight: usize,
    /// Transactions that this peer is to be asked for, in the order of its announcements.
    best: BTreeMap<u64, Hash>,
}

/// All announcements that wait for their transaction.
#[derive(Debug, Default)]
pub struct TxRequests {
    by_hash: HashMap<Hash, Vec<Announcement>>,
    peers: BTreeMap<PeerId, Announcer>,
    /// When delays and requests end.
    timers: BTreeSet<(i64, Hash, PeerId)>,
    next_order: u64,
    keys: (u64, u64),
}

/// What to ask a peer for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The transaction.
    pub hash: Hash,
    /// Its hash is a wtxid.
    pub by_wtxid: bool,
}

impl TxRequests {
    /// No announcements. `keys` are random and decide between peers that are equally good.
    #[must_use]
    pub fn new(keys: (u64, u64)) -> Self {
        Self { keys, ..Self::default() }
    }

    /// A peer finished its handshake. `preferred`: we connected to it; `exempt`: it may relay without limits.
    pub fn connected(&mut self, peer: PeerId, preferred: bool, wtxid: bool, exempt: bool) {
        self.peers.insert(peer, Announcer { preferred, wtxid, exempt, ..Announcer::default() });
    }

    /// A peer left.
    pub fn disconnected(&mut self, peer: PeerId) {
        let touched: Vec<Hash> =
            self.by_hash.iter().filter(|(_, list)| list.iter().any(|one| one.peer == peer)).map(|(hash, _)| *hash).collect();
        for hash in touched {
            self.remove(&hash, Some(peer));
        }
        self.peers.remove(&peer);
    }

    /// Delay of an announcement; `None` for a peer that is not here.
    fn delay(&self, peer: PeerId, by_wtxid: bool) -> Option<i64> {
        let announcer = self.peers.get(&peer)?;
        let mut delay = 0;
        if !announcer.preferred {
            delay += INBOUND_DELAY;
        }
        if !by_wtxid && self.peers.values().any(|peer| peer.wtxid) {
            delay += TXID_DELAY;
        }
        if !announcer.exempt && announcer.in_flight >= MAX_IN_FLIGHT {
            delay += OVERLOAD_DELAY;
        }
        Some(delay)
    }

    /// A peer announced a transaction that we lack.
    pub fn announced(&mut self, peer: PeerId, hash: Hash, by_wtxid: bool, now: i64) {
        let full = self.peers.get(&peer).is_none_or(|one| !one.exempt && one.announcements >= MAX_ANNOUNCEMENTS);
        let Some(delay) = self.delay(peer, by_wtxid).filter(|_| !full) else { return };
        self.add(peer, hash, by_wtxid, now + delay);
    }

    /// A peer has a transaction whose parents we lack: it can be asked for them. Whether it takes part.
    pub fn resolves_orphan(&mut self, peer: PeerId, parents: &[Hash], now: i64) -> bool {
        let full = self.peers.get(&peer).is_none_or(|one| !one.exempt && one.announcements + parents.len() > MAX_ANNOUNCEMENTS);
        let Some(delay) = self.delay(peer, false).filter(|_| !full) else { return false };
        for parent in parents {
            self.add(peer, *parent, false, now + delay);
        }
        true
    }

    fn add(&mut self, peer: PeerId, hash: Hash, by_wtxid: bool, from: i64) {
        let Some(announcer) = self.peers.get_mut(&peer) else { return };
        let list = self.by_hash.entry(hash).or_default();
        if list.iter().any(|one| one.peer == peer) {
            return;
        }
        announcer.announcements += 1;
        self.next_order += 1;
        let mut name = [0; 40];
        name[..32].copy_from_slice(&hash);
        name[32..].copy_from_slice(&peer.to_le_bytes());
        list.push(Announcement {
            peer,
            by_wtxid,
            preferred: announcer.preferred,
            luck: siphash24::Hash::hash_to_u64_with_keys(self.keys.0, self.keys.1, &name),
            order: self.next_order,
            state: State::Delayed(from),
        });
        self.timers.insert((from, hash, peer));
    }

    /// The transaction is known now, one way or the other.
    pub fn forget(&mut self, hash: &Hash) {
        self.remove(hash, None);
    }

    /// Peers that could still be asked for a transaction.
    #[must_use]
    pub fn candidates(&self, hash: &Hash) -> Vec<PeerId> {
        let list = self.by_hash.get(hash).map_or(&[][..], Vec::as_slice);
        list.iter().filter(|one| one.state != State::Done).map(|one| one.peer).collect()
    }

    /// The peer answered without the transaction, or with it.
    pub fn failed(&mut self, peer: PeerId, hash: &Hash) {
        self.set_state(peer, hash, State::Done);
        self.select(hash);
    }

    /// Removes the announcements of a transaction, or only that of one peer.
    fn remove(&mut self, hash: &Hash, only: Option<PeerId>) {
        let Some(list) = self.by_hash.get_mut(hash) else { return };
        let (gone, left): (Vec<Announcement>, Vec<Announcement>) =
            list.iter().partition(|one| only.is_none_or(|peer| one.peer == peer));
        *list = left;
        for one in gone {
            self.release(hash, &one);
            if let Some(announcer) = self.peers.get_mut(&one.peer) {
                announcer.announcements = announcer.announcements.saturating_sub(1);
            }
        }
        self.select(hash);
    }

    /// Takes an announcement out of whatever its state put it into.
    fn release(&mut self, hash: &Hash, one: &Announcement) {
        match one.state {
            State::Delayed(at) => {
                self.timers.remove(&(at, *hash, one.peer));
            }
            State::Requested(at) => {
                self.timers.remove(&(at, *hash, one.peer));
                if let Some(announcer) = self.peers.get_mut(&one.peer) {
                    announcer.in_flight = announcer.in_flight.saturating_sub(1);
                }
            }
            State::Best => {
                if let Some(announcer) = self.peers.get_mut(&one.peer) {
                    announcer.best.remove(&one.order);
                }
            }
            State::Ready | State::Done => {}
        }
    }

    fn set_state(&mut self, peer: PeerId, hash: &Hash, state: State) {
        let Some(list) = self.by_hash.get_mut(hash) else { return };
        let Some(one) = list.iter_mut().find(|one| one.peer == peer) else { return };
        let old = *one;
        one.state = state;
        self.release(hash, &old);
        let Some(announcer) = self.peers.get_mut(&peer) else { return };
        match state {
            State::Delayed(at) => {
                self.timers.insert((at, *hash, peer));
            }
            State::Requested(at) => {
                self.timers.insert((at, *hash, peer));
                announcer.in_flight += 1;
            }
            State::Best => {
                announcer.best.insert(old.order, *hash);
            }
            State::Ready | State::Done => {}
        }
    }

    /// Finds who is to be asked next for a transaction; forgets it when nobody is left.
    fn select(&mut self, hash: &Hash) {
        let Some(list) = self.by_hash.get(hash) else { return };
        if list.iter().all(|one| one.state == State::Done) {
            for one in self.by_hash.remove(hash).unwrap_or_default() {
                if let Some(announcer) = self.peers.get_mut(&one.peer) {
                    announcer.announcements = announcer.announcements.saturating_sub(1);
                }
            }
            return;
        }
        let asked = list.iter().any(|one| matches!(one.state, State::Requested(_)));
        let open = list.iter().filter(|one| matches!(one.state, State::Ready | State::Best) && !asked);
        let best = open.max_by_key(|one| (one.preferred, one.luck)).map(|one| one.peer);
        let before = list.iter().find(|one| one.state == State::Best).map(|one| one.peer);
        if best == before {
            return;
        }
        if let Some(peer) = before {
            self.set_state(peer, hash, State::Ready);
        }
        if let Some(peer) = best {
            self.set_state(peer, hash, State::Best);
        }
    }

    /// Requests that nobody answered in time are open again for others; gives them.
    pub fn advance(&mut self, now: i64) -> Vec<(PeerId, Due)> {
        let mut late = Vec::new();
        while let Some((at, hash, peer)) = self.timers.first().copied().filter(|(at, ..)| *at <= now) {
            self.timers.remove(&(at, hash, peer));
            let found = self.by_hash.get(&hash).and_then(|list| list.iter().find(|one| one.peer == peer)).copied();
            let Some(one) = found else { continue };
            if matches!(one.state, State::Requested(_)) {
                late.push((peer, Due { hash, by_wtxid: one.by_wtxid }));
                self.set_state(peer, &hash, State::Done);
            } else {
                self.set_state(peer, &hash, State::Ready);
            }
            self.select(&hash);
        }
        late
    }

    /// What to ask this peer for now, in the order of its announcements. Call [`TxRequests::advance`] before, and
    /// [`TxRequests::requested`] for what is asked.
    #[must_use]
    pub fn due(&self, peer: PeerId) -> Vec<Due> {
        let Some(announcer) = self.peers.get(&peer) else { return Vec::new() };
        let by_wtxid = |hash: &Hash| {
            let list = self.by_hash.get(hash).map_or(&[][..], Vec::as_slice);
            list.iter().any(|one| one.peer == peer && one.by_wtxid)
        };
        announcer.best.values().map(|hash| Due { hash: *hash, by_wtxid: by_wtxid(hash) }).collect()
    }

    /// The peer is being asked.
    pub fn requested(&mut self, peer: PeerId, hash: &Hash, now: i64) {
        self.set_state(peer, hash, State::Requested(now + REQUEST_TIMEOUT));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    const TX: Hash = [7; 32];

    impl TxRequests {
        /// Asks for what is due and gives it.
        fn ask(&mut self, peer: PeerId, now: i64) -> Vec<Hash> {
            self.advance(now);
            let due: Vec<Hash> = self.due(peer).into_iter().map(|due| due.hash).collect();
            for hash in &due {
                self.requested(peer, hash, now);
            }
            due
        }

        fn check(&self) {
            for (peer, announcer) in &self.peers {
                let own = || self.by_hash.values().flatten().filter(|one| one.peer == *peer);
                assert_eq!(own().count(), announcer.announcements);
                assert_eq!(own().filter(|one| matches!(one.state, State::Requested(_))).count(), announcer.in_flight);
                assert_eq!(own().filter(|one| one.state == State::Best).count(), announcer.best.len());
            }
            let timed =
                self.by_hash.values().flatten().filter(|one| matches!(one.state, State::Delayed(_) | State::Requested(_)));
            assert_eq!(timed.count(), self.timers.len());
            for list in self.by_hash.values() {
                assert!(list.iter().any(|one| one.state != State::Done));
                let asked = list.iter().filter(|one| matches!(one.state, State::Requested(_) | State::Best)).count();
                let open = list.iter().filter(|one| one.state == State::Ready).count();
                assert!(asked == 1 || (asked == 0 && open == 0));
            }
        }
    }

    #[test]
    fn outbound_peer_is_asked_first_and_inbound_after_failure() {
        let mut requests = TxRequests::default();
        requests.connected(0, false, true, false);
        requests.connected(1, true, true, false);
        requests.announced(0, TX, true, 0);
        requests.announced(1, TX, true, 0);
        assert_eq!(requests.ask(1, 0), [TX]);
        assert!(requests.ask(0, INBOUND_DELAY).is_empty());
        requests.failed(1, &TX);
        assert_eq!(requests.ask(0, INBOUND_DELAY), [TX]);
        requests.failed(0, &TX);
        assert!(requests.by_hash.is_empty());
        requests.check();
    }

    #[test]
    fn silent_peer_loses_its_turn_after_the_timeout() {
        let mut requests = TxRequests::default();
        requests.connected(0, true, true, false);
        requests.connected(1, true, true, false);
        requests.announced(0, TX, true, 0);
        requests.announced(1, TX, true, 0);
        requests.advance(0);
        let first = if requests.due(0).is_empty() { 1 } else { 0 };
        assert_eq!(requests.ask(first, 0), [TX]);
        assert!(requests.ask(1 - first, REQUEST_TIMEOUT - 1).is_empty());
        let late = requests.advance(REQUEST_TIMEOUT);
        assert_eq!(late, [(first, Due { hash: TX, by_wtxid: true })]);
        assert_eq!(requests.ask(1 - first, REQUEST_TIMEOUT), [TX]);
    }

    #[test]
    fn announcements_of_one_peer_are_bounded() {
        let mut requests = TxRequests::default();
        requests.connected(0, true, true, false);
        for index in 0..6000u32 {
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&index.to_le_bytes());
            requests.announced(0, hash, true, 0);
        }
        assert_eq!(requests.by_hash.len(), MAX_ANNOUNCEMENTS);
        assert!(!requests.resolves_orphan(0, &[TX], 0));
    }

    #[test]
    fn requests_by_txid_wait_while_wtxids_are_in_use() {
        let mut requests = TxRequests::default();
        requests.connected(0, true, false, false);
        requests.connected(1, true, true, false);
        requests.announced(0, TX, false, 0);
        assert!(requests.ask(0, TXID_DELAY - 1).is_empty());
        assert_eq!(requests.ask(0, TXID_DELAY), [TX]);
    }

    proptest! {
        #[test]
        fn any_sequence_keeps_the_books(steps in proptest::collection::vec((0u8..7, 0u64..4, 0u8..6, 0i64..70), 0..200)) {
            let mut requests = TxRequests::new((1, 2));
            let mut now = 0;
            for (step, peer, tx, wait) in steps {
                let hash = [tx; 32];
                match step {
                    0 if !requests.peers.contains_key(&peer) => requests.connected(peer, peer % 2 == 0, peer < 2, peer == 3),
                    0 | 1 => requests.announced(peer, hash, tx % 2 == 0, now),
                    2 => { requests.ask(peer, now); }
                    3 => requests.failed(peer, &hash),
                    4 => requests.forget(&hash),
                    5 if wait < 5 => requests.disconnected(peer),
                    _ => now += wait * SECOND,
                }
                requests.advance(now);
                requests.check();
            }
        }
    }
}
