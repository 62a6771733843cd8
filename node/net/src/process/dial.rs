//! Connections that we open: on request, for `-connect` and `-addnode`, and automatic ones.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bulkhead_control::{NetConfig, clock};
use bulkhead_wire::{Endpoint, Network, services};
use tokio::net::{TcpListener, TcpStream};

use super::Node;
use super::settings::ListenerKind;
use crate::engine::Engine;
use crate::engine::kind::ConnectionKind;
use crate::engine::peer::{NewPeer, PeerId};
use crate::engine::permission::Permissions;

/// Networks that automatic connections go to.
const REACHED: [Network; 2] = [Network::Ipv4, Network::Ipv6];
/// Between two looks for a peer to connect to.
const OPEN_PAUSE: Duration = Duration::from_millis(500);
/// Between two rounds over the added nodes.
const ADDED_PAUSE: Duration = Duration::from_secs(60);
/// After a round in which something was tried.
const ADDED_RETRY: Duration = Duration::from_secs(2);
/// Between two attempts on one `-connect` peer.
const CONNECT_PAUSE: Duration = Duration::from_millis(500);

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
    /// With the v2 transport.
    pub v2: bool,
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
                    tokio::time::sleep(OPEN_PAUSE).await;
                }
            }
        }
    }

    fn accept(self: &Rc<Self>, stream: TcpStream, from: SocketAddr, kind: ListenerKind) {
        let addr_bind = stream.local_addr().ok().map(Endpoint::from);
        // Only a hint to the kernel.
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        let new = NewPeer {
            addr: from.into(),
            destination: String::new(),
            addr_bind,
            kind: ConnectionKind::Inbound,
            inbound_onion: kind.onion,
            permissions: kind.permissions,
            v2: false,
        };
        self.adopt(new, reader, writer);
    }

    /// Opens one connection. `None`: it did not come about.
    pub async fn open(self: &Rc<Self>, target: Target<'_>) -> Option<PeerId> {
        let Target { endpoint, destination, kind, last_seen, v2 } = target;
        let (active, port) = self.look(|engine| (engine.is_network_active(), engine.config.default_port));
        if !active {
            return None;
        }
        if destination.is_empty() {
            let endpoint = endpoint?;
            if self.look(|engine| engine.is_connected_to(&endpoint)) {
                tracing::info!(target: "net", "Failed to open new connection to {endpoint}, already connected");
                return None;
            }
        } else if self.look(|engine| engine.is_connected_to_name(destination)) {
            return None;
        }
        let shown =
            if destination.is_empty() { endpoint.map(|at| at.to_string()).unwrap_or_default() } else { destination.to_owned() };
        let age = if destination.is_empty() { (clock::now() - i64::from(last_seen)).max(0) } else { 0 };
        tracing::debug!(
            target: "net",
            "trying {} connection ({}) to {shown}, lastseen={}.{}hrs",
            if v2 { "v2" } else { "v1" }, kind.name(), age / 3600, age % 3600 / 360
        );
        let endpoint = match endpoint {
            Some(endpoint) => endpoint,
            None => Endpoint::parse(destination, port)?,
        };
        if !destination.is_empty() && self.look(|engine| engine.is_connected_to(&endpoint)) {
            tracing::info!(target: "net", "Not opening a connection to {destination}, already connected to {endpoint}");
            return None;
        }
        self.connect(endpoint, target).await
    }

    async fn connect(self: &Rc<Self>, endpoint: Endpoint, target: Target<'_>) -> Option<PeerId> {
        let Target { destination, kind, v2, .. } = target;
        let socket = endpoint.socket()?;
        let result = tokio::time::timeout(self.info.connect_timeout, TcpStream::connect(socket)).await;
        let count = kind != ConnectionKind::Manual;
        self.with(|engine| engine.addrman.attempt(&endpoint, count, clock::now()));
        let stream = match result {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(target: "net", "connect() to {endpoint} failed: {error}");
                return None;
            }
            Err(_) => {
                tracing::debug!(target: "net", "connection attempt to {endpoint} timed out");
                return None;
            }
        };
        let addr_bind = stream.local_addr().ok().map(Endpoint::from);
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        let new = NewPeer {
            addr: endpoint,
            destination: destination.to_owned(),
            addr_bind,
            kind,
            inbound_onion: false,
            permissions: Permissions::NONE,
            v2,
        };
        self.adopt(new, reader, writer)
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
            }
            for peer in wanted {
                tokio::task::spawn_local(Rc::clone(self).keep_connected(peer));
            }
            return;
        }
        tracing::info!(target: "net", "opencon thread start");
        tokio::task::spawn_local(Rc::clone(self).keep_automatic());
    }

    /// A connection that the user asked for.
    #[must_use]
    pub fn by_hand(destination: &str, v2: bool) -> Target<'_> {
        Target { endpoint: None, destination, kind: ConnectionKind::Manual, last_seen: 0, v2 }
    }

    async fn keep_connected(self: Rc<Self>, peer: String) {
        loop {
            self.open(Self::by_hand(&peer, self.look(Engine::speaks_v2))).await;
            tokio::time::sleep(CONNECT_PAUSE).await;
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
            let tried = !missing.is_empty();
            for (node, v2) in missing {
                if self.look(Engine::has_room_for_manual) {
                    self.open(Self::by_hand(&node, v2)).await;
                }
                tokio::time::sleep(OPEN_PAUSE).await;
            }
            tokio::time::sleep(if tried { ADDED_PAUSE } else { ADDED_RETRY }).await;
        }
    }

    /// Keeps up the automatic connections: full ones first, then those for blocks only, one per network group.
    async fn keep_automatic(self: Rc<Self>) {
        loop {
            tokio::time::sleep(OPEN_PAUSE).await;
            let kind = [ConnectionKind::OutboundFullRelay, ConnectionKind::BlockRelay]
                .into_iter()
                .find(|kind| self.look(|engine| engine.has_room_for(*kind)));
            let Some(kind) = kind else { continue };
            let chosen = self.with(|engine| {
                let now = clock::now();
                engine.addrman.resolve_collisions(now);
                let groups = engine.outbound_groups();
                (0..100).find_map(|tries| {
                    let (address, last_try) = engine.addrman.select(false, &REACHED, now)?;
                    let fresh = !groups.contains(&address.endpoint.addr.group());
                    // Recently tried ones only when nothing else comes up.
                    (fresh && (now - last_try >= 600 || tries >= 30)).then_some(address)
                })
            });
            if let Some(address) = chosen {
                let v2 = address.services & services::P2P_V2 != 0 && self.look(Engine::speaks_v2);
                let (endpoint, last_seen) = (Some(address.endpoint), address.time);
                self.open(Target { endpoint, destination: "", kind, last_seen, v2 }).await;
            }
        }
    }
}
