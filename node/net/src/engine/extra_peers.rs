//! Peers beyond the usual number: why one is taken, and which one goes for it (Core: `EvictExtraOutboundPeers`,
//! `CheckForStaleTipAndEvictPeers`).

use bulkhead_wire::Network;

use super::kind::ConnectionKind;
use super::peer::{Peer, PeerId};
use super::{Engine, SECOND};

/// Between two looks.
const CHECK_INTERVAL: i64 = 45 * SECOND;
/// Between two looks whether our tip is stale.
const STALE_INTERVAL: i64 = 10 * 60 * SECOND;
/// A peer is given at least this long.
const MIN_CONNECTED: i64 = 30 * SECOND;

/// When to look again. Microseconds.
#[derive(Debug, Default)]
pub(crate) struct ExtraPeers {
    next_check: i64,
    next_stale_check: i64,
}

impl Engine {
    pub(crate) fn check_extra_peers(&mut self) {
        if self.extra_peers.next_check == 0 {
            self.extra_peers.next_check = self.now + CHECK_INTERVAL;
            self.extra_peers.next_stale_check = self.now + STALE_INTERVAL;
        }
        if self.now < self.extra_peers.next_check {
            return;
        }
        self.extra_peers.next_check = self.now + CHECK_INTERVAL;
        self.evict_extra_block_relay();
        self.evict_extra_full_relay();
        if self.now > self.extra_peers.next_stale_check {
            self.check_for_stale_tip();
            self.extra_peers.next_stale_check = self.now + STALE_INTERVAL;
        }
        // In sync: a header of our tip's age would make us fetch blocks at once.
        if self.chain.tip.time > self.seconds() - 20 * self.config.spacing {
            self.outbound.extra_block_relay = true;
        }
    }

    fn check_for_stale_tip(&mut self) {
        if self.last_tip_update == 0 {
            self.last_tip_update = self.seconds();
        }
        let since = self.seconds() - self.last_tip_update;
        let stale = since > 3 * self.config.spacing && self.block_requests.is_empty();
        let wanted = !self.chain.loading && self.network_active && self.config.uses_addrman && stale;
        if wanted {
            tracing::info!(
                target: "net",
                "Potential stale tip detected, will try using extra outbound peer (last tip update: {} seconds ago)",
                since
            );
        }
        self.outbound.try_new_peer = wanted;
    }

    fn established(&self, kind: ConnectionKind) -> usize {
        self.peers.values().filter(|peer| peer.kind == kind && peer.handshaken && !peer.disconnect).count()
    }

    /// Of the two youngest peers for blocks, the one that gave us a block longer ago goes.
    fn evict_extra_block_relay(&mut self) {
        if self.established(ConnectionKind::BlockRelay) <= self.config.max_block_relay() {
            return;
        }
        let kind = |peer: &&Peer| peer.kind == ConnectionKind::BlockRelay && !peer.disconnect;
        let mut youngest = self.peers.values().rev().filter(kind);
        let Some(first) = youngest.next() else { return };
        let chosen = match youngest.next() {
            Some(second) if first.last_block > second.last_block => second,
            _ => first,
        };
        let (id, last_block) = (chosen.id, chosen.last_block / SECOND);
        if self.now - chosen.connected_at >= MIN_CONNECTED && chosen.in_flight.is_empty() {
            tracing::debug!(
                target: "net",
                "disconnecting extra block-relay-only peer={id} (last block received at time {last_block})"
            );
            self.drop_peer(id);
        } else {
            tracing::debug!(
                target: "net",
                "keeping block-relay-only peer={id} chosen for eviction (connect time: {}, blocks_in_flight: {})",
                chosen.connected_at / SECOND, chosen.in_flight.len()
            );
        }
    }

    /// The full peer that announced a block longest ago goes, unless it is the only one into its network.
    fn evict_extra_full_relay(&mut self) {
        if self.established(ConnectionKind::OutboundFullRelay) <= self.config.max_full_relay() {
            return;
        }
        let replaceable = |network: Network| self.lasting_full_peers(network) > 1;
        let worst: Option<(i64, PeerId)> = self
            .peers
            .values()
            .filter(|peer| peer.kind == ConnectionKind::OutboundFullRelay && !peer.disconnect && !peer.chain_sync.protect)
            .filter(|peer| replaceable(peer.addr.addr.network()))
            .map(|peer| (peer.last_announcement, peer.id))
            .min_by_key(|(announced, id)| (*announced, std::cmp::Reverse(*id)));
        let Some((announced, id)) = worst else { return };
        let Some(peer) = self.peers.get(&id) else { return };
        if self.now - peer.connected_at > MIN_CONNECTED && peer.in_flight.is_empty() {
            tracing::debug!(
                target: "net",
                "disconnecting extra outbound peer={id} (last block announcement received at time {announced})"
            );
            self.drop_peer(id);
            self.outbound.try_new_peer = false;
        } else {
            tracing::debug!(
                target: "net",
                "keeping outbound peer={id} chosen for eviction (connect time: {}, blocks_in_flight: {})",
                peer.connected_at / SECOND, peer.in_flight.len()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::super::tests::{START, engine, handshaken};
    use super::super::{Effect, Engine};
    use super::*;

    fn closed(engine: &mut Engine) -> Vec<PeerId> {
        let effects = engine.take_effects();
        effects.into_iter().filter_map(|effect| if let Effect::Close(id) = effect { Some(id) } else { None }).collect()
    }

    /// Looks at the extra peers so many seconds after the start.
    fn check(engine: &mut Engine, seconds: i64) -> Vec<PeerId> {
        engine.check_extra_peers();
        let _ = engine.take_effects();
        engine.set_now(START + seconds * SECOND);
        engine.check_extra_peers();
        closed(engine)
    }

    #[test]
    fn the_full_peer_that_announced_least_goes() {
        let mut engine = engine();
        let ids: Vec<PeerId> = (0..9).map(|_| handshaken(&mut engine, ConnectionKind::OutboundFullRelay)).collect();
        for id in &ids {
            engine.peers.get_mut(id).unwrap().last_announcement = 100 - i64::try_from(*id).unwrap();
        }
        engine.peers.get_mut(&ids[8]).unwrap().chain_sync.protect = true;
        assert_eq!(check(&mut engine, 46), [ids[7]]);
        engine.closed(ids[7], "");
        assert!(check(&mut engine, 92).is_empty());
    }

    #[test]
    fn the_youngest_peer_for_blocks_goes_unless_it_gave_a_block() {
        let mut engine = engine();
        let ids: Vec<PeerId> = (0..3).map(|_| handshaken(&mut engine, ConnectionKind::BlockRelay)).collect();
        engine.peers.get_mut(&ids[2]).unwrap().last_block = 5;
        assert_eq!(check(&mut engine, 46), [ids[1]]);
    }

    #[test]
    fn a_stale_tip_asks_for_one_more_peer_until_the_next_look() {
        let mut engine = engine();
        engine.last_tip_update = START / SECOND - 3 * 3600;
        check(&mut engine, 700);
        assert!(engine.outbound.try_new_peer);
        engine.last_tip_update = engine.seconds();
        check(&mut engine, 1400);
        assert!(!engine.outbound.try_new_peer);
    }
}
