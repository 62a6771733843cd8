//! From the first message to `verack`, and the messages that may only come before it.

use bulkhead_wire::message::Feature;
use bulkhead_wire::version::Version;
use bulkhead_wire::{
    BIP0031_VERSION, Endpoint, FEATURE_VERSION, MIN_PEER_PROTO_VERSION, Message, PROTOCOL_VERSION, Protocol,
    SHORT_IDS_BLOCKS_VERSION, WTXID_RELAY_VERSION, sanitize, services,
};

use super::chain_view::ChainView;
use super::kind::ConnectionKind;
use super::peer::{PeerId, TxRelay};
use super::permission::Permissions;
use super::recent::RecentSet;
use super::{Engine, SECOND};

/// The last alert, which ends the alert system in clients that still have it.
const FINAL_ALERT: &str = "60010000000000000000000000ffffff7f00000000ffffff7ffeffff7f01ffffff7f00000000ffffff7f00ffffff7f002f555247454e543a20416c657274206b657920636f6d70726f6d697365642c2075706772616465207265717569726564004630440220653febd6410f470f6bae11cad19c48413becb1ac2c17f908fd0fd53bdc3abd5202206d0e9c96fe88d4a0f01ed9dedae2b6f9e00da94cad0fecaae66ecf689bf71b50";

impl Engine {
    pub(crate) fn send_version(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.version_sent = true;
        let Some(peer) = self.peers.get(&id) else { return };
        let shown = peer.addr.addr.is_routable() && peer.addr.addr.is_v1_compatible();
        let relay = !self.rejects_transactions(id);
        let usual = || Version {
            version: PROTOCOL_VERSION,
            services: peer.our_services,
            time: self.seconds(),
            receiver_services: 0,
            receiver: if shown { peer.addr } else { Endpoint::NONE },
            nonce: peer.our_nonce,
            user_agent: self.config.subversion.clone().into_bytes(),
            height: self.chain.tip.at.height.max(0),
            relay,
        };
        let private = peer.is(ConnectionKind::PrivateBroadcast);
        let version = if private { super::private_broadcast::version(peer.our_nonce) } else { usual() };
        let them = if self.config.log_ips { format!(", them={}", version.receiver) } else { String::new() };
        let (offered, height, relay) = (version.version, version.height, version.relay);
        self.send(id, &Message::Version(Box::new(version)));
        tracing::debug!(
            target: "net",
            "send version message: version={offered}, blocks={height}{them}, txrelay={}, peer={id}",
            u8::from(relay)
        );
    }

    /// Whether transactions from this peer break our rules.
    pub(crate) fn rejects_transactions(&self, id: PeerId) -> bool {
        self.peers.get(&id).is_some_and(|peer| {
            matches!(peer.kind, ConnectionKind::BlockRelay | ConnectionKind::Feeler)
                || (self.config.blocks_only && !peer.may(Permissions::RELAY))
        })
    }

    /// Whether a peer with these services is worth an automatic connection.
    pub(crate) fn has_desirable_services(&self, offered: u64) -> bool {
        let wanted = self.config.desirable(offered, self.tip_depth());
        offered & wanted == wanted
    }

    fn tip_depth(&self) -> i64 {
        let ChainView { tip, .. } = self.chain;
        (self.seconds() - tip.time) / self.config.spacing.max(1)
    }

    pub(crate) fn on_version(&mut self, id: PeerId, version: &Version) {
        let depth = self.tip_depth();
        let Some(peer) = self.peers.get(&id) else { return };
        let (kind, addr) = (peer.kind, peer.addr);
        let private = kind == ConnectionKind::PrivateBroadcast;
        if !kind.is_inbound() && !private {
            self.addrman.set_services(&addr, version.services);
        }
        let expected = self.config.desirable(version.services, depth);
        if kind.expects_services() && version.services & expected != expected {
            tracing::debug!(
                target: "net",
                "peer does not offer the expected services ({:08x} offered, {expected:08x} expected), {}",
                version.services, self.disconnect_text(id)
            );
            self.drop_peer(id);
            return;
        }
        if version.version < MIN_PEER_PROTO_VERSION {
            tracing::debug!(target: "net", "peer using obsolete version {}, {}", version.version, self.disconnect_text(id));
            self.drop_peer(id);
            return;
        }
        // A peer of a private broadcast could find out who we are if we hung up on its nonce elsewhere.
        let own_nonce = self.peers.values().any(|other| {
            !other.handshaken
                && !matches!(other.kind, ConnectionKind::Inbound | ConnectionKind::PrivateBroadcast)
                && other.our_nonce == version.nonce
        });
        if kind.is_inbound() && own_nonce {
            tracing::info!(target: "net", "connected to self at {addr}, disconnecting");
            self.drop_peer(id);
            return;
        }
        if kind.is_inbound() && version.receiver.addr.is_routable() {
            self.seen_local(&version.receiver.addr);
        }
        if kind.is_inbound() {
            self.send_version(id);
        }
        self.note_version(id, version);
        if private {
            self.private_version_came(id, version.relay);
            return;
        }
        self.answer_version(id, version);
    }

    fn note_version(&mut self, id: PeerId, version: &Version) {
        let now = self.seconds();
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.common_version = version.version.min(peer.kind.offered_version());
        peer.version = version.version;
        peer.services = version.services;
        peer.addr_local = Some(version.receiver).filter(|local| local.addr.is_valid());
        peer.user_agent = sanitize(&version.user_agent);
        peer.time_offset = version.time.saturating_sub(now);
        let wants_relay = version.relay || peer.our_services & services::BLOOM != 0;
        if !matches!(peer.kind, ConnectionKind::BlockRelay | ConnectionKind::Feeler) && wants_relay {
            peer.tx = Some(TxRelay {
                relay: version.relay,
                known: RecentSet::new(50_000),
                to_send: std::collections::HashSet::new(),
                send_mempool: false,
                next_send: 0,
                last_sequence: 1,
                fee_filter: 0,
                bloom: None,
            });
        }
        let agent = if peer.user_agent.is_empty() { "<no user agent>" } else { &peer.user_agent };
        let text = format!(
            "receive version message: {agent}: version {}, blocks={}, us={}, txrelay={}",
            version.version,
            version.height,
            version.receiver,
            u8::from(version.relay)
        );
        if let Some(peer) = self.peers.get(&id) {
            tracing::debug!(target: "net", "{text}, {}", self.log_peer(peer));
        }
    }

    fn answer_version(&mut self, id: PeerId, version: &Version) {
        let common = version.version.min(PROTOCOL_VERSION);
        if common >= WTXID_RELAY_VERSION {
            self.send(id, &Message::WtxidRelay);
            self.send(id, &Message::SendAddrV2);
        }
        self.maybe_offer_reconciliation(id);
        self.send(id, &Message::Verack);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let trusted = !peer.kind.is_inbound() || peer.may(Permissions::NO_BAN);
        peer.preferred_download = trusted && !peer.is(ConnectionKind::AddrFetch) && peer.can_serve_blocks();
        let (kind, addr) = (peer.kind, peer.addr);
        if !kind.is_inbound() {
            if self.setup_addr_relay(id) {
                self.send(id, &Message::GetAddr);
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.getaddr_sent = true;
                    peer.addr_tokens += 1000.0;
                }
            }
            let now = self.seconds();
            self.addrman.good(&addr, now, true);
        }
        if common <= 70012 {
            let alert =
                (0..FINAL_ALERT.len()).step_by(2).filter_map(|at| u8::from_str_radix(FINAL_ALERT.get(at..at + 2)?, 16).ok());
            self.send_raw(id, "alert", alert.collect());
        }
        if kind == ConnectionKind::Feeler {
            tracing::debug!(target: "net", "feeler connection completed, {}", self.disconnect_text(id));
            self.drop_peer(id);
        }
    }

    pub(crate) fn on_verack(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get(&id) else { return };
        if peer.handshaken {
            tracing::debug!(target: "net", "ignoring redundant verack message from peer={id}");
            return;
        }
        let text = format!(
            "New {} peer connected: transport: {}, version: {}, {}",
            peer.kind.name(),
            peer.transport.protocol().name(),
            peer.version,
            self.log_peer(peer)
        );
        if peer.kind.is_inbound() {
            tracing::debug!(target: "net", "{text}");
        } else {
            tracing::info!(target: "net", "{text}");
        }
        if peer.is(ConnectionKind::PrivateBroadcast) {
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.handshaken = true;
            }
            self.send_private(id);
            return;
        }
        if peer.common_version >= SHORT_IDS_BLOCKS_VERSION {
            self.send(id, &Message::SendCompact(0, super::compact::VERSION));
        }
        self.settle_reconciliation(id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.handshaken = true;
        let (preferred, wtxid) = (peer.preferred_download, peer.wtxid_relay);
        let exempt = peer.may(Permissions::RELAY);
        self.tx_requests.connected(id, preferred, wtxid, exempt);
    }

    /// Whether a negotiation message comes too late, which ends the connection.
    fn too_late(&mut self, id: PeerId, command: &str) -> bool {
        let late = self.peers.get(&id).is_some_and(|peer| peer.handshaken);
        if late {
            tracing::debug!(target: "net", "{command} received after verack, {}", self.disconnect_text(id));
            self.drop_peer(id);
        }
        late
    }

    pub(crate) fn on_wtxidrelay(&mut self, id: PeerId) {
        if self.too_late(id, "wtxidrelay") {
            return;
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.common_version < WTXID_RELAY_VERSION {
            tracing::debug!(target: "net", "ignoring wtxidrelay due to old common version={} from peer={id}", peer.common_version);
        } else if peer.wtxid_relay {
            tracing::debug!(target: "net", "ignoring duplicate wtxidrelay from peer={id}");
        } else {
            peer.wtxid_relay = true;
        }
    }

    pub(crate) fn on_sendaddrv2(&mut self, id: PeerId) {
        if !self.too_late(id, "sendaddrv2")
            && let Some(peer) = self.peers.get_mut(&id)
        {
            peer.wants_addrv2 = true;
        }
    }

    pub(crate) fn on_feature(&mut self, id: PeerId, feature: Option<&Feature>) {
        if self.too_late(id, "feature") {
            return;
        }
        let common = self.peers.get(&id).map_or(0, |peer| peer.common_version);
        if common < FEATURE_VERSION {
            tracing::debug!(target: "net", "feature received with incompatible version {common}, {}", self.disconnect_text(id));
            self.drop_peer(id);
            return;
        }
        match feature {
            Some(feature) => tracing::debug!(target: "net", "unknown feature advertised: {}", sanitize(&feature.id)),
            None => {
                tracing::debug!(target: "net", "invalid feature payload, {}", self.disconnect_text(id));
                self.drop_peer(id);
            }
        }
    }

    pub(crate) fn on_sendcmpct(&mut self, id: PeerId, announce: u8, version: u64) {
        if announce > 1 {
            self.misbehaving(id, "invalid sendcmpct announce field");
            return;
        }
        if version == super::compact::VERSION
            && let Some(peer) = self.peers.get_mut(&id)
        {
            peer.provides_compact = true;
            peer.high_bandwidth_from = announce == 1;
        }
    }

    pub(crate) fn on_ping(&mut self, id: PeerId, nonce: Option<u64>, length: usize) {
        let common = self.peers.get(&id).map_or(0, |peer| peer.common_version);
        if common <= BIP0031_VERSION {
            return;
        }
        match nonce {
            Some(_) => self.send(id, &Message::Pong(nonce, 8)),
            None => tracing::debug!(
                target: "net",
                "ProcessMessages(ping, {length} bytes): Exception '{}: iostream error' (std::ios_base::failure) caught",
                bulkhead_wire::DecodeError::EndOfData
            ),
        }
    }

    /// Whether the handshake has taken longer than `-peertimeout` allows; logs why.
    pub(crate) fn inactive(&self, id: PeerId) -> bool {
        const INTERVAL: i64 = 20 * 60 * SECOND;
        let Some(peer) = self.peers.get(&id) else { return false };
        if !self.runs_inactivity_checks(id) {
            return false;
        }
        let text = self.disconnect_text(id);
        if peer.last_recv == 0 || peer.last_send == 0 {
            let mut never = String::new();
            if peer.last_recv == 0 {
                never.push_str(", never received from peer");
            }
            if peer.last_send == 0 {
                never.push_str(", never sent to peer");
            }
            tracing::debug!(target: "net", "socket no message in first {} seconds{never}, {text}", self.config.peer_timeout);
            return true;
        }
        if self.now > peer.last_send + INTERVAL {
            tracing::debug!(target: "net", "socket sending timeout: {}s, {text}", (self.now - peer.last_send) / SECOND);
            return true;
        }
        if self.now > peer.last_recv + INTERVAL {
            tracing::debug!(target: "net", "socket receive timeout: {}s, {text}", (self.now - peer.last_recv) / SECOND);
            return true;
        }
        if !peer.handshaken {
            let what = if peer.transport.protocol() == Protocol::Detecting { "V2" } else { "version" };
            tracing::debug!(target: "net", "{what} handshake timeout, {text}");
            return true;
        }
        false
    }

    pub(crate) fn runs_inactivity_checks(&self, id: PeerId) -> bool {
        self.peers
            .get(&id)
            .is_some_and(|peer| peer.connected_at.saturating_add(self.config.peer_timeout.saturating_mul(SECOND)) < self.now)
    }
}
