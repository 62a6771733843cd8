//! Which blocks to ask from whom.
//!
//! Chain knows which blocks are missing on the way to a header; a *plan* holds its answer (lowest first), so that choosing
//! the next block for a peer needs no call. The plan reaches beyond the window of blocks that may be fetched, so that it
//! lasts while the window moves.

use std::collections::{HashMap, HashSet, VecDeque};

use bulkhead_wire::inventory::{BLOCK, COMPACT_BLOCK, WITNESS_FLAG};
use bulkhead_wire::message::hash_hex;
use bulkhead_wire::{Inventory, Message};

use super::answers::Continuation;
use super::chain_view::Question;
use super::headers_index::{Hash, HeaderRef};
use super::peer::PeerId;
use super::{Engine, SECOND};

/// Blocks that one peer may owe us.
pub(crate) const MAX_IN_FLIGHT: usize = 16;
/// How far ahead of the first missing block we fetch.
const WINDOW: i32 = 1024;
/// Blocks of a plan.
const PLAN: u32 = 2048;
/// Ask for more when so few of a plan are left and chain had more.
const REFILL: usize = 1280;
/// Plans that are kept; one per distinct best header of a peer.
const MAX_PLANS: usize = 64;
/// How long a peer may hold up the window, at first.
pub(crate) const STALLING_TIMEOUT: i64 = 2 * SECOND;
/// Blocks below the tip that a pruned peer serves.
const LIMITED_BLOCKS: i32 = 288;

#[derive(Debug, Default)]
struct Plan {
    blocks: VecDeque<(Hash, i32)>,
    /// Chain had more to say than fits.
    full: bool,
    pending: bool,
    /// First block when chain was asked last, and when.
    asked: Option<(Option<Hash>, i64)>,
}

impl Plan {
    /// Height of the last block that may be fetched.
    fn window_end(&self) -> i32 {
        self.blocks.front().map_or(i32::MAX, |(_, height)| height.saturating_add(WINDOW - 1))
    }

    fn is_used_up(&self) -> bool {
        self.blocks.is_empty() || (self.full && self.blocks.len() < REFILL)
    }
}

/// All plans, by the header that they lead to; and the blocks that chain is judging.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    plans: HashMap<Hash, Plan>,
    judging: HashSet<Hash>,
    /// Questions whose answers are for the peer that announced the blocks.
    direct: usize,
}

impl Plans {
    /// Chain has this block, or refused it: it is not to be fetched again.
    pub(crate) fn done(&mut self, hash: &Hash) {
        self.judging.remove(hash);
        for plan in self.plans.values_mut() {
            // Blocks come nearly in order, so it stands near the front.
            if let Some(at) = plan.blocks.iter().position(|(block, _)| block == hash) {
                plan.blocks.remove(at);
                if plan.blocks.is_empty() {
                    // Blocks below a snapshot come after those above it.
                    plan.asked = None;
                }
            }
        }
    }

    /// Whether other peers than those that announced blocks must wait.
    pub(crate) fn holds_others(&self) -> bool {
        self.direct > 0
    }

    pub(crate) fn judging(&mut self, hash: Hash) {
        self.judging.insert(hash);
    }

    pub(crate) fn forget_all(&mut self) {
        self.plans.clear();
    }

    fn store(&mut self, best: Hash, blocks: Vec<(Hash, i32)>) {
        let full = blocks.len() >= usize::try_from(PLAN).unwrap_or(usize::MAX);
        if let Some(plan) = self.plans.get_mut(&best) {
            plan.blocks = blocks.into();
            plan.full = full;
            plan.pending = false;
        }
    }
}

impl Engine {
    fn ask_for_plan(&mut self, best: Hash, then: Continuation, blocking: Option<PeerId>) {
        if self.plans.plans.len() >= MAX_PLANS && !self.plans.plans.contains_key(&best) {
            self.plans.plans.clear();
        }
        let now = self.now;
        let plan = self.plans.plans.entry(best).or_default();
        plan.pending = true;
        plan.asked = Some((plan.blocks.front().map(|(hash, _)| *hash), now));
        self.ask(Question::MissingBlocks(best, PLAN), then, blocking);
    }

    /// The peer announced a header near our tip: find out what is missing and fetch it, before its next message.
    pub(crate) fn plan_then_fetch(&mut self, id: PeerId, best: HeaderRef) {
        self.plans.direct += 1;
        self.ask_for_plan(best.hash, Continuation::DirectFetch { peer: id, best }, Some(id));
    }

    /// Chain has answered, or never will, what there is to fetch from a peer that announced it.
    pub(crate) fn direct_plan_ready(&mut self, id: PeerId, best: HeaderRef, blocks: Vec<(Hash, i32)>) {
        self.plans.direct = self.plans.direct.saturating_sub(1);
        self.plan_ready(best.hash, blocks);
        self.direct_fetch(id, best);
    }

    pub(crate) fn plan_ready(&mut self, best: Hash, blocks: Vec<(Hash, i32)>) {
        self.plans.store(best, blocks);
    }

    /// Fetches what the fresh plan holds from the peer that announced it.
    fn direct_fetch(&mut self, id: PeerId, best: HeaderRef) {
        let Some(peer) = self.peers.get(&id) else { return };
        if peer.disconnect || !peer.can_serve_witnesses() {
            return;
        }
        let missing = self.plans.plans.get(&best.hash).map_or(0, |plan| plan.blocks.len());
        let open = self.plans.plans.get(&best.hash).map_or(0, |plan| {
            plan.blocks.iter().filter(|(hash, _)| !self.block_requests.contains(hash)).take(MAX_IN_FLIGHT + 1).count()
        });
        if open > MAX_IN_FLIGHT {
            tracing::debug!(target: "net", "Large reorg, won't direct fetch to {} ({})", hash_hex(&best.hash), best.height);
            return;
        }
        let compact = !self.config.blocks_only && peer.provides_compact && missing == 1 && self.block_requests.is_empty();
        let chosen = self.choose(id, &best);
        for (hash, _) in &chosen {
            tracing::debug!(target: "net", "Requesting block {} from peer={id}", hash_hex(hash));
        }
        if chosen.len() > 1 {
            tracing::debug!(
                target: "net",
                "Downloading blocks toward {} ({}) via headers direct fetch", hash_hex(&best.hash), best.height
            );
        }
        self.request(id, &chosen, compact);
    }

    /// Blocks of the plan that nobody was asked for yet, as many as the peer may take.
    fn choose(&self, id: PeerId, best: &HeaderRef) -> Vec<(Hash, i32)> {
        let (Some(peer), Some(plan)) = (self.peers.get(&id), self.plans.plans.get(&best.hash)) else { return Vec::new() };
        let budget = MAX_IN_FLIGHT.saturating_sub(peer.in_flight.len());
        let lowest = if peer.is_limited() { best.height - LIMITED_BLOCKS + 2 } else { i32::MIN };
        let end = plan.window_end();
        plan.blocks
            .iter()
            .take_while(|(_, height)| *height <= end)
            .filter(|(hash, height)| {
                *height > lowest && !self.block_requests.contains(hash) && !self.plans.judging.contains(hash)
            })
            .take(budget)
            .copied()
            .collect()
    }

    fn request(&mut self, id: PeerId, blocks: &[(Hash, i32)], compact: bool) {
        if blocks.is_empty() {
            return;
        }
        for (hash, height) in blocks {
            self.note_request(id, *hash, *height);
        }
        let kind = if compact { COMPACT_BLOCK } else { self.full_block_kind(id) };
        let entries = blocks.iter().map(|(hash, _)| Inventory::new(kind, *hash)).collect();
        self.send(id, &Message::GetData(entries));
    }

    fn full_block_kind(&self, id: PeerId) -> u32 {
        let witnesses = self.peers.get(&id).is_some_and(super::peer::Peer::can_serve_witnesses);
        if witnesses { BLOCK | WITNESS_FLAG } else { BLOCK }
    }

    /// Asks for a whole block that was to come in compact form.
    pub(crate) fn request_full_block(&mut self, id: PeerId, hash: Hash) {
        let kind = self.full_block_kind(id);
        self.send(id, &Message::GetData(vec![Inventory::new(kind, hash)]));
    }

    /// Fills the peer's slots. Part of what happens after each message and each tick.
    pub(crate) fn maybe_fetch_blocks(&mut self, id: PeerId) {
        self.resolve_unknown(id);
        let initial = self.chain.tip.initial_download;
        let allowed = self.may_sync_from(id);
        let Some(peer) = self.peers.get(&id) else { return };
        let slots = peer.in_flight.len() < MAX_IN_FLIGHT;
        // New blocks are fetched from whom announced them, who is to be asked as soon as chain has said what is missing. Not for
        // long, or peers that announce all the time could keep us from others.
        if self.plans.holds_others() && !self.ticking {
            return;
        }
        if !peer.can_serve_blocks() || !slots || !((allowed && !peer.is_limited()) || !initial) || self.chain.loading {
            return;
        }
        let Some(best) = peer.best_known else { return };
        let worthless = best.work < self.chain.tip.at.work || best.work < self.chain.minimum_work;
        let nothing_new = worthless || best.hash == self.chain.tip.at.hash;
        if (nothing_new && !self.chain.history_missing) || !peer.can_serve_witnesses() {
            return;
        }
        let chosen = self.choose(id, &best);
        for (hash, height) in &chosen {
            tracing::debug!(target: "net", "Requesting block {} ({height}) peer={id}", hash_hex(hash));
        }
        self.request(id, &chosen, false);
        self.maybe_refill(&best);
        if chosen.is_empty() {
            self.maybe_blame(id, &best);
        }
    }

    fn maybe_refill(&mut self, best: &HeaderRef) {
        let now = self.now;
        let Some(plan) = self.plans.plans.get(&best.hash) else {
            self.ask_for_plan(best.hash, Continuation::Plan { best: best.hash }, None);
            return;
        };
        let front = plan.blocks.front().map(|(hash, _)| *hash);
        let moved = plan.asked.is_none_or(|(asked, at)| asked != front || now - at > SECOND);
        if !plan.pending && moved && plan.is_used_up() {
            self.ask_for_plan(best.hash, Continuation::Plan { best: best.hash }, None);
        }
    }

    /// Nothing is left for an idle peer because the window does not move: whoever holds its first block may be slow.
    fn maybe_blame(&mut self, id: PeerId, best: &HeaderRef) {
        let now = self.now;
        let Some(plan) = self.plans.plans.get(&best.hash) else { return };
        if plan.blocks.front().is_some_and(|(hash, _)| self.plans.judging.contains(hash)) {
            // Its first block has come, and the window moves as soon as chain has judged it.
            return;
        }
        let end = plan.window_end();
        let beyond = plan.blocks.iter().find(|(_, height)| *height > end);
        let more = beyond.is_some_and(|(hash, _)| !self.block_requests.contains(hash));
        let first = plan.blocks.iter().find_map(|(hash, _)| self.block_requests.peers(hash).first().copied());
        let idle = self.peers.get(&id).is_some_and(|peer| peer.in_flight.is_empty());
        if let Some(staller) = first.filter(|other| *other != id && idle && more)
            && let Some(peer) = self.peers.get_mut(&staller)
            && peer.stalling_since == 0
        {
            peer.stalling_since = now;
            tracing::debug!(target: "net", "Stall started peer={staller}");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::chain_view::Answer;
    use super::super::kind::ConnectionKind;
    use super::super::tests::{asked, engine, handshaken};
    use super::*;

    fn hash(height: i32) -> Hash {
        let mut hash = [7; 32];
        hash[..4].copy_from_slice(&height.to_le_bytes());
        hash
    }

    #[test]
    fn whoever_announced_a_block_is_asked_before_others() {
        let mut engine = engine();
        let first = handshaken(&mut engine, ConnectionKind::Inbound);
        let other = handshaken(&mut engine, ConnectionKind::Inbound);
        let best = HeaderRef { hash: hash(1), height: 1, work: [255; 32] };
        engine.peers.get_mut(&other).unwrap().best_known = Some(best);
        engine.take_effects().clear();
        engine.plan_then_fetch(first, best);
        let token = asked(&engine.take_effects())[0].0;
        engine.plans.plans.get_mut(&best.hash).unwrap().blocks = [(best.hash, 1)].into();
        engine.maybe_fetch_blocks(other);
        assert!(engine.block_requests.is_empty());
        engine.answer(token, Answer::MissingBlocks(vec![(best.hash, 1)]));
        assert_eq!(engine.block_requests.peers(&best.hash), [first]);
        // Not when the answer does not come for long.
        engine.forget_request(&best.hash, None);
        engine.plan_then_fetch(first, best);
        engine.plans.plans.get_mut(&best.hash).unwrap().blocks = [(best.hash, 1)].into();
        engine.peers.get_mut(&first).unwrap().blocked_on = 1;
        engine.tick();
        assert_eq!(engine.block_requests.peers(&best.hash), [other]);
    }

    #[test]
    fn who_holds_up_the_window_is_blamed_until_the_block_has_come() {
        let mut engine = engine();
        let slow = handshaken(&mut engine, ConnectionKind::Inbound);
        let idle = handshaken(&mut engine, ConnectionKind::Inbound);
        let best = HeaderRef { hash: [9; 32], height: 2 * WINDOW, work: [255; 32] };
        let blocks = (1..=2 * WINDOW).map(|height| (hash(height), height)).collect();
        engine.plans.plans.insert(best.hash, Plan { blocks, ..Plan::default() });
        for height in [1, WINDOW] {
            assert!(engine.note_request(slow, hash(height), height));
        }
        let stalls = |engine: &Engine| engine.peers.get(&slow).unwrap().stalling_since != 0;
        engine.maybe_blame(idle, &best);
        assert!(stalls(&engine));
        engine.forget_request(&hash(1), Some(slow));
        engine.plans.judging(hash(1));
        engine.maybe_blame(idle, &best);
        assert!(!stalls(&engine));
        engine.plans.done(&hash(1));
        engine.maybe_blame(idle, &best);
        assert!(stalls(&engine));
    }
}
