//! Which blocks to ask from whom.
//!
//! Chain knows which blocks are missing on the way to a header; a *plan* holds its answer (at most 1024 blocks, lowest
//! first), so that choosing the next block for a peer needs no call.

use std::collections::{HashMap, HashSet};

use bulkhead_wire::inventory::{BLOCK, WITNESS_FLAG};
use bulkhead_wire::message::hash_hex;
use bulkhead_wire::{Inventory, Message};

use super::answers::Continuation;
use super::chain_view::Question;
use super::headers_index::{Hash, HeaderRef};
use super::peer::{InFlight, PeerId};
use super::{Engine, SECOND};

/// Blocks that one peer may owe us.
const MAX_IN_FLIGHT: usize = 16;
/// How far ahead of the first missing block we fetch.
const WINDOW: u32 = 1024;
/// Ask for more when so few of a plan are left to request.
const REFILL: usize = 64;
/// Plans that are kept; one per distinct best header of a peer.
const MAX_PLANS: usize = 64;
/// How long a peer may hold up the window, at first.
pub(crate) const STALLING_TIMEOUT: i64 = 2 * SECOND;
/// Blocks below the tip that a pruned peer serves.
const LIMITED_BLOCKS: i32 = 288;

#[derive(Debug, Default)]
struct Plan {
    blocks: Vec<(Hash, i32)>,
    /// Chain had more to say than fits.
    full: bool,
    pending: bool,
    /// First block when chain was asked last, and when.
    asked: Option<(Option<Hash>, i64)>,
}

/// All plans, by the header that they lead to; and the blocks that chain is judging.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    plans: HashMap<Hash, Plan>,
    judging: HashSet<Hash>,
}

impl Plans {
    /// Chain has this block, or refused it: it is not to be fetched again.
    pub(crate) fn done(&mut self, hash: &Hash) {
        self.judging.remove(hash);
        for plan in self.plans.values_mut() {
            plan.blocks.retain(|(block, _)| block != hash);
        }
    }

    pub(crate) fn judging(&mut self, hash: Hash) {
        self.judging.insert(hash);
    }

    pub(crate) fn forget_all(&mut self) {
        self.plans.clear();
    }

    fn store(&mut self, best: Hash, blocks: Vec<(Hash, i32)>) {
        let full = blocks.len() >= usize::try_from(WINDOW).unwrap_or(usize::MAX);
        if let Some(plan) = self.plans.get_mut(&best) {
            plan.blocks = blocks;
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
        plan.asked = Some((plan.blocks.first().map(|(hash, _)| *hash), now));
        self.ask(Question::MissingBlocks(best, WINDOW), then, blocking);
    }

    /// The peer announced a header near our tip: find out what is missing and fetch it, before its next message.
    pub(crate) fn plan_then_fetch(&mut self, id: PeerId, best: HeaderRef) {
        self.ask_for_plan(best.hash, Continuation::DirectFetch { peer: id, best }, Some(id));
    }

    pub(crate) fn plan_ready(&mut self, best: Hash, blocks: Vec<(Hash, i32)>) {
        self.plans.store(best, blocks);
    }

    /// Fetches what the fresh plan holds from the peer that announced it.
    pub(crate) fn direct_fetch(&mut self, id: PeerId, best: HeaderRef) {
        let Some(peer) = self.peers.get(&id) else { return };
        if peer.disconnect || !peer.can_serve_witnesses() {
            return;
        }
        if self.plans.plans.get(&best.hash).is_some_and(|plan| plan.blocks.len() > MAX_IN_FLIGHT) {
            tracing::debug!(target: "net", "Large reorg, won't direct fetch to {} ({})", hash_hex(&best.hash), best.height);
            return;
        }
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
        self.request(id, &chosen);
    }

    /// Blocks of the plan that nobody was asked for yet, as many as the peer may take.
    fn choose(&self, id: PeerId, best: &HeaderRef) -> Vec<(Hash, i32)> {
        let (Some(peer), Some(plan)) = (self.peers.get(&id), self.plans.plans.get(&best.hash)) else { return Vec::new() };
        let budget = MAX_IN_FLIGHT.saturating_sub(peer.in_flight.len());
        let lowest = if peer.is_limited() { best.height - LIMITED_BLOCKS + 2 } else { i32::MIN };
        plan.blocks
            .iter()
            .filter(|(hash, height)| {
                *height > lowest && !self.block_requests.contains_key(hash) && !self.plans.judging.contains(hash)
            })
            .take(budget)
            .copied()
            .collect()
    }

    fn request(&mut self, id: PeerId, blocks: &[(Hash, i32)]) {
        if blocks.is_empty() {
            return;
        }
        let now = self.now;
        for (hash, _) in blocks {
            self.block_requests.insert(*hash, id);
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.in_flight.is_empty() {
            peer.downloading_since = now;
        }
        peer.in_flight.extend(blocks.iter().map(|(hash, height)| InFlight { hash: *hash, height: *height }));
        let kind = if peer.can_serve_witnesses() { BLOCK | WITNESS_FLAG } else { BLOCK };
        let entries = blocks.iter().map(|(hash, _)| Inventory::new(kind, *hash)).collect();
        self.send(id, &Message::GetData(entries));
    }

    /// The block needs not come any more; from nobody, or not from this peer.
    pub(crate) fn forget_request(&mut self, hash: &Hash, from: Option<PeerId>) {
        let Some(owner) = self.block_requests.get(hash).copied() else { return };
        if from.is_some_and(|id| id != owner) {
            return;
        }
        self.block_requests.remove(hash);
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&owner) else { return };
        if peer.in_flight.front().is_some_and(|first| first.hash == *hash) {
            peer.downloading_since = peer.downloading_since.max(now);
        }
        peer.in_flight.retain(|block| block.hash != *hash);
        peer.stalling_since = 0;
    }

    /// Fills the peer's slots. Part of what happens after each message and each tick.
    pub(crate) fn maybe_fetch_blocks(&mut self, id: PeerId) {
        self.resolve_unknown(id);
        let initial = self.chain.tip.initial_download;
        let allowed = self.may_sync_from(id);
        let Some(peer) = self.peers.get(&id) else { return };
        let slots = peer.in_flight.len() < MAX_IN_FLIGHT;
        if !peer.can_serve_blocks() || !slots || !((allowed && !peer.is_limited()) || !initial) || self.chain.loading {
            return;
        }
        let Some(best) = peer.best_known else { return };
        let nothing_new = best.work < self.chain.tip.at.work || best.hash == self.chain.tip.at.hash;
        if (nothing_new && !self.chain.history_missing) || !peer.can_serve_witnesses() {
            return;
        }
        let chosen = self.choose(id, &best);
        for (hash, height) in &chosen {
            tracing::debug!(target: "net", "Requesting block {} ({height}) peer={id}", hash_hex(hash));
        }
        self.request(id, &chosen);
        self.maybe_refill(id, &best, chosen.is_empty());
    }

    fn maybe_refill(&mut self, id: PeerId, best: &HeaderRef, nothing_chosen: bool) {
        let now = self.now;
        let Some(plan) = self.plans.plans.get(&best.hash) else {
            self.ask_for_plan(best.hash, Continuation::Plan { best: best.hash }, None);
            return;
        };
        let open = plan.blocks.iter().filter(|(hash, _)| !self.block_requests.contains_key(hash)).count();
        let front = plan.blocks.first().map(|(hash, _)| *hash);
        let moved = plan.asked.is_none_or(|(asked, at)| asked != front || now - at > SECOND);
        if !plan.pending && moved && open < REFILL && (plan.full || plan.blocks.is_empty()) {
            self.ask_for_plan(best.hash, Continuation::Plan { best: best.hash }, None);
        } else if nothing_chosen && plan.full && open == 0 {
            let staller = front.and_then(|hash| self.block_requests.get(&hash).copied());
            let idle = self.peers.get(&id).is_some_and(|peer| peer.in_flight.is_empty());
            if let Some(staller) = staller.filter(|other| *other != id && idle)
                && let Some(peer) = self.peers.get_mut(&staller)
                && peer.stalling_since == 0
            {
                peer.stalling_since = now;
                tracing::debug!(target: "net", "Stall started peer={staller}");
            }
        }
    }
}
