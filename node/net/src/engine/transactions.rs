//! Transactions that come in: what is judged, what is kept as an orphan, what is tried as a package (Core:
//! `node/txdownloadman_impl.cpp`).

use bitcoin::hashes::{Hash as _, HashEngine, sha256};
use bitcoin::secp256k1::rand::Rng;
use bulkhead_wire::message::hash_hex;
use bulkhead_wire::skim::{self, TxFacts};

use super::Engine;
use super::answers::Continuation;
use super::chain_view::{AcceptedTx, Question, TxOutcome, Verdict, VerdictKind};
use super::headers_index::Hash;
use super::orphanage::Orphan;
use super::peer::PeerId;
use super::permission::Permissions;

/// Most money there can be, satoshi.
const MAX_MONEY: i64 = 21_000_000 * 100_000_000;

/// Core's text of a fee rate.
pub(crate) fn fee_rate_text(rate: i64) -> String {
    format!("{}.{:08} BTC/kvB", rate / 100_000_000, rate % 100_000_000)
}

/// A transaction under judgement.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) facts: TxFacts,
    pub(crate) bytes: Vec<u8>,
    /// It was not judged before.
    pub(crate) first_time: bool,
    /// It comes out of the orphanage.
    pub(crate) orphan: bool,
}

impl Candidate {
    fn text(&self) -> String {
        names_text(&self.facts)
    }
}

fn names_text(facts: &TxFacts) -> String {
    format!("{} (wtxid={})", hash_hex(&facts.names.txid), hash_hex(&facts.names.wtxid))
}

/// Name of a package, whatever the order of its transactions.
fn package_hash(wtxids: [Hash; 2]) -> Hash {
    let mut sorted = wtxids;
    sorted.sort_unstable_by(|a, b| a.iter().rev().cmp(b.iter().rev()));
    let mut engine = sha256::Hash::engine();
    engine.input(sorted.as_flattened());
    sha256::Hash::from_engine(engine).to_byte_array()
}

/// Transactions that this one spends, each once.
fn parents(facts: &TxFacts) -> Vec<Hash> {
    let mut parents: Vec<Hash> = facts.inputs.iter().map(|(txid, _)| *txid).collect();
    parents.sort_unstable();
    parents.dedup();
    parents
}

impl Engine {
    /// Whether we know, without a question to chain, that there is no point in asking for a transaction. A txid is also
    /// looked up as a wtxid: for transactions without witness they are the same.
    pub(crate) fn tx_is_settled(&self, hash: &Hash, include_reconsiderable: bool) -> bool {
        self.orphanage.get(hash).is_some()
            || (include_reconsiderable && self.mempool.reconsiderable.contains(hash))
            || self.mempool.rejected.contains(hash)
    }

    /// The same, or it is in the mempool or was confirmed lately, as far as we heard.
    pub(crate) fn tx_is_known(&self, hash: &Hash, include_reconsiderable: bool) -> bool {
        self.tx_is_settled(hash, include_reconsiderable)
            || self.mempool.by_wtxid(hash).is_some()
            || self.mempool.by_txid(hash).is_some()
            || self.mempool.confirmed.contains(hash)
    }

    pub(crate) fn tip_changed_for_transactions(&mut self) {
        // What was refused at the old tip may be fine at the new one.
        if !self.chain.tip.initial_download {
            self.mempool.forget_rejected();
        }
    }

    /// A block became part of the chain: its transactions are settled, and orphans that spend the same have no future.
    pub(crate) fn forget_confirmed(&mut self, block: &[u8]) {
        let Ok((_, placed)) = skim::block_transactions(block) else {
            tracing::warn!(target: "net", "chain sent a malformed block");
            return;
        };
        for transaction in &placed {
            self.mempool.remove(&transaction.names.wtxid);
            self.mempool.confirmed.insert(transaction.names.txid);
            self.mempool.confirmed.insert(transaction.names.wtxid);
            self.tx_requests.forget(&transaction.names.txid);
            self.tx_requests.forget(&transaction.names.wtxid);
        }
        if !self.orphanage.is_empty() {
            let facts = placed.iter().filter_map(|placed| skim::facts(block.get(placed.start..)?).ok());
            self.orphanage.erase_spenders(facts.flat_map(|facts| facts.inputs));
        }
    }

    /// Whether a new block needs to be looked at for the sake of transactions.
    pub(crate) fn follows_transactions(&self) -> bool {
        !self.chain.tip.initial_download
    }

    /// Orphans with the peers that brought them.
    pub fn orphans(&self) -> impl Iterator<Item = (&Orphan, Vec<PeerId>)> {
        self.orphanage.iter().map(|(orphan, from)| (&**orphan, from))
    }

    /// Queues a transaction for every peer that wants announcements.
    pub(crate) fn announce_transaction(&mut self, accepted: AcceptedTx) {
        self.mempool.insert(accepted);
        for peer in self.peers.values_mut() {
            let hash = if peer.wtxid_relay { accepted.wtxid } else { accepted.txid };
            if let Some(tx) = &mut peer.tx
                && tx.next_send != 0
                && !tx.known.contains(&hash)
            {
                tx.to_send.insert(accepted.wtxid);
            }
        }
    }

    /// A peer announced a transaction that chain does not have; `have`: it has.
    pub(crate) fn tx_announced(&mut self, id: PeerId, hash: Hash, by_wtxid: bool, have: bool) -> bool {
        let now = self.now;
        if by_wtxid && let Some(orphan) = self.orphanage.get(&hash).cloned() {
            // Whoever has the child can be asked for the parents.
            let missing: Vec<Hash> =
                parents(&orphan.facts).into_iter().filter(|parent| !self.tx_is_known(parent, false)).collect();
            if !missing.is_empty() && self.resolves_orphan(id, &missing, &hash, now) {
                self.orphanage.add_announcer(&hash, id);
            }
            return true;
        }
        if have || self.tx_is_settled(&hash, true) {
            return true;
        }
        self.tx_requests.announced(id, hash, by_wtxid, now);
        false
    }

    fn resolves_orphan(&mut self, id: PeerId, missing: &[Hash], wtxid: &Hash, now: i64) -> bool {
        if self.orphanage.has_from(wtxid, id) || !self.tx_requests.resolves_orphan(id, missing, now) {
            return false;
        }
        tracing::debug!(target: "txpackages", "added peer={id} as a candidate for resolving orphan {}", hash_hex(wtxid));
        true
    }

    pub(crate) fn on_tx(&mut self, id: PeerId, bytes: Vec<u8>) {
        let Ok(facts) = skim::facts(&bytes) else { return };
        let (txid, wtxid) = (facts.names.txid, facts.names.wtxid);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let known = if peer.wtxid_relay { wtxid } else { txid };
        peer.add_known_tx(known);
        self.private_came_back(id, &facts.names);
        self.tx_requests.failed(id, &txid);
        self.tx_requests.failed(id, &wtxid);
        let candidate = Candidate { facts, bytes, first_time: true, orphan: false };
        if self.tx_is_settled(&wtxid, false) {
            self.maybe_force_relay(id, &candidate);
        } else if self.mempool.reconsiderable.contains(&wtxid) {
            tracing::debug!(
                target: "txpackages",
                "found tx {} in reconsiderable rejects, looking for child in orphanage", candidate.text()
            );
            self.maybe_force_relay(id, &candidate);
            self.try_package(id, candidate);
        } else {
            self.judge_transaction(id, candidate);
        }
    }

    fn judge_transaction(&mut self, id: PeerId, candidate: Candidate) {
        let question = Question::SubmitTransaction(candidate.bytes.clone());
        self.ask(question, Continuation::Tx { peer: id, candidate: Box::new(candidate) }, Some(id));
    }

    /// A peer with the permission makes us a gateway for transactions that we have already.
    fn maybe_force_relay(&mut self, id: PeerId, candidate: &Candidate) {
        if !self.peers.get(&id).is_some_and(|peer| peer.may(Permissions::FORCE_RELAY)) {
            return;
        }
        let text = candidate.text();
        match self.mempool.by_txid(&candidate.facts.names.txid) {
            Some(tx) => {
                tracing::info!(target: "net", "Force relaying tx {text} from peer={id}");
                self.announce_transaction(tx);
            }
            None => tracing::info!(target: "net", "Not relaying non-mempool transaction {text} from forcerelay peer={id}"),
        }
    }

    /// Tries a parent whose fee is too low together with a child of the same peer.
    fn try_package(&mut self, id: PeerId, parent: Candidate) {
        let names = parent.facts.names;
        let children = self.orphanage.children_from(&names.txid, id);
        let child = children.into_iter().find(|child| {
            let name = package_hash([names.wtxid, child.facts.names.wtxid]);
            !self.mempool.reconsiderable.contains(&name) && !self.mempool.rejected.contains(&child.facts.names.txid)
        });
        let Some(child) = child else { return };
        let child = Candidate { facts: child.facts.clone(), bytes: child.bytes.clone(), first_time: false, orphan: false };
        let question = Question::SubmitPackage(parent.bytes.clone(), child.bytes.clone());
        let package = Box::new([Candidate { first_time: false, ..parent }, child]);
        self.ask(question, Continuation::Package { peer: id, package }, Some(id));
    }

    pub(crate) fn package_judged(&mut self, id: PeerId, package: [Candidate; 2], accepted: bool, outcomes: &[TxOutcome]) {
        let [parent, child] = &package;
        tracing::debug!(
            target: "txpackages",
            "package evaluation for parent {} + child {} (senders {id}, {id}): {}",
            parent.text(), child.text(), if accepted { "package accepted" } else { "package rejected" }
        );
        if !accepted {
            let name = package_hash([parent.facts.names.wtxid, child.facts.names.wtxid]);
            self.mempool.reconsiderable.insert(name);
        }
        // The child first, so that it has left the orphanage when its parent looks for children.
        for (candidate, outcome) in package.into_iter().zip(outcomes).rev() {
            if outcome.verdict.accepted {
                self.transaction_accepted_from(id, &candidate, outcome);
            } else if outcome.verdict.kind != VerdictKind::AlreadyHave {
                self.transaction_refused(id, candidate, outcome);
            }
        }
    }

    /// Looks again at an orphan whose parent has come. Whether there was one.
    pub(crate) fn reconsider_orphan(&mut self, id: PeerId) -> bool {
        let Some(orphan) = self.orphanage.take_work(id) else { return false };
        let candidate = Candidate { facts: orphan.facts.clone(), bytes: orphan.bytes.clone(), first_time: false, orphan: true };
        self.judge_transaction(id, candidate);
        true
    }

    pub(crate) fn transaction_judged(&mut self, id: PeerId, candidate: Candidate, outcome: &TxOutcome) {
        let verdict = &outcome.verdict;
        if verdict.accepted {
            if candidate.orphan {
                tracing::debug!(target: "txpackages", "   accepted orphan tx {}", candidate.text());
            } else {
                let now = self.now;
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.last_tx = now;
                }
            }
            self.transaction_accepted_from(id, &candidate, outcome);
            return;
        }
        match verdict.kind {
            // Chain had it all the time, or could not judge.
            VerdictKind::AlreadyHave => {
                self.maybe_force_relay(id, &candidate);
                self.settle(&candidate);
            }
            VerdictKind::System => {}
            VerdictKind::MissingInputs if candidate.orphan => {}
            _ => {
                if candidate.orphan {
                    tracing::debug!(
                        target: "txpackages",
                        "   invalid orphan tx {} from peer={id}. {}", candidate.text(), verdict.text()
                    );
                }
                self.transaction_refused(id, candidate, outcome);
            }
        }
    }

    /// Nobody needs to be asked for this transaction any more.
    fn settle(&mut self, candidate: &Candidate) {
        self.tx_requests.forget(&candidate.facts.names.txid);
        self.tx_requests.forget(&candidate.facts.names.wtxid);
    }

    fn transaction_accepted_from(&mut self, id: PeerId, candidate: &Candidate, outcome: &TxOutcome) {
        self.settle(candidate);
        let names = candidate.facts.names;
        let rng = &mut self.rng;
        let workers = self.orphanage.add_children_to_work(&names.txid, candidate.facts.outputs, |count| rng.gen_range(0..count));
        self.orphanage.erase(&names.wtxid);
        tracing::debug!(
            target: "mempool",
            "AcceptToMemoryPool: peer={id}: accepted {} (poolsz {} txn, {} kB)",
            candidate.text(), outcome.pool_size, outcome.pool_memory / 1000
        );
        self.orphan_work.extend(workers);
    }

    fn transaction_refused(&mut self, id: PeerId, candidate: Candidate, outcome: &TxOutcome) {
        let verdict = &outcome.verdict;
        let facts = &candidate.facts;
        let wtxid = facts.names.wtxid;
        tracing::debug!(
            target: "mempoolrej",
            "{} from peer={id} was not accepted: {}", candidate.text(), verdict.text()
        );
        match verdict.kind {
            VerdictKind::MissingInputs => {
                if candidate.first_time && !self.mempool.rejected.contains(&wtxid) {
                    self.keep_orphan(id, candidate, &outcome.missing_parents);
                }
                return;
            }
            // The witness was cut off on the way: that says nothing about the transaction.
            VerdictKind::WitnessStripped => {}
            VerdictKind::Reconsiderable => {
                self.mempool.reconsiderable.insert(wtxid);
                self.tx_requests.forget(&wtxid);
            }
            _ => self.reject(facts, verdict),
        }
        if self.orphanage.erase(&wtxid) {
            tracing::debug!(target: "txpackages", "   removed orphan tx {}", candidate.text());
        }
        if verdict.kind == VerdictKind::Reconsiderable && candidate.first_time {
            tracing::debug!(
                target: "txpackages",
                "tx {} failed but reconsiderable, looking for child in orphanage", candidate.text()
            );
            self.try_package(id, candidate);
        }
    }

    fn reject(&mut self, facts: &TxFacts, verdict: &Verdict) {
        let (txid, wtxid) = (facts.names.txid, facts.names.wtxid);
        self.mempool.rejected.insert(wtxid);
        self.tx_requests.forget(&wtxid);
        // The spent scripts are covered by the txid: no other witness will help.
        if verdict.kind == VerdictKind::InputsNotStandard && facts.has_witness {
            self.mempool.rejected.insert(txid);
            self.tx_requests.forget(&txid);
        }
    }

    fn keep_orphan(&mut self, id: PeerId, candidate: Candidate, missing: &[Hash]) {
        let facts = &candidate.facts;
        let (txid, wtxid) = (facts.names.txid, facts.names.wtxid);
        let all = parents(facts);
        let rejected = all.iter().any(|parent| self.mempool.rejected.contains(parent));
        let reconsiderable = |parent: &&Hash| self.mempool.reconsiderable.contains(parent) && missing.contains(parent);
        // A package may have one parent whose fee is too low.
        if rejected || all.iter().filter(reconsiderable).count() > 1 {
            tracing::debug!(target: "mempool", "not keeping orphan with rejected parents {}", candidate.text());
            self.mempool.rejected.insert(txid);
            self.mempool.rejected.insert(wtxid);
            self.settle(&candidate);
            return;
        }
        let now = self.now;
        let missing: Vec<Hash> = missing.iter().copied().filter(|parent| !self.tx_is_settled(parent, false)).collect();
        for parent in &missing {
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.add_known_tx(*parent);
            }
        }
        let mut candidates = vec![id];
        candidates.extend(self.tx_requests.candidates(&txid));
        if facts.has_witness {
            candidates.extend(self.tx_requests.candidates(&wtxid));
        }
        for peer in candidates {
            if self.resolves_orphan(peer, &missing, &wtxid, now) {
                let orphan = Orphan { facts: facts.clone(), bytes: candidate.bytes.clone() };
                self.orphanage.add(orphan, peer);
            }
        }
        self.settle(&candidate);
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
