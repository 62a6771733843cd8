//! What is looked at again and again: what there is to send, and what has taken too long.

use bulkhead_wire::message::hash_hex;
use bulkhead_wire::{Message, SENDHEADERS_VERSION};

use super::kind::ConnectionKind;
use super::peer::PeerId;
use super::permission::Permissions;
use super::{Engine, SECOND, download};

/// Outbound peers must follow our chain within this long.
const CHAIN_SYNC_TIMEOUT: i64 = 20 * 60;
/// Time for the last question to a lagging peer, seconds.
const HEADERS_RESPONSE: i64 = 2 * 60;
/// An address fetch that takes longer ends.
const ADDR_FETCH_TIMEOUT: i64 = 300 * SECOND;
const MAX_STALLING: i64 = 64 * SECOND;
const DAY: i64 = 24 * 60 * 60;

impl Engine {
    /// Called every 100 milliseconds or so.
    pub fn tick(&mut self) {
        let ids: Vec<PeerId> = self.peers.keys().copied().collect();
        for id in &ids {
            if self.inactive(*id) {
                self.drop_peer(*id);
            }
        }
        self.check_extra_peers();
        self.ticking = true;
        self.send_all();
        self.ticking = false;
    }

    pub(crate) fn send_all(&mut self) {
        let ids: Vec<PeerId> = self.peers.keys().copied().collect();
        for id in ids {
            self.send_messages(id);
        }
    }

    /// Everything that we say to a peer of our own accord.
    pub(crate) fn send_messages(&mut self, id: PeerId) {
        self.maybe_discourage(id);
        let Some(peer) = self.peers.get(&id) else { return };
        if peer.disconnect {
            return;
        }
        if !peer.kind.is_inbound() && !peer.version_sent {
            self.send_version(id);
        }
        let Some(peer) = self.peers.get(&id) else { return };
        // While a message is half handled, what we would say might be wrong or overtake its answer.
        if !peer.handshaken || peer.blocked_on > 0 || peer.pumping {
            return;
        }
        if peer.is(ConnectionKind::PrivateBroadcast) {
            self.watch_private(id);
            return;
        }
        if peer.is(ConnectionKind::AddrFetch) && self.now - peer.connected_at > ADDR_FETCH_TIMEOUT {
            tracing::debug!(target: "net", "addrfetch connection timeout, {}", self.disconnect_text(id));
            self.drop_peer(id);
            return;
        }
        self.maybe_ping(id);
        self.maybe_send_addresses(id);
        self.maybe_sendheaders(id);
        self.maybe_start_sync(id);
        self.maybe_announce(id);
        self.maybe_send_inventory(id);
        if self.timed_out(id) {
            return;
        }
        self.consider_eviction(id);
        self.maybe_fetch_blocks(id);
        self.maybe_request_transactions(id);
        self.maybe_send_fee_filter(id);
    }

    fn maybe_sendheaders(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if !peer.sent_sendheaders
            && peer.common_version >= SENDHEADERS_VERSION
            && peer.best_known.is_some_and(|best| best.work != [0; 32])
        {
            peer.sent_sendheaders = true;
            self.send(id, &Message::SendHeaders);
        }
    }

    /// Whether the peer was disconnected because blocks or headers did not come.
    fn timed_out(&mut self, id: PeerId) -> bool {
        let now = self.now;
        let stalling_timeout = self.stalling_timeout;
        let downloading = self.peers.values().filter(|peer| !peer.in_flight.is_empty()).count();
        let Some(peer) = self.peers.get(&id) else { return true };
        let text = self.disconnect_text(id);
        if peer.stalling_since != 0 && peer.stalling_since < now - stalling_timeout {
            tracing::info!(target: "net", "Peer is stalling block download, {text}");
            self.drop_peer(id);
            let longer = (2 * stalling_timeout).min(MAX_STALLING);
            if longer != stalling_timeout {
                self.stalling_timeout = longer;
                tracing::debug!(target: "net", "Increased stalling timeout temporarily to {} seconds", longer / SECOND);
            }
            return true;
        }
        if let Some(first) = peer.in_flight.front() {
            let others = i64::try_from(downloading.saturating_sub(1)).unwrap_or(0);
            let limit = self.config.spacing * SECOND + self.config.spacing * SECOND / 2 * others;
            if now > peer.downloading_since + limit {
                tracing::info!(target: "net", "Timeout downloading block {}, {text}", hash_hex(&first.hash));
                self.drop_peer(id);
                return true;
            }
        }
        self.headers_timed_out(id, &text)
    }

    fn headers_timed_out(&mut self, id: PeerId, text: &str) -> bool {
        let now = self.now;
        let caught_up = self.chain.best_header.time > self.seconds() - DAY;
        let started = self.peers.values().filter(|peer| peer.sync_started).count();
        let preferred = self.peers.values().filter(|peer| peer.preferred_download && peer.id != id).count();
        let Some(peer) = self.peers.get_mut(&id) else { return true };
        if !peer.sync_started || peer.headers_timeout == i64::MAX {
            return false;
        }
        if caught_up {
            peer.headers_timeout = i64::MAX;
            return false;
        }
        if now <= peer.headers_timeout || started != 1 || preferred == 0 {
            return false;
        }
        if peer.may(Permissions::NO_BAN) {
            tracing::info!(target: "net", "Timeout downloading headers from noban peer, not {text}");
            peer.sync_started = false;
            peer.headers_timeout = 0;
            return false;
        }
        tracing::info!(target: "net", "Timeout downloading headers, {text}");
        self.drop_peer(id);
        true
    }

    /// Outbound peers that stay behind our chain are given up.
    fn consider_eviction(&mut self, id: PeerId) {
        let now = self.seconds();
        let tip = self.chain.tip.at;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.chain_sync.protect || !peer.kind.is_automatic() || !peer.sync_started {
            return;
        }
        let best = peer.best_known;
        let sync = &mut peer.chain_sync;
        let reached = |work: [u8; 32]| best.is_some_and(|best| best.work >= work);
        if reached(tip.work) {
            sync.timeout = 0;
            sync.work_header = None;
            sync.sent_getheaders = false;
        } else if sync.timeout == 0 || sync.work_header.is_some_and(|header| reached(header.work)) {
            sync.timeout = now + CHAIN_SYNC_TIMEOUT;
            sync.work_header = Some(tip);
            sync.sent_getheaders = false;
        } else if now > sync.timeout {
            let known = best.map_or_else(|| "<none>".to_owned(), |best| hash_hex(&best.hash));
            if sync.sent_getheaders {
                tracing::info!(
                    target: "net",
                    "Outbound peer has old chain, best known block = {known}, {}", self.disconnect_text(id)
                );
                self.drop_peer(id);
                return;
            }
            sync.sent_getheaders = true;
            sync.timeout = now + HEADERS_RESPONSE;
            let benchmark = sync.work_header.unwrap_or(tip);
            self.maybe_send_getheaders(id, Some(benchmark.hash), true, false);
            tracing::debug!(
                target: "net",
                "sending getheaders to outbound peer={id} to verify chain work (current best known block:{known}, benchmark blockhash: {})",
                hash_hex(&benchmark.hash)
            );
        }
    }

    /// A block connected: the download works, so be patient as usual again.
    pub(crate) fn block_connected(&mut self) {
        if self.stalling_timeout != download::STALLING_TIMEOUT {
            let shorter = (self.stalling_timeout * 85 / 100).max(download::STALLING_TIMEOUT);
            self.stalling_timeout = shorter;
            tracing::debug!(target: "net", "Decreased stalling timeout to {} seconds", shorter / SECOND);
        }
    }
}
