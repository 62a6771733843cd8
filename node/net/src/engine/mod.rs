//! The peer-to-peer logic without sockets, clock or runtime: bytes and answers go in, effects come out.
//!
//! # Correctness
//! The messages of one peer are handled strictly in order. Where a message needs chain's answer, the peer's next
//! message waits for it (`blocked_on`), other peers go on. Blocks are the exception: up to sixteen of a peer may be
//! under judgement at once, but no other message overtakes them, so a `pong` still means that everything before
//! the `ping` was done.

pub mod chain_view;
pub mod config;
pub mod headers_index;
pub mod kind;
pub mod orphanage;
pub mod peer;
pub mod permission;
pub mod presync;
pub mod private_queue;
pub mod recent;
pub mod tx_request;
pub mod upload;

mod announce;
mod answers;
mod block_sources;
mod blocks;
mod compact;
mod connections;
mod download;
mod eviction;
mod extra_peers;
mod filters;
mod gossip;
mod handshake;
mod headers;
mod inventory;
mod local;
mod mempool_view;
mod outbound;
mod ping;
mod private_broadcast;
mod punish;
mod receive;
mod reconciliation;
mod requests;
mod serve;
mod stats;
mod tick;
mod transactions;
mod transport;
mod trickle;

#[cfg(test)]
mod relay_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use bitcoin::secp256k1::rand::rngs::StdRng;
use bitcoin::secp256k1::rand::{Rng, SeedableRng};
use bulkhead_addrman::{AddrMan, BanList};
use bulkhead_wire::{Endpoint, Message, Network, PeerAddress};

pub use connections::{AddedNode, AddedNodeInfo};
pub use outbound::Choice;
pub use private_broadcast::{PrivateChoice, PrivateOutcome};
pub use stats::PeerStats;

use answers::Continuation;
use chain_view::{ChainView, Question};
use compact::RecentBlock;
use config::EngineConfig;
use download::Plans;
use headers_index::{Hash, HeaderIndex};
use kind::ConnectionKind;
use mempool_view::MempoolView;
use orphanage::Orphanage;
use peer::{Peer, PeerId};
use requests::BlockRequests;
use tx_request::TxRequests;
use upload::Upload;

/// One second in the engine's unit of time.
pub const SECOND: i64 = 1_000_000;
/// Score of an address of one of our interfaces (Core: `LOCAL_IF`).
pub const LOCAL_INTERFACE: i32 = 1;
/// Score of an address that a listener is bound to (Core: `LOCAL_BIND`).
pub const LOCAL_BIND: i32 = 2;
/// Score of an address that a router forwards to us (Core: `LOCAL_MAPPED`).
pub const LOCAL_MAPPED: i32 = 3;
/// Score of an address that the user or a service of the machine named (Core: `LOCAL_MANUAL`).
pub const LOCAL_MANUAL: i32 = 4;

/// What the process must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send a message.
    Send {
        /// To whom.
        peer: PeerId,
        /// Command.
        command: String,
        /// Body.
        body: Vec<u8>,
    },
    /// Send bytes of the transport's own handshake.
    Handshake {
        /// To whom.
        peer: PeerId,
        /// As they are.
        bytes: Vec<u8>,
    },
    /// Connect once more, with the v1 transport: the peer hung up on our v2 handshake.
    Reconnect {
        /// Where it was.
        addr: Endpoint,
        /// What the user had asked for.
        destination: String,
        /// Why it was connected.
        kind: ConnectionKind,
        /// It was reached through the onion proxy, whatever its network.
        over_onion: bool,
    },
    /// Connections for private broadcast are wanted.
    PrivateWanted,
    /// Close the connection; then call [`Engine::closed`].
    Close(PeerId),
    /// Ask chain; then call [`Engine::answer`] with the token.
    Ask {
        /// Comes back with the answer.
        token: u64,
        /// The question.
        question: Question,
    },
    /// A block under construction in chain is not needed any more.
    DropPartial(u64),
    /// The ban list changed: write it.
    SaveBans,
    /// Write a message down (`-capturemessages`).
    Capture {
        /// Whose.
        addr: Endpoint,
        /// It came, or it was sent.
        incoming: bool,
        /// Command.
        command: String,
        /// Body.
        body: Vec<u8>,
    },
}

/// The state of the whole network side.
pub struct Engine {
    /// Settings.
    pub config: EngineConfig,
    /// What we believe of the chain.
    pub chain: ChainView,
    /// Addresses of other nodes.
    pub addrman: AddrMan,
    /// Bans.
    pub bans: BanList,
    /// Our own addresses with port and score.
    pub local_addresses: BTreeMap<bulkhead_wire::NetAddr, (u16, i32)>,
    /// `-addnode` and the `addnode` RPC.
    pub added_nodes: Vec<AddedNode>,
    pub(crate) network_active: bool,
    pub(crate) total_sent: u64,
    pub(crate) total_received: u64,
    outbound: outbound::Outbound,
    extra_peers: extra_peers::ExtraPeers,
    /// Keys of the hashes that peers must not be able to predict.
    secret: (u64, u64),
    peers: BTreeMap<PeerId, Peer>,
    next_peer: PeerId,
    now: i64,
    rng: StdRng,
    headers: HeaderIndex,
    effects: Vec<Effect>,
    waiting: HashMap<u64, (Continuation, Option<PeerId>)>,
    next_token: u64,
    block_requests: BlockRequests,
    block_sources: block_sources::BlockSources,
    plans: Plans,
    /// A look at all peers is under way that comes with time and not with a message.
    ticking: bool,
    /// Questions that came while chain was importing: one a peer.
    getheaders_while_loading: BTreeMap<PeerId, bulkhead_wire::message::Locator>,
    tx_requests: TxRequests,
    orphanage: Orphanage,
    /// Peers with orphans whose parents have come.
    orphan_work: Vec<PeerId>,
    upload: Upload,
    recent_block: Option<RecentBlock>,
    highest_fast_announce: i32,
    /// Peers that announce blocks to us in compact form, the newest last.
    high_bandwidth: Vec<PeerId>,
    next_partial: u64,
    last_presync_report: i64,
    mempool: MempoolView,
    last_inv_block: Option<Hash>,
    announcements: announce::Announcements,
    last_tip_update: i64,
    next_inbound_send: i64,
    stalling_timeout: i64,
    addr_caches: HashMap<(Network, Option<Endpoint>), (i64, Vec<PeerAddress>)>,
    private: private_broadcast::PrivateBroadcast,
}

impl Engine {
    /// An engine without peers. `seed` feeds every random choice; `now` is in microseconds.
    #[must_use]
    pub fn new(config: EngineConfig, addrman: AddrMan, bans: BanList, seed: [u8; 32], now: i64) -> Self {
        let mut rng = StdRng::from_seed(seed);
        let request_keys = (rng.r#gen(), rng.r#gen());
        Self {
            config,
            chain: ChainView::default(),
            addrman,
            bans,
            local_addresses: BTreeMap::new(),
            added_nodes: Vec::new(),
            network_active: true,
            total_sent: 0,
            total_received: 0,
            outbound: outbound::Outbound::default(),
            extra_peers: extra_peers::ExtraPeers::default(),
            secret: (rng.r#gen(), rng.r#gen()),
            peers: BTreeMap::new(),
            next_peer: 0,
            now,
            rng,
            headers: HeaderIndex::default(),
            effects: Vec::new(),
            waiting: HashMap::new(),
            next_token: 0,
            block_requests: BlockRequests::default(),
            block_sources: Default::default(),
            plans: Plans::default(),
            ticking: false,
            getheaders_while_loading: BTreeMap::new(),
            tx_requests: TxRequests::new(request_keys),
            orphanage: Orphanage::default(),
            orphan_work: Vec::new(),
            upload: Upload::default(),
            recent_block: None,
            highest_fast_announce: 0,
            high_bandwidth: Vec::new(),
            next_partial: 0,
            last_presync_report: 0,
            mempool: MempoolView::default(),
            last_inv_block: None,
            announcements: Default::default(),
            last_tip_update: 0,
            next_inbound_send: 0,
            stalling_timeout: download::STALLING_TIMEOUT,
            addr_caches: HashMap::new(),
            private: Default::default(),
        }
    }

    /// Sets the time, microseconds. Called before every other entry.
    pub fn set_now(&mut self, now: i64) {
        self.now = now;
    }

    /// What is to be done since the last call.
    #[must_use]
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(crate) fn seconds(&self) -> i64 {
        self.now / SECOND
    }

    fn send(&mut self, peer: PeerId, message: &Message) {
        let (command, body) = message.encode();
        self.send_raw(peer, command, body);
    }

    /// Sends a message as it is (`sendmsgtopeer`); whether the peer is there.
    pub fn send_raw(&mut self, peer: PeerId, command: &str, body: Vec<u8>) -> bool {
        let Some(state) = self.peers.get_mut(&peer) else { return false };
        if state.disconnect {
            return false;
        }
        if state.is(ConnectionKind::PrivateBroadcast) && !private_broadcast::may_send(command) {
            let (shown, peer) =
                (bulkhead_wire::sanitize(command.as_bytes()), self.peers.get(&peer).map(|peer| self.log_peer(peer)));
            tracing::debug!(
                target: "privatebroadcast",
                "Omitting send of message '{shown}', {}", peer.unwrap_or_default()
            );
            return false;
        }
        if command == "verack" {
            self.note_onion_proxy(peer);
        }
        let Some(state) = self.peers.get_mut(&peer) else { return false };
        tracing::debug!(target: "net", "sending {} ({} bytes) peer={peer}", bulkhead_wire::sanitize(command.as_bytes()), body.len());
        if self.config.capture {
            let (addr, command, body) = (state.addr, command.to_owned(), body.clone());
            self.effects.push(Effect::Capture { addr, incoming: false, command, body });
        }
        if state.transport.is_ready() {
            self.effects.push(Effect::Send { peer, command: command.to_owned(), body });
        } else {
            state.unsent.push((command.to_owned(), body));
        }
        true
    }

    /// Asks chain. With `blocking`, that peer's next message waits for the answer.
    fn ask(&mut self, question: Question, then: Continuation, blocking: Option<PeerId>) {
        if let Some(peer) = blocking.and_then(|id| self.peers.get_mut(&id)) {
            peer.blocked_on += 1;
        }
        let token = self.next_token;
        self.next_token += 1;
        self.waiting.insert(token, (then, blocking));
        self.effects.push(Effect::Ask { token, question });
    }

    /// Core's `LogPeer`.
    pub(crate) fn log_peer(&self, peer: &Peer) -> String {
        if self.config.log_ips { format!("peer={}, peeraddr={}", peer.id, peer.addr) } else { format!("peer={}", peer.id) }
    }

    /// Core's `DisconnectMsg`.
    pub(crate) fn disconnect_text(&self, id: PeerId) -> String {
        match self.peers.get(&id) {
            Some(peer) => format!("disconnecting {}", self.log_peer(peer)),
            None => format!("disconnecting peer={id}"),
        }
    }

    /// Ends a connection; nothing that is still queued is looked at.
    fn drop_peer(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(&id)
            && !peer.disconnect
        {
            peer.disconnect = true;
            self.effects.push(Effect::Close(id));
        }
    }

    /// A delay drawn from an exponential distribution, microseconds.
    fn exponential(&mut self, average: i64) -> i64 {
        let uniform: f64 = self.rng.r#gen();
        let average = f64::from(i32::try_from(average / 1000).unwrap_or(i32::MAX));
        // Below 2^53 microseconds, so nothing is lost.
        #[allow(clippy::cast_possible_truncation)]
        let delay = (-(1.0 - uniform).ln() * average * 1000.0) as i64;
        delay
    }

    /// Number of connections: all, inbound.
    #[must_use]
    pub fn connection_counts(&self) -> (usize, usize) {
        let inbound = self.peers.values().filter(|peer| peer.kind.is_inbound()).count();
        (self.peers.len(), inbound)
    }
}
