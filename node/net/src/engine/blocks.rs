//! Blocks that come in.

use bulkhead_wire::message::hash_hex;
use bulkhead_wire::skim::header_hash;

use super::Engine;
use super::answers::Continuation;
use super::chain_view::{Question, Verdict, VerdictKind};
use super::headers_index::Hash;
use super::peer::PeerId;

impl Engine {
    pub(crate) fn on_block(&mut self, id: PeerId, bytes: Vec<u8>) {
        let Some(header) = bytes.first_chunk::<80>() else { return };
        let hash = header_hash(header);
        tracing::debug!(target: "net", "received block {} peer={id}", hash_hex(&hash));
        let requested = self.block_requests.contains_key(&hash);
        self.forget_request(&hash, Some(id));
        self.plans.judging(hash);
        self.block_sources.note(hash, id);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.submitting += 1;
        }
        self.ask(Question::SubmitBlock(bytes, requested), Continuation::Block { peer: id, hash }, None);
    }

    pub(crate) fn block_judged(&mut self, id: PeerId, hash: Hash, verdict: &Verdict, new: bool) {
        self.plans.done(&hash);
        if verdict.accepted && !new {
            self.forget_request(&hash, None);
        }
        if !verdict.accepted {
            self.forget_plans_over(verdict);
        }
        // Without a source the block was refused already, and its sender judged.
        let is_open = if verdict.accepted && new { true } else { self.block_sources.take(&hash).is_some() };
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if verdict.accepted {
            if new {
                peer.last_block = now;
            }
            return;
        }
        if verdict.kind == VerdictKind::Mutated {
            tracing::debug!(target: "net", "Received mutated block from peer={id}");
            self.misbehaving(id, "mutated block");
        } else if is_open {
            self.punish_for_block(id, verdict, false, "");
        }
    }

    fn forget_plans_over(&mut self, verdict: &Verdict) {
        if matches!(verdict.kind, VerdictKind::Consensus | VerdictKind::InvalidPrevious | VerdictKind::InvalidHeader) {
            // What leads over this block is not worth fetching any more.
            self.plans.forget_all();
        }
    }

    /// A block that was stored has turned out to break a rule: its branch has become the best.
    pub fn block_refused(&mut self, hash: Hash, verdict: &Verdict) {
        self.forget_plans_over(verdict);
        if let Some(id) = self.block_sources.take(&hash)
            && self.peers.contains_key(&id)
        {
            self.punish_for_block(id, verdict, false, "");
            self.maybe_discourage(id);
        }
    }

    /// A compact block that we did not ask for: its header is all that we use of it.
    pub(crate) fn on_compact_block(&mut self, id: PeerId, body: &[u8]) {
        let provides = self.peers.get(&id).is_some_and(|peer| peer.provides_compact);
        if let Some(header) = body.first_chunk::<80>()
            && provides
            && !self.chain.loading
        {
            self.on_headers(id, Ok(vec![*header]));
        }
    }
}
