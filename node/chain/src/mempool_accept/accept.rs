//! Whether one transaction may enter the mempool (Core: `MemPoolAccept` in src/validation.cpp).

use std::collections::BTreeSet;
use std::sync::Arc;

use bitcoin::hashes::Hash as _;
use bitcoin::{BlockHash, OutPoint, Transaction, TxOut, Txid, Wtxid};
use bulkhead_consensus::tx::{SpentFacts, check_inputs, check_transaction, is_final, signed_value};
use bulkhead_consensus::{HeaderView, RejectKind, sequence, sigops};
use bulkhead_mempool::ephemeral::check_ephemeral;
use bulkhead_mempool::pool::RemovalReason;
use bulkhead_mempool::replace::Candidate;
use bulkhead_mempool::standard::{self, MAX_STANDARD_TX_SIGOPS_COST};
use bulkhead_mempool::{FeeFrac, Kind, LockPoints, Mempool, NewEntry, Reject};
use bulkhead_store::Coin;

use super::coins::{MEMPOOL_HEIGHT, PackageCoins, find_coin};
use super::scripts::check_scripts;
use crate::engine::State;

/// Fees are not learnt from on an older tip, seconds.
const MAX_FEE_ESTIMATION_TIP_AGE: i64 = 3 * 60 * 60;

/// How to judge.
#[derive(Debug, Clone, Default)]
pub struct AcceptOptions {
    /// Time of acceptance, seconds.
    pub time: i64,
    /// Only judge, change nothing.
    pub test_only: bool,
    /// From a disconnected block: no fee, version 3 and size limits.
    pub bypass_limits: bool,
    /// Refuse fee rates above this, satoshi per 1000 virtual bytes.
    pub max_fee_rate: Option<i64>,
}

/// What depends on whether a transaction comes alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Conflicts with the pool may be replaced.
    pub replacement: bool,
    /// The only sibling of a version 3 transaction may be replaced.
    pub sibling_eviction: bool,
    /// Part of a package that is submitted: the pool is trimmed at the end of the package.
    pub in_package: bool,
    /// Fees are judged for the package as a whole.
    pub package_fees: bool,
}

impl Rules {
    pub const ALONE: Self = Self { replacement: true, sibling_eviction: true, in_package: false, package_fees: false };
}

/// A transaction that passed.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// Its id.
    pub txid: Txid,
    /// Its witness id.
    pub wtxid: Wtxid,
    /// Virtual size, signature operations counted.
    pub vsize: i64,
    /// Base fee, satoshi.
    pub fee: i64,
    /// Fee with delta for the virtual size, of all that it was judged with.
    pub effective: FeeFrac,
    /// What it was judged with, itself included.
    pub effective_includes: Vec<Wtxid>,
    /// Transactions that had to go.
    pub replaced: Vec<Arc<Transaction>>,
}

/// A transaction that passed all checks but those of replacement, limits and scripts.
#[derive(Debug)]
pub(super) struct Workspace {
    pub tx: Arc<Transaction>,
    pub txid: Txid,
    pub wtxid: Wtxid,
    /// What it spends.
    pub spent: Vec<TxOut>,
    /// What it replaces, the sibling included.
    pub conflicts: BTreeSet<Txid>,
    pub sibling_eviction: bool,
    pub fee: i64,
    pub modified_fee: i64,
    pub adjusted_weight: i64,
    pub vsize: i64,
    sigop_cost: i64,
    spends_coinbase: bool,
    lock_points: LockPoints,
}

impl Workspace {
    pub fn candidate(&self) -> Candidate<'_> {
        Candidate {
            tx: &self.tx,
            txid: self.txid,
            modified_fee: self.modified_fee,
            adjusted_weight: self.adjusted_weight,
            vsize: self.vsize,
        }
    }

    fn entry(&self, state: &State, sequence: u64, options: &AcceptOptions) -> NewEntry {
        NewEntry {
            tx: Arc::clone(&self.tx),
            fee: self.fee,
            time: options.time,
            height: state.height(),
            sequence,
            spends_coinbase: self.spends_coinbase,
            lock_points: self.lock_points,
            sigop_cost: self.sigop_cost,
        }
    }
}

/// A refusal of consensus rules in the words of policy.
pub fn from_consensus(reject: bulkhead_consensus::Reject) -> Reject {
    let kind = match reject.kind {
        RejectKind::MissingInputs => Kind::MissingInputs,
        RejectKind::PrematureSpend => Kind::PrematureSpend,
        _ => Kind::Consensus,
    };
    Reject::with_debug(kind, reject.reason, reject.debug)
}

fn storage_failure(error: bulkhead_store::StoreError) -> Reject {
    Reject::with_debug(Kind::MempoolPolicy, "error", error.to_string())
}

/// Judges a transaction and adds it to the pool unless `options.test_only`.
///
/// # Errors
/// Core's reasons.
pub(super) fn accept(
    state: &State,
    pool: &mut Mempool,
    tx: &Arc<Transaction>,
    options: &AcceptOptions,
    rules: Rules,
) -> Result<Accepted, Reject> {
    let one = pre_check(state, pool, &PackageCoins::default(), tx, options, rules)?;
    let mut evicted = BTreeSet::new();
    if !one.conflicts.is_empty() {
        evicted = pool.check_replacement(one.candidate(), &one.conflicts, one.sibling_eviction)?;
    } else if !pool.fits(&[one.candidate()], &evicted) {
        return Err(Reject::new(Kind::MempoolPolicy, "too-large-cluster"));
    }
    if !one.conflicts.is_empty()
        && let Some(both) = pool.ancestors_of_new(tx).intersection(&one.conflicts).next()
    {
        let debug = format!("{} spends conflicting transaction {both}", one.txid);
        return Err(Reject::with_debug(Kind::Consensus, "bad-txns-spends-conflicting-tx", debug));
    }
    check_max_fee_rate(&one, options)?;
    if !options.bypass_limits && pool.options().require_standard {
        pool.check_ephemeral_spends(&[tx]).map_err(|(_, reject)| reject)?;
    }
    check_scripts(state.script_cache(), tx, &one.spent)?;

    let effective = one.candidate().rate();
    let (txid, wtxid) = (one.txid, one.wtxid);
    let includes = vec![wtxid];
    let mut accepted =
        Accepted { txid, wtxid, vsize: one.vsize, fee: one.fee, effective, effective_includes: includes, replaced: Vec::new() };
    if options.test_only {
        return Ok(accepted);
    }
    accepted.replaced = finalize(state, pool, std::slice::from_ref(&one), &evicted, options);
    if !options.bypass_limits && !rules.in_package {
        limit(pool, options.time);
        if pool.get(&txid).is_none() {
            return Err(Reject::new(Kind::Reconsiderable, "mempool full"));
        }
    }
    pool.announce(&txid, counts_for_fees(state, options, rules));
    Ok(accepted)
}

/// Whether how soon a transaction confirms will say something about its fee (Core: `IsCurrentForFeeEstimation`).
pub(super) fn counts_for_fees(state: &State, options: &AcceptOptions, rules: Rules) -> bool {
    let is_current = || {
        let best = state.best_header().map_or(0, |header| header.height);
        let tip_time = state.tip().map_or(0, |tip| i64::from(tip.time()));
        !state.initial_download() && tip_time >= options.time - MAX_FEE_ESTIMATION_TIP_AGE && state.height() >= best - 1
    };
    !options.bypass_limits && !rules.in_package && is_current()
}

pub(super) fn check_max_fee_rate(one: &Workspace, options: &AcceptOptions) -> Result<(), Reject> {
    match options.max_fee_rate {
        Some(max) if one.candidate().rate().cmp_rate(&FeeFrac::new(max, 1000)).is_gt() => {
            Err(Reject::new(Kind::MempoolPolicy, "max feerate exceeded"))
        }
        _ => Ok(()),
    }
}

/// Takes out what is replaced and puts in what passed; gives the replaced ones.
pub(super) fn finalize(
    state: &State,
    pool: &mut Mempool,
    passed: &[Workspace],
    evicted: &BTreeSet<Txid>,
    options: &AcceptOptions,
) -> Vec<Arc<Transaction>> {
    let total = passed.iter().fold(FeeFrac::default(), |sum, one| sum.plus(one.candidate().rate()));
    let what = match passed {
        [one] => format!("New tx {} (wtxid={}, fees={}, vsize={})", one.txid, one.wtxid, total.fee, total.size),
        all => {
            let hash = super::package::package_hash(all.iter().map(|one| one.wtxid));
            format!("New package {hash} with {} txs, fees={}, vsize={}", all.len(), total.fee, total.size)
        }
    };
    let mut replaced = Vec::with_capacity(evicted.len());
    for entry in evicted.iter().filter_map(|txid| pool.get(txid)) {
        tracing::debug!(
            target: "mempool",
            "replacing mempool tx {} (wtxid={}, fees={}, vsize={}). {what}",
            entry.txid,
            entry.wtxid,
            entry.new.fee,
            entry.vsize()
        );
        replaced.push(Arc::clone(&entry.new.tx));
    }
    let (_, old_size, old_fees) = pool.totals(evicted);
    // Transactions of disconnected blocks count as older than what is here.
    let sequence = if options.bypass_limits { 0 } else { pool.sequence() };
    pool.remove_all(evicted, RemovalReason::Replaced);
    pool.add(passed.iter().map(|one| one.entry(state, sequence, options)).collect());
    if !replaced.is_empty() {
        let what = if passed.len() == 1 { "1 new transaction".into() } else { format!("{} new one(s)", passed.len()) };
        tracing::debug!(
            target: "mempool",
            "replaced {} mempool transactions with {what} for {} additional fees, {} delta bytes",
            replaced.len(),
            total.fee - old_fees,
            total.size - old_size
        );
    }
    replaced
}

/// All checks but those of replacement, limits and scripts.
pub(super) fn pre_check(
    state: &State,
    pool: &mut Mempool,
    package: &PackageCoins,
    tx: &Arc<Transaction>,
    options: &AcceptOptions,
    rules: Rules,
) -> Result<Workspace, Reject> {
    let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
    check_form(state, pool, tx, &txid, &wtxid)?;
    let conflicts = pool.conflicts_of(tx);
    if !rules.replacement && !conflicts.is_empty() {
        return Err(Reject::new(Kind::MempoolPolicy, "bip125-replacement-disallowed"));
    }
    let coins = find_coins(state, pool, package, tx, txid)?;
    let lock_points = lock_points(state, tx, &coins);
    let median_time = state.index().view(state.active().tip()).median_time_past(state.height());
    if !sequence::are_satisfied(lock_points.locks, state.height() + 1, median_time) {
        return Err(Reject::new(Kind::PrematureSpend, "non-BIP68-final"));
    }
    let fee = check_amounts(state, tx, &coins)?;
    let spends_coinbase = coins.iter().any(|coin| coin.coinbase);
    let spent: Vec<TxOut> = coins.into_iter().map(|coin| coin.output).collect();
    let is_strict = pool.options().require_standard;
    if is_strict {
        standard::check_inputs(tx, &spent)?;
        standard::check_witness(tx, &spent)?;
    }
    let sigop_cost = sigops::transaction_cost(tx, spent.iter().map(|output| output.script_pubkey.as_script()), true) as i64;
    let modified_fee = fee.saturating_add(pool.delta(&txid));
    let adjusted_weight = (tx.weight().to_wu() as i64).max(sigop_cost * pool.options().bytes_per_sigop);
    let mut one = Workspace {
        tx: Arc::clone(tx),
        txid,
        wtxid,
        spent,
        conflicts,
        sibling_eviction: false,
        fee,
        modified_fee,
        adjusted_weight,
        vsize: (adjusted_weight + 3) / 4,
        sigop_cost,
        spends_coinbase,
        lock_points,
    };
    if is_strict {
        check_ephemeral(tx, pool.options().dust, fee, modified_fee)?;
    }
    if sigop_cost > MAX_STANDARD_TX_SIGOPS_COST {
        return Err(Reject::with_debug(Kind::NotStandard, "bad-txns-too-many-sigops", sigop_cost.to_string()));
    }
    if options.bypass_limits {
        return Ok(one);
    }
    if !rules.package_fees {
        check_fee_rate(pool, one.vsize, modified_fee, options.time)?;
    }
    let truc = pool.check_truc(one.candidate(), &one.conflicts);
    if let Err(violation) = truc {
        match violation.sibling {
            Some(sibling) if rules.sibling_eviction => {
                one.conflicts.insert(sibling);
                one.sibling_eviction = true;
            }
            _ => return Err(Reject::with_debug(Kind::MempoolPolicy, "TRUC-violation", violation.message)),
        }
    }
    Ok(one)
}

/// Drops what is too old or too much.
pub fn limit(pool: &mut Mempool, now: i64) {
    let expired = pool.expire(now);
    if expired != 0 {
        tracing::debug!(target: "mempool", "Expired {expired} transactions from the memory pool");
    }
    let removed = pool.trim();
    if removed != 0 {
        let minimum = pool.min_fee(now);
        tracing::debug!(target: "mempool", "Removed {removed} txn, rolling minimum fee bumped to {minimum}");
    }
}

/// Checks that need no coins.
fn check_form(state: &State, pool: &Mempool, tx: &Transaction, txid: &Txid, wtxid: &Wtxid) -> Result<(), Reject> {
    check_transaction(tx).map_err(from_consensus)?;
    if tx.is_coinbase() {
        return Err(Reject::new(Kind::Consensus, "coinbase"));
    }
    if pool.options().require_standard {
        standard::check_standard(tx, pool.options())?;
    }
    standard::check_size(tx)?;
    let view = state.index().view(state.active().tip());
    if !is_final(tx, state.height() + 1, view.median_time_past(state.height())) {
        return Err(Reject::new(Kind::PrematureSpend, "non-final"));
    }
    if pool.get_by_wtxid(wtxid).is_some() {
        return Err(Reject::new(Kind::Conflict, "txn-already-in-mempool"));
    }
    if pool.get(txid).is_some() {
        return Err(Reject::new(Kind::Conflict, "txn-same-nonwitness-data-in-mempool"));
    }
    Ok(())
}

fn find_coins(state: &State, pool: &Mempool, package: &PackageCoins, tx: &Transaction, txid: Txid) -> Result<Vec<Coin>, Reject> {
    let mut coins = Vec::with_capacity(tx.input.len());
    for input in &tx.input {
        match find_coin(state, pool, package, &input.previous_output).map_err(storage_failure)? {
            Some(coin) => coins.push(coin),
            None => {
                for vout in 0..tx.output.len() as u32 {
                    if state.coin(&OutPoint { txid, vout }).map_err(storage_failure)?.is_some() {
                        return Err(Reject::new(Kind::Conflict, "txn-already-known"));
                    }
                }
                return Err(Reject::new(Kind::MissingInputs, "bad-txns-inputs-missingorspent"));
            }
        }
    }
    Ok(coins)
}

/// Gives the fee.
fn check_amounts(state: &State, tx: &Transaction, coins: &[Coin]) -> Result<i64, Reject> {
    let facts = coins.iter().map(|coin| SpentFacts {
        value: signed_value(&coin.output),
        height: coin.height as i32, // at most MEMPOOL_HEIGHT
        coinbase: coin.coinbase,
    });
    check_inputs(tx, facts, state.height() + 1).map_err(from_consensus)
}

/// BIP68 with the coins as they are at the tip. The pool keeps to it also where the chain does not yet.
pub(super) fn lock_points(state: &State, tx: &Transaction, coins: &[Coin]) -> LockPoints {
    let next = state.height() + 1;
    let view = state.index().view(state.active().tip());
    let height = |coin: &Coin| if coin.height == MEMPOOL_HEIGHT { next } else { coin.height as i32 };
    let heights: Vec<i32> = coins.iter().map(height).collect();
    let locks = sequence::sequence_locks(tx, &heights, &view, true);
    let highest = heights.iter().copied().filter(|&height| height != next).max().unwrap_or(0);
    let hash = state.active_at(highest).map_or_else(BlockHash::all_zeros, |node| node.hash);
    LockPoints { locks, highest: (highest, hash) }
}

pub(super) fn check_fee_rate(pool: &mut Mempool, vsize: i64, fee: i64, now: i64) -> Result<(), Reject> {
    let minimum = pool.min_fee(now).fee(vsize);
    if minimum > 0 && fee < minimum {
        let debug = format!("{fee} < {minimum}");
        return Err(Reject::with_debug(Kind::Reconsiderable, "mempool min fee not met", debug));
    }
    let relay = pool.options().min_relay.fee(vsize);
    if fee < relay {
        return Err(Reject::with_debug(Kind::Reconsiderable, "min relay fee not met", format!("{fee} < {relay}")));
    }
    Ok(())
}
