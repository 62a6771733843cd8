//! Blocks that come in.

use bulkhead_wire::message::hash_hex;
use bulkhead_wire::skim::header_hash;

use super::Engine;
use super::answers::Continuation;
use super::chain_view::{BlockOutcome, Question, Verdict, VerdictKind};
use super::headers_index::Hash;
use super::peer::PeerId;

impl Engine {
    pub(crate) fn on_block(&mut self, id: PeerId, bytes: Vec<u8>) {
        let Some(header) = bytes.first_chunk::<80>() else { return };
        let hash = header_hash(header);
        tracing::debug!(target: "net", "received block {} peer={id}", hash_hex(&hash));
        let requested = self.block_requests.contains(&hash);
        self.forget_request(&hash, Some(id));
        self.plans.judging(hash);
        self.block_sources.note(hash, id, true);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.submitting += 1;
        }
        self.ask(Question::SubmitBlock(bytes, requested), Continuation::Block { peer: id, hash }, None);
    }

    pub(crate) fn block_judged(&mut self, id: PeerId, hash: Hash, outcome: &BlockOutcome) {
        let BlockOutcome { verdict, new, connected } = outcome;
        self.plans.done(&hash);
        if verdict.kind == VerdictKind::Mutated {
            // It says nothing about the block: others may still bring it.
            self.forget_request(&hash, Some(id));
            if self.block_sources.take(&hash).is_some_and(|source| source.peer != id) {
                self.block_sources.note(hash, id, true);
            }
            tracing::debug!(target: "net", "Received mutated block from peer={id}");
            self.misbehaving(id, "mutated block");
            return;
        }
        let only_this = self.block_requests.is_only(&hash);
        self.forget_request(&hash, if *new { None } else { Some(id) });
        if verdict.accepted {
            let now = self.now;
            if let Some(peer) = self.peers.get_mut(&id)
                && *new
            {
                peer.last_block = now;
            }
            if *connected && !self.chain.tip.initial_download && only_this {
                let source = self.block_sources.peer(&hash);
                self.prefer_compact_from(source.unwrap_or(id));
            }
            if !new {
                self.block_sources.take(&hash);
            }
            return;
        }
        self.forget_plans_over(verdict);
        // Without a source the block was refused already, and its sender judged.
        if let Some(source) = self.block_sources.take(&hash) {
            self.punish_for_block(id, verdict, !source.punish, "");
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
        if let Some(source) = self.block_sources.take(&hash)
            && self.peers.contains_key(&source.peer)
        {
            self.punish_for_block(source.peer, verdict, !source.punish, "");
            self.maybe_discourage(source.peer);
        }
    }
}
