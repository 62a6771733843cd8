//! What RPCs show of peers.

use std::collections::BTreeMap;

use bulkhead_wire::{Endpoint, Network};

use super::Engine;
use super::peer::{Peer, PeerId};

/// One row of `getpeerinfo`. Times are microseconds.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct PeerStats {
    pub id: PeerId,
    pub name: String,
    pub addr: Endpoint,
    pub addr_bind: Option<Endpoint>,
    pub addr_local: Option<Endpoint>,
    pub network: Network,
    pub services: u64,
    pub relays_txs: bool,
    pub last_inv_sequence: u64,
    pub inv_to_send: usize,
    pub last_send: i64,
    pub last_recv: i64,
    pub last_tx: i64,
    pub last_block: i64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub connected_at: i64,
    pub time_offset: i64,
    pub last_ping: i64,
    pub min_ping: Option<i64>,
    pub ping_wait: i64,
    pub version: i32,
    pub user_agent: String,
    pub inbound: bool,
    pub high_bandwidth_from: bool,
    pub high_bandwidth_to: bool,
    /// Height up to which headers were sampled; -1: none are.
    pub presynced_headers: i64,
    pub synced_headers: i32,
    pub synced_blocks: i32,
    pub in_flight: Vec<i32>,
    pub addr_relay: bool,
    pub addr_processed: u64,
    pub addr_rate_limited: u64,
    pub permissions: Vec<&'static str>,
    pub fee_filter: i64,
    pub sent_by_type: BTreeMap<&'static str, u64>,
    pub received_by_type: BTreeMap<&'static str, u64>,
    pub kind: &'static str,
    pub transport: &'static str,
    pub session_id: Option<[u8; 32]>,
    pub mapped_as: u32,
}

impl Engine {
    /// All peers, in the order of their numbers.
    #[must_use]
    pub fn peer_stats(&self) -> Vec<PeerStats> {
        self.peers.values().map(|peer| self.stats_of(peer)).collect()
    }

    fn stats_of(&self, peer: &Peer) -> PeerStats {
        let waits = peer.ping_nonce != 0 && peer.ping_start != 0;
        PeerStats {
            id: peer.id,
            name: peer.name.clone(),
            addr: peer.addr,
            addr_bind: peer.addr_bind,
            addr_local: peer.addr_local,
            network: peer.network(),
            services: peer.services,
            relays_txs: peer.tx.as_ref().is_some_and(|tx| tx.relay),
            last_inv_sequence: peer.tx.as_ref().map_or(0, |tx| tx.last_sequence),
            inv_to_send: peer.tx.as_ref().map_or(0, |tx| tx.to_send.len()),
            last_send: peer.last_send,
            last_recv: peer.last_recv,
            last_tx: peer.last_tx,
            last_block: peer.last_block,
            bytes_sent: peer.bytes_sent,
            bytes_received: peer.bytes_received,
            connected_at: peer.connected_at,
            time_offset: peer.time_offset,
            last_ping: peer.last_ping,
            min_ping: Some(peer.min_ping).filter(|ping| *ping != i64::MAX),
            ping_wait: if waits { self.now - peer.ping_start } else { 0 },
            version: peer.version,
            user_agent: peer.user_agent.clone(),
            inbound: peer.kind.is_inbound(),
            high_bandwidth_from: peer.high_bandwidth_from,
            high_bandwidth_to: peer.high_bandwidth_to,
            presynced_headers: peer.presync.as_ref().and_then(|sync| sync.presynced()).map_or(-1, |(height, ..)| height),
            synced_headers: peer.best_known.map_or(-1, |best| best.height),
            synced_blocks: self.common_height(peer),
            in_flight: peer.in_flight.iter().map(|block| block.height).collect(),
            addr_relay: peer.addr_relay,
            addr_processed: peer.addr_processed,
            addr_rate_limited: peer.addr_rate_limited,
            permissions: peer.permissions.names(),
            fee_filter: peer.tx.as_ref().map_or(0, |tx| tx.fee_filter),
            sent_by_type: peer.sent_by_type.clone(),
            received_by_type: peer.received_by_type.clone(),
            kind: peer.kind.name(),
            transport: peer.transport.protocol().name(),
            session_id: peer.transport.session_id(),
            mapped_as: self.addrman.map().system(&peer.addr.addr),
        }
    }

    /// Height up to which the peer's chain and ours agree, as far as we followed it.
    fn common_height(&self, peer: &Peer) -> i32 {
        let Some(best) = peer.best_known else { return -1 };
        let tip = self.chain.tip.at;
        if self.headers.is_ancestor(&best, &tip) {
            return best.height;
        }
        if self.headers.is_ancestor(&tip, &best) {
            return tip.height;
        }
        peer.common_height
    }

    /// Bytes received and sent since the start.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        (self.total_received, self.total_sent)
    }

    /// Median clock difference of the outbound peers, seconds.
    #[must_use]
    pub fn median_time_offset(&self) -> i64 {
        let mut offsets: Vec<i64> = self
            .peers
            .values()
            .filter(|peer| !peer.kind.is_inbound() && peer.version != 0)
            .map(|peer| peer.time_offset)
            .collect();
        offsets.sort_unstable();
        // As in Core, fewer than five samples say nothing.
        if offsets.len() < 5 { 0 } else { offsets.get(offsets.len() / 2).copied().unwrap_or(0) }
    }
}
