//! Several transactions judged together (thin: a child with its parents, no replacement by packages).

use std::collections::HashSet;
use std::sync::Arc;

use bitcoin::{OutPoint, Transaction, Wtxid};
use bulkhead_mempool::pool::RemovalReason;
use bulkhead_mempool::{FeeFrac, Kind, Reject};

use super::accept::{AcceptOptions, Accepted, accept, check_fee_rate, limit};
use super::coins::PackageCoins;
use super::listener::Pool;
use crate::engine::State;

const MAX_PACKAGE_COUNT: usize = 25;
const MAX_PACKAGE_WEIGHT: u64 = 404_000;

/// What became of one transaction.
#[derive(Debug, Clone)]
pub enum PackageOutcome {
    /// Accepted now; with it the rate and the witness ids that its fee was judged with.
    Accepted(Accepted, FeeFrac, Vec<Wtxid>),
    /// Was in the pool.
    Known,
    /// Another witness of it is in the pool.
    KnownOtherWitness(Wtxid),
    /// Refused.
    Refused(Reject),
    /// Not looked at, because another one failed.
    NotValidated,
}

/// Count, size, order and conflicts inside a package.
///
/// # Errors
/// Core's reasons of `IsWellFormedPackage`.
pub fn check_package_form(transactions: &[Arc<Transaction>]) -> Result<(), &'static str> {
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

/// Judges transactions that may spend each other, changing nothing. Stops at the first refusal.
pub fn test_package(
    state: &State,
    pool: &Pool,
    transactions: &[Arc<Transaction>],
    options: &AcceptOptions,
) -> Vec<PackageOutcome> {
    let is_package = transactions.len() > 1;
    let options = AcceptOptions { test_only: true, no_replacement: is_package, ..options.clone() };
    let mut package = PackageCoins::default();
    let mut outcomes = Vec::new();
    let mut inner = pool.lock();
    for tx in transactions {
        match accept(state, &mut inner, &package, tx, &options) {
            Ok(accepted) => {
                let (rate, wtxid) = (accepted.effective, accepted.wtxid);
                outcomes.push(PackageOutcome::Accepted(accepted, rate, vec![wtxid]));
                package.add(tx);
            }
            Err(reject) => {
                outcomes.push(PackageOutcome::Refused(reject));
                break;
            }
        }
    }
    outcomes.resize_with(transactions.len(), || PackageOutcome::NotValidated);
    outcomes
}

/// Adds a child and its parents, parents first. A parent whose own fee is too low is judged together with the child.
pub fn submit_package(
    state: &State,
    pool: &Pool,
    transactions: &[Arc<Transaction>],
    options: &AcceptOptions,
) -> Vec<PackageOutcome> {
    let none = PackageCoins::default();
    let mut outcomes = Vec::new();
    let mut low_fee = Vec::new();
    {
        let mut inner = pool.lock();
        for (i, tx) in transactions.iter().enumerate() {
            if inner.get_by_wtxid(&tx.compute_wtxid()).is_some() {
                outcomes.push(PackageOutcome::Known);
                continue;
            }
            if let Some(entry) = inner.get(&tx.compute_txid()) {
                outcomes.push(PackageOutcome::KnownOtherWitness(entry.wtxid));
                continue;
            }
            outcomes.push(match accept(state, &mut inner, &none, tx, options) {
                Ok(accepted) => {
                    let (rate, wtxid) = (accepted.effective, accepted.wtxid);
                    PackageOutcome::Accepted(accepted, rate, vec![wtxid])
                }
                Err(reject) => {
                    if matches!(reject.kind, Kind::Reconsiderable | Kind::MissingInputs) {
                        low_fee.push(i);
                    }
                    PackageOutcome::Refused(reject)
                }
            });
        }
        let last = transactions.len().saturating_sub(1);
        if low_fee.len() > 1 && low_fee.last() == Some(&last) {
            together(state, &mut inner, transactions, &low_fee, options, &mut outcomes);
        }
        limit(&mut inner, options.time);
        for outcome in &mut outcomes {
            if matches!(outcome, PackageOutcome::Accepted(accepted, ..) if inner.get(&accepted.txid).is_none()) {
                *outcome = PackageOutcome::Refused(Reject::new(Kind::MempoolPolicy, "mempool full"));
            }
        }
    }
    pool.deliver();
    outcomes
}

/// Accepts parents and child whose fees suffice as a whole; takes all back if one fails.
fn together(
    state: &State,
    inner: &mut bulkhead_mempool::Mempool,
    transactions: &[Arc<Transaction>],
    members: &[usize],
    options: &AcceptOptions,
    outcomes: &mut [PackageOutcome],
) {
    let options = AcceptOptions { package_fees: true, no_replacement: true, ..options.clone() };
    let mut accepted = Vec::new();
    let mut failure = None;
    for i in members {
        match accept(state, inner, &PackageCoins::default(), &transactions[*i], &options) {
            Ok(one) => accepted.push((*i, one)),
            Err(reject) => {
                failure = Some((*i, reject));
                break;
            }
        }
    }
    let total = accepted.iter().fold(FeeFrac::default(), |sum, (_, one)| sum.plus(one.effective));
    if failure.is_none()
        && let Err(reject) = check_fee_rate(inner, total.size, total.fee, options.time)
        && let Some((i, _)) = accepted.last()
    {
        failure = Some((*i, reject));
    }
    if let Some((i, reject)) = failure {
        for (_, one) in accepted.iter().rev() {
            inner.remove_recursive(&one.txid, RemovalReason::SizeLimit);
        }
        outcomes[i] = PackageOutcome::Refused(reject);
        return;
    }
    let wtxids: Vec<Wtxid> = accepted.iter().map(|(_, one)| one.wtxid).collect();
    for (i, one) in accepted {
        outcomes[i] = PackageOutcome::Accepted(one, total, wtxids.clone());
    }
}
