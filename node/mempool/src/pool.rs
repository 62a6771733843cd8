//! The pool: entries, their dependencies, and what changed.

use crate::cluster::Clusters;
use crate::entry::{Entry, LockPoints, NewEntry};
use crate::feerate::FeeRate;
use crate::options::Options;
use bitcoin::{OutPoint, Transaction, Txid, Wtxid};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Why a transaction left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovalReason {
    /// Too old.
    Expiry,
    /// The pool was full.
    SizeLimit,
    /// Not valid on the new chain.
    Reorg,
    /// Confirmed.
    Block,
    /// A confirmed transaction spends the same coin.
    Conflict,
    /// Replaced by a better one.
    Replaced,
}

impl RemovalReason {
    /// Core's word.
    pub fn name(self) -> &'static str {
        match self {
            RemovalReason::Expiry => "expiry",
            RemovalReason::SizeLimit => "sizelimit",
            RemovalReason::Reorg => "reorg",
            RemovalReason::Block => "block",
            RemovalReason::Conflict => "conflict",
            RemovalReason::Replaced => "replaced",
        }
    }
}

/// A change that others want to hear about.
#[derive(Debug, Clone)]
pub enum Event {
    /// A transaction came in.
    Added {
        /// The transaction.
        tx: Arc<Transaction>,
        /// Number of the change.
        sequence: u64,
        /// Base fee, satoshi.
        fee: i64,
        /// Virtual size.
        vsize: i64,
        /// Height of the tip at acceptance.
        height: i32,
        /// Ancestors here, itself included.
        ancestors: u32,
        /// Whether how soon it confirms says something about its fee: it came alone, to a node in step with the network, and
        /// has no parents in the pool.
        counts_for_fees: bool,
    },
    /// A transaction left; confirmed ones are reported by their block instead.
    Removed {
        /// The transaction.
        tx: Arc<Transaction>,
        /// Why.
        reason: RemovalReason,
        /// Number of the change.
        sequence: u64,
    },
}

/// Unconfirmed transactions.
///
/// # Correctness
/// Not synchronised: the owner keeps it behind one lock. Every public method leaves parents, children, spent outpoints and
/// totals consistent ([`Mempool::check`]).
#[derive(Debug)]
pub struct Mempool {
    pub(crate) options: Options,
    pub(crate) entries: HashMap<Txid, Entry>,
    pub(crate) clusters: Clusters,
    by_time: BTreeSet<(i64, Txid)>,
    by_wtxid: HashMap<Wtxid, Txid>,
    spent: HashMap<OutPoint, Txid>,
    deltas: BTreeMap<Txid, i64>,
    unbroadcast: BTreeSet<Txid>,
    sequence: u64,
    updates: u64,
    total_vsize: i64,
    total_fee: i64,
    memory: u64,
    pub(crate) rolling: crate::limit::RollingFee,
    events: Vec<Event>,
    /// Whether loading the saved pool was tried.
    pub loaded: bool,
}

impl Mempool {
    /// An empty pool.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            entries: HashMap::new(),
            clusters: Clusters::default(),
            by_time: BTreeSet::new(),
            by_wtxid: HashMap::new(),
            spent: HashMap::new(),
            deltas: BTreeMap::new(),
            unbroadcast: BTreeSet::new(),
            sequence: 1,
            updates: 0,
            total_vsize: 0,
            total_fee: 0,
            memory: 0,
            rolling: crate::limit::RollingFee::default(),
            events: Vec::new(),
            loaded: false,
        }
    }

    /// Settings.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Number of transactions.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sum of virtual sizes.
    pub fn total_vsize(&self) -> i64 {
        self.total_vsize
    }

    /// Sum of base fees, satoshi.
    pub fn total_fee(&self) -> i64 {
        self.total_fee
    }

    /// Estimated memory, bytes.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Number of the next change.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Changes since start, for long polling.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Entry of a transaction.
    pub fn get(&self, txid: &Txid) -> Option<&Entry> {
        self.entries.get(txid)
    }

    /// Entry by witness id.
    pub fn get_by_wtxid(&self, wtxid: &Wtxid) -> Option<&Entry> {
        self.by_wtxid.get(wtxid).and_then(|txid| self.entries.get(txid))
    }

    /// All entries in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Replaces the lock points of a transaction, after they were computed for another chain.
    pub fn set_lock_points(&mut self, txid: &Txid, points: LockPoints) {
        if let Some(entry) = self.entries.get_mut(txid) {
            entry.new.lock_points = points;
        }
    }

    /// The transaction here that spends an outpoint.
    pub fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.spent.get(outpoint).copied()
    }

    /// Takes the changes since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Adds transactions whose checks have passed and that are not in here, parents first. Children that are here already are
    /// linked by [`Mempool::link_children`]. Others hear of them with [`Mempool::announce`].
    pub fn add(&mut self, new: Vec<NewEntry>) {
        for new in new {
            self.add_one(new);
        }
        self.settle();
    }

    fn add_one(&mut self, new: NewEntry) {
        let txid = new.tx.compute_txid();
        let delta = self.delta(&txid);
        let entry = Entry::new(new, txid, delta, self.options.bytes_per_sigop, self.clusters.start(txid));
        self.total_vsize += entry.vsize();
        self.total_fee += entry.new.fee;
        self.memory += entry.memory;
        self.updates += 1;
        self.by_wtxid.insert(entry.wtxid, txid);
        self.by_time.insert((entry.new.time, txid));
        let tx = Arc::clone(&entry.new.tx);
        self.entries.insert(txid, entry);
        for input in &tx.input {
            self.spent.insert(input.previous_output, txid);
            self.link(&input.previous_output.txid, &txid);
        }
    }

    /// Makes one here a parent of another here; their clusters are ordered anew with the next [`Mempool::settle`].
    pub(crate) fn link(&mut self, parent: &Txid, child: &Txid) {
        if !self.entries.contains_key(child) {
            return;
        }
        let Some(entry) = self.entries.get_mut(parent) else { return };
        entry.children.insert(*child);
        self.clusters.touch(entry.cluster);
        if let Some(entry) = self.entries.get_mut(child) {
            entry.parents.insert(*parent);
            self.clusters.touch(entry.cluster);
        }
    }

    /// Tells others of a transaction that was added. `counts_for_fees`: neither from a block that was taken back nor judged with
    /// others, and the chain is current.
    pub fn announce(&mut self, txid: &Txid, counts_for_fees: bool) {
        let sequence = self.sequence;
        let ancestors = u32::try_from(self.ancestors(txid).len()).unwrap_or(u32::MAX);
        let Some(entry) = self.entries.get(txid) else { return };
        self.events.push(Event::Added {
            tx: Arc::clone(&entry.new.tx),
            sequence,
            fee: entry.new.fee,
            vsize: entry.vsize(),
            height: entry.new.height,
            ancestors,
            counts_for_fees: counts_for_fees && entry.parents.is_empty(),
        });
        self.sequence += 1;
    }

    fn remove_one(&mut self, txid: &Txid, reason: RemovalReason) -> Option<Entry> {
        let entry = self.entries.remove(txid)?;
        let sequence = self.sequence;
        self.sequence += 1;
        if reason != RemovalReason::Block {
            self.events.push(Event::Removed { tx: Arc::clone(&entry.new.tx), reason, sequence });
        }
        for input in &entry.new.tx.input {
            self.spent.remove(&input.previous_output);
        }
        for parent in &entry.parents {
            if let Some(parent) = self.entries.get_mut(parent) {
                parent.children.remove(txid);
            }
        }
        for child in &entry.children {
            if let Some(child) = self.entries.get_mut(child) {
                child.parents.remove(txid);
            }
        }
        self.clusters.touch(entry.cluster);
        self.by_wtxid.remove(&entry.wtxid);
        self.by_time.remove(&(entry.new.time, *txid));
        if self.unbroadcast.remove(txid) {
            tracing::debug!(
                target: "mempool",
                "Removed {txid} from set of unbroadcast txns before confirmation that txn was sent out"
            );
        }
        self.total_vsize -= entry.vsize();
        self.total_fee -= entry.new.fee;
        self.memory -= entry.memory;
        self.updates += 1;
        Some(entry)
    }

    /// Removes exactly these.
    pub fn remove_all(&mut self, txids: &BTreeSet<Txid>, reason: RemovalReason) {
        for txid in txids {
            self.remove_one(txid, reason);
        }
        self.settle();
    }

    /// Removes transactions and everything that depends on them.
    pub fn remove_recursive(&mut self, txids: &[Txid], reason: RemovalReason) {
        let all = self.descendants_of_all(txids);
        self.remove_all(&all, reason);
    }

    /// Removes a transaction with what depends on it, or if it is not here, what spends its outputs.
    pub fn remove_with_spenders(&mut self, tx: &Transaction, reason: RemovalReason) {
        let txid = tx.compute_txid();
        if self.entries.contains_key(&txid) {
            return self.remove_recursive(&[txid], reason);
        }
        let outputs = 0..tx.output.len() as u32;
        let spenders: Vec<Txid> = outputs.filter_map(|vout| self.spender(&OutPoint { txid, vout })).collect();
        self.remove_recursive(&spenders, reason);
    }

    /// Takes out what a block confirmed, and what now spends coins twice. `now` in unix seconds. Gives the ids of the
    /// confirmed ones that were here.
    pub fn remove_for_block(&mut self, transactions: &[Transaction], now: i64) -> Vec<Txid> {
        let mut confirmed = Vec::new();
        if !(self.entries.is_empty() && self.deltas.is_empty()) {
            for tx in transactions {
                let txid = tx.compute_txid();
                confirmed.extend(self.remove_one(&txid, RemovalReason::Block).map(|entry| entry.txid));
                for input in &tx.input {
                    if let Some(conflict) = self.spender(&input.previous_output) {
                        self.deltas.remove(&conflict);
                        for txid in self.descendants(&conflict) {
                            self.remove_one(&txid, RemovalReason::Conflict);
                        }
                    }
                }
                self.deltas.remove(&txid);
            }
            self.settle();
        }
        self.rolling.block_seen(now);
        confirmed
    }

    /// Drops what is older than the expiry. Gives the number dropped.
    pub fn expire(&mut self, now: i64) -> usize {
        let oldest = now - self.options.expiry;
        let old: Vec<Txid> = self.by_time.iter().take_while(|(time, _)| *time < oldest).map(|(_, txid)| *txid).collect();
        let before = self.len();
        self.remove_recursive(&old, RemovalReason::Expiry);
        before - self.len()
    }

    /// Changes the fee by which a transaction is ranked.
    pub fn prioritise(&mut self, txid: Txid, delta: i64) {
        let sum = self.deltas.get(&txid).copied().unwrap_or(0).saturating_add(delta);
        if let Some(entry) = self.entries.get_mut(&txid) {
            entry.modified_fee = entry.modified_fee.saturating_add(delta);
            self.clusters.touch(entry.cluster);
            self.updates += 1;
        }
        self.settle();
        if sum == 0 {
            self.deltas.remove(&txid);
        } else {
            self.deltas.insert(txid, sum);
        }
    }

    /// What `prioritise` added to a transaction, present or not.
    pub fn delta(&self, txid: &Txid) -> i64 {
        self.deltas.get(txid).copied().unwrap_or(0)
    }

    /// All deltas by id.
    pub fn deltas(&self) -> &BTreeMap<Txid, i64> {
        &self.deltas
    }

    /// Marks a transaction of ours that no peer has asked for yet.
    pub fn add_unbroadcast(&mut self, txid: Txid) {
        if self.entries.contains_key(&txid) {
            self.unbroadcast.insert(txid);
        }
    }

    /// A peer asked for it.
    pub fn remove_unbroadcast(&mut self, txid: &Txid) -> bool {
        self.unbroadcast.remove(txid)
    }

    /// Transactions that no peer has asked for yet.
    pub fn unbroadcast(&self) -> &BTreeSet<Txid> {
        &self.unbroadcast
    }

    fn walk(&self, mut stack: Vec<Txid>, next: impl Fn(&Entry) -> &BTreeSet<Txid>) -> BTreeSet<Txid> {
        let mut found = BTreeSet::new();
        while let Some(txid) = stack.pop() {
            if let Some(entry) = self.entries.get(&txid)
                && found.insert(txid)
            {
                stack.extend(next(entry));
            }
        }
        found
    }

    /// The transaction and all its ancestors here.
    pub fn ancestors(&self, txid: &Txid) -> BTreeSet<Txid> {
        self.walk(vec![*txid], |entry| &entry.parents)
    }

    /// The transaction and all its descendants here.
    pub fn descendants(&self, txid: &Txid) -> BTreeSet<Txid> {
        self.walk(vec![*txid], |entry| &entry.children)
    }

    /// Transactions with all their descendants here.
    pub fn descendants_of_all(&self, txids: &[Txid]) -> BTreeSet<Txid> {
        self.walk(txids.to_vec(), |entry| &entry.children)
    }

    /// Ancestors that a transaction outside would have.
    pub fn ancestors_of_new(&self, tx: &Transaction) -> BTreeSet<Txid> {
        let parents = tx.input.iter().map(|input| input.previous_output.txid);
        self.walk(parents.collect(), |entry| &entry.parents)
    }

    /// Count, virtual size and modified fees of a set.
    pub fn totals(&self, set: &BTreeSet<Txid>) -> (usize, i64, i64) {
        let entries = set.iter().filter_map(|txid| self.entries.get(txid));
        entries.fold((0, 0, 0), |sum, entry| (sum.0 + 1, sum.1 + entry.vsize(), sum.2 + entry.modified_fee))
    }

    /// Lowest rate a new transaction needs, eviction considered. `now` in unix seconds.
    pub fn min_fee(&mut self, now: i64) -> FeeRate {
        let (memory, max, incremental) = (self.memory, self.options.max_bytes, self.options.incremental);
        self.rolling.min_fee(now, memory, max, incremental)
    }

    /// Verifies the links, for tests and `-checkmempool`.
    ///
    /// # Errors
    /// Names the first inconsistency.
    pub fn check(&self) -> Result<(), String> {
        let mut vsize = 0;
        for entry in self.entries.values() {
            vsize += entry.vsize();
            for input in &entry.new.tx.input {
                if self.spent.get(&input.previous_output) != Some(&entry.txid) {
                    return Err(format!("{} does not own {}", entry.txid, input.previous_output));
                }
                let parent = input.previous_output.txid;
                if self.entries.contains_key(&parent) != entry.parents.contains(&parent) {
                    return Err(format!("{} has wrong parents", entry.txid));
                }
            }
            if entry.parents.iter().any(|p| !self.entries.get(p).is_some_and(|p| p.children.contains(&entry.txid))) {
                return Err(format!("{} is not known to its parent", entry.txid));
            }
        }
        let spent: usize = self.entries.values().map(|entry| entry.new.tx.input.len()).sum();
        if spent != self.spent.len() || vsize != self.total_vsize || self.by_time.len() != self.entries.len() {
            return Err("totals differ".into());
        }
        self.check_clusters()
    }
}
