//! Which transaction to ask from whom, and when (Core: `txrequest.h`).
//!
//! Pure: time comes in with each call. A peer holds at most [`MAX_ANNOUNCEMENTS`] announcements, so memory is bounded by
//! the number of peers.

use std::collections::{BTreeMap, HashMap};

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
    Candidate(i64),
    /// Until this time.
    Requested(i64),
    /// Asked without success.
    Done,
}

#[derive(Debug, Clone, Copy)]
struct Announcement {
    peer: PeerId,
    by_wtxid: bool,
    preferred: bool,
    order: u64,
    state: State,
}

#[derive(Debug, Default, Clone, Copy)]
struct Announcer {
    preferred: bool,
    wtxid: bool,
    exempt: bool,
    announcements: usize,
    in_flight: usize,
}

/// All announcements that wait for their transaction.
#[derive(Debug, Default)]
pub struct TxRequests {
    by_hash: HashMap<Hash, Vec<Announcement>>,
    peers: BTreeMap<PeerId, Announcer>,
    next_order: u64,
}

impl TxRequests {
    /// A peer finished its handshake. `preferred`: we connected to it; `exempt`: it may relay without limits.
    pub fn connected(&mut self, peer: PeerId, preferred: bool, wtxid: bool, exempt: bool) {
        self.peers.insert(peer, Announcer { preferred, wtxid, exempt, ..Announcer::default() });
    }

    /// A peer left.
    pub fn disconnected(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
        self.by_hash.retain(|_, list| {
            list.retain(|one| one.peer != peer);
            !list.is_empty()
        });
    }

    /// A peer announced a transaction that we lack.
    pub fn announced(&mut self, peer: PeerId, hash: Hash, by_wtxid: bool, now: i64) {
        let others_use_wtxid = self.peers.iter().any(|(id, other)| *id != peer && other.wtxid);
        let Some(announcer) = self.peers.get_mut(&peer) else { return };
        if !announcer.exempt && announcer.announcements >= MAX_ANNOUNCEMENTS {
            return;
        }
        let list = self.by_hash.entry(hash).or_default();
        if list.iter().any(|one| one.peer == peer) {
            return;
        }
        let mut delay = 0;
        if !announcer.preferred {
            delay += INBOUND_DELAY;
        }
        if !by_wtxid && (others_use_wtxid || announcer.wtxid) {
            delay += TXID_DELAY;
        }
        if !announcer.exempt && announcer.in_flight >= MAX_IN_FLIGHT {
            delay += OVERLOAD_DELAY;
        }
        announcer.announcements += 1;
        self.next_order += 1;
        list.push(Announcement {
            peer,
            by_wtxid,
            preferred: announcer.preferred,
            order: self.next_order,
            state: State::Candidate(now + delay),
        });
    }

    /// The transaction is known now, one way or the other.
    pub fn forget(&mut self, hash: &Hash) {
        for one in self.by_hash.remove(hash).unwrap_or_default() {
            self.release(&one);
        }
    }

    /// The peer answered without the transaction.
    pub fn failed(&mut self, peer: PeerId, hash: &Hash) {
        let Some(list) = self.by_hash.get_mut(hash) else { return };
        let mut was_requested = false;
        for one in list.iter_mut().filter(|one| one.peer == peer) {
            was_requested = matches!(one.state, State::Requested(_));
            one.state = State::Done;
        }
        if let Some(announcer) = self.peers.get_mut(&peer)
            && was_requested
        {
            announcer.in_flight = announcer.in_flight.saturating_sub(1);
        }
        if list.iter().all(|one| one.state == State::Done) {
            self.forget(hash);
        }
    }

    fn release(&mut self, one: &Announcement) {
        if let Some(announcer) = self.peers.get_mut(&one.peer) {
            announcer.announcements = announcer.announcements.saturating_sub(1);
            if matches!(one.state, State::Requested(_)) {
                announcer.in_flight = announcer.in_flight.saturating_sub(1);
            }
        }
    }

    /// Requests that nobody answered in time are open again for others.
    fn expire(&mut self, now: i64) {
        let mut late = Vec::new();
        for (hash, list) in &self.by_hash {
            for one in list {
                if let State::Requested(until) = one.state
                    && until <= now
                {
                    late.push((one.peer, *hash));
                }
            }
        }
        for (peer, hash) in late {
            self.failed(peer, &hash);
        }
    }

    /// What to ask this peer for now; marked as requested. At most `limit`.
    pub fn due(&mut self, peer: PeerId, now: i64, limit: usize) -> Vec<(Hash, bool)> {
        if self.peers.get(&peer).is_none_or(|announcer| announcer.announcements == 0) {
            return Vec::new();
        }
        self.expire(now);
        let mut chosen = Vec::new();
        for (hash, list) in &self.by_hash {
            if list.iter().any(|one| matches!(one.state, State::Requested(_))) {
                continue;
            }
            // The best candidate whose delay is over: preferred first, then the one who came first.
            let best = list
                .iter()
                .filter(|one| matches!(one.state, State::Candidate(from) if from <= now))
                .min_by_key(|one| (!one.preferred, one.order));
            if let Some(best) = best.filter(|best| best.peer == peer) {
                chosen.push((best.order, *hash, best.by_wtxid));
            }
        }
        chosen.sort_unstable_by_key(|(order, ..)| *order);
        chosen.truncate(limit);
        for (_, hash, _) in &chosen {
            for one in self.by_hash.get_mut(hash).into_iter().flatten().filter(|one| one.peer == peer) {
                one.state = State::Requested(now + REQUEST_TIMEOUT);
            }
        }
        if let Some(announcer) = self.peers.get_mut(&peer) {
            announcer.in_flight += chosen.len();
        }
        chosen.into_iter().map(|(_, hash, by_wtxid)| (hash, by_wtxid)).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    const TX: Hash = [7; 32];

    #[test]
    fn outbound_peer_is_asked_first_and_inbound_after_failure() {
        let mut requests = TxRequests::default();
        requests.connected(0, false, true, false);
        requests.connected(1, true, true, false);
        requests.announced(0, TX, true, 0);
        requests.announced(1, TX, true, 0);
        assert_eq!(requests.due(1, 0, 10), vec![(TX, true)]);
        assert!(requests.due(0, INBOUND_DELAY, 10).is_empty());
        requests.failed(1, &TX);
        assert_eq!(requests.due(0, INBOUND_DELAY, 10), vec![(TX, true)]);
        requests.failed(0, &TX);
        assert!(requests.by_hash.is_empty());
    }

    #[test]
    fn silent_peer_loses_its_turn_after_the_timeout() {
        let mut requests = TxRequests::default();
        requests.connected(0, true, true, false);
        requests.connected(1, true, true, false);
        requests.announced(0, TX, true, 0);
        requests.announced(1, TX, true, 0);
        assert_eq!(requests.due(0, 0, 10).len(), 1);
        assert!(requests.due(1, REQUEST_TIMEOUT - 1, 10).is_empty());
        assert_eq!(requests.due(1, REQUEST_TIMEOUT, 10).len(), 1);
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
    }
}
