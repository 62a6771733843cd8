//! What happens when chain has answered.

use bulkhead_wire::Inventory;
use bulkhead_wire::compact::TransactionsRequest;
use bulkhead_wire::filters::FilterRequest;
use bulkhead_wire::message::Locator;
use bulkhead_wire::skim::TxNames;

use super::Engine;
use super::chain_view::{AcceptedTx, Answer, BlockOutcome, ChainView, Tip};
use super::filters::Wanted;
use super::headers_index::{Hash, HeaderRef};
use super::peer::PeerId;
use super::transactions::Candidate;

/// Where to go on after an answer.
#[derive(Debug)]
pub(crate) enum Continuation {
    GetHeaders { peer: PeerId, before: bool },
    Headers { peer: PeerId, headers: Vec<[u8; 80]>, full: bool, via_compact: bool },
    StartPresync { peer: PeerId, headers: Vec<[u8; 80]>, start: Tip },
    DirectFetch { peer: PeerId, best: HeaderRef },
    Plan { best: Hash },
    Block { peer: PeerId, hash: Hash },
    Tx { peer: PeerId, candidate: Box<Candidate> },
    Package { peer: PeerId, package: Box<[Candidate; 2]> },
    Compact { peer: PeerId, header: [u8; 80], key: u64, transactions: usize },
    Fill { peer: PeerId, hash: Hash, extra: bool },
    AnnounceCompact { peer: PeerId },
    ServeBlockTransactions { peer: PeerId, request: TransactionsRequest },
    Confirmed,
    Matching { peer: PeerId, entries: Vec<Inventory> },
    FilterRange { peer: PeerId, wanted: Wanted, request: FilterRequest },
    Filters { peer: PeerId, from: u32, stop: Hash, stop_height: u32 },
    FilterHashes { peer: PeerId, stop: Hash, from_genesis: bool, count: u64 },
    FilterCheckpoints { peer: PeerId, stop: Hash, count: u32 },
    Nothing,
    ServeHeaders { peer: PeerId, locator: Locator, again: bool },
    ServeHashes { peer: PeerId, stop: Hash },
    ServeBlock { peer: PeerId, entry: Inventory },
    ServeTxs { peer: PeerId, entries: Vec<Inventory> },
    InvBlocks { peer: PeerId, hashes: Vec<Hash> },
    InvTxs { peer: PeerId, entries: Vec<Inventory> },
    Announce { hashes: Vec<Hash>, tip: Tip },
    Mempool { peer: PeerId },
    Retry { names: TxNames },
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
        let held = self.plans.holds_others();
        self.resume(waiting, answer);
        if let Some(id) = peer {
            self.maybe_discourage(id);
            self.pump(id);
        }
        self.pump_orphans();
        if held && !self.plans.holds_others() {
            self.send_all();
        }
    }

    fn resume(&mut self, waiting: Continuation, answer: Answer) {
        match (waiting, answer) {
            (Continuation::GetHeaders { peer, before }, Answer::Locator(hashes)) => self.locator_ready(peer, hashes, before),
            (Continuation::Headers { peer, headers, full, via_compact }, Answer::Headers(outcome)) => {
                self.headers_judged(peer, &headers, full, via_compact, &outcome);
            }
            (Continuation::StartPresync { peer, headers, start }, Answer::Locator(locator)) => {
                self.start_presync(peer, &headers, start, locator);
            }
            (Continuation::DirectFetch { peer, best }, Answer::MissingBlocks(blocks)) => {
                self.direct_plan_ready(peer, best, blocks);
            }
            (Continuation::Plan { best }, Answer::MissingBlocks(blocks)) => {
                self.plan_ready(best, blocks);
                self.send_all();
            }
            (Continuation::Block { peer, hash }, Answer::Block(outcome)) => self.block_judged(peer, hash, &outcome),
            (Continuation::Tx { peer, candidate }, Answer::Transaction(outcome)) => {
                self.transaction_judged(peer, *candidate, &outcome);
            }
            (Continuation::Package { peer, package }, Answer::Package(accepted, outcomes)) => {
                self.package_judged(peer, *package, accepted, &outcomes);
            }
            (Continuation::Compact { peer, header, key, transactions }, Answer::Compact(outcome)) => {
                self.compact_judged(peer, &header, key, transactions, &outcome);
            }
            (Continuation::Fill { peer, hash, extra }, Answer::Filled(status, outcome)) => {
                self.block_filled(peer, hash, extra, status, &outcome);
            }
            (Continuation::AnnounceCompact { peer }, Answer::ServedBlock(_, block)) => self.send_compact(peer, &block),
            (Continuation::ServeBlockTransactions { peer, request }, Answer::ServedBlock(facts, block)) => {
                self.block_for_transactions(peer, &request, facts, &block);
            }
            (Continuation::Confirmed, Answer::ServedBlock(_, block)) => self.forget_confirmed(&block),
            (Continuation::Matching { peer, entries }, Answer::Transactions(found)) => {
                self.announce_matching(peer, &entries, &found);
            }
            (Continuation::FilterRange { peer, wanted, request }, Answer::HeaderInfo(facts)) => {
                self.filter_range_known(peer, wanted, request, facts.first().copied().flatten());
            }
            (Continuation::Filters { peer, from, stop, stop_height }, Answer::BlockFilters(found)) => {
                self.filters_found(peer, from, stop, stop_height, &found);
            }
            (Continuation::FilterHashes { peer, stop, from_genesis, count }, Answer::BlockFilters(found)) => {
                self.filter_hashes_found(peer, stop, from_genesis, count, &found);
            }
            (Continuation::FilterCheckpoints { peer, stop, count }, Answer::BlockFilters(found)) => {
                self.filter_checkpoints_found(peer, stop, count, &found);
            }
            (Continuation::Nothing, _) => {}
            (Continuation::ServeHeaders { peer, locator, again }, Answer::FoundHeaders(headers)) => {
                self.headers_found(peer, headers, locator, again);
            }
            (Continuation::ServeHashes { peer, stop }, Answer::FoundHashes(hashes)) => self.hashes_found(peer, hashes, stop),
            (Continuation::ServeBlock { peer, entry }, Answer::ServedBlock(facts, block)) => {
                self.block_found(peer, entry, facts, &block);
            }
            (Continuation::ServeTxs { peer, entries }, Answer::Transactions(found)) => {
                self.transactions_found(peer, &entries, found)
            }
            (Continuation::InvBlocks { peer, hashes }, Answer::HeaderInfo(facts)) => self.inv_blocks_known(peer, &hashes, &facts),
            (Continuation::InvTxs { peer, entries }, Answer::HaveTransactions(have)) => {
                self.inv_txs_known(peer, &entries, &have);
            }
            (Continuation::Announce { hashes, tip }, Answer::FoundHeaders(headers)) => {
                self.headers.insert_run(&headers, tip.at);
                self.announce_ready(&hashes);
            }
            (Continuation::Mempool { peer }, Answer::MempoolIds(ids)) => self.mempool_listed(peer, &ids),
            (Continuation::Retry { names }, Answer::Tested(verdict)) => self.retry_judged(&names, &verdict),
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
            Continuation::Block { peer, hash } => self.block_judged(peer, hash, &BlockOutcome::default()),
            Continuation::Fill { peer, hash, .. } => {
                self.plans.done(&hash);
                self.forget_request(&hash, Some(peer));
            }
            Continuation::Plan { best } => self.plan_ready(best, Vec::new()),
            Continuation::DirectFetch { peer, best } => self.direct_plan_ready(peer, best, Vec::new()),
            Continuation::Announce { hashes, .. } => self.announce_ready(&hashes),
            _ => {}
        }
    }

    /// Chain came up, or told its state again.
    pub fn chain_state(&mut self, view: ChainView) {
        let first = !self.chain.ready;
        self.tip_moves(view.tip);
        self.chain = view;
        self.mempool.sequence = self.mempool.sequence.max(view.sequence);
        if first {
            // After a restart of chain nothing that was under way there counts.
            self.plans.forget_all();
        }
        self.headers.insert_bare(view.tip.at);
        self.headers.insert_bare(view.best_header.at);
        if !view.loading {
            self.serve_waiting_getheaders();
        }
        self.send_all();
    }

    /// Chain went away.
    pub fn chain_gone(&mut self) {
        self.chain.ready = false;
    }

    /// Lets peers go on for whose orphans a parent has come.
    fn pump_orphans(&mut self) {
        for id in std::mem::take(&mut self.orphan_work) {
            self.pump(id);
        }
    }

    /// Transactions entered the mempool.
    pub fn transactions_accepted(&mut self, accepted: &[AcceptedTx]) {
        for accepted in accepted {
            self.announce_transaction(*accepted);
        }
        self.send_all();
    }

    /// Transactions left the mempool, other than by a block.
    pub fn transactions_removed(&mut self, wtxids: &[Hash]) {
        for wtxid in wtxids {
            self.mempool.remove(wtxid);
        }
    }
}
