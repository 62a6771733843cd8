//! Transactions whose parents are missing (Core: `node/txorphanage.h`).
//!
//! An orphan may be announced by several peers; it stays while one of them is here. What a peer may hold is bounded in
//! memory (weight) and in work (*latency score*: one per announcement and one per ten inputs). Only when the whole is above
//! its bounds something goes: the oldest announcements of the peer that is furthest above its own share. So nobody can push
//! out what others brought.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use bulkhead_wire::message::hash_hex;
use bulkhead_wire::skim::TxFacts;

use super::headers_index::Hash;
use super::peer::PeerId;

/// Weight that each peer may hold.
const RESERVED_WEIGHT: u64 = 404_000;
/// Latency score of all orphans together.
const MAX_LATENCY: u64 = 3000;
/// Weight of the largest orphan that is kept: that of the largest standard transaction.
const MAX_WEIGHT: u64 = 400_000;

/// One orphan.
#[derive(Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Names, weight, inputs.
    pub facts: TxFacts,
    /// Serialized with witness.
    pub bytes: Vec<u8>,
}

impl Orphan {
    fn latency(&self) -> u64 {
        1 + self.input_score()
    }

    fn input_score(&self) -> u64 {
        u64::try_from(self.facts.inputs.len() / 10).unwrap_or(0)
    }

    fn text(&self) -> String {
        format!("{} (wtxid={})", hash_hex(&self.facts.names.txid), hash_hex(&self.facts.names.wtxid))
    }
}

#[derive(Debug, Clone, Copy)]
struct Announcement {
    order: u64,
    reconsider: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Usage {
    weight: u64,
    announcements: u64,
    latency: u64,
}

/// How far a peer is above its share: a fraction.
#[derive(Debug, Clone, Copy)]
struct Score {
    used: u64,
    allowed: u64,
}

impl Score {
    fn compare(self, other: Self) -> Ordering {
        let product = |left: u64, right: u64| u128::from(left) * u128::from(right);
        // Of equal fractions the one of fewer parts is the greater.
        product(self.used, other.allowed).cmp(&product(other.used, self.allowed)).then(other.allowed.cmp(&self.allowed))
    }

    fn is_above_one(self) -> bool {
        self.used > self.allowed
    }
}

impl Usage {
    fn score(&self, max_latency: u64) -> Score {
        let latency = Score { used: self.latency, allowed: max_latency.max(1) };
        let memory = Score { used: self.weight, allowed: RESERVED_WEIGHT };
        if latency.compare(memory).is_lt() { memory } else { latency }
    }
}

/// The bounded set of orphans.
#[derive(Debug, Default)]
pub struct Orphanage {
    orphans: BTreeMap<Hash, Rc<Orphan>>,
    announcements: BTreeMap<(Hash, PeerId), Announcement>,
    /// The same by peer: not to be reconsidered first, then by age.
    by_peer: BTreeSet<(PeerId, bool, u64, Hash)>,
    by_outpoint: HashMap<(Hash, u32), BTreeSet<Hash>>,
    peers: BTreeMap<PeerId, Usage>,
    weight: u64,
    input_scores: u64,
    next_order: u64,
}

impl Orphanage {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.orphans.is_empty()
    }

    /// The orphan with this wtxid.
    #[must_use]
    pub fn get(&self, wtxid: &Hash) -> Option<&Rc<Orphan>> {
        self.orphans.get(wtxid)
    }

    /// Whether this peer announced the orphan.
    #[must_use]
    pub fn has_from(&self, wtxid: &Hash, peer: PeerId) -> bool {
        self.announcements.contains_key(&(*wtxid, peer))
    }

    /// All orphans with their announcers, by wtxid.
    pub fn iter(&self) -> impl Iterator<Item = (&Rc<Orphan>, Vec<PeerId>)> {
        self.orphans.iter().map(|(wtxid, orphan)| (orphan, self.announcers(wtxid)))
    }

    fn announcers(&self, wtxid: &Hash) -> Vec<PeerId> {
        self.announcements.range((*wtxid, 0)..=(*wtxid, PeerId::MAX)).map(|((_, peer), _)| *peer).collect()
    }

    /// Adds an orphan that a peer brought, or the peer to those who brought it. Whether the orphan is new.
    pub fn add(&mut self, orphan: Orphan, peer: PeerId) -> bool {
        let wtxid = orphan.facts.names.wtxid;
        let weight = orphan.facts.weight;
        if weight > MAX_WEIGHT {
            tracing::debug!(
                target: "txpackages",
                "ignoring large orphan tx (size: {weight}, txid: {}, wtxid: {})", hash_hex(&orphan.facts.names.txid), hash_hex(&wtxid)
            );
            return false;
        }
        if self.orphans.contains_key(&wtxid) {
            self.add_announcer(&wtxid, peer);
            return false;
        }
        for input in &orphan.facts.inputs {
            self.by_outpoint.entry(*input).or_default().insert(wtxid);
        }
        self.weight += weight;
        self.input_scores += orphan.input_score();
        let text = orphan.text();
        self.orphans.insert(wtxid, Rc::new(orphan));
        self.announce(&wtxid, peer);
        tracing::debug!(
            target: "txpackages",
            "stored orphan tx {text}, weight: {weight} (mapsz {} outsz {})", self.announcements.len(), self.by_outpoint.len()
        );
        self.limit();
        true
    }

    /// Another peer has the orphan too. Whether that was news.
    pub fn add_announcer(&mut self, wtxid: &Hash, peer: PeerId) -> bool {
        let Some(orphan) = self.orphans.get(wtxid) else { return false };
        let text = orphan.text();
        if !self.announce(wtxid, peer) {
            return false;
        }
        tracing::debug!(target: "txpackages", "added peer={peer} as announcer of orphan tx {text}");
        self.limit();
        true
    }

    fn announce(&mut self, wtxid: &Hash, peer: PeerId) -> bool {
        let Some(orphan) = self.orphans.get(wtxid) else { return false };
        if self.announcements.contains_key(&(*wtxid, peer)) {
            return false;
        }
        let order = self.next_order;
        self.next_order += 1;
        self.announcements.insert((*wtxid, peer), Announcement { order, reconsider: false });
        self.by_peer.insert((peer, false, order, *wtxid));
        let usage = self.peers.entry(peer).or_default();
        usage.weight += orphan.facts.weight;
        usage.latency += orphan.latency();
        usage.announcements += 1;
        true
    }

    /// Takes back one announcement, and the orphan with the last.
    fn retract(&mut self, wtxid: &Hash, peer: PeerId) {
        let Some(announcement) = self.announcements.remove(&(*wtxid, peer)) else { return };
        self.by_peer.remove(&(peer, announcement.reconsider, announcement.order, *wtxid));
        let Some(orphan) = self.orphans.get(wtxid).cloned() else { return };
        if let Some(usage) = self.peers.get_mut(&peer) {
            usage.weight = usage.weight.saturating_sub(orphan.facts.weight);
            usage.latency = usage.latency.saturating_sub(orphan.latency());
            usage.announcements = usage.announcements.saturating_sub(1);
            if usage.announcements == 0 {
                self.peers.remove(&peer);
            }
        }
        if self.announcements.range((*wtxid, 0)..=(*wtxid, PeerId::MAX)).next().is_some() {
            return;
        }
        self.orphans.remove(wtxid);
        self.weight = self.weight.saturating_sub(orphan.facts.weight);
        self.input_scores = self.input_scores.saturating_sub(orphan.input_score());
        for input in &orphan.facts.inputs {
            if let Some(spenders) = self.by_outpoint.get_mut(input) {
                spenders.remove(wtxid);
                if spenders.is_empty() {
                    self.by_outpoint.remove(input);
                }
            }
        }
    }

    fn erase_without_limit(&mut self, wtxid: &Hash) -> bool {
        let Some(orphan) = self.orphans.get(wtxid).cloned() else { return false };
        let announcers = self.announcers(wtxid);
        for peer in &announcers {
            self.retract(wtxid, *peer);
        }
        tracing::debug!(target: "txpackages", "removed orphan tx {} ({} announcements)", orphan.text(), announcers.len());
        true
    }

    /// Removes an orphan; whether it was here.
    pub fn erase(&mut self, wtxid: &Hash) -> bool {
        let erased = self.erase_without_limit(wtxid);
        self.limit();
        erased
    }

    /// A peer left.
    pub fn erase_peer(&mut self, peer: PeerId) {
        let own: Vec<Hash> = self
            .by_peer
            .range((peer, false, 0, [0; 32])..=(peer, true, u64::MAX, [0xff; 32]))
            .map(|(.., wtxid)| *wtxid)
            .collect();
        if own.is_empty() {
            return;
        }
        for wtxid in &own {
            self.retract(wtxid, peer);
        }
        tracing::debug!(target: "txpackages", "Erased {} orphan transaction(s) from peer={peer}", own.len());
        self.limit();
    }

    /// A block spent these outputs: whoever wants to spend them too has no future.
    pub fn erase_spenders(&mut self, spent: impl Iterator<Item = (Hash, u32)>) {
        if self.orphans.is_empty() {
            return;
        }
        let mut doomed = BTreeSet::new();
        for outpoint in spent {
            doomed.extend(self.by_outpoint.get(&outpoint).into_iter().flatten().copied());
        }
        for wtxid in &doomed {
            self.erase_without_limit(wtxid);
        }
        if !doomed.is_empty() {
            tracing::debug!(
                target: "txpackages",
                "Erased {} orphan transaction(s) included or conflicted by block", doomed.len()
            );
        }
        self.limit();
    }

    /// A parent was accepted: its children can be looked at again, each on behalf of one of its announcers, whom `choose`
    /// picks by number. Gives the peers that have work now.
    pub fn add_children_to_work(&mut self, parent: &Hash, outputs: u32, mut choose: impl FnMut(usize) -> usize) -> Vec<PeerId> {
        let mut chosen = Vec::new();
        for vout in 0..outputs {
            let children: Vec<Hash> = self.by_outpoint.get(&(*parent, vout)).into_iter().flatten().copied().collect();
            for wtxid in children {
                let announcers = self.announcers(&wtxid);
                let waits = |peer: &PeerId| self.announcements.get(&(wtxid, *peer)).is_some_and(|one| one.reconsider);
                if announcers.is_empty() || announcers.iter().any(waits) {
                    continue;
                }
                let Some(peer) = announcers.get(choose(announcers.len())).copied() else { continue };
                self.set_reconsider(&wtxid, peer, true);
                if let Some(orphan) = self.orphans.get(&wtxid) {
                    tracing::debug!(target: "txpackages", "added {} to peer {peer} workset", orphan.text());
                }
                chosen.push(peer);
            }
        }
        chosen
    }

    fn set_reconsider(&mut self, wtxid: &Hash, peer: PeerId, reconsider: bool) {
        let Some(announcement) = self.announcements.get_mut(&(*wtxid, peer)) else { return };
        self.by_peer.remove(&(peer, announcement.reconsider, announcement.order, *wtxid));
        announcement.reconsider = reconsider;
        self.by_peer.insert((peer, reconsider, announcement.order, *wtxid));
    }

    /// The oldest orphan of a peer that can be looked at again; it will not be given twice.
    pub fn take_work(&mut self, peer: PeerId) -> Option<Rc<Orphan>> {
        let range = (peer, true, 0, [0; 32])..=(peer, true, u64::MAX, [0xff; 32]);
        let wtxid = self.by_peer.range(range).next().map(|(.., wtxid)| *wtxid)?;
        self.set_reconsider(&wtxid, peer, false);
        self.orphans.get(&wtxid).cloned()
    }

    /// Orphans of a peer that spend this transaction, the newest first, those that wait to be looked at before the others.
    #[must_use]
    pub fn children_from(&self, parent: &Hash, peer: PeerId) -> Vec<Rc<Orphan>> {
        self.by_peer
            .range((peer, false, 0, [0; 32])..=(peer, true, u64::MAX, [0xff; 32]))
            .rev()
            .filter_map(|(.., wtxid)| self.orphans.get(wtxid))
            .filter(|orphan| orphan.facts.inputs.iter().any(|(txid, _)| txid == parent))
            .cloned()
            .collect()
    }

    fn max_peer_latency(&self) -> u64 {
        MAX_LATENCY / u64::try_from(self.peers.len().max(1)).unwrap_or(1)
    }

    fn is_above_limits(&self) -> bool {
        let announcements = u64::try_from(self.announcements.len()).unwrap_or(u64::MAX);
        let peers = u64::try_from(self.peers.len().max(1)).unwrap_or(1);
        self.input_scores + announcements > MAX_LATENCY || self.weight > RESERVED_WEIGHT * peers
    }

    fn limit(&mut self) {
        if !self.is_above_limits() {
            return;
        }
        let before = self.orphans.len();
        let mut erased = 0;
        // The same shares throughout, although peers may lose their last orphan on the way.
        let share = self.max_peer_latency();
        while self.is_above_limits() {
            let mut ranked: Vec<(PeerId, Score)> = self
                .peers
                .iter()
                .map(|(peer, usage)| (*peer, usage.score(share)))
                .filter(|(_, score)| score.is_above_one())
                .collect();
            // Of equals the one who came last is the worse.
            ranked.sort_by(|(left, a), (right, b)| b.compare(*a).then(right.cmp(left)));
            let Some((worst, _)) = ranked.first().copied() else { break };
            let until = ranked.get(1).map_or(Score { used: 1, allowed: 1 }, |(_, score)| *score);
            erased += self.trim_peer(worst, share, until);
        }
        tracing::debug!(
            target: "txpackages",
            "orphanage overflow, removed {} tx ({erased} announcements)", before - self.orphans.len()
        );
    }

    /// Removes the oldest announcements of a peer until it is no longer the worst.
    fn trim_peer(&mut self, peer: PeerId, share: u64, until: Score) -> usize {
        let held = self.peers.get(&peer).map_or(0, |usage| usage.announcements);
        let mut erased = 0;
        while self.is_above_limits() {
            let range = (peer, false, 0, [0; 32])..=(peer, true, u64::MAX, [0xff; 32]);
            let Some(wtxid) = self.by_peer.range(range).next().map(|(.., wtxid)| *wtxid) else { break };
            self.retract(&wtxid, peer);
            erased += 1;
            let still = self.peers.get(&peer).map(|usage| usage.score(share));
            if still.is_none_or(|score| score.compare(until).is_le()) {
                break;
            }
        }
        tracing::debug!(target: "txpackages", "peer={peer} orphanage overflow, removed {erased} of {held} announcements");
        erased
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bulkhead_wire::skim::TxNames;
    use proptest::prelude::*;

    fn orphan(number: u32, weight: u64, inputs: usize) -> Orphan {
        let mut wtxid = [9; 32];
        wtxid[..4].copy_from_slice(&number.to_be_bytes());
        let inputs =
            (0..inputs).map(|at| ([1; 32], number.wrapping_mul(1000).wrapping_add(u32::try_from(at).unwrap()))).collect();
        let facts = TxFacts { names: TxNames { txid: wtxid, wtxid, length: 1 }, weight, has_witness: false, inputs, outputs: 1 };
        Orphan { facts, bytes: vec![0] }
    }

    impl Orphanage {
        fn check(&self) {
            assert!(!self.is_above_limits());
            let mut peers: BTreeMap<PeerId, Usage> = BTreeMap::new();
            for (wtxid, peer) in self.announcements.keys() {
                let orphan = &self.orphans[wtxid];
                let usage = peers.entry(*peer).or_default();
                usage.weight += orphan.facts.weight;
                usage.latency += orphan.latency();
                usage.announcements += 1;
            }
            assert_eq!(peers, self.peers);
            assert_eq!(self.by_peer.len(), self.announcements.len());
            assert_eq!(self.weight, self.orphans.values().map(|one| one.facts.weight).sum::<u64>());
            let outpoints: BTreeSet<_> = self.orphans.values().flat_map(|one| one.facts.inputs.clone()).collect();
            assert_eq!(outpoints.len(), self.by_outpoint.len());
        }
    }

    #[test]
    fn flood_of_one_peer_does_not_push_out_what_another_brought() {
        let mut orphanage = Orphanage::default();
        orphanage.add(orphan(0, 4000, 1), 1);
        for number in 1..4000 {
            orphanage.add(orphan(number, 400, 1), 2);
        }
        orphanage.check();
        assert!(orphanage.get(&orphan(0, 1, 1).facts.names.wtxid).is_some());
        assert!(orphanage.get(&orphan(1, 1, 1).facts.names.wtxid).is_none());
        assert!(orphanage.get(&orphan(3999, 1, 1).facts.names.wtxid).is_some());
    }

    #[test]
    fn heavy_orphans_are_bounded_by_weight_and_the_largest_refused() {
        let mut orphanage = Orphanage::default();
        assert!(!orphanage.add(orphan(0, MAX_WEIGHT + 1, 1), 1));
        for number in 1..10 {
            orphanage.add(orphan(number, 300_000, 1), 1);
        }
        orphanage.check();
        assert_eq!(orphanage.orphans.len(), 1);
    }

    #[test]
    fn orphan_stays_while_one_announcer_is_left() {
        let mut orphanage = Orphanage::default();
        let wtxid = orphan(5, 400, 1).facts.names.wtxid;
        orphanage.add(orphan(5, 400, 1), 1);
        assert!(orphanage.add_announcer(&wtxid, 2) && !orphanage.add_announcer(&wtxid, 2));
        orphanage.erase_peer(1);
        assert!(orphanage.has_from(&wtxid, 2));
        orphanage.erase_peer(2);
        assert!(orphanage.is_empty());
        orphanage.check();
    }

    #[test]
    fn children_are_given_to_one_announcer_once() {
        let mut orphanage = Orphanage::default();
        orphanage.add(orphan(0, 400, 1), 1);
        orphanage.add(orphan(0, 400, 1), 2);
        assert_eq!(orphanage.add_children_to_work(&[1; 32], 1, |_| 1), [2]);
        assert!(orphanage.add_children_to_work(&[1; 32], 1, |_| 0).is_empty());
        assert!(orphanage.take_work(1).is_none());
        assert!(orphanage.take_work(2).is_some() && orphanage.take_work(2).is_none());
        assert_eq!(orphanage.children_from(&[1; 32], 1).len(), 1);
        orphanage.erase_spenders([([1; 32], 0)].into_iter());
        assert!(orphanage.is_empty());
    }

    proptest! {
        #[test]
        fn any_sequence_keeps_the_books(steps in proptest::collection::vec((0u8..5, 0u32..12, 0u64..4, 1u64..200_000, 1usize..900), 0..80)) {
            let mut orphanage = Orphanage::default();
            for (step, number, peer, weight, inputs) in steps {
                let one = orphan(number, weight, inputs);
                match step {
                    0 | 1 => { orphanage.add(one, peer); }
                    2 => { orphanage.erase(&one.facts.names.wtxid); }
                    3 => orphanage.erase_peer(peer),
                    _ => { orphanage.add_children_to_work(&[1; 32], 2000, |count| count - 1); orphanage.take_work(peer); }
                }
                orphanage.check();
            }
        }
    }
}
