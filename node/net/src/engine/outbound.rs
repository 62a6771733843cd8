//! Automatic connections: which kind is due, and to whom (Core: `CConnman::ThreadOpenConnections`).

use std::collections::HashSet;

use bitcoin::secp256k1::rand::seq::SliceRandom;
use bulkhead_wire::{Endpoint, Network, PeerAddress, services};

use super::config::{MAX_FEELERS, MAX_OUTBOUND_FULL_RELAY};
use super::kind::ConnectionKind;
use super::peer::Peer;
use super::{Engine, SECOND};

/// Between two feelers, on average.
const FEELER_INTERVAL: i64 = 2 * 60 * SECOND;
/// Between two extra peers for blocks, and between two for a network that we have no peer of, on average.
const EXTRA_INTERVAL: i64 = 5 * 60 * SECOND;
/// Addresses that are looked at before giving up for now.
const MAX_TRIES: usize = 100;
/// Before so many tries, addresses that were tried within ten minutes are passed over.
const RECENT_TRIES: usize = 30;
/// Before so many tries, ports of other services are passed over.
const PORT_TRIES: usize = 50;
const RECENT: i64 = 10 * 60;
/// Anchors that are kept and tried.
pub const MAX_ANCHORS: usize = 2;

/// Ports of other services: connections to them would be an attack on those (Core: `doc/p2p-bad-ports.md`).
const BAD_PORTS: &[u16] = &[
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113,
    115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556,
    563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3306, 3389, 3659, 4045, 5060, 5061, 5432, 5900, 6000, 6566,
    6665, 6666, 6667, 6668, 6669, 6697, 10080, 27017,
];

/// When what is due. Times are microseconds.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    anchors: Vec<PeerAddress>,
    next_feeler: Option<i64>,
    next_extra_block_relay: i64,
    next_extra_network: i64,
    /// A stale tip was seen: one more full peer may help.
    pub(crate) try_new_peer: bool,
    /// We were in sync once: from then on extra peers for blocks are tried.
    pub(crate) extra_block_relay: bool,
}

/// The connection to make next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// To whom.
    pub address: PeerAddress,
    /// As what.
    pub kind: ConnectionKind,
    /// A failure says something about the address, because we are online.
    pub count_failure: bool,
}

/// What the present connections leave open.
struct Present {
    full: usize,
    block_relay: usize,
    /// Automatic connections of any kind.
    automatic: usize,
    /// Groups of the lasting IPv4 and IPv6 connections.
    groups: HashSet<Vec<u8>>,
    /// Lasting connections into other networks.
    private: usize,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    kind: ConnectionKind,
    anchor: bool,
    /// Only this network.
    network: Option<Network>,
}

fn is_bad_port(endpoint: &Endpoint) -> bool {
    let plain = matches!(endpoint.addr.network(), Network::Ipv4 | Network::Ipv6);
    plain && BAD_PORTS.contains(&endpoint.port)
}

impl Engine {
    /// Peers to try first, for blocks (anchors.dat).
    pub fn set_anchors(&mut self, mut anchors: Vec<PeerAddress>) {
        anchors.truncate(MAX_ANCHORS);
        tracing::info!(target: "net", "{} block-relay-only anchors will be tried for connections.", anchors.len());
        self.outbound.anchors = anchors;
    }

    /// Peers for blocks that the next start shall try first.
    #[must_use]
    pub fn anchors(&self) -> Vec<PeerAddress> {
        let peers = self.peers.values().filter(|peer| peer.kind == ConnectionKind::BlockRelay);
        peers.take(MAX_ANCHORS).map(Peer::listed).collect()
    }

    fn present(&self) -> Present {
        let mut present = Present { full: 0, block_relay: 0, automatic: 0, groups: HashSet::new(), private: 0 };
        for peer in self.peers.values() {
            let lasting = match peer.kind {
                ConnectionKind::Inbound | ConnectionKind::PrivateBroadcast => continue,
                ConnectionKind::Manual => true,
                ConnectionKind::OutboundFullRelay => {
                    present.full += 1;
                    true
                }
                ConnectionKind::BlockRelay => {
                    present.block_relay += 1;
                    true
                }
                ConnectionKind::Feeler | ConnectionKind::AddrFetch => false,
            };
            present.automatic += usize::from(peer.kind.takes_outbound_slot());
            if lasting && matches!(peer.addr.addr.class(), Network::Onion | Network::I2p | Network::Cjdns) {
                present.private += 1;
            } else if lasting {
                present.groups.insert(self.addrman.group(&peer.addr.addr));
            }
        }
        present
    }

    fn plan(&mut self, present: &Present) -> Option<Plan> {
        let now = self.now;
        let full = self.config.max_full_relay();
        if self.outbound.next_feeler.is_none() {
            self.outbound.next_feeler = Some(now + self.exponential(FEELER_INTERVAL));
            self.outbound.next_extra_block_relay = now + self.exponential(EXTRA_INTERVAL);
            self.outbound.next_extra_network = now + self.exponential(EXTRA_INTERVAL);
        }
        if present.automatic >= (full + self.config.max_block_relay() + MAX_FEELERS).min(self.config.max_connections) {
            return None;
        }
        let block_relay_open = present.block_relay < self.config.max_block_relay();
        let plan = |kind| Some(Plan { kind, anchor: false, network: None });
        if !self.outbound.anchors.is_empty() && block_relay_open {
            return Some(Plan { kind: ConnectionKind::BlockRelay, anchor: true, network: None });
        }
        if present.full < full {
            return plan(ConnectionKind::OutboundFullRelay);
        }
        if block_relay_open {
            return plan(ConnectionKind::BlockRelay);
        }
        if self.outbound.try_new_peer {
            return plan(ConnectionKind::OutboundFullRelay);
        }
        if now > self.outbound.next_extra_block_relay && self.outbound.extra_block_relay {
            self.outbound.next_extra_block_relay = now + self.exponential(EXTRA_INTERVAL);
            return plan(ConnectionKind::BlockRelay);
        }
        if self.outbound.next_feeler.is_some_and(|due| now > due) {
            self.outbound.next_feeler = Some(now + self.exponential(FEELER_INTERVAL));
            return plan(ConnectionKind::Feeler);
        }
        if present.full == full && full == MAX_OUTBOUND_FULL_RELAY && now > self.outbound.next_extra_network {
            let network = self.missing_network()?;
            self.outbound.next_extra_network = now + self.exponential(EXTRA_INTERVAL);
            return Some(Plan { kind: ConnectionKind::OutboundFullRelay, anchor: false, network: Some(network) });
        }
        None
    }

    /// A network that we could reach and have no lasting peer of.
    fn missing_network(&mut self) -> Option<Network> {
        let mut networks = self.config.reachable.clone();
        networks.shuffle(&mut self.rng);
        networks.into_iter().find(|network| self.lasting_full_peers(*network) == 0 && self.addrman.size(Some(*network), None) > 0)
    }

    /// Peers of a network that relay everything, automatic or by hand.
    pub(crate) fn lasting_full_peers(&self, network: Network) -> usize {
        let counted = |peer: &&Peer| {
            matches!(peer.kind, ConnectionKind::Manual | ConnectionKind::OutboundFullRelay) && peer.addr.addr.network() == network
        };
        self.peers.values().filter(counted).count()
    }

    /// The connection to make now; `None`: none is due, or no address fits.
    pub fn choose_outbound(&mut self) -> Option<Choice> {
        if !self.network_active {
            return None;
        }
        let present = self.present();
        let plan = self.plan(&present)?;
        self.addrman.resolve_collisions(self.seconds());
        let address = if plan.anchor { self.next_anchor(&present) } else { None };
        let address = match address {
            Some(anchor) => anchor,
            None => self.pick(plan, &present)?,
        };
        let enough = 2.min(self.config.max_connections.saturating_sub(1));
        let count_failure = present.groups.len() + present.private >= enough;
        if let Some(network) = plan.network {
            tracing::debug!(
                target: "net",
                "Making network specific connection to {} on {}.", address.endpoint, network.name()
            );
        }
        Some(Choice { address, kind: plan.kind, count_failure })
    }

    fn next_anchor(&mut self, present: &Present) -> Option<PeerAddress> {
        while let Some(anchor) = self.outbound.anchors.pop() {
            let addr = &anchor.endpoint.addr;
            let fits = addr.is_valid()
                && !self.is_local(&anchor.endpoint)
                && self.is_reachable(addr)
                && self.has_desirable_services(anchor.services)
                && !present.groups.contains(&self.addrman.group(addr));
            if fits {
                tracing::debug!(target: "net", "Trying to make an anchor connection to {}", anchor.endpoint);
                return Some(anchor);
            }
        }
        None
    }

    fn select(&mut self, plan: Plan) -> Option<(PeerAddress, i64)> {
        let now = self.seconds();
        let networks = match plan.network {
            Some(network) => vec![network],
            None => self.config.reachable.clone(),
        };
        if plan.kind != ConnectionKind::Feeler {
            return self.addrman.select(false, &networks, now);
        }
        match self.addrman.select_tried_collision() {
            Some((old, _)) if self.is_connected_to_addr(&old.endpoint.addr) => {
                // It is there, as we can see; a feeler could not tell more.
                self.addrman.good(&old.endpoint, now, true);
                self.addrman.select(true, &networks, now)
            }
            Some(old) => Some(old),
            None => self.addrman.select(true, &networks, now),
        }
    }

    fn pick(&mut self, plan: Plan, present: &Present) -> Option<PeerAddress> {
        let feeler = plan.kind == ConnectionKind::Feeler;
        for tries in 1..=MAX_TRIES {
            let (address, last_try) = self.select(plan)?;
            let endpoint = address.endpoint;
            if !feeler && present.groups.contains(&self.addrman.group(&endpoint.addr)) {
                continue;
            }
            if !endpoint.addr.is_valid() || self.is_local(&endpoint) {
                return None;
            }
            if !self.is_reachable(&endpoint.addr) || (self.seconds() - last_try < RECENT && tries < RECENT_TRIES) {
                continue;
            }
            let useful = address.services & (services::NETWORK | services::NETWORK_LIMITED) != 0;
            if if feeler { !useful } else { !self.has_desirable_services(address.services) } {
                continue;
            }
            if tries < PORT_TRIES && is_bad_port(&endpoint) {
                continue;
            }
            if self.is_added_node(&endpoint) {
                let special = if plan.network.is_some() { "network-specific " } else { "" };
                let shown = if self.config.log_ips { format!(": {endpoint}") } else { String::new() };
                tracing::debug!(
                    target: "net",
                    "Not making automatic {special}{} connection to {} peer selected for manual (addnode) connection{shown}",
                    plan.kind.name(), endpoint.addr.network().name()
                );
                continue;
            }
            return Some(address);
        }
        None
    }

    /// Whether the user wants a connection by hand to this address.
    fn is_added_node(&self, endpoint: &Endpoint) -> bool {
        let (host, full) = (endpoint.addr.to_string(), endpoint.to_string());
        self.added_nodes.iter().any(|added| added.text == host || added.text == full)
    }

    /// Whether the address is one of ours.
    pub(crate) fn is_local(&self, endpoint: &Endpoint) -> bool {
        self.local_addresses.contains_key(&endpoint.addr)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::super::tests::{START, connect, engine};
    use super::*;

    fn address(text: &str) -> PeerAddress {
        PeerAddress {
            time: u32::try_from(START / SECOND).unwrap(),
            services: services::NETWORK | services::WITNESS | services::NETWORK_LIMITED,
            endpoint: Endpoint::parse(text, 8333).unwrap(),
        }
    }

    fn know(engine: &mut Engine, text: &str) -> PeerAddress {
        let address = address(text);
        assert!(engine.addrman.add(&[address], &address.endpoint.addr, 0, START / SECOND));
        address
    }

    #[test]
    fn full_peers_come_first_then_blocks_only_then_feelers() {
        let mut engine = engine();
        assert_eq!(engine.choose_outbound(), None);
        let known = know(&mut engine, "5.6.7.8");
        let first = engine.choose_outbound().unwrap();
        assert_eq!((first.address, first.kind, first.count_failure), (known, ConnectionKind::OutboundFullRelay, false));
        for _ in 0..8 {
            connect(&mut engine, ConnectionKind::OutboundFullRelay);
        }
        assert_eq!(engine.choose_outbound().unwrap().kind, ConnectionKind::BlockRelay);
        connect(&mut engine, ConnectionKind::BlockRelay);
        connect(&mut engine, ConnectionKind::BlockRelay);
        assert_eq!(engine.choose_outbound(), None);
        engine.set_now(START + 60 * FEELER_INTERVAL);
        assert_eq!(engine.choose_outbound().unwrap().kind, ConnectionKind::Feeler);
        engine.outbound.try_new_peer = true;
        assert_eq!(engine.choose_outbound().unwrap().kind, ConnectionKind::OutboundFullRelay);
    }

    #[test]
    fn one_peer_per_group_and_none_that_is_asked_for_by_hand() {
        let mut engine = engine();
        connect(&mut engine, ConnectionKind::OutboundFullRelay);
        know(&mut engine, "9.9.1.1");
        assert_eq!(engine.choose_outbound(), None);
        know(&mut engine, "8.8.8.8");
        engine.added_nodes.push(super::super::AddedNode { text: "8.8.8.8".into(), endpoint: None, v2: false });
        assert_eq!(engine.choose_outbound(), None);
        engine.added_nodes.clear();
        assert!(engine.choose_outbound().is_some());
    }

    #[test]
    fn ports_of_other_services_are_passed_over_at_first() {
        let mut engine = engine();
        know(&mut engine, "8.8.8.8:22");
        let known = know(&mut engine, "7.7.7.7:8333");
        for _ in 0..10 {
            assert_eq!(engine.choose_outbound().unwrap().address, known);
        }
    }

    #[test]
    fn anchors_are_tried_before_all_others() {
        let mut engine = engine();
        let known = know(&mut engine, "5.6.7.8");
        let anchor = address("6.6.6.6");
        engine.set_anchors(vec![PeerAddress { services: 0, ..address("6.7.6.6") }, anchor]);
        let first = engine.choose_outbound().unwrap();
        assert_eq!((first.address, first.kind), (anchor, ConnectionKind::BlockRelay));
        assert_eq!(engine.choose_outbound().unwrap().address, known);
    }
}
