//! The pool: entries, their dependencies, and what changed.

use crate::entry::{Entry, NewEntry};
use crate::feerate::{FeeFrac, FeeRate};
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

    /// The transaction here that spends an outpoint.
    pub fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.spent.get(outpoint).copied()
    }

    /// Takes the changes since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Numbers the next change and gives its number.
    fn next_sequence(&mut self) -> u64 {
        let sequence = self.sequence;
        self.sequence += 1;
        sequence
    }

    /// Adds a transaction whose checks have passed and that is not in here.
    pub fn add(&mut self, new: NewEntry) -> Txid {
        let txid = new.tx.compute_txid();
        let delta = self.deltas.get(&txid).copied().unwrap_or(0);
        let mut entry = Entry::new(new, delta, self.options.bytes_per_sigop);
        for input in &entry.new.tx.input {
            self.spent.insert(input.previous_output, txid);
            if let Some(parent) = self.entries.get_mut(&input.previous_output.txid) {
                parent.children.insert(txid);
                entry.parents.insert(input.previous_output.txid);
            }
        }
        // After a reorganisation children may be here before their parent.
        for vout in 0..entry.new.tx.output.len() as u32 {
            if let Some(child) = self.spent.get(&OutPoint { txid, vout }).copied()
                && let Some(child_entry) = self.entries.get_mut(&child)
            {
                child_entry.parents.insert(txid);
                entry.children.insert(child);
            }
        }
        self.total_vsize += entry.vsize();
        self.total_fee += entry.new.fee;
        self.memory += entry.memory;
        self.updates += 1;
        self.by_wtxid.insert(entry.wtxid, txid);
        let tx = entry.new.tx.clone();
        self.entries.insert(txid, entry);
        let sequence = self.next_sequence();
        self.events.push(Event::Added { tx, sequence });
        txid
    }

    fn remove_one(&mut self, txid: &Txid, reason: RemovalReason) {
        let Some(entry) = self.entries.remove(txid) else { return };
        if reason != RemovalReason::Block {
            let sequence = self.next_sequence();
            self.events.push(Event::Removed { tx: entry.new.tx.clone(), reason, sequence });
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
        self.by_wtxid.remove(&entry.wtxid);
        self.unbroadcast.remove(txid);
        self.total_vsize -= entry.vsize();
        self.total_fee -= entry.new.fee;
        self.memory -= entry.memory;
        self.updates += 1;
    }

    /// Removes exactly these.
    pub fn remove_all(&mut self, txids: &BTreeSet<Txid>, reason: RemovalReason) {
        for txid in txids {
            self.remove_one(txid, reason);
        }
    }

    /// Removes a transaction and everything that depends on it.
    pub fn remove_recursive(&mut self, txid: &Txid, reason: RemovalReason) {
        let all = self.descendants(txid);
        self.remove_all(&all, reason);
    }

    /// Removes what depends on outputs of a transaction that is not in here itself.
    pub fn remove_spenders_of(&mut self, tx: &Transaction, reason: RemovalReason) {
        let txid = tx.compute_txid();
        for vout in 0..tx.output.len() as u32 {
            if let Some(child) = self.spender(&OutPoint { txid, vout }) {
                self.remove_recursive(&child, reason);
            }
        }
    }

    /// Takes out what a block confirmed, and what now spends coins twice. `now` in unix seconds.
    pub fn remove_for_block(&mut self, transactions: &[Transaction], now: i64) {
        if !(self.entries.is_empty() && self.deltas.is_empty()) {
            for tx in transactions {
                let txid = tx.compute_txid();
                self.remove_one(&txid, RemovalReason::Block);
                for input in &tx.input {
                    if let Some(conflict) = self.spender(&input.previous_output) {
                        self.deltas.remove(&conflict);
                        self.remove_recursive(&conflict, RemovalReason::Conflict);
                    }
                }
                self.deltas.remove(&txid);
            }
        }
        self.rolling.block_seen(now);
    }

    /// Drops what `is_bad` names after the tip moved back, with all that depends on it.
    pub fn remove_for_reorg(&mut self, mut is_bad: impl FnMut(&Entry) -> bool) {
        let bad: Vec<Txid> = self.entries.values().filter(|entry| is_bad(entry)).map(|entry| entry.txid).collect();
        for txid in bad {
            self.remove_recursive(&txid, RemovalReason::Reorg);
        }
    }

    /// Changes the fee by which a transaction is ranked.
    pub fn prioritise(&mut self, txid: Txid, delta: i64) {
        let sum = self.deltas.get(&txid).copied().unwrap_or(0).saturating_add(delta);
        if let Some(entry) = self.entries.get_mut(&txid) {
            entry.modified_fee = entry.modified_fee.saturating_add(delta);
            self.updates += 1;
        }
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

    fn walk(&self, start: &Txid, next: impl Fn(&Entry) -> &BTreeSet<Txid>) -> BTreeSet<Txid> {
        let mut found = BTreeSet::new();
        let mut stack = vec![*start];
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
        self.walk(txid, |entry| &entry.parents)
    }

    /// The transaction and all its descendants here.
    pub fn descendants(&self, txid: &Txid) -> BTreeSet<Txid> {
        self.walk(txid, |entry| &entry.children)
    }

    /// Ancestors that a transaction outside would have.
    pub fn ancestors_of_new(&self, tx: &Transaction) -> BTreeSet<Txid> {
        let mut found = BTreeSet::new();
        for input in &tx.input {
            found.extend(self.ancestors(&input.previous_output.txid));
        }
        found
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

    /// Modified fee and adjusted weight of the chunk that would mine this transaction.
    pub fn chunk_of(&self, txid: &Txid) -> FeeFrac {
        let cluster = self.cluster(txid);
        self.chunks_of(&cluster)
            .into_iter()
            .find(|(members, _)| members.contains(txid))
            .map_or(FeeFrac::default(), |(_, frac)| frac)
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
        if spent != self.spent.len() || vsize != self.total_vsize {
            return Err("totals differ".into());
        }
        Ok(())
    }
}
