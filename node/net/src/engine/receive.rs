//! From bytes to handled messages.

use bulkhead_wire::frame::{FrameError, Rejected};
use bulkhead_wire::message::KNOWN_COMMANDS;
use bulkhead_wire::v2::V2Error;
use bulkhead_wire::{Message, TransportError, sanitize};

use super::filters::Wanted;
use super::kind::ConnectionKind;
use super::peer::{PeerId, Waiting};
use super::{Effect, Engine};

/// Blocks of one peer that may be under judgement at once.
const MAX_SUBMITTING: usize = 16;
/// Name under which unknown message types are counted.
const OTHER: &str = "*other*";

fn counted_name(command: &str) -> &'static str {
    KNOWN_COMMANDS.iter().find(|known| **known == command).copied().unwrap_or(OTHER)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Engine {
    /// Bytes came from a peer.
    pub fn received(&mut self, id: PeerId, mut bytes: &[u8]) {
        let now = self.now;
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.disconnect {
            return;
        }
        peer.last_recv = now;
        peer.bytes_received += count;
        self.total_received += count;
        while !bytes.is_empty() {
            let Some(peer) = self.peers.get_mut(&id) else { return };
            match peer.transport.push(&mut bytes) {
                Ok(None) => {}
                Ok(Some(Ok(frame))) => {
                    let raw_size = frame.raw_size;
                    *peer.received_by_type.entry(counted_name(&frame.command)).or_default() +=
                        u64::try_from(raw_size).unwrap_or(0);
                    peer.queue_bytes += raw_size;
                    peer.queue.push_back(Waiting { command: frame.command, body: frame.body, raw_size, received: now });
                }
                Ok(Some(Err(rejected))) => {
                    *peer.received_by_type.entry(OTHER).or_default() += u64::try_from(rejected.raw_size()).unwrap_or(0);
                    log_rejected(id, &rejected);
                }
                Err(error) => {
                    log_transport_error(id, &error);
                    tracing::debug!(target: "net", "receiving message bytes failed, {}", self.disconnect_text(id));
                    self.drop_peer(id);
                    return;
                }
            }
        }
        self.send_handshake(id);
        self.pump(id);
    }

    /// The peer's send queue went above or below its limit.
    pub fn set_send_paused(&mut self, id: PeerId, paused: bool) {
        if let Some(peer) = self.peers.get_mut(&id) {
            let resumed = peer.pause_send && !paused;
            peer.pause_send = paused;
            if resumed {
                self.pump(id);
            }
        }
    }

    /// Whether the process should stop reading from the peer for now.
    #[must_use]
    pub fn receive_paused(&self, id: PeerId) -> bool {
        self.peers.get(&id).is_some_and(|peer| peer.queue_bytes > self.config.max_receive)
    }

    /// Bytes of a message went out, or of the transport's own handshake when there is no command.
    pub fn sent(&mut self, id: PeerId, command: Option<&str>, bytes: usize) {
        let count = u64::try_from(bytes).unwrap_or(0);
        self.total_sent += count;
        let seconds = self.seconds();
        self.upload.record(count, seconds);
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.last_send = now;
        peer.bytes_sent += count;
        match command {
            Some(command) => *peer.sent_by_type.entry(counted_name(command)).or_default() += count,
            None => peer.handshake_went_out(count),
        }
    }

    /// Handles what can be handled of a peer's queue, then looks what there is to send.
    pub(crate) fn pump(&mut self, id: PeerId) {
        match self.peers.get_mut(&id) {
            // Answers may come while a message is being handled; the loop below sees their results.
            Some(peer) if peer.pumping => return,
            Some(peer) => peer.pumping = true,
            None => return,
        }
        while self.step(id) {}
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.pumping = false;
        }
        self.send_messages(id);
    }

    fn step(&mut self, id: PeerId) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        if peer.disconnect || peer.should_discourage || peer.blocked_on > 0 {
            return false;
        }
        if !peer.kind.is_inbound() && !peer.version_sent {
            return false;
        }
        if peer.pause_send {
            return false;
        }
        if !peer.getdata.is_empty() {
            if peer.submitting > 0 {
                return false;
            }
            self.serve_getdata(id);
            return true;
        }
        if peer.handshaken && peer.submitting == 0 && self.reconsider_orphan(id) {
            return true;
        }
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let Some(front) = peer.queue.front() else { return false };
        let limit = if front.command == "block" { MAX_SUBMITTING } else { 1 };
        if peer.submitting >= limit {
            return false;
        }
        let Some(message) = peer.queue.pop_front() else { return false };
        peer.queue_bytes = peer.queue_bytes.saturating_sub(message.raw_size);
        self.handle(id, &message);
        // Core looks whether to disconnect after every message.
        self.maybe_discourage(id);
        true
    }

    fn handle(&mut self, id: PeerId, waiting: &Waiting) {
        let command = sanitize(waiting.command.as_bytes());
        tracing::debug!(target: "net", "received: {command} ({} bytes) peer={id}", waiting.body.len());
        let Some(peer) = self.peers.get(&id) else { return };
        if self.config.capture {
            let (addr, command, body) = (peer.addr, waiting.command.clone(), waiting.body.clone());
            self.effects.push(Effect::Capture { addr, incoming: true, command, body });
        }
        if waiting.command == "version" && peer.version != 0 {
            tracing::debug!(target: "net", "redundant version message from peer={id}");
            return;
        }
        if waiting.command != "version" && peer.version == 0 {
            tracing::debug!(target: "net", "non-version message before version handshake. Message \"{command}\" from peer={id}");
            return;
        }
        let early = matches!(
            waiting.command.as_str(),
            "version" | "verack" | "sendheaders" | "sendcmpct" | "wtxidrelay" | "sendaddrv2" | "feature" | "sendtxrcncl"
        );
        if !early && !peer.handshaken {
            tracing::debug!(target: "net", "Unsupported message \"{command}\" prior to verack from peer={id}");
            return;
        }
        let private = peer.is(ConnectionKind::PrivateBroadcast);
        if !early && private && !matches!(waiting.command.as_str(), "pong" | "getdata") {
            tracing::debug!(target: "privatebroadcast", "Ignoring incoming message '{command}', {}", self.log_peer(peer));
            return;
        }
        if self.refused_before_decoding(id, &waiting.command) {
            return;
        }
        match Message::decode(&waiting.command, &waiting.body) {
            Ok(message) => self.dispatch(id, message, waiting),
            Err(error) => tracing::debug!(
                target: "net",
                "ProcessMessages({command}, {} bytes): Exception '{error}: iostream error' (std::ios_base::failure) caught",
                waiting.body.len()
            ),
        }
    }

    /// Messages whose bodies are not even looked at in the present state.
    fn refused_before_decoding(&mut self, id: PeerId, command: &str) -> bool {
        match command {
            "headers" | "block" | "blocktxn" if self.chain.loading => {
                tracing::debug!(target: "net", "Unexpected {command} message received from peer {id}");
                true
            }
            "tx" if self.rejects_transactions(id) => {
                tracing::debug!(target: "net", "transaction sent in violation of protocol, {}", self.disconnect_text(id));
                self.drop_peer(id);
                true
            }
            "cmpctblock" => self.ignores_compact(id),
            "filterload" | "filteradd" | "filterclear" => !self.offers_bloom(id, command),
            // We can't judge transactions yet; unsolicited ones are no offence.
            "tx" => self.chain.tip.initial_download,
            _ => false,
        }
    }

    fn dispatch(&mut self, id: PeerId, message: Message, waiting: &Waiting) {
        match message {
            Message::Version(version) => self.on_version(id, &version),
            Message::Verack => self.on_verack(id),
            Message::WtxidRelay => self.on_wtxidrelay(id),
            Message::SendAddrV2 => self.on_sendaddrv2(id),
            Message::Feature(feature) => self.on_feature(id, feature.as_ref()),
            Message::SendHeaders => {
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.prefers_headers = true;
                }
            }
            Message::SendCompact(announce, version) => self.on_sendcmpct(id, announce, version),
            Message::FeeFilter(rate) => self.on_feefilter(id, rate),
            Message::Ping(nonce) => self.on_ping(id, nonce, waiting.body.len()),
            Message::Pong(nonce, length) => self.on_pong(id, nonce, length, waiting.received),
            Message::Inv(entries) => self.on_inv(id, &entries),
            Message::GetData(entries) => self.on_getdata(id, entries),
            Message::NotFound(entries) => self.on_notfound(id, &entries),
            Message::GetHeaders(locator) => self.on_getheaders(id, locator),
            Message::GetBlocks(locator) => self.on_getblocks(id, locator),
            Message::Headers(headers) => self.on_headers(id, headers, false),
            Message::Block(bytes) => self.on_block(id, bytes),
            Message::CompactBlock(compact) => self.on_compact_block(id, compact),
            Message::GetBlockTransactions(request) => self.on_transactions_request(id, request),
            Message::BlockTransactions(transactions) => self.on_block_transactions(id, transactions),
            Message::FilterLoad(filter) => self.on_filterload(id, filter),
            Message::FilterAdd(element) => self.on_filteradd(id, &element),
            Message::FilterClear => self.on_filterclear(id),
            Message::GetFilters(request) => self.on_filter_request(id, Wanted::Filters, request),
            Message::GetFilterHashes(request) => self.on_filter_request(id, Wanted::Hashes, request),
            Message::GetFilterCheckpoints(request) => self.on_filter_request(id, Wanted::Checkpoints, request),
            Message::Tx(bytes) => self.on_tx(id, bytes),
            Message::Mempool => self.on_mempool(id),
            Message::Addr(addresses, long) => self.on_addr(id, addresses, if long { "addrv2" } else { "addr" }),
            Message::GetAddr => self.on_getaddr(id),
            Message::Unknown(command) => self.on_other(id, &command, &waiting.body),
        }
    }

    fn on_other(&mut self, id: PeerId, command: &str, body: &[u8]) {
        if command == "sendtxrcncl" {
            self.on_sendtxrcncl(id, body);
        } else {
            let shown = sanitize(command.as_bytes());
            tracing::debug!(target: "net", "Unknown message type \"{shown}\" from peer={id}");
        }
    }
}

fn log_rejected(id: PeerId, rejected: &Rejected) {
    match rejected {
        Rejected::Checksum { command, length, expected, found } => tracing::debug!(
            target: "net",
            "Header error: Wrong checksum ({}, {length} bytes), expected {} was {}, peer={id}",
            sanitize(command), hex(expected), hex(found)
        ),
        Rejected::Command { command, length } => tracing::debug!(
            target: "net",
            "Header error: Invalid message type ({}, {length} bytes), peer={id}",
            sanitize(command)
        ),
        Rejected::Type { length } => tracing::debug!(
            target: "net",
            "V2 transport error: invalid message type ({length} bytes contents), peer={id}"
        ),
    }
}

fn log_transport_error(id: PeerId, error: &TransportError) {
    match error {
        TransportError::V1(FrameError::Magic(magic)) => {
            tracing::debug!(target: "net", "Header error: Wrong MessageStart {} received, peer={id}", hex(magic));
        }
        TransportError::V1(FrameError::TooLarge { command, length }) => tracing::debug!(
            target: "net",
            "Header error: Size too large ({}, {length} bytes), peer={id}",
            sanitize(command)
        ),
        TransportError::V2(V2Error::OtherNetwork(magic)) => {
            tracing::debug!(target: "net", "V2 transport error: V1 peer with wrong MessageStart {}", hex(magic));
        }
        TransportError::V2(error) => tracing::debug!(target: "net", "V2 transport error: {error}, peer={id}"),
    }
}
