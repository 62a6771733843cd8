//! Everything we remember about one peer.

use std::collections::{BTreeMap, HashSet, VecDeque};

use bulkhead_wire::bloom::BloomFilter;
use bulkhead_wire::{Endpoint, Inventory, NetAddr, Network, PeerAddress, Transport, services};

use super::headers_index::{Hash, HeaderRef};
use super::kind::ConnectionKind;
use super::permission::Permissions;
use super::presync::HeadersSync;
use super::recent::RecentSet;
use super::reconciliation::Reconciliation;

/// Number of a connection, counted up from 0.
pub type PeerId = u64;

/// A message that waits for its turn.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) command: String,
    pub(crate) body: Vec<u8>,
    /// Bytes that it took on the wire.
    pub(crate) raw_size: usize,
    pub(crate) received: i64,
}

/// How far a block in compact form is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Partial {
    /// It was not sent in compact form.
    None,
    /// Chain has it under this key and lacks transactions.
    Waiting(u64),
    /// It could not be put together, or is being put together: no other compact form of it is looked at.
    Spent,
}

/// A block that we asked this peer for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InFlight {
    pub(crate) hash: Hash,
    pub(crate) height: i32,
    pub(crate) partial: Partial,
}

/// What a peer that relays transactions has and wants.
#[derive(Debug)]
pub(crate) struct TxRelay {
    /// It wants announcements.
    pub(crate) relay: bool,
    /// Ids that it knows, in the form that it uses.
    pub(crate) known: RecentSet,
    /// Transactions to announce, by wtxid.
    pub(crate) to_send: HashSet<Hash>,
    /// It asked for the whole mempool.
    pub(crate) send_mempool: bool,
    /// When the next announcement is due, microseconds; 0 before the first.
    pub(crate) next_send: i64,
    /// Our mempool's sequence number at the last announcement.
    pub(crate) last_sequence: u64,
    /// Its `feefilter`, satoshi per 1000 vbyte.
    pub(crate) fee_filter: i64,
    /// Its bloom filter.
    pub(crate) bloom: Option<BloomFilter>,
}

/// The outbound peer that lags behind gets a deadline.
#[derive(Debug, Default)]
pub(crate) struct ChainSync {
    pub(crate) timeout: i64,
    pub(crate) work_header: Option<HeaderRef>,
    pub(crate) sent_getheaders: bool,
    pub(crate) protect: bool,
}

/// One connection. Times are microseconds unless they say otherwise.
#[derive(Debug)]
pub struct Peer {
    pub(crate) id: PeerId,
    pub(crate) addr: Endpoint,
    /// What the user asked for; empty for other peers.
    pub(crate) destination: String,
    /// Name that the user gave, or the address as text.
    pub(crate) name: String,
    pub(crate) addr_bind: Option<Endpoint>,
    pub(crate) addr_local: Option<Endpoint>,
    pub(crate) kind: ConnectionKind,
    pub(crate) inbound_onion: bool,
    pub(crate) prefer_evict: bool,
    /// Its network group, mixed with a secret.
    pub(crate) keyed_group: u64,
    /// Services that the address manager knew of when we connected, and when it had heard of the address.
    pub(crate) listed: (u64, u32),
    pub(crate) permissions: Permissions,
    pub(crate) over_onion: bool,
    pub(crate) our_services: u64,
    pub(crate) our_nonce: u64,

    pub(crate) transport: Transport,
    /// Messages that wait until the transport can encode them.
    pub(crate) unsent: Vec<(String, Vec<u8>)>,
    /// Bytes of the transport's own handshake that went out.
    pub(crate) handshake_sent: u64,
    pub(crate) queue: VecDeque<Waiting>,
    pub(crate) queue_bytes: usize,
    /// Questions to chain whose answers must come before the next message is looked at.
    pub(crate) blocked_on: usize,
    /// Blocks of this peer that chain has not judged yet.
    pub(crate) submitting: usize,
    pub(crate) pause_send: bool,
    pub(crate) pumping: bool,

    pub(crate) disconnect: bool,
    pub(crate) should_discourage: bool,
    pub(crate) version_sent: bool,
    pub(crate) version: i32,
    pub(crate) common_version: i32,
    pub(crate) user_agent: String,
    pub(crate) services: u64,
    pub(crate) handshaken: bool,
    pub(crate) time_offset: i64,

    pub(crate) connected_at: i64,
    pub(crate) last_send: i64,
    pub(crate) last_recv: i64,
    pub(crate) last_tx: i64,
    pub(crate) last_block: i64,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) sent_by_type: BTreeMap<&'static str, u64>,
    pub(crate) received_by_type: BTreeMap<&'static str, u64>,

    pub(crate) ping_nonce: u64,
    pub(crate) ping_start: i64,
    pub(crate) ping_queued: bool,
    pub(crate) last_ping: i64,
    pub(crate) min_ping: i64,

    pub(crate) wtxid_relay: bool,
    pub(crate) reconciliation: Reconciliation,
    pub(crate) wants_addrv2: bool,
    pub(crate) prefers_headers: bool,
    pub(crate) sent_sendheaders: bool,
    pub(crate) provides_compact: bool,
    pub(crate) high_bandwidth_from: bool,
    pub(crate) high_bandwidth_to: bool,
    /// Headers of a chain that has not shown enough work yet.
    pub(crate) presync: Option<Box<HeadersSync>>,
    pub(crate) tx: Option<TxRelay>,
    pub(crate) fee_filter_sent: i64,
    pub(crate) next_fee_filter: i64,

    pub(crate) best_known: Option<HeaderRef>,
    pub(crate) last_unknown: Option<Hash>,
    pub(crate) best_sent: Option<HeaderRef>,
    pub(crate) common_height: i32,
    pub(crate) sync_started: bool,
    pub(crate) headers_timeout: i64,
    pub(crate) last_getheaders: i64,
    pub(crate) inv_triggered_getheaders: bool,
    pub(crate) preferred_download: bool,
    pub(crate) in_flight: VecDeque<InFlight>,
    pub(crate) downloading_since: i64,
    pub(crate) stalling_since: i64,
    pub(crate) last_announcement: i64,
    pub(crate) chain_sync: ChainSync,

    pub(crate) announce_headers: Vec<Hash>,
    pub(crate) announce_inv: Vec<Hash>,
    pub(crate) continuation: Option<Hash>,
    pub(crate) getdata: VecDeque<Inventory>,

    pub(crate) addr_relay: bool,
    pub(crate) addr_known: RecentSet,
    pub(crate) addr_to_send: Vec<PeerAddress>,
    pub(crate) getaddr_sent: bool,
    pub(crate) getaddr_received: bool,
    pub(crate) addr_tokens: f64,
    pub(crate) addr_token_time: i64,
    pub(crate) addr_processed: u64,
    pub(crate) addr_rate_limited: u64,
    pub(crate) next_addr_send: i64,
    pub(crate) next_local_addr: i64,
}

/// What is known about a connection when it opens.
#[derive(Debug, Clone)]
pub struct NewPeer {
    /// The other end.
    pub addr: Endpoint,
    /// Services that the address manager knows of.
    pub services: u64,
    /// When the address manager heard of it last, seconds since 1970; 0: never.
    pub last_seen: u32,
    /// What the user asked for; empty for other peers.
    pub destination: String,
    /// Our end.
    pub addr_bind: Option<Endpoint>,
    /// Why.
    pub kind: ConnectionKind,
    /// It came through our onion service.
    pub inbound_onion: bool,
    /// Permissions of the listening socket.
    pub permissions: Permissions,
    /// Open it with the v2 transport; the other side decides on inbound connections.
    pub v2: bool,
    /// It was reached through the onion proxy, whatever its network.
    pub over_onion: bool,
}

impl NewPeer {
    fn of_kind(kind: ConnectionKind, permissions: Permissions) -> Self {
        Self {
            addr: Endpoint::NONE,
            services: 0,
            last_seen: 0,
            destination: String::new(),
            addr_bind: None,
            kind,
            inbound_onion: false,
            permissions,
            v2: false,
            over_onion: false,
        }
    }

    /// Someone connected to us.
    #[must_use]
    pub fn inbound(permissions: Permissions) -> Self {
        Self::of_kind(ConnectionKind::Inbound, permissions)
    }

    /// We connected to someone.
    #[must_use]
    pub fn outbound(kind: ConnectionKind) -> Self {
        Self::of_kind(kind, Permissions::NONE)
    }
}

impl Peer {
    pub(crate) fn new(
        id: PeerId,
        new: NewPeer,
        transport: Transport,
        keyed_group: u64,
        our_services: u64,
        nonce: u64,
        now: i64,
    ) -> Self {
        let name = if new.destination.is_empty() { new.addr.to_string() } else { new.destination.clone() };
        Self {
            id,
            addr: new.addr,
            destination: new.destination,
            name,
            addr_bind: new.addr_bind,
            addr_local: None,
            kind: new.kind,
            inbound_onion: new.inbound_onion,
            prefer_evict: false,
            keyed_group,
            listed: (new.services, new.last_seen),
            permissions: new.permissions,
            over_onion: new.over_onion,
            our_services,
            our_nonce: nonce,
            transport,
            unsent: Vec::new(),
            handshake_sent: 0,
            queue: VecDeque::new(),
            queue_bytes: 0,
            blocked_on: 0,
            submitting: 0,
            pause_send: false,
            pumping: false,
            disconnect: false,
            should_discourage: false,
            version_sent: false,
            version: 0,
            common_version: 0,
            user_agent: String::new(),
            services: 0,
            handshaken: false,
            time_offset: 0,
            connected_at: now,
            last_send: 0,
            last_recv: 0,
            last_tx: 0,
            last_block: 0,
            bytes_sent: 0,
            bytes_received: 0,
            sent_by_type: BTreeMap::new(),
            received_by_type: BTreeMap::new(),
            ping_nonce: 0,
            ping_start: 0,
            ping_queued: false,
            last_ping: 0,
            min_ping: i64::MAX,
            wtxid_relay: false,
            reconciliation: Reconciliation::None,
            wants_addrv2: false,
            prefers_headers: false,
            sent_sendheaders: false,
            provides_compact: false,
            high_bandwidth_from: false,
            high_bandwidth_to: false,
            presync: None,
            tx: None,
            fee_filter_sent: 0,
            next_fee_filter: 0,
            best_known: None,
            last_unknown: None,
            best_sent: None,
            common_height: -1,
            sync_started: false,
            headers_timeout: 0,
            last_getheaders: 0,
            inv_triggered_getheaders: false,
            preferred_download: false,
            in_flight: VecDeque::new(),
            downloading_since: 0,
            stalling_since: 0,
            last_announcement: 0,
            chain_sync: ChainSync::default(),
            announce_headers: Vec::new(),
            announce_inv: Vec::new(),
            continuation: None,
            getdata: VecDeque::new(),
            addr_relay: false,
            addr_known: RecentSet::new(5000),
            addr_to_send: Vec::new(),
            getaddr_sent: false,
            getaddr_received: false,
            addr_tokens: 1.0,
            addr_token_time: now,
            addr_processed: 0,
            addr_rate_limited: 0,
            next_addr_send: 0,
            next_local_addr: 0,
        }
    }

    /// The network that the peer is reached through.
    #[must_use]
    pub fn network(&self) -> Network {
        if self.inbound_onion { Network::Onion } else { self.addr.addr.class() }
    }

    /// The address as the address manager had it.
    pub(crate) fn listed(&self) -> PeerAddress {
        let (services, last_seen) = self.listed;
        // Core's time of addresses that nobody told.
        let time = if last_seen == 0 { 100_000_000 } else { last_seen };
        PeerAddress { time, services, endpoint: self.addr }
    }

    pub(crate) fn can_serve_blocks(&self) -> bool {
        self.services & (services::NETWORK | services::NETWORK_LIMITED) != 0
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.services & services::NETWORK == 0 && self.services & services::NETWORK_LIMITED != 0
    }

    pub(crate) fn can_serve_witnesses(&self) -> bool {
        self.services & services::WITNESS != 0
    }

    pub(crate) fn is(&self, kind: ConnectionKind) -> bool {
        self.kind == kind
    }

    pub(crate) fn may(&self, permission: Permissions) -> bool {
        self.permissions.has(permission)
    }

    /// Whether addresses of this network can be told to the peer.
    pub(crate) fn understands(&self, addr: &NetAddr) -> bool {
        self.wants_addrv2 || addr.is_v1_compatible()
    }

    pub(crate) fn add_known_tx(&mut self, hash: Hash) {
        if let Some(tx) = &mut self.tx {
            tx.known.insert(hash);
        }
    }
}
