//! Whether one transaction may enter the mempool (Core: `MemPoolAccept` in src/validation.cpp).

use std::collections::BTreeSet;
use std::sync::Arc;

use bitcoin::{OutPoint, Transaction, TxOut, Txid, Wtxid};
use bulkhead_consensus::tx::{SpentFacts, check_inputs, check_transaction, is_final, signed_value};
use bulkhead_consensus::{HeaderView, RejectKind, sequence, sigops};
use bulkhead_mempool::pool::RemovalReason;
use bulkhead_mempool::replace::Candidate;
use bulkhead_mempool::standard::{self, MAX_STANDARD_TX_SIGOPS_COST};
use bulkhead_mempool::{FeeFrac, Kind, Mempool, NewEntry, Reject};
use bulkhead_script::{Engine, Flags, Hashes, ScriptCache, TxData, VerifyError, interpret, verify_transaction};
use bulkhead_store::Coin;

use super::coins::{MEMPOOL_HEIGHT, PackageCoins, find_coin};
use crate::engine::State;

/// How to judge.
#[derive(Debug, Clone, Default)]
pub struct AcceptOptions {
    /// Time of acceptance, seconds.
    pub time: i64,
    /// Only judge, change nothing.
    pub test_only: bool,
    /// From a disconnected block: no fee, version 3 and size limits.
    pub bypass_limits: bool,
    /// Conflicts with the pool are refused.
    pub no_replacement: bool,
    /// Fees are judged by the package that the transaction is part of.
    pub package_fees: bool,
    /// Refuse fee rates above this, satoshi per 1000 virtual bytes.
    pub max_fee_rate: Option<i64>,
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
    /// Fee with delta for its virtual size.
    pub effective: FeeFrac,
    /// Transactions that had to go.
    pub replaced: Vec<Arc<Transaction>>,
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
pub fn accept(
    state: &State,
    pool: &mut Mempool,
    package: &PackageCoins,
    tx: &Arc<Transaction>,
    options: &AcceptOptions,
) -> Result<Accepted, Reject> {
    check_form(state, pool, tx)?;
    let mut conflicts = pool.conflicts_of(tx);
    if options.no_replacement && !conflicts.is_empty() {
        return Err(Reject::new(Kind::MempoolPolicy, "bip125-replacement-disallowed"));
    }
    let coins = find_coins(state, pool, package, tx)?;
    let spent: Vec<TxOut> = coins.iter().map(|coin| coin.output.clone()).collect();
    let fee = check_coins(state, tx, &coins)?;
    let is_strict = pool.options().require_standard;
    if is_strict {
        standard::check_inputs(tx, &spent)?;
        standard::check_witness(tx, &spent)?;
    }
    let sigop_cost = sigops::transaction_cost(tx, spent.iter().map(|output| output.script_pubkey.as_script()), true) as i64;
    let txid = tx.compute_txid();
    let modified_fee = fee.saturating_add(pool.delta(&txid));
    let adjusted_weight = (tx.weight().to_wu() as i64).max(sigop_cost * pool.options().bytes_per_sigop);
    let vsize = (adjusted_weight + 3) / 4;
    let candidate = Candidate { tx, txid, modified_fee, adjusted_weight, vsize };
    if is_strict {
        standard::check_ephemeral(tx, pool.options().dust, fee, modified_fee)?;
    }
    if sigop_cost > MAX_STANDARD_TX_SIGOPS_COST {
        return Err(Reject::with_debug(Kind::NotStandard, "bad-txns-too-many-sigops", sigop_cost.to_string()));
    }
    if !options.bypass_limits && !options.package_fees {
        check_fee_rate(pool, vsize, modified_fee, options.time)?;
    }
    let mut sibling_eviction = false;
    if !options.bypass_limits
        && let Err(violation) = pool.check_truc(candidate, &conflicts)
    {
        match violation.sibling {
            Some(sibling) if !options.package_fees && !options.no_replacement => {
                conflicts.insert(sibling);
                sibling_eviction = true;
            }
            _ => return Err(Reject::with_debug(Kind::MempoolPolicy, "TRUC-violation", violation.message)),
        }
    }
    let evicted = check_limits(pool, candidate, &conflicts, sibling_eviction)?;
    let effective = FeeFrac::new(modified_fee, vsize);
    if let Some(max) = options.max_fee_rate
        && effective.cmp_rate(&FeeFrac::new(max, 1000)).is_gt()
    {
        return Err(Reject::new(Kind::MempoolPolicy, "max feerate exceeded"));
    }
    if is_strict && !options.bypass_limits {
        pool.check_ephemeral_spends(tx)?;
    }
    check_scripts(state.script_cache(), tx, &spent)?;

    let replaced = evicted.iter().filter_map(|txid| pool.get(txid)).map(|entry| entry.new.tx.clone()).collect();
    let accepted = Accepted { txid, wtxid: tx.compute_wtxid(), vsize, fee, effective, replaced };
    if options.test_only {
        return Ok(accepted);
    }
    pool.remove_all(&evicted, RemovalReason::Replaced);
    pool.add(NewEntry {
        tx: tx.clone(),
        fee,
        time: options.time,
        height: state.height(),
        sequence: if options.bypass_limits { 0 } else { pool.sequence() },
        spends_coinbase: coins.iter().any(|coin| coin.coinbase),
        sigop_cost,
    });
    if !options.bypass_limits && !options.package_fees {
        limit(pool, options.time);
        if pool.get(&txid).is_none() {
            return Err(Reject::new(Kind::Reconsiderable, "mempool full"));
        }
    }
    Ok(accepted)
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
fn check_form(state: &State, pool: &Mempool, tx: &Transaction) -> Result<(), Reject> {
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
    if pool.get_by_wtxid(&tx.compute_wtxid()).is_some() {
        return Err(Reject::new(Kind::Conflict, "txn-already-in-mempool"));
    }
    if pool.get(&tx.compute_txid()).is_some() {
        return Err(Reject::new(Kind::Conflict, "txn-same-nonwitness-data-in-mempool"));
    }
    Ok(())
}

fn find_coins(state: &State, pool: &Mempool, package: &PackageCoins, tx: &Transaction) -> Result<Vec<Coin>, Reject> {
    let mut coins = Vec::with_capacity(tx.input.len());
    for input in &tx.input {
        match find_coin(state, pool, package, &input.previous_output).map_err(storage_failure)? {
            Some(coin) => coins.push(coin),
            None => {
                let txid = tx.compute_txid();
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

/// Relative locks and amounts; gives the fee.
fn check_coins(state: &State, tx: &Transaction, coins: &[Coin]) -> Result<i64, Reject> {
    if !are_locks_satisfied(state, tx, coins) {
        return Err(Reject::new(Kind::PrematureSpend, "non-BIP68-final"));
    }
    let facts = coins.iter().map(|coin| SpentFacts {
        value: signed_value(&coin.output),
        height: coin.height as i32, // at most MEMPOOL_HEIGHT
        coinbase: coin.coinbase,
    });
    check_inputs(tx, facts, state.height() + 1).map_err(from_consensus)
}

/// BIP68 in the next block. The pool keeps to it also where the chain does not yet.
pub fn are_locks_satisfied(state: &State, tx: &Transaction, coins: &[Coin]) -> bool {
    let next = state.height() + 1;
    let view = state.index().view(state.active().tip());
    let heights: Vec<i32> =
        coins.iter().map(|coin| if coin.height == MEMPOOL_HEIGHT { next } else { coin.height as i32 }).collect();
    let locks = sequence::sequence_locks(tx, &heights, &view, true);
    sequence::are_satisfied(locks, next, view.median_time_past(state.height()))
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

/// Cluster limits and replacement; gives what has to go.
fn check_limits(
    pool: &Mempool,
    candidate: Candidate<'_>,
    conflicts: &BTreeSet<Txid>,
    sibling_eviction: bool,
) -> Result<BTreeSet<Txid>, Reject> {
    let parents = pool.parents_of_new(candidate.tx);
    if conflicts.is_empty() {
        if !pool.fits_cluster(&parents, candidate.vsize, &BTreeSet::new()) {
            return Err(Reject::new(Kind::MempoolPolicy, "too-large-cluster"));
        }
        return Ok(BTreeSet::new());
    }
    if let Some(both) = pool.ancestors_of_new(candidate.tx).intersection(conflicts).next() {
        let debug = format!("{} spends conflicting transaction {both}", candidate.txid);
        return Err(Reject::with_debug(Kind::Consensus, "bad-txns-spends-conflicting-tx", debug));
    }
    pool.check_replacement(candidate, conflicts, sibling_eviction)
}

/// Scripts under the rules of policy, by the interpreter, which names the error; then under today's consensus rules, by the
/// kernel, so that no block is built from what only the interpreter takes (Core: `PolicyScriptChecks`,
/// `ConsensusScriptChecks`).
fn check_scripts(cache: &ScriptCache, tx: &Transaction, spent: &[TxOut]) -> Result<(), Reject> {
    let hashes = Hashes::default();
    let data = TxData::new(tx, spent, &hashes);
    for input in 0..tx.input.len() {
        interpret(&data, input, Flags::STANDARD).map_err(|error| {
            let stripped = tx.input.iter().all(|input| input.witness.is_empty()) && standard::spends_witness_program(tx, spent);
            let kind = if stripped { Kind::WitnessStripped } else { Kind::NotStandard };
            Reject::with_debug(kind, format!("mempool-script-verify-flag-failed ({error})"), describe_input(tx, input))
        })?;
    }
    verify_transaction(tx, spent, Flags::CONSENSUS, Engine::Kernel).map_err(|error| match error {
        VerifyError::Script { input, error } => {
            let reason = format!("block-script-verify-flag-failed ({error})");
            tracing::error!(
                "BUG! PLEASE REPORT THIS! CheckInputScripts failed against latest-block but not STANDARD flags {}",
                tx.compute_txid()
            );
            Reject::with_debug(Kind::Consensus, reason, describe_input(tx, input))
        }
        other => Reject::with_debug(Kind::Consensus, "block-script-verify-flag-failed (unknown error)", other.to_string()),
    })?;
    // A block of today that holds the transaction need not run its scripts again.
    cache.insert(tx.compute_wtxid(), Flags::CONSENSUS);
    Ok(())
}

/// Core's words for an input whose script failed.
fn describe_input(tx: &Transaction, input: usize) -> String {
    let outpoint = tx.input.get(input).map(|txin| txin.previous_output).unwrap_or_default();
    let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
    format!("input {input} of {txid} (wtxid {wtxid}), spending {}:{}", outpoint.txid, outpoint.vout)
}
