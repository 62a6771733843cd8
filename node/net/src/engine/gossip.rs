//! Addresses of other nodes: taking them in, passing them on, answering `getaddr`.

use std::collections::BTreeSet;

use bitcoin::hashes::{Hash as _, HashEngine, siphash24};
use bitcoin::secp256k1::rand::Rng;
use bitcoin::secp256k1::rand::seq::SliceRandom;
use bulkhead_wire::message::MAX_ADDR;
use bulkhead_wire::{Endpoint, Message, NetAddr, Network, PeerAddress, services};

use super::kind::ConnectionKind;
use super::peer::PeerId;
use super::permission::Permissions;
use super::{Engine, SECOND};

/// Addresses taken from one peer per second, on average.
const RATE: f64 = 0.1;
/// Most addresses that may be saved up.
const BUCKET: f64 = 1000.0;
/// Share of the address manager that one `getaddr` gets, percent.
const MAX_PERCENT: usize = 23;
/// Samples that are kept; one per network and listening socket.
const MAX_CACHES: usize = 64;
const SEND_INTERVAL: i64 = 30 * SECOND;
const LOCAL_INTERVAL: i64 = 24 * 60 * 60 * SECOND;
const DAY: i64 = 24 * 60 * 60;

fn key(endpoint: &Endpoint) -> [u8; 32] {
    bitcoin::hashes::sha256::Hash::hash(&endpoint.key()).to_byte_array()
}

impl Engine {
    /// Whether addresses are exchanged with the peer; from now on they are, where the kind of connection allows.
    pub(crate) fn setup_addr_relay(&mut self, id: PeerId) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        if matches!(peer.kind, ConnectionKind::BlockRelay | ConnectionKind::Feeler) {
            return false;
        }
        peer.addr_relay = true;
        true
    }

    /// An address of ours became known (Core: `AddLocal`).
    pub fn add_local(&mut self, at: Endpoint, score: i32) {
        if self.local_addresses.get(&at.addr).is_some_and(|(_, have)| *have > score) {
            // Somebody who knows better has named it.
            return;
        }
        tracing::info!(target: "net", "AddLocal({at},{score})");
        self.local_addresses.insert(at.addr, (at.port, score));
    }

    /// Logs over how many autonomous systems the known addresses are spread (Core: `ASMapHealthCheck`).
    pub fn report_systems(&mut self) {
        let now = self.seconds();
        let clear = [Network::Ipv4, Network::Ipv6].map(|network| self.addrman.sample(0, 0, Some(network), now));
        let systems: Vec<u32> = clear.iter().flatten().map(|address| self.addrman.map().system(&address.endpoint.addr)).collect();
        let known: BTreeSet<u32> = systems.iter().copied().filter(|system| *system != 0).collect();
        tracing::info!(
            target: "net",
            "ASMap Health Check: {} clearnet peers are mapped to {} ASNs with {} peers being unmapped",
            systems.len(), known.len(), systems.iter().filter(|system| **system == 0).count()
        );
    }

    /// A network can be reached from now on.
    pub fn add_reachable(&mut self, network: Network) {
        if !self.config.reachable.contains(&network) {
            self.config.reachable.push(network);
        }
    }

    /// An address of ours is no more.
    pub fn remove_local(&mut self, at: &Endpoint) {
        tracing::info!(target: "net", "RemoveLocal({at})");
        self.local_addresses.remove(&at.addr);
    }

    pub(crate) fn seen_local(&mut self, addr: &NetAddr) {
        if let Some((_, score)) = self.local_addresses.get_mut(addr) {
            *score += 1;
        }
    }

    pub(crate) fn on_addr(&mut self, id: PeerId, mut addresses: Vec<PeerAddress>, command: &str) {
        if !self.setup_addr_relay(id) {
            let kind = self.peers.get(&id).map_or("", |peer| peer.kind.name());
            tracing::debug!(target: "net", "ignoring {command} message from {kind} peer={id}");
            return;
        }
        let count = addresses.len();
        if count > MAX_ADDR {
            self.misbehaving(id, &format!("{command} message size = {count}"));
            return;
        }
        self.refill_tokens(id);
        addresses.shuffle(&mut self.rng);
        let now = self.seconds();
        let depth = (now - self.chain.tip.time) / self.config.spacing.max(1);
        let (mut accepted, mut processed, mut limited) = (Vec::new(), 0u64, 0u64);
        for mut address in addresses {
            if !self.take_token(id) {
                limited += 1;
                continue;
            }
            address.endpoint.addr = self.config.flip(address.endpoint.addr);
            let useful = address.services & (services::NETWORK | services::NETWORK_LIMITED) != 0;
            let wanted = self.config.desirable(address.services, depth);
            if !useful && address.services & wanted != wanted {
                continue;
            }
            let time = i64::from(address.time);
            if time <= 100_000_000 || time > now + 600 {
                address.time = u32::try_from(now - 5 * DAY).unwrap_or(0);
            }
            let Some(peer) = self.peers.get_mut(&id) else { return };
            peer.addr_known.insert(key(&address.endpoint));
            let getaddr_sent = peer.getaddr_sent;
            if self.bans.is_discouraged(&address.endpoint.addr) || self.bans.is_banned(&address.endpoint.addr, now) {
                continue;
            }
            processed += 1;
            let reachable = self.is_reachable(&address.endpoint.addr);
            if i64::from(address.time) > now - 600 && !getaddr_sent && count <= 10 && address.endpoint.addr.is_routable() {
                self.relay_address(id, &address, reachable);
            }
            if reachable {
                accepted.push(address);
            }
        }
        self.note_addresses(id, &accepted, count, processed, limited);
    }

    fn note_addresses(&mut self, id: PeerId, accepted: &[PeerAddress], count: usize, processed: u64, limited: u64) {
        let now = self.seconds();
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.addr_processed += processed;
        peer.addr_rate_limited += limited;
        let source = peer.addr.addr;
        if count < MAX_ADDR {
            peer.getaddr_sent = false;
        }
        let fetched = peer.is(ConnectionKind::AddrFetch) && count > 1;
        tracing::debug!(
            target: "net",
            "Received addr: {count} addresses ({processed} processed, {limited} rate-limited) from peer={id}"
        );
        self.addrman.add(accepted, &source, 2 * 60 * 60, now);
        if fetched {
            tracing::debug!(target: "net", "addrfetch connection completed, {}", self.disconnect_text(id));
            self.drop_peer(id);
        }
    }

    fn refill_tokens(&mut self, id: PeerId) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.addr_tokens < BUCKET {
            // Far below 2^52 microseconds.
            #[allow(clippy::cast_precision_loss)]
            let seconds = ((now - peer.addr_token_time).max(0) as f64) / 1e6;
            peer.addr_tokens = (peer.addr_tokens + seconds * RATE).min(BUCKET);
        }
        peer.addr_token_time = now;
    }

    /// Whether one more address of the peer may be processed.
    fn take_token(&mut self, id: PeerId) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        if peer.addr_tokens < 1.0 {
            return peer.may(Permissions::ADDR);
        }
        peer.addr_tokens -= 1.0;
        true
    }

    /// Whether we could connect to addresses of its network.
    #[must_use]
    pub fn is_reachable(&self, addr: &NetAddr) -> bool {
        self.config.reachable.contains(&addr.network())
    }

    /// Passes an address on to one or two peers, the same ones for a day.
    fn relay_address(&mut self, from: PeerId, address: &PeerAddress, reachable: bool) {
        if !reachable && !address.endpoint.addr.is_relayable() {
            return;
        }
        let hash = key(&address.endpoint);
        let day = (self.seconds() + i64::from(hash[0]) * 338) / DAY;
        let weight = |id: Option<PeerId>| {
            let mut engine = siphash24::HashEngine::with_keys(self.secret.0, self.secret.1);
            engine.input(&hash);
            engine.input(&day.to_le_bytes());
            if let Some(id) = id {
                engine.input(&id.to_le_bytes());
            }
            siphash24::Hash::from_engine(engine).as_u64()
        };
        let count = if reachable || weight(None) & 1 == 1 { 2 } else { 1 };
        let mut candidates: Vec<(u64, PeerId)> = self
            .peers
            .values()
            .filter(|peer| peer.addr_relay && peer.id != from && peer.understands(&address.endpoint.addr))
            .map(|peer| (weight(Some(peer.id)), peer.id))
            .collect();
        candidates.sort_unstable_by(|a, b| b.cmp(a));
        for (_, id) in candidates.into_iter().take(count) {
            self.push_address(id, *address);
        }
    }

    fn push_address(&mut self, id: PeerId, address: PeerAddress) {
        let random = self.rng.gen_range(0..MAX_ADDR);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let known = peer.addr_known.contains(&key(&address.endpoint));
        if !address.endpoint.addr.is_valid() || known || !peer.understands(&address.endpoint.addr) {
            return;
        }
        if peer.addr_to_send.len() >= MAX_ADDR {
            peer.addr_to_send[random] = address;
        } else {
            peer.addr_to_send.push(address);
        }
    }

    pub(crate) fn on_getaddr(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get(&id) else { return };
        if !peer.kind.is_inbound() {
            tracing::debug!(target: "net", "Ignoring \"getaddr\" from {} connection. peer={id}", peer.kind.name());
            return;
        }
        let unlimited = peer.may(Permissions::ADDR);
        let socket = (peer.network(), peer.addr_bind);
        let repeated = peer.getaddr_received;
        self.setup_addr_relay(id);
        if repeated {
            tracing::debug!(target: "net", "Ignoring repeated \"getaddr\". peer={id}");
            return;
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.getaddr_received = true;
            peer.addr_to_send.clear();
        }
        for address in self.addresses_to_tell(unlimited, socket) {
            self.push_address(id, address);
        }
    }

    /// A sample of known addresses. All peers without permission that come through one socket get the same one for a
    /// day or so: asking often does not show how the tables change, and asking through two networks does not show
    /// that both lead to the same node.
    fn addresses_to_tell(&mut self, fresh: bool, socket: (Network, Option<Endpoint>)) -> Vec<PeerAddress> {
        let now = self.seconds();
        if fresh {
            return self.sample_addresses(MAX_ADDR, MAX_PERCENT, None);
        }
        if let Some((until, cached)) = self.addr_caches.get(&socket)
            && *until > now
        {
            return cached.clone();
        }
        let sample = self.sample_addresses(MAX_ADDR, MAX_PERCENT, None);
        let until = now + 21 * 60 * 60 + self.rng.gen_range(0..6 * 60 * 60);
        if self.addr_caches.len() >= MAX_CACHES {
            self.addr_caches.clear();
        }
        self.addr_caches.insert(socket, (until, sample.clone()));
        sample
    }

    /// Known addresses without banned ones (`getnodeaddresses`).
    pub fn sample_addresses(&mut self, most: usize, percent: usize, network: Option<Network>) -> Vec<PeerAddress> {
        let now = self.seconds();
        let mut found = self.addrman.sample(most, percent, network, now);
        found.retain(|one| !self.bans.is_discouraged(&one.endpoint.addr) && !self.bans.is_banned(&one.endpoint.addr, now));
        found
    }

    pub(crate) fn maybe_send_addresses(&mut self, id: PeerId) {
        let now = self.now;
        let Some(peer) = self.peers.get(&id) else { return };
        if !peer.addr_relay {
            return;
        }
        let local_due = self.config.listen && !self.chain.tip.initial_download && peer.next_local_addr < now;
        let local = if local_due { self.local_for(id) } else { None };
        if local_due {
            self.send_local(id, local);
        }
        let Some(peer) = self.peers.get(&id) else { return };
        if now <= peer.next_addr_send {
            return;
        }
        let next = now + self.exponential(SEND_INTERVAL);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.next_addr_send = next;
        let mut addresses = std::mem::take(&mut peer.addr_to_send);
        addresses.retain(|address| peer.addr_known.insert(key(&address.endpoint)));
        let long = peer.wants_addrv2;
        if !addresses.is_empty() {
            self.send(id, &Message::Addr(addresses, long));
        }
    }

    fn send_local(&mut self, id: PeerId, local: Option<Endpoint>) {
        let time = u32::try_from(self.seconds()).unwrap_or(0);
        let next = self.now + self.exponential(LOCAL_INTERVAL);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let first = peer.next_local_addr == 0;
        peer.next_local_addr = next;
        if !first {
            peer.addr_known.clear();
        }
        let Some(endpoint) = local else { return };
        let address = PeerAddress { time, services: peer.our_services, endpoint };
        let long = peer.wants_addrv2;
        if !first {
            self.push_address(id, address);
        } else if peer.understands(&endpoint.addr) {
            self.send(id, &Message::Addr(vec![address], long));
        }
    }
}
