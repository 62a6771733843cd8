//! Replacement by fee (Core: src/policy/rbf.cpp, `ReplacementChecks` and `PackageRBFChecks` in src/validation.cpp).

use crate::feerate::{FeeFrac, FeeRate};
use crate::pool::Mempool;
use crate::reject::{Kind, Reject};
use bitcoin::{Transaction, Txid};
use bulkhead_consensus::amount::format_money;
use std::collections::BTreeSet;

const MAX_CONFLICTING_CLUSTERS: usize = 100;

/// A transaction that wants in, measured.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The transaction.
    pub tx: &'a Transaction,
    /// Its id.
    pub txid: Txid,
    /// Fee with delta, satoshi.
    pub modified_fee: i64,
    /// Weight, signature operations counted.
    pub adjusted_weight: i64,
    /// Virtual size, signature operations counted.
    pub vsize: i64,
}

impl Candidate<'_> {
    /// Modified fee for the adjusted weight.
    pub fn frac(&self) -> FeeFrac {
        FeeFrac::new(self.modified_fee, self.adjusted_weight)
    }

    /// Modified fee for the virtual size.
    pub fn rate(&self) -> FeeFrac {
        FeeFrac::new(self.modified_fee, self.vsize)
    }
}

impl Mempool {
    /// Direct parents here that a transaction would have.
    pub fn parents_of_new(&self, tx: &Transaction) -> BTreeSet<Txid> {
        let parents = tx.input.iter().map(|input| input.previous_output.txid);
        parents.filter(|txid| self.get(txid).is_some()).collect()
    }

    /// Transactions here that spend the same coins.
    pub fn conflicts_of(&self, tx: &Transaction) -> BTreeSet<Txid> {
        tx.input.iter().filter_map(|input| self.spender(&input.previous_output)).collect()
    }

    /// Whether transactions, parents first, would keep all clusters within the limits once `replaced` are gone.
    pub fn fits(&self, new: &[Candidate<'_>], replaced: &BTreeSet<Txid>) -> bool {
        self.stage(new, replaced).fits(self.options.cluster_count, self.options.cluster_weight())
    }

    /// Checks whether `new` may replace `conflicts`; gives everything that would go.
    ///
    /// # Errors
    /// Core's reasons: "too many potential replacements", "insufficient fee", "too-large-cluster", "replacement-failed".
    pub fn check_replacement(
        &self,
        new: Candidate<'_>,
        conflicts: &BTreeSet<Txid>,
        sibling_eviction: bool,
    ) -> Result<BTreeSet<Txid>, Reject> {
        let suffix = if sibling_eviction { " (including sibling eviction)" } else { "" };
        let evicted = self.all_conflicts(&new.txid, conflicts).map_err(|debug| {
            Reject::with_debug(Kind::MempoolPolicy, format!("too many potential replacements{suffix}"), debug)
        })?;
        pays_for_replacement(self.totals(&evicted).2, new.modified_fee, new.vsize, self.options.incremental, &new.txid)
            .map_err(|debug| Reject::with_debug(Kind::Reconsiderable, format!("insufficient fee{suffix}"), debug))?;
        let staged = self.stage(&[new], &evicted);
        if !staged.fits(self.options.cluster_count, self.options.cluster_weight()) {
            return Err(Reject::new(Kind::MempoolPolicy, "too-large-cluster"));
        }
        if !staged.improves_diagram() {
            return Err(Reject::with_debug(Kind::Reconsiderable, "replacement-failed", NO_IMPROVEMENT));
        }
        Ok(evicted)
    }

    /// Checks whether a parent and a child that pays for it, neither with a parent in the pool, may replace `conflicts` of
    /// either; gives everything that would go.
    ///
    /// # Errors
    /// Core's reasons, "package RBF failed: ..." and "too-large-cluster".
    pub fn check_package_replacement(
        &self,
        parent: Candidate<'_>,
        child: Candidate<'_>,
        conflicts: &BTreeSet<Txid>,
    ) -> Result<BTreeSet<Txid>, Reject> {
        let fail = |reason: &str, debug: String| {
            Err(Reject::with_debug(Kind::MempoolPolicy, format!("package RBF failed: {reason}"), debug))
        };
        let evicted = match self.all_conflicts(&child.txid, conflicts) {
            Ok(evicted) => evicted,
            Err(debug) => return fail("too many potential replacements", debug),
        };
        let total = parent.rate().plus(child.rate());
        let old_fees = self.totals(&evicted).2;
        if let Err(debug) = pays_for_replacement(old_fees, total.fee, total.size, self.options.incremental, &child.txid) {
            return fail("insufficient anti-DoS fees", debug);
        }
        if total.cmp_rate(&parent.rate()).is_le() {
            let (package, alone) = (FeeRate(total.per_kilo()), FeeRate(parent.rate().per_kilo()));
            let debug = format!("package feerate {package} <= parent feerate is {alone}");
            return fail("package feerate is less than or equal to parent feerate", debug);
        }
        let staged = self.stage(&[parent, child], &evicted);
        if !staged.fits(self.options.cluster_count, self.options.cluster_weight()) {
            return Err(Reject::new(Kind::MempoolPolicy, "too-large-cluster"));
        }
        if !staged.improves_diagram() {
            return fail(NO_IMPROVEMENT, String::new());
        }
        Ok(evicted)
    }

    /// Conflicts with their descendants.
    fn all_conflicts(&self, txid: &Txid, conflicts: &BTreeSet<Txid>) -> Result<BTreeSet<Txid>, String> {
        let clusters = self.count_clusters(conflicts);
        if clusters > MAX_CONFLICTING_CLUSTERS {
            return Err(format!(
                "rejecting replacement {txid}; too many conflicting clusters ({clusters} > {MAX_CONFLICTING_CLUSTERS})"
            ));
        }
        Ok(self.descendants_of_all(&conflicts.iter().copied().collect::<Vec<_>>()))
    }
}

const NO_IMPROVEMENT: &str = "insufficient feerate: does not improve feerate diagram";

/// Rules 3 and 4 of BIP125: at least the old fees, and more by what relaying the new ones costs.
fn pays_for_replacement(old_fees: i64, new_fees: i64, vsize: i64, incremental: FeeRate, txid: &Txid) -> Result<(), String> {
    if new_fees < old_fees {
        return Err(format!(
            "rejecting replacement {txid}, less fees than conflicting txs; {} < {}",
            format_money(new_fees),
            format_money(old_fees)
        ));
    }
    let (extra, wanted) = (new_fees - old_fees, incremental.fee(vsize));
    if extra < wanted {
        return Err(format!(
            "rejecting replacement {txid}, not enough additional fees to relay; {} < {}",
            format_money(extra),
            format_money(wanted)
        ));
    }
    Ok(())
}
