//! What happens when chain has answered.

use bulkhead_wire::Inventory;

use super::Engine;
use super::chain_view::{AcceptedTx, Answer, ChainView, Tip, Verdict};
use super::headers_index::{Hash, HeaderRef};
use super::peer::PeerId;

/// Where to go on after an answer.
#[derive(Debug)]
pub(crate) enum Continuation {
    GetHeaders { peer: PeerId, before: bool },
    Headers { peer: PeerId, headers: Vec<[u8; 80]> },
    DirectFetch { peer: PeerId, best: HeaderRef },
    Plan { best: Hash },
    Block { peer: PeerId, hash: Hash },
    Tx { peer: PeerId, txid: Hash, wtxid: Hash, bytes: Vec<u8> },
    ServeHeaders { peer: PeerId, stop: Hash, by_hash: bool },
    ServeHashes { peer: PeerId, stop: Hash },
    ServeBlock { peer: PeerId, entry: Inventory },
    ServeTxs { peer: PeerId, entries: Vec<Inventory> },
    InvBlocks { peer: PeerId, hashes: Vec<Hash> },
    InvTxs { peer: PeerId, entries: Vec<Inventory> },
    Announce { hashes: Vec<Hash>, tip: Tip },
    Mempool { peer: PeerId },
}

impl Engine {
    /// Chain has answered, or will never answer ([`Answer::Lost`]). An answer of the wrong kind counts as lost.
    pub fn answer(&mut self, token: u64, answer: Answer) {
        let Some((waiting, blocking)) = self.waiting.remove(&token) else { return };
        if let Some(state) = blocking.and_then(|id| self.peers.get_mut(&id)) {
            state.blocked_on = state.blocked_on.saturating_sub(1);
        }
        let mut peer = blocking;
        if let Continuation::Block { peer: id, .. } = &waiting {
            peer = Some(*id);
            if let Some(state) = self.peers.get_mut(id) {
                state.submitting = state.submitting.saturating_sub(1);
            }
        }
        self.resume(waiting, answer);
        if let Some(id) = peer {
            self.maybe_discourage(id);
            self.pump(id);
        }
    }

    fn resume(&mut self, waiting: Continuation, answer: Answer) {
        match (waiting, answer) {
            (Continuation::GetHeaders { peer, before }, Answer::Locator(hashes)) => self.locator_ready(peer, hashes, before),
            (Continuation::Headers { peer, headers }, Answer::Headers(verdict, last, active)) => {
                self.headers_judged(peer, &headers, &verdict, last, active);
            }
            (Continuation::DirectFetch { peer, best }, Answer::MissingBlocks(blocks)) => {
                self.plan_ready(best.hash, blocks);
                self.direct_fetch(peer, best);
            }
            (Continuation::Plan { best }, Answer::MissingBlocks(blocks)) => {
                self.plan_ready(best, blocks);
                self.send_all();
            }
            (Continuation::Block { peer, hash }, Answer::Block(verdict, new)) => self.block_judged(peer, hash, &verdict, new),
            (Continuation::Tx { peer, txid, wtxid, bytes }, Answer::Transaction { verdict, missing_parents }) => {
                self.transaction_judged(peer, (txid, wtxid), bytes, &verdict, &missing_parents);
            }
            (Continuation::ServeHeaders { peer, stop, by_hash }, Answer::FoundHeaders(headers)) => {
                self.headers_found(peer, headers, stop, by_hash);
            }
            (Continuation::ServeHashes { peer, stop }, Answer::FoundHashes(hashes)) => self.hashes_found(peer, hashes, stop),
            (Continuation::ServeBlock { peer, entry }, Answer::ServedBlock(facts, block)) => {
                self.block_found(peer, entry, facts, &block);
            }
            (Continuation::ServeTxs { peer, entries }, Answer::Transactions(found)) => {
                self.transactions_found(peer, &entries, found)
            }
            (Continuation::InvBlocks { peer, hashes }, Answer::HeaderInfo(facts)) => self.inv_blocks_known(peer, &hashes, &facts),
            (Continuation::InvTxs { peer, entries }, Answer::HaveTransactions(have)) => self.inv_txs_known(peer, &entries, &have),
            (Continuation::Announce { hashes, tip }, Answer::FoundHeaders(headers)) => {
                self.headers.insert_run(&headers, tip.at);
                self.queue_announcement(&hashes);
            }
            (Continuation::Mempool { peer }, Answer::MempoolIds(ids)) => self.mempool_listed(peer, &ids),
            (waiting, _) => self.lost(waiting),
        }
    }

    /// There is no answer: give up what depended on it, so that it can be tried again.
    fn lost(&mut self, waiting: Continuation) {
        match waiting {
            Continuation::GetHeaders { peer, .. } => {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.last_getheaders = 0;
                    peer.sync_started = false;
                }
            }
            Continuation::Block { peer, hash } => self.block_judged(peer, hash, &Verdict::default(), false),
            Continuation::Plan { best } | Continuation::DirectFetch { best: HeaderRef { hash: best, .. }, .. } => {
                self.plan_ready(best, Vec::new());
            }
            Continuation::Announce { hashes, .. } => self.queue_announcement(&hashes),
            _ => {}
        }
    }

    /// Chain came up, or told its state again.
    pub fn chain_state(&mut self, view: ChainView) {
        let first = !self.chain.ready;
        self.chain = view;
        if first {
            // After a restart of chain nothing that was under way there counts.
            self.plans = super::Plans::default();
        }
        self.headers.insert_bare(view.tip.at);
        self.headers.insert_bare(view.best_header.at);
        self.send_all();
    }

    /// Chain went away.
    pub fn chain_gone(&mut self) {
        self.chain.ready = false;
    }

    /// A transaction entered the mempool.
    pub fn transaction_accepted(&mut self, accepted: AcceptedTx) {
        self.announce_transaction(accepted);
        self.send_all();
    }
}
