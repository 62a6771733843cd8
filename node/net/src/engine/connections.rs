//! Connections that come and go, and the rules on how many there may be.

use bitcoin::hashes::{Hash as _, HashEngine, siphash24};
use bitcoin::secp256k1::rand::Rng;
use bulkhead_planted::{Fault, planted};
use bulkhead_wire::{Endpoint, NetAddr, Subnet, services};

use super::config::MAX_ADDNODE;
use super::eviction::{self, Candidate};
use super::kind::ConnectionKind;
use super::peer::{NewPeer, Peer, PeerId};
use super::permission::Permissions;
use super::{Effect, Engine};

/// A node that the user wants to stay connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedNode {
    /// As the user wrote it.
    pub text: String,
    /// Where it resolved to last.
    pub endpoint: Option<Endpoint>,
    /// Connect with the v2 transport.
    pub v2: bool,
}

/// What `getaddednodeinfo` says of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedNodeInfo {
    /// As the user wrote it.
    pub text: String,
    /// Address and whether it is inbound, when connected.
    pub connected: Option<(Endpoint, bool)>,
    /// Connect with the v2 transport.
    pub v2: bool,
}

impl Engine {
    fn permissions_for(&self, new: &NewPeer) -> Permissions {
        let mut flags = new.permissions;
        for entry in &self.config.whitelist {
            let direction = if new.kind.is_inbound() { entry.incoming && !new.inbound_onion } else { entry.outgoing };
            let by_hand = new.kind.is_inbound() || new.kind == ConnectionKind::Manual;
            if direction && by_hand && entry.range.contains(&new.addr.addr) {
                flags.add(entry.permissions);
            }
        }
        flags.resolve_implicit(self.config.whitelist_relay, self.config.whitelist_force_relay);
        flags
    }

    /// Someone connected to us. `None`: the connection must be closed at once.
    pub fn accept(&mut self, mut new: NewPeer) -> Option<PeerId> {
        new.permissions = self.permissions_for(&new);
        let addr = new.addr;
        let now = self.seconds();
        if !self.network_active {
            tracing::debug!(target: "net", "connection from {addr} dropped: not accepting new connections");
            return None;
        }
        let exempt = new.permissions.has(Permissions::NO_BAN);
        if !exempt && self.bans.is_banned(&addr.addr, now) {
            tracing::debug!(target: "net", "connection from {addr} dropped (banned)");
            return None;
        }
        let (_, inbound) = self.connection_counts();
        let most = self.config.max_inbound();
        let discouraged = self.bans.is_discouraged(&addr.addr);
        if !exempt && inbound + 1 >= most && discouraged {
            tracing::debug!(target: "net", "connection from {addr} dropped (discouraged)");
            return None;
        }
        if inbound >= most && !self.evict_inbound() {
            tracing::debug!(target: "net", "failed to find an eviction candidate - connection dropped (full)");
            return None;
        }
        let id = self.insert(new);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.prefer_evict = discouraged;
        }
        tracing::debug!(target: "net", "connection from {addr} accepted");
        Some(id)
    }

    /// We connected to someone.
    pub fn opened(&mut self, mut new: NewPeer) -> PeerId {
        new.permissions = self.permissions_for(&new);
        let id = self.insert(new);
        self.send_messages(id);
        id
    }

    /// What we offer: no history while blocks below a snapshot are missing.
    #[must_use]
    pub fn services(&self) -> u64 {
        if self.chain.history_missing { self.config.services & !services::NETWORK } else { self.config.services }
    }

    fn insert(&mut self, new: NewPeer) -> PeerId {
        let id = self.next_peer;
        self.next_peer += 1;
        let nonce = self.rng.r#gen();
        let mut offered = self.services();
        if new.permissions.has(Permissions::BLOOM) {
            offered |= services::BLOOM;
        }
        let transport = self.transport_for(&new);
        let group = self.keyed_group(&new.addr);
        let peer = Peer::new(id, new, transport, group, offered, nonce, self.now);
        let shown = if self.config.log_ips { format!(" to {}", peer.name) } else { String::new() };
        tracing::debug!(target: "net", "Added connection{shown} peer={id}");
        self.peers.insert(id, peer);
        self.send_handshake(id);
        id
    }

    /// The connection is gone: the other side closed it, the socket failed, or we closed it.
    pub fn closed(&mut self, id: PeerId, reason: &str) {
        let Some(peer) = self.peers.get(&id) else { return };
        if !peer.disconnect && !reason.is_empty() {
            tracing::debug!(target: "net", "{}", reason.replace("{}", &self.disconnect_text(id)));
        }
        tracing::debug!(target: "net", "Resetting socket for {}", self.log_peer(peer));
        let Some(peer) = self.peers.remove(&id) else { return };
        self.maybe_reconnect(&peer);
        self.forget_requests_of(id, peer.in_flight.iter().copied());
        self.high_bandwidth.retain(|other| *other != id);
        self.tx_requests.disconnected(id);
        if !planted(Fault::OrphansStay) {
            self.orphanage.erase_peer(id);
        }
        let tells_nothing = matches!(peer.kind, ConnectionKind::BlockRelay | ConnectionKind::PrivateBroadcast);
        if peer.handshaken && !peer.kind.is_inbound() && !tells_nothing {
            let now = self.seconds();
            self.addrman.connected(&peer.addr, now);
        }
        if peer.is(ConnectionKind::PrivateBroadcast) {
            self.private_closed(id);
        }
        tracing::debug!(target: "net", "Cleared nodestate for peer={id}");
        // Others may take over what this peer was asked for.
        self.send_all();
    }

    /// Ends a connection by number (`disconnectnode`); whether it was there.
    pub fn disconnect(&mut self, id: PeerId) -> bool {
        if !self.peers.contains_key(&id) {
            return false;
        }
        tracing::debug!(target: "net", "disconnect by id, {}", self.disconnect_text(id));
        self.drop_peer(id);
        true
    }

    /// Ends a connection by name; whether it was there.
    pub fn disconnect_by_name(&mut self, name: &str) -> bool {
        let Some(id) = self.peers.values().find(|peer| peer.name == name).map(|peer| peer.id) else { return false };
        let shown = if self.config.log_ips { format!("={name}") } else { String::new() };
        tracing::debug!(target: "net", "disconnect by address{shown} match, {}", self.disconnect_text(id));
        self.drop_peer(id);
        true
    }

    /// Ends all connections into a range.
    pub fn disconnect_subnet(&mut self, subnet: &Subnet) -> bool {
        let shown = if self.config.log_ips { format!("={subnet}") } else { String::new() };
        let ids: Vec<PeerId> = self.peers.values().filter(|peer| subnet.contains(&peer.addr.addr)).map(|peer| peer.id).collect();
        for id in &ids {
            tracing::debug!(target: "net", "disconnect by subnet{shown} match, {}", self.disconnect_text(*id));
            self.drop_peer(*id);
        }
        !ids.is_empty()
    }

    pub(crate) fn disconnect_where(&mut self, matches: impl Fn(&Peer) -> bool) {
        let ids: Vec<PeerId> = self.peers.values().filter(|peer| matches(peer)).map(|peer| peer.id).collect();
        for id in ids {
            self.drop_peer(id);
        }
    }

    /// Switches the network on or off.
    pub fn set_network_active(&mut self, active: bool) {
        tracing::info!(target: "net", "SetNetworkActive: {active}");
        if self.network_active == active {
            return;
        }
        self.network_active = active;
        if !active {
            let ids: Vec<PeerId> = self.peers.keys().copied().collect();
            for id in ids {
                tracing::debug!(target: "net", "Network not active, {}", self.disconnect_text(id));
                self.drop_peer(id);
            }
        }
    }

    /// Whether the network is on.
    #[must_use]
    pub fn is_network_active(&self) -> bool {
        self.network_active
    }

    /// Tells the process to write the ban list when it changed.
    pub fn save_bans_if_changed(&mut self) {
        if self.bans.take_dirty() {
            self.effects.push(Effect::SaveBans);
        }
    }

    /// Whether an automatic connection of this kind may be opened (`addconnection`).
    #[must_use]
    pub fn has_room_for(&self, kind: ConnectionKind) -> bool {
        let of_kind = self.peers.values().filter(|peer| peer.kind == kind).count();
        let limit = match kind {
            ConnectionKind::OutboundFullRelay => self.config.max_full_relay(),
            ConnectionKind::BlockRelay => self.config.max_block_relay(),
            _ => usize::MAX,
        };
        let automatic = self.peers.values().filter(|peer| peer.kind.takes_outbound_slot());
        of_kind < limit && automatic.count() < self.config.max_outbound().min(self.config.max_connections)
    }

    /// Whether another manual connection may be opened.
    #[must_use]
    pub fn has_room_for_manual(&self) -> bool {
        self.peers.values().filter(|peer| peer.kind == ConnectionKind::Manual).count() < MAX_ADDNODE
    }

    /// Automatic connections of a kind.
    #[must_use]
    pub fn count_kind(&self, kind: ConnectionKind) -> usize {
        self.peers.values().filter(|peer| peer.kind == kind).count()
    }

    /// Whether there is a connection to this endpoint already.
    #[must_use]
    pub fn is_connected_to(&self, endpoint: &Endpoint) -> bool {
        self.peers.values().any(|peer| peer.addr == *endpoint)
    }

    /// Whether there is a connection that was asked for under this name.
    #[must_use]
    pub fn is_connected_to_name(&self, name: &str) -> bool {
        self.peers.values().any(|peer| peer.name == name)
    }

    /// Whether there is a connection to this address, whatever the port.
    #[must_use]
    pub fn is_connected_to_addr(&self, addr: &NetAddr) -> bool {
        self.peers.values().any(|peer| peer.addr.addr == *addr)
    }

    /// Whether an automatic connection to this address must not be made.
    #[must_use]
    pub fn refuses_to_dial(&self, endpoint: &Endpoint, now: i64) -> bool {
        let addr = &endpoint.addr;
        self.is_local(endpoint)
            || self.bans.is_discouraged(addr)
            || self.bans.is_banned(addr, now)
            || self.is_connected_to_addr(addr)
    }

    /// Connections of a kind that have finished their handshake.
    #[must_use]
    pub fn count_established(&self, kind: ConnectionKind) -> usize {
        self.peers.values().filter(|peer| peer.kind == kind && peer.handshaken && !peer.disconnect).count()
    }

    fn keyed_group(&self, endpoint: &Endpoint) -> u64 {
        let mut hash = siphash24::HashEngine::with_keys(self.secret.0, self.secret.1);
        hash.input(&self.addrman.group(&endpoint.addr));
        siphash24::Hash::from_engine(hash).as_u64()
    }

    /// What `getaddednodeinfo` shows.
    #[must_use]
    pub fn added_node_info(&self) -> Vec<AddedNodeInfo> {
        let port = self.config.default_port;
        self.added_nodes
            .iter()
            .map(|added| {
                let endpoint = added.endpoint.or_else(|| Endpoint::parse(&added.text, port));
                let found = self.peers.values().find(|peer| Some(peer.addr) == endpoint || peer.name == added.text);
                AddedNodeInfo {
                    text: added.text.clone(),
                    connected: found.map(|peer| (peer.addr, peer.kind.is_inbound())),
                    v2: added.v2,
                }
            })
            .collect()
    }

    /// Makes room for an inbound connection; whether there is some now.
    fn evict_inbound(&mut self) -> bool {
        let candidates = self
            .peers
            .values()
            .filter(|peer| peer.kind.is_inbound() && !peer.may(Permissions::NO_BAN) && !peer.disconnect)
            .map(|peer| self.eviction_candidate(peer))
            .collect();
        let Some(id) = eviction::select(candidates) else { return false };
        tracing::debug!(target: "net", "selected inbound connection for eviction, {}", self.disconnect_text(id));
        self.drop_peer(id);
        true
    }

    fn eviction_candidate(&self, peer: &Peer) -> Candidate {
        Candidate {
            id: peer.id,
            connected: peer.connected_at,
            min_ping: peer.min_ping,
            last_block: peer.last_block,
            last_tx: peer.last_tx,
            useful: self.has_desirable_services(peer.services),
            relays_txs: peer.tx.as_ref().is_some_and(|tx| tx.relay),
            bloom_filter: peer.tx.as_ref().is_some_and(|tx| tx.bloom.is_some()),
            group: peer.keyed_group,
            prefer: peer.prefer_evict,
            local: peer.addr.addr.is_local(),
            network: peer.network(),
        }
    }
}
