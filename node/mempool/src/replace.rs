//! Replacement by fee, and the rules of version 3 transactions (BIP431).

use crate::feerate::FeeFrac;
use crate::linearize::{Item, chunks, compare_diagrams};
use crate::pool::Mempool;
use crate::reject::{Kind, Reject};
use bitcoin::{Transaction, Txid};
use bulkhead_consensus::amount::format_money;
use std::cmp::Ordering;
use std::collections::BTreeSet;

const MAX_CONFLICTING_CLUSTERS: usize = 100;
const TRUC_MAX_VSIZE: i64 = 10_000;
const TRUC_CHILD_MAX_VSIZE: i64 = 1_000;

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

/// A version 3 rule that is broken; `sibling` may be replaced to heal it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrucViolation {
    /// Core's words.
    pub message: String,
    /// The only other child of the parent.
    pub sibling: Option<Txid>,
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
        let mut clusters = BTreeSet::new();
        let mut evicted = BTreeSet::new();
        for txid in conflicts {
            clusters.insert(self.cluster(txid));
            evicted.extend(self.descendants(txid));
        }
        if clusters.len() > MAX_CONFLICTING_CLUSTERS {
            return Err(Reject::with_debug(
                Kind::MempoolPolicy,
                format!("too many potential replacements{suffix}"),
                format!(
                    "rejecting replacement {}; too many conflicting clusters ({} > {MAX_CONFLICTING_CLUSTERS})",
                    new.txid,
                    clusters.len()
                ),
            ));
        }
        let (_, _, old_fees) = self.totals(&evicted);
        let low = |debug: String| Reject::with_debug(Kind::Reconsiderable, format!("insufficient fee{suffix}"), debug);
        if new.modified_fee < old_fees {
            return Err(low(format!(
                "rejecting replacement {}, less fees than conflicting txs; {} < {}",
                new.txid,
                format_money(new.modified_fee),
                format_money(old_fees)
            )));
        }
        let (extra, wanted) = (new.modified_fee - old_fees, self.options.incremental.fee(new.vsize));
        if extra < wanted {
            return Err(low(format!(
                "rejecting replacement {}, not enough additional fees to relay; {} < {}",
                new.txid,
                format_money(extra),
                format_money(wanted)
            )));
        }
        let parents = self.parents_of_new(new.tx);
        if !self.fits_cluster(&parents, new.vsize, &evicted) {
            return Err(Reject::new(Kind::MempoolPolicy, "too-large-cluster"));
        }
        if !self.improves_diagram(new, &parents, &evicted) {
            return Err(Reject::with_debug(
                Kind::Reconsiderable,
                "replacement-failed",
                "insufficient feerate: does not improve feerate diagram",
            ));
        }
        Ok(evicted)
    }

    fn improves_diagram(&self, new: Candidate<'_>, parents: &BTreeSet<Txid>, evicted: &BTreeSet<Txid>) -> bool {
        let mut touched = BTreeSet::new();
        for txid in parents.iter().chain(evicted) {
            touched.extend(self.cluster(txid));
        }
        let mut before: Vec<FeeFrac> = self.chunks_of(&touched).into_iter().map(|(_, frac)| frac).collect();
        let kept: Vec<Txid> = touched.difference(evicted).copied().collect();
        let mut items: Vec<Item<Txid>> = kept
            .iter()
            .filter_map(|txid| self.get(txid))
            .map(|entry| Item {
                key: entry.txid,
                frac: entry.frac(),
                parents: entry.parents.iter().filter_map(|parent| kept.binary_search(parent).ok()).collect(),
            })
            .collect();
        items.push(Item {
            key: new.txid,
            frac: FeeFrac::new(new.modified_fee, new.adjusted_weight),
            parents: parents.iter().filter_map(|parent| kept.binary_search(parent).ok()).collect(),
        });
        let mut after: Vec<FeeFrac> = chunks(&items).into_iter().map(|chunk| chunk.frac).collect();
        before.sort_by(|a, b| b.cmp_rate(a));
        after.sort_by(|a, b| b.cmp_rate(a));
        compare_diagrams(&after, &before) == Some(Ordering::Greater)
    }

    fn label(&self, txid: &Txid) -> String {
        self.get(txid).map_or_else(|| txid.to_string(), |entry| format!("{} (wtxid={})", entry.txid, entry.wtxid))
    }

    /// Rules of version 3 for one transaction with its parents here.
    ///
    /// # Errors
    /// The broken rule.
    pub fn check_truc(&self, new: Candidate<'_>, conflicts: &BTreeSet<Txid>) -> Result<(), TrucViolation> {
        let fail = |message: String| Err(TrucViolation { message, sibling: None });
        let own = format!("tx {} (wtxid={})", new.txid, new.tx.compute_wtxid());
        let is_truc = new.tx.version.0 == 3;
        let parents = self.parents_of_new(new.tx);
        for parent in parents.iter().filter_map(|txid| self.get(txid)) {
            let parent_is_truc = parent.new.tx.version.0 == 3;
            if !is_truc && parent_is_truc {
                return fail(format!("non-version=3 {own} cannot spend from version=3 tx {}", self.label(&parent.txid)));
            }
            if is_truc && !parent_is_truc {
                return fail(format!("version=3 {own} cannot spend from non-version=3 tx {}", self.label(&parent.txid)));
            }
        }
        if !is_truc {
            return Ok(());
        }
        if new.vsize > TRUC_MAX_VSIZE {
            return fail(format!("version=3 {own} is too big: {} > {TRUC_MAX_VSIZE} virtual bytes", new.vsize));
        }
        let Some(parent) = parents.first() else { return Ok(()) };
        if parents.len() > 1 || self.ancestors(parent).len() > 1 {
            return fail(format!("{own} would have too many ancestors"));
        }
        if new.vsize > TRUC_CHILD_MAX_VSIZE {
            return fail(format!("version=3 child {own} is too big: {} > {TRUC_CHILD_MAX_VSIZE} virtual bytes", new.vsize));
        }
        let mut others = self.descendants(parent);
        others.remove(parent);
        if others.is_empty() || others.iter().any(|txid| conflicts.contains(txid)) {
            return Ok(());
        }
        let sibling = others.first().filter(|sibling| others.len() == 1 && self.ancestors(sibling).len() == 2);
        Err(TrucViolation {
            message: format!("tx {} would exceed descendant count limit", self.label(parent)),
            sibling: sibling.copied(),
        })
    }

    /// A transaction that spends from a parent with dust must spend that dust.
    ///
    /// # Errors
    /// "missing-ephemeral-spends".
    pub fn check_ephemeral_spends(&self, tx: &Transaction) -> Result<(), Reject> {
        for parent in self.parents_of_new(tx).iter().filter_map(|txid| self.get(txid)) {
            for vout in crate::standard::dust_outputs(&parent.new.tx, self.options.dust) {
                let spent = tx
                    .input
                    .iter()
                    .any(|input| input.previous_output.txid == parent.txid && input.previous_output.vout as usize == vout);
                if !spent {
                    let debug =
                        format!("tx {} (wtxid={}) did not spend parent's ephemeral dust", tx.compute_txid(), tx.compute_wtxid());
                    return Err(Reject::with_debug(Kind::MempoolPolicy, "missing-ephemeral-spends", debug));
                }
            }
        }
        Ok(())
    }
}
