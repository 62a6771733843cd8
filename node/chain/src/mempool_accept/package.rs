//! Several transactions judged together (Core: `AcceptMultipleTransactions` and `AcceptPackage` in src/validation.cpp).

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::{OutPoint, Transaction, Txid, Wtxid};
use bulkhead_mempool::{Candidate, FeeFrac, Kind, Mempool, Reject};

use super::accept::{AcceptOptions, Accepted, Rules, Workspace};
use super::accept::{accept, check_fee_rate, check_max_fee_rate, counts_for_fees, finalize, limit, pre_check};
use super::coins::PackageCoins;
use super::listener::Pool;
use super::scripts::check_scripts;
use crate::engine::State;

/// Transactions that are looked at together.
pub const MAX_PACKAGE_COUNT: usize = 25;
const MAX_PACKAGE_WEIGHT: u64 = 404_000;

/// What became of one transaction.
#[derive(Debug, Clone)]
pub enum PackageOutcome {
    /// Accepted now, or would be.
    Accepted(Accepted),
    /// Was in the pool.
    Known {
        /// Virtual size.
        vsize: i64,
        /// Base fee, satoshi.
        fee: i64,
    },
    /// Another witness of it is in the pool.
    KnownOtherWitness(Wtxid),
    /// Refused.
    Refused(Reject),
    /// Not looked at, because another one failed.
    NotValidated,
}

/// Why a package as a whole failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackageError {
    /// Against the rules for packages; the longer text may be empty.
    Policy(String, String),
    /// One of its transactions failed; Core's word for it.
    Transaction(&'static str),
}

impl std::fmt::Display for PackageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PackageError::Policy(reason, debug) if debug.is_empty() => f.write_str(reason),
            PackageError::Policy(reason, debug) => write!(f, "{reason}, {debug}"),
            PackageError::Transaction(word) => f.write_str(word),
        }
    }
}

const FAILED: PackageError = PackageError::Transaction("transaction failed");

fn policy(reason: &str) -> PackageError {
    PackageError::Policy(reason.into(), String::new())
}

/// What became of a package.
#[derive(Debug)]
pub struct PackageResult {
    /// Why it failed as a whole.
    pub error: Option<PackageError>,
    /// One for each transaction, in the same order.
    pub outcomes: Vec<PackageOutcome>,
}

impl PackageResult {
    fn failed(count: usize, error: PackageError) -> Self {
        Self { error: Some(error), outcomes: vec![PackageOutcome::NotValidated; count] }
    }

    fn failed_at(count: usize, error: PackageError, index: usize, reject: Reject) -> Self {
        let mut result = Self::failed(count, error);
        result.outcomes[index] = PackageOutcome::Refused(reject);
        result
    }
}

/// Count, size, order and conflicts inside a package (Core: `IsWellFormedPackage`).
fn check_form(transactions: &[Arc<Transaction>]) -> Result<(), &'static str> {
    if transactions.len() > MAX_PACKAGE_COUNT {
        return Err("package-too-many-transactions");
    }
    let weight: u64 = transactions.iter().map(|tx| tx.weight().to_wu()).sum();
    if transactions.len() > 1 && weight > MAX_PACKAGE_WEIGHT {
        return Err("package-too-large");
    }
    let txids: Vec<_> = transactions.iter().map(|tx| tx.compute_txid()).collect();
    if txids.iter().collect::<HashSet<_>>().len() != txids.len() {
        return Err("package-contains-duplicates");
    }
    for (i, tx) in transactions.iter().enumerate() {
        if tx.input.iter().any(|input| txids[i..].contains(&input.previous_output.txid)) {
            return Err("package-not-sorted");
        }
    }
    let mut spent: HashSet<OutPoint> = HashSet::new();
    for tx in transactions {
        if tx.input.is_empty() || tx.input.iter().any(|input| spent.contains(&input.previous_output)) {
            return Err("conflict-in-package");
        }
        spent.extend(tx.input.iter().map(|input| input.previous_output));
    }
    Ok(())
}

fn spends(tx: &Transaction, txid: &Txid) -> bool {
    tx.input.iter().any(|input| input.previous_output.txid == *txid)
}

/// Whether the last one spends from all others.
fn is_child_with_parents(transactions: &[Arc<Transaction>]) -> bool {
    match transactions.split_last() {
        Some((child, parents)) if !parents.is_empty() => parents.iter().all(|tx| spends(child, &tx.compute_txid())),
        _ => false,
    }
}

/// Whether the last one spends from all others, and those do not spend from each other.
pub fn is_child_with_parents_tree(transactions: &[Arc<Transaction>]) -> bool {
    let Some((_, parents)) = transactions.split_last() else { return false };
    let txids: Vec<_> = parents.iter().map(|tx| tx.compute_txid()).collect();
    is_child_with_parents(transactions) && !parents.iter().any(|tx| txids.iter().any(|txid| spends(tx, txid)))
}

/// Name of a package: the hash of its witness ids in ascending order of their numbers.
pub(super) fn package_hash(wtxids: impl Iterator<Item = Wtxid>) -> String {
    let mut wtxids: Vec<[u8; 32]> = wtxids.map(|wtxid| wtxid.to_byte_array()).collect();
    wtxids.sort_by(|a, b| a.iter().rev().cmp(b.iter().rev()));
    let mut engine = sha256::Hash::engine();
    for wtxid in &wtxids {
        engine.input(wtxid);
    }
    let mut hash = sha256::Hash::from_engine(engine).to_byte_array();
    hash.reverse();
    hex::encode(hash)
}

/// Judges transactions that may spend each other, changing nothing.
pub fn test_package(state: &State, pool: &Pool, transactions: &[Arc<Transaction>], options: &AcceptOptions) -> PackageResult {
    let options = AcceptOptions { test_only: true, ..options.clone() };
    if let [tx] = transactions {
        return match accept(state, &mut pool.lock(), tx, &options, Rules::ALONE) {
            Ok(accepted) => PackageResult { error: None, outcomes: vec![PackageOutcome::Accepted(accepted)] },
            Err(reject) => PackageResult::failed_at(1, FAILED, 0, reject),
        };
    }
    let rules = Rules { replacement: false, sibling_eviction: false, in_package: false, package_fees: false };
    accept_together(state, &mut pool.lock(), transactions, &options, rules)
}

/// Judges transactions together, parents first, none of which is in the pool, and adds them unless `options.test_only`.
fn accept_together(
    state: &State,
    pool: &mut Mempool,
    transactions: &[Arc<Transaction>],
    options: &AcceptOptions,
    rules: Rules,
) -> PackageResult {
    let count = transactions.len();
    if let Err(reason) = check_form(transactions) {
        return PackageResult::failed(count, policy(reason));
    }
    let mut coins = PackageCoins::default();
    let mut passed: Vec<Workspace> = Vec::with_capacity(count);
    for (i, tx) in transactions.iter().enumerate() {
        let checked = pre_check(state, pool, &coins, tx, options, rules).and_then(|one| {
            check_max_fee_rate(&one, options)?;
            Ok(one)
        });
        match checked {
            Ok(one) => passed.push(one),
            Err(reject) => return PackageResult::failed_at(count, FAILED, i, reject),
        }
        coins.add(tx);
    }
    let candidates: Vec<Candidate<'_>> = passed.iter().map(Workspace::candidate).collect();
    for one in &candidates {
        if let Err(message) = pool.check_package_truc(*one, &candidates) {
            return PackageResult::failed(count, PackageError::Policy("TRUC-violation".into(), message));
        }
    }
    let total = candidates.iter().fold(FeeFrac::default(), |sum, one| sum.plus(one.rate()));
    if rules.package_fees
        && let Err(reject) = check_fee_rate(pool, total.size, total.fee, options.time)
    {
        return PackageResult::failed_at(count, FAILED, count - 1, reject);
    }
    let evicted = match check_replacement(pool, transactions, &passed) {
        Ok(evicted) => evicted,
        Err(reject) => return PackageResult::failed(count, PackageError::Policy(reject.reason, reject.debug)),
    };
    if !pool.fits(&candidates, &evicted) {
        return PackageResult::failed(count, policy("too-large-cluster"));
    }
    if pool.options().require_standard {
        let all: Vec<&Transaction> = transactions.iter().map(|tx| &**tx).collect();
        if let Err((wtxid, reject)) = pool.check_ephemeral_spends(&all) {
            let index = passed.iter().position(|one| one.wtxid == wtxid).unwrap_or(count - 1);
            return PackageResult::failed_at(count, PackageError::Transaction("unspent-dust"), index, reject);
        }
    }
    let wtxids: Vec<Wtxid> = passed.iter().map(|one| one.wtxid).collect();
    let mut replaced = Vec::new();
    let accepted = |one: &Workspace, replaced: &mut Vec<Arc<Transaction>>| {
        PackageOutcome::Accepted(Accepted {
            txid: one.txid,
            wtxid: one.wtxid,
            vsize: one.vsize,
            fee: one.fee,
            effective: if rules.package_fees { total } else { one.candidate().rate() },
            effective_includes: if rules.package_fees { wtxids.clone() } else { vec![one.wtxid] },
            replaced: std::mem::take(replaced),
        })
    };
    for (i, one) in passed.iter().enumerate() {
        if let Err(reject) = check_scripts(state.script_cache(), &one.tx, &one.spent) {
            let mut result = PackageResult::failed_at(count, FAILED, i, reject);
            // A test tells which ones would have been accepted up to here.
            for (one, outcome) in passed.iter().zip(&mut result.outcomes).take(if options.test_only { i } else { 0 }) {
                *outcome = accepted(one, &mut replaced);
            }
            return result;
        }
    }
    if !options.test_only {
        replaced = finalize(state, pool, &passed, &evicted, options);
        for one in &passed {
            pool.announce(&one.txid, counts_for_fees(state, options, rules));
        }
    }
    PackageResult { error: None, outcomes: passed.iter().map(|one| accepted(one, &mut replaced)).collect() }
}

/// Whether a package may replace what it conflicts with; gives all that would go.
fn check_replacement(pool: &Mempool, transactions: &[Arc<Transaction>], passed: &[Workspace]) -> Result<BTreeSet<Txid>, Reject> {
    let conflicts: BTreeSet<Txid> = passed.iter().flat_map(|one| one.conflicts.iter().copied()).collect();
    if conflicts.is_empty() {
        return Ok(conflicts);
    }
    let fail = |reason: &str| Err(Reject::new(Kind::MempoolPolicy, format!("package RBF failed: {reason}")));
    let [parent, child] = passed else { return fail("package must be 1-parent-1-child") };
    if !is_child_with_parents(transactions) {
        return fail("package must be 1-parent-1-child");
    }
    if passed.iter().any(|one| !pool.parents_of_new(&one.tx).is_empty()) {
        return fail("new transaction cannot have mempool ancestors");
    }
    let evicted = pool.check_package_replacement(parent.candidate(), child.candidate(), &conflicts)?;
    tracing::debug!(
        target: "txpackages",
        "package RBF checks passed: parent {} (wtxid={}), child {} (wtxid={}), package hash ({})",
        parent.txid,
        parent.wtxid,
        child.txid,
        child.wtxid,
        package_hash(passed.iter().map(|one| one.wtxid))
    );
    Ok(evicted)
}

/// Adds a child and its parents, parents first. Each is tried alone; those whose own fee is too low, and what depends on them,
/// are then judged together.
pub fn submit_package(state: &State, pool: &Pool, transactions: &[Arc<Transaction>], options: &AcceptOptions) -> PackageResult {
    let result = submit(state, &mut pool.lock(), transactions, options);
    pool.deliver();
    result
}

fn submit(state: &State, pool: &mut Mempool, transactions: &[Arc<Transaction>], options: &AcceptOptions) -> PackageResult {
    let count = transactions.len();
    if let Err(reason) = check_form(transactions) {
        return PackageResult::failed(count, policy(reason));
    }
    if count > 1 && !is_child_with_parents(transactions) {
        return PackageResult::failed(count, policy("package-not-child-with-parents"));
    }
    let mut error = None;
    let mut outcomes = Vec::with_capacity(count);
    let mut together = Vec::new();
    for (i, tx) in transactions.iter().enumerate() {
        outcomes.push(if let Some(entry) = pool.get_by_wtxid(&tx.compute_wtxid()) {
            PackageOutcome::Known { vsize: entry.vsize(), fee: entry.new.fee }
        } else if let Some(entry) = pool.get(&tx.compute_txid()) {
            PackageOutcome::KnownOtherWitness(entry.wtxid)
        } else {
            let rules = Rules { in_package: true, ..Rules::ALONE };
            match accept(state, pool, tx, options, rules) {
                Ok(accepted) => PackageOutcome::Accepted(accepted),
                Err(reject) => {
                    if count > 1 && matches!(reject.kind, Kind::Reconsiderable | Kind::MissingInputs) {
                        together.push(i);
                    } else {
                        error = Some(FAILED);
                    }
                    PackageOutcome::Refused(reject)
                }
            }
        });
    }
    if error.is_none() && !together.is_empty() {
        error = retry_together(state, pool, transactions, &together, options, &mut outcomes);
    }
    limit(pool, options.time);
    for (tx, outcome) in transactions.iter().zip(&mut outcomes) {
        let was_in = !matches!(outcome, PackageOutcome::Refused(_) | PackageOutcome::NotValidated);
        if was_in && pool.get(&tx.compute_txid()).is_none() {
            error = Some(FAILED);
            *outcome = PackageOutcome::Refused(Reject::new(Kind::MempoolPolicy, "mempool full"));
        }
    }
    PackageResult { error, outcomes }
}

/// Judges those that failed alone together; alone again if only one is left.
fn retry_together(
    state: &State,
    pool: &mut Mempool,
    transactions: &[Arc<Transaction>],
    members: &[usize],
    options: &AcceptOptions,
    outcomes: &mut [PackageOutcome],
) -> Option<PackageError> {
    let retried: Vec<Arc<Transaction>> = members.iter().map(|i| Arc::clone(&transactions[*i])).collect();
    let result = if let [tx] = retried.as_slice() {
        let rules = Rules { in_package: true, ..Rules::ALONE };
        match accept(state, pool, tx, options, rules) {
            Ok(accepted) => PackageResult { error: None, outcomes: vec![PackageOutcome::Accepted(accepted)] },
            Err(reject) => PackageResult::failed_at(1, FAILED, 0, reject),
        }
    } else {
        let rules = Rules { replacement: true, sibling_eviction: false, in_package: true, package_fees: true };
        accept_together(state, pool, &retried, options, rules)
    };
    for (i, outcome) in members.iter().zip(result.outcomes) {
        // What was not looked at again keeps the outcome that it had alone.
        if !matches!(outcome, PackageOutcome::NotValidated) {
            outcomes[*i] = outcome;
        }
    }
    result.error
}
