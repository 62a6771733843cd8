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
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if verdict.accepted {
            if new {
                peer.last_block = now;
            }
            return;
        }
        if matches!(verdict.kind, VerdictKind::Consensus | VerdictKind::InvalidPrevious | VerdictKind::InvalidHeader) {
            // What leads over this block is not worth fetching any more.
            self.plans.forget_all();
        }
        if verdict.kind == VerdictKind::Mutated {
            tracing::debug!(target: "net", "Received mutated block from peer={id}");
            self.misbehaving(id, "mutated block");
        } else {
            self.punish_for_block(id, verdict, false, "");
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
