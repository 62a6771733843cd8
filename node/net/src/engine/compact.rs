//! Compact blocks (BIP 152): announcing, serving and putting together.
//!
//! Chain has the transactions, so it puts the blocks together; who is asked for what, and what a peer's part in it means,
//! is decided here.

use std::rc::Rc;

use bitcoin::secp256k1::rand::Rng;
use bulkhead_wire::compact::{BlockTransactions, CompactBlock, TransactionsRequest};
use bulkhead_wire::inventory::{BLOCK, WITNESS_FLAG};
use bulkhead_wire::message::hash_hex;
use bulkhead_wire::skim::header_hash;
use bulkhead_wire::{Inventory, Message};

use super::answers::Continuation;
use super::chain_view::{BlockOutcome, CompactOutcome, CompactStatus, HeaderFacts, Question, Tip, VerdictKind};
use super::download::MAX_IN_FLIGHT;
use super::headers_index::{Hash, HeaderRef};
use super::peer::{Partial, PeerId};
use super::requests::MAX_PARALLEL;
use super::{Effect, Engine};

/// Compact block version that we speak (with witnesses).
pub(crate) const VERSION: u64 = 2;
/// Peers that announce their blocks to us in compact form.
const MAX_HIGH_BANDWIDTH: usize = 3;
/// Blocks above the tip that are put together.
const MAX_AHEAD: i32 = 2;
/// Deeper blocks are served whole.
const MAX_COMPACT_DEPTH: i32 = 5;
/// Transactions of deeper blocks are not served on their own.
const MAX_TRANSACTIONS_DEPTH: i32 = 10;
/// Peers below this version mistake invalid compact blocks for an offence.
const TOLERANT_VERSION: i32 = 70015;

/// The newest block: it is announced and served without a question to chain.
#[derive(Debug)]
pub(crate) struct RecentBlock {
    pub(crate) at: HeaderRef,
    /// Serialized with witness.
    pub(crate) bytes: Rc<Vec<u8>>,
    compact: Vec<u8>,
}

impl RecentBlock {
    /// Body of its `cmpctblock`.
    pub(crate) fn body(&self) -> Vec<u8> {
        self.compact.clone()
    }
}

impl Engine {
    /// Chain has a new block on top of its tip, not connected yet: passes it on to who wants it at once.
    pub fn new_block(&mut self, tip: Tip, bytes: Vec<u8>) {
        if tip.at.height <= self.highest_fast_announce {
            return;
        }
        let nonce = self.rng.r#gen();
        let (Some(header), Ok(compact)) = (bytes.first_chunk::<80>().copied(), CompactBlock::of_block(&bytes, nonce)) else {
            tracing::warn!(target: "net", "chain sent a malformed block");
            return;
        };
        self.highest_fast_announce = tip.at.height;
        self.headers.insert_run(&[header], tip.at);
        self.recent_block = Some(RecentBlock { at: tip.at, bytes: Rc::new(bytes), compact });
        let mut prev = [0; 32];
        prev.copy_from_slice(&header[4..36]);
        let below = HeaderRef { hash: prev, height: tip.at.height - 1, work: tip.at.work };
        let ids: Vec<PeerId> = self
            .peers
            .values()
            .filter(|peer| peer.high_bandwidth_from && peer.common_version >= TOLERANT_VERSION && !peer.disconnect)
            .map(|peer| peer.id)
            .collect();
        for id in ids {
            self.resolve_unknown(id);
            if !self.peer_has_header(id, &tip.at) && self.peer_has_header(id, &below) {
                tracing::debug!(
                    target: "net",
                    "PeerManager::NewPoWValidBlock sending header-and-ids {} to peer={id}", hash_hex(&tip.at.hash)
                );
                self.send_recent_compact(id);
            }
        }
    }

    fn send_recent_compact(&mut self, id: PeerId) {
        let Some(recent) = &self.recent_block else { return };
        let (at, body) = (recent.at, recent.body());
        self.send_raw(id, "cmpctblock", body);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.best_sent = Some(at);
        }
    }

    /// Announces a block in compact form.
    pub(crate) fn announce_compact(&mut self, id: PeerId, at: HeaderRef) {
        tracing::debug!(target: "net", "SendMessages sending header-and-ids {} to peer={id}", hash_hex(&at.hash));
        if self.recent_block.as_ref().is_some_and(|recent| recent.at.hash == at.hash) {
            self.send_recent_compact(id);
            return;
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.best_sent = Some(at);
        }
        self.ask(Question::Block(at.hash), Continuation::AnnounceCompact { peer: id }, Some(id));
    }

    pub(crate) fn send_compact(&mut self, id: PeerId, block: &[u8]) {
        let nonce = self.rng.r#gen();
        match CompactBlock::of_block(block, nonce) {
            Ok(body) => {
                self.send_raw(id, "cmpctblock", body);
            }
            Err(error) => tracing::warn!(target: "net", "chain sent a malformed block: {error}"),
        }
    }

    /// Whether a block that is asked for in compact form is sent so.
    pub(crate) fn serves_compact(&self, height: i32) -> bool {
        self.can_direct_fetch() && height >= self.chain.tip.at.height - MAX_COMPACT_DEPTH
    }

    /// The peer brought the newest block first: it shall announce the next ones in compact form.
    pub(crate) fn prefer_compact_from(&mut self, id: PeerId) {
        if self.config.blocks_only || !self.peers.get(&id).is_some_and(|peer| peer.provides_compact) {
            return;
        }
        if let Some(at) = self.high_bandwidth.iter().position(|other| *other == id) {
            self.high_bandwidth.remove(at);
            self.high_bandwidth.push(id);
            return;
        }
        let is_outbound = |engine: &Self, id: &PeerId| engine.peers.get(id).is_some_and(|peer| !peer.kind.is_inbound());
        let outbound = self.high_bandwidth.iter().filter(|id| is_outbound(self, id)).count();
        // The last outbound peer stays: all others may belong to one attacker.
        if !is_outbound(self, &id)
            && self.high_bandwidth.len() >= MAX_HIGH_BANDWIDTH
            && outbound == 1
            && self.high_bandwidth.first().is_some_and(|first| is_outbound(self, first))
        {
            self.high_bandwidth.swap(0, 1);
        }
        self.set_high_bandwidth(id, true);
        self.high_bandwidth.push(id);
        if self.high_bandwidth.len() > MAX_HIGH_BANDWIDTH {
            let oldest = self.high_bandwidth.remove(0);
            self.set_high_bandwidth(oldest, false);
        }
    }

    fn set_high_bandwidth(&mut self, id: PeerId, on: bool) {
        self.send(id, &Message::SendCompact(u8::from(on), VERSION));
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.high_bandwidth_to = on;
        }
    }

    /// Whether a compact block is not even looked at.
    pub(crate) fn ignores_compact(&self, id: PeerId) -> bool {
        let Some(peer) = self.peers.get(&id) else { return true };
        let why = if self.chain.loading {
            "a compact block even though we are still loading blocks!"
        } else if self.config.blocks_only {
            "a compact block even though we are blocksonly!"
        } else if !peer.provides_compact {
            "a compact block despite never having sent us a SENDCMPCT!"
        } else {
            return false;
        };
        tracing::debug!(target: "cmpctblock", "{} sent us {why}", self.log_peer(peer));
        true
    }

    pub(crate) fn on_compact_block(&mut self, id: PeerId, compact: CompactBlock) {
        let hash = header_hash(&compact.header);
        let asked = self.block_requests.peers(&hash);
        let (from_this, anyone) = (asked.contains(&id), !asked.is_empty());
        let preferred = self.peers.get(&id).is_some_and(|peer| peer.high_bandwidth_to);
        let wanted = (from_this || preferred) && (anyone || self.can_direct_fetch());
        let key = self.next_partial;
        self.next_partial += 1;
        let question = Question::CompactBlock(compact.bytes, wanted.then_some(key));
        let then = Continuation::Compact { peer: id, header: compact.header, key, transactions: compact.transactions };
        self.ask(question, then, Some(id));
    }

    pub(crate) fn compact_judged(
        &mut self,
        id: PeerId,
        header: &[u8; 80],
        key: u64,
        transactions: usize,
        outcome: &CompactOutcome,
    ) {
        // Chain forgets the block unless it is kept below.
        let mut keeps = false;
        self.look_at_compact(id, header, key, transactions, outcome, &mut keeps);
        if !keeps && outcome.status == CompactStatus::Ok {
            self.effects.push(Effect::DropPartial(key));
        }
    }

    fn look_at_compact(
        &mut self,
        id: PeerId,
        header: &[u8; 80],
        key: u64,
        transactions: usize,
        outcome: &CompactOutcome,
        keeps: &mut bool,
    ) {
        let hash = header_hash(header);
        match outcome.verdict.kind {
            VerdictKind::MissingPrevious => {
                // It connects to nothing that we know: ask what lies between.
                if !self.chain.tip.initial_download {
                    self.maybe_send_getheaders(id, None, false, true);
                }
                return;
            }
            VerdictKind::LowWork => {
                tracing::debug!(target: "net", "Ignoring low-work compact block from peer {id}");
                return;
            }
            _ if !outcome.verdict.accepted => {
                self.punish_for_block(id, &outcome.verdict, true, "invalid header via cmpctblock");
                return;
            }
            _ => {}
        }
        let at = outcome.last.at;
        if at.hash != hash || outcome.missing.last().is_some_and(|place| usize::from(*place) >= transactions) {
            tracing::debug!(target: "net", "chain answered for another block than was asked, peer={id}");
            return;
        }
        self.headers.insert_run(&[*header], at);
        if at.work > self.chain.best_header.at.work {
            self.chain.best_header = outcome.last;
        }
        if outcome.is_new {
            self.log_new_header(id, at, true);
        }
        self.update_availability(id, &hash);
        let (now, tip_work) = (self.seconds(), self.chain.tip.at.work);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if outcome.is_new && at.work > tip_work {
            peer.last_announcement = now;
        }
        if outcome.have_data {
            return;
        }
        let (preferred, inbound, owed) = (peer.high_bandwidth_to, peer.kind.is_inbound(), peer.in_flight.len());
        let asked = self.block_requests.peers(&hash);
        let (from_this, parallel) = (asked.contains(&id), asked.len());
        let first = asked.first().is_none_or(|first| *first == id);
        if !from_this && !preferred {
            if let Some(peer) = self.peers.get(&id) {
                let text = self.log_peer(peer);
                tracing::debug!(
                    target: "cmpctblock",
                    "{text}, not marked as high-bandwidth, sent us an unsolicited compact block!"
                );
            }
            return;
        }
        if outcome.less_work || outcome.had_data {
            if from_this {
                self.request_full_block(id, hash);
            }
            return;
        }
        if parallel == 0 && !self.can_direct_fetch() {
            return;
        }
        if outcome.distance > MAX_AHEAD {
            if from_this {
                self.request_full_block(id, hash);
            } else {
                self.on_headers(id, Ok(vec![*header]), true);
            }
            return;
        }
        if !from_this && (parallel >= MAX_PARALLEL || owed >= MAX_IN_FLIGHT) {
            // Others bring it. It may be complete all the same.
            if outcome.status == CompactStatus::Ok && outcome.missing.is_empty() {
                *keeps = true;
                self.fill(id, hash, key, Vec::new(), true);
            }
            return;
        }
        if !self.note_request(id, hash, at.height)
            && self.in_flight(id, &hash).is_some_and(|block| block.partial != Partial::None)
        {
            tracing::debug!(target: "net", "Peer sent us compact block we were already syncing!");
            return;
        }
        match outcome.status {
            CompactStatus::Invalid => {
                self.forget_request(&hash, Some(id));
                self.misbehaving(id, "invalid compact block");
            }
            CompactStatus::Failed | CompactStatus::None => {
                if let Some(block) = self.in_flight(id, &hash) {
                    block.partial = Partial::Spent;
                }
                if first {
                    self.request_full_block(id, hash);
                } else {
                    self.forget_request(&hash, Some(id));
                }
            }
            CompactStatus::Ok if outcome.missing.is_empty() => {
                *keeps = true;
                self.fill(id, hash, key, Vec::new(), false);
            }
            CompactStatus::Ok => {
                let outbound_asked = self.is_asked_of_outbound(&hash, id);
                if first || (preferred && (!inbound || outbound_asked || parallel < MAX_PARALLEL - 1)) {
                    *keeps = true;
                    if let Some(block) = self.in_flight(id, &hash) {
                        block.partial = Partial::Waiting(key);
                    }
                    let request = TransactionsRequest { block: hash, indexes: outcome.missing.clone() };
                    self.send_raw(id, "getblocktxn", request.encode());
                } else {
                    self.forget_request(&hash, Some(id));
                }
            }
        }
    }

    fn is_asked_of_outbound(&self, hash: &Hash, but: PeerId) -> bool {
        let outbound = |id: &PeerId| self.peers.get(id).is_some_and(|peer| !peer.kind.is_inbound());
        self.block_requests.peers(hash).iter().any(|id| *id != but && outbound(id))
    }

    fn fill(&mut self, id: PeerId, hash: Hash, key: u64, transactions: Vec<Vec<u8>>, extra: bool) {
        if let Some(block) = self.in_flight(id, &hash) {
            block.partial = Partial::Spent;
        }
        self.plans.judging(hash);
        self.block_sources.note(hash, id, false);
        self.ask(Question::FillBlock(key, transactions), Continuation::Fill { peer: id, hash, extra }, Some(id));
    }

    pub(crate) fn on_block_transactions(&mut self, id: PeerId, message: BlockTransactions) {
        if self.chain.loading {
            tracing::debug!(target: "net", "Unexpected blocktxn message received from peer {id}");
            return;
        }
        let hash = message.block;
        match self.in_flight(id, &hash).map(|block| block.partial) {
            Some(Partial::Waiting(key)) => self.fill(id, hash, key, message.transactions, false),
            Some(Partial::Spent) => {
                self.forget_request(&hash, Some(id));
                self.misbehaving(id, "previous compact block reconstruction attempt failed");
                tracing::debug!(target: "net", "Peer {id} sent compact block transactions multiple times");
            }
            Some(Partial::None) | None => {
                tracing::debug!(target: "net", "Peer {id} sent us block transactions for block we weren't expecting");
            }
        }
    }

    /// A compact block was filled. `extra`: others were asked for it, this one was complete by luck.
    pub(crate) fn block_filled(&mut self, id: PeerId, hash: Hash, extra: bool, status: CompactStatus, outcome: &BlockOutcome) {
        if status == CompactStatus::Ok {
            self.block_judged(id, hash, outcome);
            return;
        }
        self.plans.done(&hash);
        self.block_sources.take(&hash);
        if extra {
            return;
        }
        if status == CompactStatus::Invalid {
            self.forget_request(&hash, Some(id));
            self.misbehaving(id, "invalid compact block/non-matching block transactions");
        } else if self.block_requests.peers(&hash).first() == Some(&id) {
            // Short ids that look alike: the whole block will tell.
            self.request_full_block(id, hash);
        } else {
            self.forget_request(&hash, Some(id));
            tracing::debug!(
                target: "net",
                "Peer {id} sent us a compact block but it failed to reconstruct, waiting on first download to complete"
            );
        }
    }

    pub(crate) fn on_transactions_request(&mut self, id: PeerId, request: TransactionsRequest) {
        let recent = self.recent_block.as_ref().filter(|recent| recent.at.hash == request.block);
        if let Some(bytes) = recent.map(|recent| Rc::clone(&recent.bytes)) {
            self.answer_transactions_request(id, &request, &bytes);
            return;
        }
        let then = Continuation::ServeBlockTransactions { peer: id, request: request.clone() };
        self.ask(Question::Block(request.block), then, Some(id));
    }

    pub(crate) fn block_for_transactions(
        &mut self,
        id: PeerId,
        request: &TransactionsRequest,
        facts: Option<HeaderFacts>,
        block: &[u8],
    ) {
        let Some(facts) = facts.filter(|facts| facts.have_data && !block.is_empty()) else {
            tracing::debug!(target: "net", "Peer {id} sent us a getblocktxn for a block we don't have");
            return;
        };
        if facts.tip.at.height >= self.chain.tip.at.height - MAX_TRANSACTIONS_DEPTH {
            self.answer_transactions_request(id, request, block);
            return;
        }
        // Whoever wants to make us read old blocks shall at least receive them.
        tracing::debug!(target: "net", "Peer {id} sent us a getblocktxn for a block > {MAX_TRANSACTIONS_DEPTH} deep");
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.getdata.push_back(Inventory::new(BLOCK | WITNESS_FLAG, request.block));
        }
    }

    fn answer_transactions_request(&mut self, id: PeerId, request: &TransactionsRequest, block: &[u8]) {
        match BlockTransactions::answer(request, block) {
            Ok(Some(answer)) => {
                let bytes: usize = answer.transactions.iter().map(Vec::len).sum();
                if let Some(peer) = self.peers.get(&id) {
                    tracing::debug!(
                        target: "cmpctblock",
                        "{} sent us a GETBLOCKTXN for block {}, sending a BLOCKTXN with {} txns. ({bytes} bytes)",
                        self.log_peer(peer), hash_hex(&request.block), answer.transactions.len()
                    );
                }
                self.send_raw(id, "blocktxn", answer.encode());
            }
            Ok(None) => self.misbehaving(id, "getblocktxn with out-of-bounds tx indices"),
            Err(error) => tracing::warn!(target: "net", "chain sent a malformed block: {error}"),
        }
    }
}
