//! Telling peers of new blocks: by headers (BIP 130) or by inventory.

use std::collections::VecDeque;

use bulkhead_wire::Message;
use bulkhead_wire::message::hash_hex;

use super::Engine;
use super::answers::Continuation;
use super::chain_view::{Question, Tip};
use super::headers_index::Hash;
use super::peer::PeerId;

/// Most headers in one announcement; more are announced by inventory.
const MAX_TO_ANNOUNCE: usize = 8;
/// Blocks of one step after which the patience with slow peers is what it was at first.
const MAX_PATIENCE_STEPS: i32 = 64;

/// New blocks that peers were not told of yet, oldest first, and whether their headers are here: some must be asked for, but
/// no block is announced before its parent.
#[derive(Debug, Default)]
pub(crate) struct Announcements(pub(super) VecDeque<(Vec<Hash>, bool)>);

impl Engine {
    /// The active chain has a new tip; `hashes` are the newest blocks that became part of it, oldest first.
    pub fn updated_tip(&mut self, tip: Tip, mut hashes: Vec<Hash>) {
        self.tip_moves(tip);
        self.chain.ready = true;
        if tip.at.work > self.chain.best_header.at.work {
            self.chain.best_header = tip;
        }
        self.last_tip_update = self.seconds();
        self.tip_changed_for_transactions();
        self.headers.insert_bare(tip.at);
        for hash in &hashes {
            self.block_is_confirmed(*hash);
        }
        // More than a few are not announced one by one.
        hashes.drain(..hashes.len().saturating_sub(MAX_TO_ANNOUNCE));
        if tip.initial_download || hashes.is_empty() {
            self.send_all();
            return;
        }
        let ready = hashes.iter().all(|hash| self.headers.raw(hash).is_some());
        if !ready {
            let question = Question::HeadersByHash(hashes.clone());
            self.ask(question, Continuation::Announce { hashes: hashes.clone(), tip }, None);
        }
        self.announcements.0.push_back((hashes, ready));
        self.queue_announcements();
    }

    /// Takes note of where the active chain ends, as chain's announcement or its state says: whichever comes first.
    pub(crate) fn tip_moves(&mut self, tip: Tip) {
        if tip.at.hash != self.chain.tip.at.hash {
            let risen = tip.at.height.saturating_sub(self.chain.tip.at.height);
            for _ in 0..risen.clamp(1, MAX_PATIENCE_STEPS) {
                self.block_connected();
            }
            if risen <= 0 {
                // Blocks were taken back: their transactions are unconfirmed again.
                self.mempool.confirmed.clear();
            }
        }
        self.chain.tip = tip;
    }

    /// Looks at the transactions of a block that became part of the chain.
    fn block_is_confirmed(&mut self, hash: Hash) {
        if !self.follows_transactions() {
            return;
        }
        match &self.recent_block {
            Some(recent) if recent.at.hash == hash => {
                let bytes = std::rc::Rc::clone(&recent.bytes);
                self.forget_confirmed(&bytes);
            }
            _ => self.ask(Question::Block(hash), Continuation::Confirmed, None),
        }
    }

    /// There is a new best header.
    pub fn headers_tip(&mut self, tip: Tip) {
        self.headers.insert_bare(tip.at);
        self.chain.best_header = tip;
    }

    /// The headers of these new blocks are there, or will never come.
    pub(crate) fn announce_ready(&mut self, hashes: &[Hash]) {
        if let Some(waiting) = self.announcements.0.iter_mut().find(|(waiting, ready)| !ready && waiting == hashes) {
            waiting.1 = true;
        }
        self.queue_announcements();
    }

    fn queue_announcements(&mut self) {
        while let Some((hashes, _)) = self.announcements.0.pop_front_if(|(_, ready)| *ready) {
            for peer in self.peers.values_mut() {
                peer.announce_headers.extend_from_slice(&hashes);
            }
        }
        self.send_all();
    }

    pub(crate) fn maybe_announce(&mut self, id: PeerId) {
        self.resolve_unknown(id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let queued = std::mem::take(&mut peer.announce_headers);
        let Some(newest) = queued.last().copied() else { return };
        let (prefers, compact) = (peer.prefers_headers, peer.high_bandwidth_from);
        let by_inv = !prefers && (!compact || queued.len() > 1) || queued.len() > MAX_TO_ANNOUNCE;
        let headers = if by_inv { None } else { self.headers_to_announce(id, &queued) };
        match headers.as_deref() {
            Some([]) => {}
            // More than one block is no announcement any more, but a sync.
            Some([one]) if compact => match self.headers.get(one) {
                Some(at) => self.announce_compact(id, at),
                None => self.announce_by_inventory(id, newest),
            },
            Some(run) if prefers => self.announce_headers(id, run),
            _ => self.announce_by_inventory(id, newest),
        }
    }

    /// The queued headers that the peer lacks, if they connect to what it has; `None`: use inventory.
    fn headers_to_announce(&self, id: PeerId, queued: &[Hash]) -> Option<Vec<Hash>> {
        let mut run = Vec::new();
        let mut previous: Option<Hash> = None;
        for hash in queued {
            let at = self.headers.get(hash)?;
            if !self.headers.is_ancestor(&at, &self.chain.tip.at) {
                // Reorganised away meanwhile.
                return None;
            }
            let parent = self.headers.prev(hash);
            if previous.is_some() && parent != previous {
                return None;
            }
            previous = Some(*hash);
            if !run.is_empty() {
                run.push(*hash);
            } else if self.peer_has_header(id, &at) {
                continue;
            } else {
                let below = parent.and_then(|hash| self.headers.get(&hash));
                if at.height != 0 && !below.is_some_and(|below| self.peer_has_header(id, &below)) {
                    return None;
                }
                run.push(*hash);
            }
        }
        Some(run)
    }

    fn announce_headers(&mut self, id: PeerId, run: &[Hash]) {
        let headers: Vec<[u8; 80]> = run.iter().filter_map(|hash| self.headers.raw(hash)).collect();
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return };
        if headers.len() != run.len() {
            self.announce_by_inventory(id, *last);
            return;
        }
        if run.len() > 1 {
            tracing::debug!(
                target: "net",
                "SendMessages: {} headers, range ({}, {}), to peer={id}", run.len(), hash_hex(first), hash_hex(last)
            );
        } else {
            tracing::debug!(target: "net", "SendMessages: sending header {} to peer={id}", hash_hex(first));
        }
        self.send(id, &Message::Headers(Ok(headers)));
        let sent = self.headers.get(last);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.best_sent = sent;
        }
    }

    fn announce_by_inventory(&mut self, id: PeerId, newest: Hash) {
        if self.headers.get(&newest).is_some_and(|at| self.peer_has_header(id, &at)) {
            return;
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.announce_inv.push(newest);
            tracing::debug!(target: "net", "SendMessages: sending inv peer={id} hash={}", hash_hex(&newest));
        }
    }
}
