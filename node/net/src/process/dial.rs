//! Connections that we open: on request, for `-connect` and `-addnode`, and automatic ones.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bitcoin::secp256k1::rand::seq::SliceRandom;
use bitcoin::secp256k1::rand::{Rng, thread_rng};
use bulkhead_control::{NetConfig, clock};
use bulkhead_wire::netaddr::split_host_port;
use bulkhead_wire::{Endpoint, sam, services};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::Node;
use super::connect::{Reached, Unreached};
use super::settings::ListenerKind;
use crate::engine::Engine;
use crate::engine::kind::ConnectionKind;
use crate::engine::peer::{NewPeer, PeerId};

/// Between two looks for a peer to connect to.
const OPEN_PAUSE: Duration = Duration::from_millis(500);
/// Between two rounds over the added nodes in which something was tried.
const ADDED_PAUSE: Duration = Duration::from_secs(60);
/// Between two rounds in which nothing was.
const ADDED_RETRY: Duration = Duration::from_secs(2);
/// Rounds over the `-connect` peers after which the pause between two attempts does not grow any more.
const LONGEST_CONNECT_PAUSE: u32 = 10;
/// A feeler waits for up to a second, so that many nodes do not act at the same time.
const FEELER_NOISE_MILLIS: u64 = 1000;
/// Addresses of one name that are tried.
const MAX_RESOLVED: usize = 256;

/// One connection to open.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Where; `None`: what `destination` says.
    pub endpoint: Option<Endpoint>,
    /// What the user asked for; empty: nothing.
    pub destination: &'a str,
    /// Why.
    pub kind: ConnectionKind,
    /// When the address manager heard of the address last, seconds since 1970; 0: never.
    pub last_seen: u32,
    /// Services that the address manager knows of.
    pub services: u64,
    /// A failure counts against the address.
    pub count_failure: bool,
    /// With the v2 transport.
    pub v2: bool,
    /// Through the onion proxy, whatever the network.
    pub over_onion: bool,
}

impl Node {
    /// Accepts on one listening socket, for ever.
    pub async fn listen(self: Rc<Self>, listener: TcpListener, kind: ListenerKind) {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => self.accept(stream, from, kind),
                Err(error) => {
                    tracing::info!(target: "net", "socket error accept failed: {error}");
                    // Out of descriptors, most likely: do not spin.
                    sleep(OPEN_PAUSE).await;
                }
            }
        }
    }

    fn accept(self: &Rc<Self>, stream: TcpStream, from: SocketAddr, kind: ListenerKind) {
        let addr_bind = stream.local_addr().ok().map(Endpoint::from);
        // Only a hint to the kernel.
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        let addr = self.look(|engine| Endpoint::new(engine.config.flip(from.ip().into()), from.port()));
        let new = NewPeer { addr, addr_bind, inbound_onion: kind.onion, ..NewPeer::inbound(kind.permissions) };
        self.adopt(new, reader, writer);
    }

    /// Opens one connection. `None`: it did not come about.
    pub async fn open(self: &Rc<Self>, target: Target<'_>) -> Option<PeerId> {
        let Target { endpoint, destination, kind, .. } = target;
        if !self.look(Engine::is_network_active) {
            return None;
        }
        if destination.is_empty() {
            let endpoint = endpoint?;
            if self.look(|engine| engine.refuses_to_dial(&endpoint, clock::now())) {
                return None;
            }
        } else if self.look(|engine| engine.is_connected_to_name(destination)) {
            return None;
        }
        let shown = endpoint.filter(|_| destination.is_empty()).map_or_else(|| destination.to_owned(), |at| at.to_string());
        let age = if destination.is_empty() { (clock::now() - i64::from(target.last_seen)).max(0) } else { 0 };
        tracing::debug!(
            target: "net",
            "trying {} connection ({}) to {shown}, lastseen={}.{}hrs",
            if target.v2 { "v2" } else { "v1" }, kind.name(), age / 3600, age % 3600 / 360
        );
        let candidates = match endpoint.filter(|_| destination.is_empty()) {
            Some(endpoint) => vec![endpoint],
            None => self.resolve(destination).await?,
        };
        if candidates.is_empty() {
            let reached = self.by_name(destination).await?;
            return self.welcome(Endpoint::NONE, target, reached);
        }
        for candidate in candidates {
            let result = self.reach(&candidate, kind, target.over_onion).await;
            if !matches!(result, Err(Unreached::Proxy)) {
                self.with(|engine| engine.addrman.attempt(&candidate, target.count_failure, clock::now()));
            }
            if let Ok(reached) = result {
                return self.welcome(candidate, target, reached);
            }
        }
        None
    }

    /// Addresses that a destination stands for, in random order; empty when only a proxy can resolve it. `None`: there
    /// is a connection to one of them already.
    async fn resolve(self: &Rc<Self>, destination: &str) -> Option<Vec<Endpoint>> {
        let port = self.look(|engine| engine.config.default_port);
        let numeric = Endpoint::parse(destination, port).map(|endpoint| match endpoint.addr {
            // I2P has no ports; whoever names one gets to hear so.
            bulkhead_wire::NetAddr::I2p(_) if !destination.contains(':') => Endpoint::new(endpoint.addr, sam::PORT),
            _ => endpoint,
        });
        let mut found: Vec<Endpoint> = numeric.into_iter().collect();
        if found.is_empty()
            && self.info.lookup_names
            && self.proxies.borrow().for_names().is_none()
            && let Some((host, port)) = split_host_port(destination, port)
        {
            let addresses = self.info.resolver.lookup(host, MAX_RESOLVED).await;
            found = addresses.into_iter().map(|ip| Endpoint::new(ip.into(), port)).collect();
            found.shuffle(&mut thread_rng());
        }
        for endpoint in &mut found {
            endpoint.addr = self.look(|engine| engine.config.flip(endpoint.addr));
            if !endpoint.addr.is_valid() {
                tracing::debug!(target: "net", "Resolver returned invalid address {endpoint} for {destination}");
                return None;
            }
            if self.look(|engine| engine.is_connected_to(endpoint)) {
                tracing::info!(
                    target: "net",
                    "Not opening a connection to {destination}, already connected to {endpoint}"
                );
                return None;
            }
        }
        Some(found)
    }

    /// Lets the proxy for names resolve the destination.
    async fn by_name(self: &Rc<Self>, destination: &str) -> Option<Reached> {
        let proxy = self.proxies.borrow().for_names().cloned()?;
        let port = self.look(|engine| engine.config.default_port);
        let (host, port) = split_host_port(destination, port)?;
        self.through(&proxy, host, port).await.ok()
    }

    fn welcome(self: &Rc<Self>, addr: Endpoint, target: Target<'_>, reached: Reached) -> Option<PeerId> {
        let new = NewPeer {
            addr,
            services: target.services,
            last_seen: target.last_seen,
            destination: target.destination.to_owned(),
            addr_bind: reached.local,
            v2: target.v2,
            over_onion: target.over_onion,
            ..NewPeer::outbound(target.kind)
        };
        let (reader, writer) = reached.stream.split();
        let peer = self.adopt(new, reader, writer)?;
        if let Some(session) = reached.session
            && let Some(outgoing) = self.connections.borrow().get(&peer)
        {
            outgoing.keep(session);
        }
        Some(peer)
    }

    /// Starts everything that opens connections.
    pub fn start_dialling(self: &Rc<Self>, config: &NetConfig) {
        tracing::info!(target: "net", "addcon thread start");
        tokio::task::spawn_local(Rc::clone(self).keep_added_nodes());
        let wanted: Vec<String> =
            config.connect.iter().filter(|peer| peer.as_str() != "0" && !peer.is_empty()).cloned().collect();
        if config.connect_given {
            if !wanted.is_empty() {
                tracing::info!(target: "net", "opencon thread start");
                tokio::task::spawn_local(Rc::clone(self).keep_connected(wanted));
            }
            return;
        }
        tracing::info!(target: "net", "opencon thread start");
        tokio::task::spawn_local(Rc::clone(self).keep_automatic(config.clone()));
        if self.info.private_broadcast {
            tracing::info!(target: "net", "privbcast thread start");
            tokio::task::spawn_local(Rc::clone(self).open_private());
        }
    }

    /// Connects once more, with the v1 transport.
    pub(super) async fn reopen(self: &Rc<Self>, endpoint: Endpoint, destination: &str, kind: ConnectionKind, over_onion: bool) {
        let target = Target { endpoint: Some(endpoint), kind, over_onion, ..Self::by_hand(destination, false) };
        self.open(target).await;
    }

    /// A connection that the user asked for.
    #[must_use]
    pub fn by_hand(destination: &str, v2: bool) -> Target<'_> {
        Target {
            endpoint: None,
            destination,
            kind: ConnectionKind::Manual,
            last_seen: 0,
            services: 0,
            count_failure: false,
            v2,
            over_onion: false,
        }
    }

    async fn keep_connected(self: Rc<Self>, peers: Vec<String>) {
        let v2 = self.look(Engine::speaks_v2);
        for round in 0u32.. {
            for peer in &peers {
                self.open(Self::by_hand(peer, v2)).await;
                sleep(OPEN_PAUSE * round.min(LONGEST_CONNECT_PAUSE)).await;
            }
            sleep(OPEN_PAUSE).await;
        }
    }

    async fn keep_added_nodes(self: Rc<Self>) {
        loop {
            let missing: Vec<(String, bool)> = self
                .look(Engine::added_node_info)
                .into_iter()
                .filter(|info| info.connected.is_none())
                .map(|info| (info.text, info.v2))
                .collect();
            let mut tried = false;
            for (node, v2) in missing {
                if !self.look(Engine::has_room_for_manual) {
                    break;
                }
                tried = true;
                self.open(Self::by_hand(&node, v2)).await;
                sleep(OPEN_PAUSE).await;
            }
            sleep(if tried { ADDED_PAUSE } else { ADDED_RETRY }).await;
        }
    }

    /// Keeps up the automatic connections.
    async fn keep_automatic(self: Rc<Self>, config: NetConfig) {
        let mut seeds = super::seeding::Seeds::new(&self, &config);
        loop {
            if let Some(destination) = seeds.next_fetch(&self) {
                let v2 = self.look(Engine::speaks_v2);
                let kind = ConnectionKind::AddrFetch;
                self.open(Target { kind, ..Self::by_hand(&destination, v2) }).await;
            }
            sleep(OPEN_PAUSE).await;
            seeds.maybe_add_fixed(&self);
            seeds.look_at_seed_nodes(&self);
            let Some(choice) = self.with(Engine::choose_outbound) else { continue };
            if choice.kind == ConnectionKind::Feeler {
                sleep(Duration::from_millis(thread_rng().gen_range(0..FEELER_NOISE_MILLIS))).await;
                tracing::debug!(target: "net", "Making feeler connection to {}", choice.address.endpoint);
            }
            self.open(Target {
                endpoint: Some(choice.address.endpoint),
                destination: "",
                kind: choice.kind,
                last_seen: choice.address.time,
                services: choice.address.services,
                count_failure: choice.count_failure,
                v2: choice.address.services & services::P2P_V2 != 0 && self.look(Engine::speaks_v2),
                over_onion: false,
            })
            .await;
        }
    }
}
