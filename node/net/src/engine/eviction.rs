//! Whom to disconnect when a new inbound connection finds no room (Core: `node/eviction.cpp`).
//!
//! An attacker who opens many connections shall not drive out the honest ones. So peers that are best by a measure
//! that is costly to fake are protected one measure after the other; of the rest, the youngest of the network group
//! with the most connections goes.

use std::cmp::Ordering;
use std::collections::HashMap;

use bulkhead_wire::Network;

use super::peer::PeerId;

/// What the choice looks at. Times are microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) id: PeerId,
    pub(crate) connected: i64,
    pub(crate) min_ping: i64,
    pub(crate) last_block: i64,
    pub(crate) last_tx: i64,
    /// It offers all services that we want of a peer.
    pub(crate) useful: bool,
    pub(crate) relays_txs: bool,
    pub(crate) bloom_filter: bool,
    /// Its network group, mixed with a secret.
    pub(crate) group: u64,
    /// It is discouraged.
    pub(crate) prefer: bool,
    /// Its address is one of this machine.
    pub(crate) local: bool,
    pub(crate) network: Network,
}

/// Networks whose peers are slow through no fault of theirs; `None` stands for this machine.
const DISADVANTAGED: [Option<Network>; 4] = [Some(Network::Cjdns), Some(Network::I2p), None, Some(Network::Onion)];

impl Candidate {
    fn belongs_to(&self, network: Option<Network>) -> bool {
        match network {
            Some(network) => self.network == network,
            None => self.local,
        }
    }
}

/// Younger first, so that the last ones are those that are connected longest.
fn younger_first(a: &Candidate, b: &Candidate) -> Ordering {
    b.connected.cmp(&a.connected)
}

fn by_transactions(a: &Candidate, b: &Candidate) -> Ordering {
    a.last_tx
        .cmp(&b.last_tx)
        .then(a.relays_txs.cmp(&b.relays_txs))
        .then(b.bloom_filter.cmp(&a.bloom_filter))
        .then_with(|| younger_first(a, b))
}

fn by_blocks(a: &Candidate, b: &Candidate) -> Ordering {
    a.last_block.cmp(&b.last_block).then(a.useful.cmp(&b.useful)).then_with(|| younger_first(a, b))
}

/// Sorts, then protects those of the last `count` that match.
fn protect(
    candidates: &mut Vec<Candidate>,
    count: usize,
    order: impl FnMut(&Candidate, &Candidate) -> Ordering,
    matches: impl Fn(&Candidate) -> bool,
) -> usize {
    candidates.sort_by(order);
    let before = candidates.len();
    let start = before.saturating_sub(count);
    let mut at = 0;
    candidates.retain(|candidate| {
        at += 1;
        at <= start || !matches(candidate)
    });
    before - candidates.len()
}

/// Protects half of the candidates: up to a quarter by network, so that the slow ones keep a share, the others by
/// the time that they are connected.
fn protect_by_ratio(candidates: &mut Vec<Candidate>) {
    let total = candidates.len() / 2;
    let most = total / 2;
    let mut networks: Vec<(Option<Network>, usize)> = DISADVANTAGED
        .into_iter()
        .map(|network| (network, candidates.iter().filter(|candidate| candidate.belongs_to(network)).count()))
        .collect();
    // Those with few peers first: they may take what is left of the round before.
    networks.sort_by_key(|(_, count)| *count);
    let mut protected = 0;
    while protected < most {
        let present = networks.iter().filter(|(_, count)| *count > 0).count();
        if present == 0 {
            break;
        }
        let each = ((most - protected) / present).max(1);
        let before_round = protected;
        for (network, count) in networks.iter_mut().filter(|(_, count)| *count > 0) {
            let network = *network;
            let order = |a: &Candidate, b: &Candidate| {
                a.belongs_to(network).cmp(&b.belongs_to(network)).then_with(|| younger_first(a, b))
            };
            let taken = protect(candidates, each, order, |candidate| candidate.belongs_to(network));
            protected += taken;
            *count -= taken.min(*count);
            if protected >= most {
                break;
            }
        }
        if protected == before_round {
            break;
        }
    }
    protect(candidates, total - protected, younger_first, |_| true);
}

/// Who goes; `None` when all are protected. The candidates are the inbound peers that may be disconnected.
pub(crate) fn select(mut candidates: Vec<Candidate>) -> Option<PeerId> {
    let all = |_: &Candidate| true;
    protect(&mut candidates, 4, |a, b| a.group.cmp(&b.group), all);
    protect(&mut candidates, 8, |a, b| b.min_ping.cmp(&a.min_ping), all);
    protect(&mut candidates, 4, by_transactions, all);
    let blocks_only = |a: &Candidate, b: &Candidate| b.relays_txs.cmp(&a.relays_txs).then_with(|| by_blocks(a, b));
    protect(&mut candidates, 8, blocks_only, |candidate| !candidate.relays_txs && candidate.useful);
    protect(&mut candidates, 4, by_blocks, all);
    protect_by_ratio(&mut candidates);
    if candidates.iter().any(|candidate| candidate.prefer) {
        candidates.retain(|candidate| candidate.prefer);
    }
    candidates.sort_by(younger_first);
    let mut groups: HashMap<u64, (usize, i64)> = HashMap::new();
    for candidate in &candidates {
        groups.entry(candidate.group).or_insert((0, candidate.connected)).0 += 1;
    }
    let size = |candidate: &Candidate| groups.get(&candidate.group).copied().unwrap_or_default();
    // The first of the largest group; among equally large groups, that with the youngest member.
    candidates.iter().max_by_key(|candidate| (size(candidate), candidate.connected)).map(|candidate| candidate.id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    /// A peer that is best at nothing: numbers rise with age.
    fn plain(id: PeerId) -> Candidate {
        let number = i64::try_from(id).unwrap();
        Candidate {
            id,
            connected: 1_000_000 - number,
            min_ping: 1_000_000 + number,
            last_block: 0,
            last_tx: 0,
            useful: true,
            relays_txs: true,
            bloom_filter: false,
            group: id,
            prefer: false,
            local: false,
            network: Network::Ipv4,
        }
    }

    fn plains(count: u64) -> Vec<Candidate> {
        (0..count).map(plain).collect()
    }

    /// Ids of those that go when one after the other must.
    fn victims(mut candidates: Vec<Candidate>) -> Vec<PeerId> {
        let mut gone = Vec::new();
        while let Some(id) = select(candidates.clone()) {
            gone.push(id);
            candidates.retain(|candidate| candidate.id != id);
        }
        gone
    }

    #[test]
    fn few_peers_are_all_protected() {
        assert_eq!(select(plains(20)), None);
        assert!(select(plains(30)).is_some());
    }

    #[test]
    fn the_best_by_each_measure_stay() {
        let measures: [fn(&mut Candidate); 5] = [
            |one| one.group += 1_000_000,
            |one| one.min_ping = 1,
            |one| one.last_tx = 5,
            |one| one.last_block = 5,
            |one| (one.relays_txs, one.last_block) = (false, 5),
        ];
        for measure in measures {
            let mut candidates = plains(60);
            candidates.iter_mut().take(4).for_each(measure);
            // They are the youngest, so nothing else protects them.
            assert!(victims(candidates).iter().all(|id| *id >= 4));
        }
    }

    #[test]
    fn the_youngest_of_the_largest_group_goes() {
        let mut candidates = plains(60);
        for candidate in candidates.iter_mut().skip(3).step_by(3).take(8) {
            candidate.group = 1;
        }
        // Of the group, 3 and 6 are among the eight with the best ping.
        assert_eq!(select(candidates), Some(9));
    }

    #[test]
    fn slow_networks_keep_a_quarter_and_the_discouraged_go_first() {
        let mut candidates = plains(100);
        candidates.iter_mut().take(3).for_each(|one| one.network = Network::Onion);
        candidates.iter_mut().skip(3).take(3).for_each(|one| one.local = true);
        assert!(victims(candidates.clone()).iter().all(|id| *id >= 6));
        candidates[20].prefer = true;
        assert_eq!(select(candidates), Some(20));
    }
}
