//! Transactions: taking them in, and remembering which are in the mempool.

use std::collections::{HashMap, VecDeque};

use bulkhead_wire::message::hash_hex;
use bulkhead_wire::skim;

use super::Engine;
use super::answers::Continuation;
use super::chain_view::{AcceptedTx, Question, Verdict, VerdictKind};
use super::headers_index::Hash;
use super::peer::PeerId;
use super::permission::Permissions;
use super::recent::RecentSet;

/// Transactions of the mempool that are remembered here; only those may wait for their announcement.
const REMEMBERED: usize = 100_000;
/// Most money there can be, satoshi.
const MAX_MONEY: i64 = 21_000_000 * 100_000_000;

/// What net remembers of the mempool, in the order of arrival.
#[derive(Debug)]
pub(crate) struct MempoolView {
    pub(crate) sequence: u64,
    by_sequence: HashMap<u64, AcceptedTx>,
    by_hash: HashMap<Hash, u64>,
    order: VecDeque<u64>,
    rejected: RecentSet,
}

impl Default for MempoolView {
    fn default() -> Self {
        Self {
            sequence: 1,
            by_sequence: HashMap::new(),
            by_hash: HashMap::new(),
            order: VecDeque::new(),
            rejected: RecentSet::new(20_000),
        }
    }
}

impl MempoolView {
    fn insert(&mut self, tx: AcceptedTx) -> u64 {
        let sequence = self.sequence;
        self.sequence += 1;
        self.by_sequence.insert(sequence, tx);
        self.by_hash.insert(tx.txid, sequence);
        self.by_hash.insert(tx.wtxid, sequence);
        self.order.push_back(sequence);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
            && let Some(tx) = self.by_sequence.remove(&oldest)
        {
            self.by_hash.remove(&tx.txid);
            self.by_hash.remove(&tx.wtxid);
        }
        sequence
    }

    pub(crate) fn by_sequence(&self, sequence: u64) -> Option<AcceptedTx> {
        self.by_sequence.get(&sequence).copied()
    }

    pub(crate) fn by_hash(&self, hash: &Hash) -> Option<(u64, AcceptedTx)> {
        let sequence = *self.by_hash.get(hash)?;
        self.by_sequence(sequence).map(|tx| (sequence, tx))
    }
}

/// Core's text of a fee rate.
pub(crate) fn fee_rate_text(rate: i64) -> String {
    format!("{}.{:08} BTC/kvB", rate / 100_000_000, rate % 100_000_000)
}

impl Engine {
    /// Whether there is no point in asking for this transaction.
    pub(crate) fn tx_is_settled(&self, hash: &Hash) -> bool {
        self.mempool.rejected.contains(hash) || self.orphans.contains(hash)
    }

    pub(crate) fn tip_changed_for_transactions(&mut self) {
        // What was refused at the old tip may be fine at the new one.
        if !self.chain.tip.initial_download {
            self.mempool.rejected.clear();
        }
    }

    /// Whether the peer may ask for a transaction: it was in the mempool before we announced to it last.
    pub(crate) fn was_announced(&self, id: PeerId, hash: &Hash, _by_wtxid: bool) -> bool {
        let Some(tx) = self.peers.get(&id).and_then(|peer| peer.tx.as_ref()) else { return false };
        self.mempool.by_hash(hash).is_none_or(|(sequence, _)| sequence < tx.last_sequence)
    }

    /// Queues a transaction for every peer that wants announcements.
    pub(crate) fn announce_transaction(&mut self, accepted: AcceptedTx) {
        self.tx_requests.forget(&accepted.txid);
        self.tx_requests.forget(&accepted.wtxid);
        let known = self.mempool.by_hash(&accepted.wtxid).map(|(sequence, _)| sequence);
        let sequence = known.unwrap_or_else(|| self.mempool.insert(accepted));
        for peer in self.peers.values_mut() {
            let hash = if peer.wtxid_relay { accepted.wtxid } else { accepted.txid };
            if let Some(tx) = &mut peer.tx
                && tx.next_send != 0
                && !tx.known.contains(&hash)
            {
                tx.to_send.insert(sequence, accepted.wtxid);
            }
        }
    }

    pub(crate) fn on_tx(&mut self, id: PeerId, bytes: Vec<u8>) {
        let Ok(names) = skim::transaction(&bytes) else { return };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let known = if peer.wtxid_relay { names.wtxid } else { names.txid };
        peer.add_known_tx(known);
        let forced = peer.may(Permissions::FORCE_RELAY);
        self.tx_requests.failed(id, &names.txid);
        self.tx_requests.failed(id, &names.wtxid);
        let in_mempool = self.mempool.by_hash(&names.wtxid).map(|(_, tx)| tx);
        let settled = self.tx_is_settled(&names.wtxid);
        if forced && (settled || in_mempool.is_some()) {
            self.force_relay(id, (names.txid, names.wtxid), in_mempool);
        }
        if settled || (forced && in_mempool.is_some()) {
            return;
        }
        let then = Continuation::Tx { peer: id, txid: names.txid, wtxid: names.wtxid, bytes: bytes.clone() };
        self.ask(Question::SubmitTransaction(bytes), then, Some(id));
    }

    /// A peer with the permission makes us a gateway for transactions that we have already.
    fn force_relay(&mut self, id: PeerId, (txid, wtxid): (Hash, Hash), in_mempool: Option<AcceptedTx>) {
        let names = format!("{} (wtxid={})", hash_hex(&txid), hash_hex(&wtxid));
        match in_mempool {
            Some(tx) => {
                tracing::info!(target: "net", "Force relaying tx {names} from peer={id}");
                self.announce_transaction(tx);
            }
            None => tracing::info!(target: "net", "Not relaying non-mempool transaction {names} from forcerelay peer={id}"),
        }
    }

    pub(crate) fn transaction_judged(
        &mut self,
        id: PeerId,
        (txid, wtxid): (Hash, Hash),
        bytes: Vec<u8>,
        verdict: &Verdict,
        missing: &[Hash],
    ) {
        if verdict.accepted {
            self.tx_requests.forget(&txid);
            self.tx_requests.forget(&wtxid);
            let now = self.now;
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.last_tx = now;
            }
            tracing::debug!(
                target: "mempool",
                "AcceptToMemoryPool: peer={id}: accepted {} (wtxid={})", hash_hex(&txid), hash_hex(&wtxid)
            );
            for orphan in self.orphans.take_children(&txid) {
                let then =
                    Continuation::Tx { peer: orphan.peer, txid: orphan.txid, wtxid: orphan.wtxid, bytes: orphan.bytes.clone() };
                self.ask(Question::SubmitTransaction(orphan.bytes), then, Some(orphan.peer));
            }
            return;
        }
        tracing::debug!(
            target: "mempoolrej",
            "{} (wtxid={}) from peer={id} was not accepted: {}", hash_hex(&txid), hash_hex(&wtxid), verdict.text()
        );
        if verdict.kind == VerdictKind::MissingInputs {
            self.keep_orphan(id, (txid, wtxid), bytes, missing);
            return;
        }
        self.tx_requests.forget(&wtxid);
        if verdict.kind != VerdictKind::AlreadyHave && verdict.kind != VerdictKind::System {
            self.mempool.rejected.insert(wtxid);
            // A stripped witness says nothing about the transaction with this txid.
            if txid != wtxid && verdict.kind != VerdictKind::WitnessStripped {
                self.tx_requests.forget(&txid);
            }
        }
    }

    fn keep_orphan(&mut self, id: PeerId, (txid, wtxid): (Hash, Hash), bytes: Vec<u8>, missing: &[Hash]) {
        if missing.iter().any(|parent| self.mempool.rejected.contains(parent)) {
            tracing::debug!(
                target: "mempool",
                "not keeping orphan with rejected parents {} (wtxid={})", hash_hex(&txid), hash_hex(&wtxid)
            );
            self.mempool.rejected.insert(wtxid);
            return;
        }
        let now = self.now;
        for parent in missing {
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.add_known_tx(*parent);
            }
            self.tx_requests.announced(id, *parent, false, now);
        }
        let size = bytes.len();
        if self.orphans.insert(id, txid, wtxid, bytes, missing.to_vec()) {
            tracing::debug!(
                target: "txpackages",
                "stored orphan tx {} (wtxid={}), {size} bytes", hash_hex(&txid), hash_hex(&wtxid)
            );
        }
        self.tx_requests.forget(&wtxid);
    }

    pub(crate) fn on_feefilter(&mut self, id: PeerId, rate: i64) {
        if !(0..=MAX_MONEY).contains(&rate) {
            return;
        }
        if let Some(tx) = self.peers.get_mut(&id).and_then(|peer| peer.tx.as_mut()) {
            tx.fee_filter = rate;
        }
        tracing::debug!(target: "net", "received: feefilter of {} from peer={id}", fee_rate_text(rate));
    }
}
