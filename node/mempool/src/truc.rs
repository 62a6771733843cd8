//! Rules of version 3 transactions (BIP431; Core: src/policy/truc_policy.cpp): at most one unconfirmed parent or one child.

use crate::pool::Mempool;
use crate::replace::Candidate;
use bitcoin::{Transaction, Txid};
use std::collections::BTreeSet;

const MAX_VSIZE: i64 = 10_000;
const CHILD_MAX_VSIZE: i64 = 1_000;
const ANCESTOR_LIMIT: usize = 2;

/// A version 3 rule that is broken; `sibling` may be replaced to heal it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrucViolation {
    /// Core's words.
    pub message: String,
    /// The only other child of the parent.
    pub sibling: Option<Txid>,
}

fn is_truc(tx: &Transaction) -> bool {
    tx.version.0 == 3
}

fn label(tx: &Transaction) -> String {
    format!("tx {} (wtxid={})", tx.compute_txid(), tx.compute_wtxid())
}

fn spends(tx: &Transaction, txid: &Txid) -> bool {
    tx.input.iter().any(|input| input.previous_output.txid == *txid)
}

/// Child and parent are both of version 3, or neither.
fn check_inheritance(tx: &Transaction, parent: &Transaction) -> Result<(), String> {
    match (is_truc(tx), is_truc(parent)) {
        (false, true) => Err(format!("non-version=3 {} cannot spend from version=3 {}", label(tx), label(parent))),
        (true, false) => Err(format!("version=3 {} cannot spend from non-version=3 {}", label(tx), label(parent))),
        _ => Ok(()),
    }
}

fn too_many_ancestors(tx: &Transaction) -> String {
    format!("{} would have too many ancestors", label(tx))
}

fn too_many_descendants(parent: &Transaction) -> String {
    format!("{} would exceed descendant count limit", label(parent))
}

fn check_child_size(new: Candidate<'_>) -> Result<(), String> {
    if new.vsize > CHILD_MAX_VSIZE {
        return Err(format!("version=3 child {} is too big: {} > {CHILD_MAX_VSIZE} virtual bytes", label(new.tx), new.vsize));
    }
    Ok(())
}

impl Mempool {
    /// Checks one transaction with its parents here.
    ///
    /// # Errors
    /// The broken rule.
    pub fn check_truc(&self, new: Candidate<'_>, conflicts: &BTreeSet<Txid>) -> Result<(), TrucViolation> {
        let parents = self.parents_of_new(new.tx);
        self.check_truc_alone(new, &parents).map_err(|message| TrucViolation { message, sibling: None })?;
        let Some(parent) = parents.first().and_then(|txid| self.get(txid)).filter(|_| is_truc(new.tx)) else { return Ok(()) };
        let mut others = self.descendants(&parent.txid);
        others.remove(&parent.txid);
        if others.is_empty() || others.iter().any(|txid| conflicts.contains(txid)) {
            return Ok(());
        }
        let sibling = others.first().filter(|sibling| others.len() == 1 && self.ancestors(sibling).len() == ANCESTOR_LIMIT);
        Err(TrucViolation { message: too_many_descendants(&parent.new.tx), sibling: sibling.copied() })
    }

    fn check_truc_alone(&self, new: Candidate<'_>, parents: &BTreeSet<Txid>) -> Result<(), String> {
        for parent in parents.iter().filter_map(|txid| self.get(txid)) {
            check_inheritance(new.tx, &parent.new.tx)?;
        }
        if !is_truc(new.tx) {
            return Ok(());
        }
        if new.vsize > MAX_VSIZE {
            return Err(format!("version=3 {} is too big: {} > {MAX_VSIZE} virtual bytes", label(new.tx), new.vsize));
        }
        let Some(parent) = parents.first() else { return Ok(()) };
        if parents.len() + 1 > ANCESTOR_LIMIT || self.ancestors(parent).len() + 1 > ANCESTOR_LIMIT {
            return Err(too_many_ancestors(new.tx));
        }
        check_child_size(new)
    }

    /// Checks a transaction that passed [`Mempool::check_truc`] again, together with the others of its package, parents first.
    ///
    /// # Errors
    /// Core's words for the broken rule.
    pub fn check_package_truc(&self, new: Candidate<'_>, package: &[Candidate<'_>]) -> Result<(), String> {
        let in_pool = self.parents_of_new(new.tx);
        let before = package.iter().take_while(|other| other.txid != new.txid);
        let in_package: Vec<_> = before.filter(|other| spends(new.tx, &other.txid)).collect();
        if !is_truc(new.tx) {
            let pool_parents = in_pool.iter().filter_map(|txid| self.get(txid)).map(|entry| &*entry.new.tx);
            return pool_parents.chain(in_package.iter().map(|other| other.tx)).try_for_each(|tx| check_inheritance(new.tx, tx));
        }
        if in_pool.len() + in_package.len() + 1 > ANCESTOR_LIMIT {
            return Err(too_many_ancestors(new.tx));
        }
        if let Some(parent) = in_pool.first()
            && self.ancestors(parent).len() + in_package.len() + 1 > ANCESTOR_LIMIT
        {
            return Err(too_many_ancestors(new.tx));
        }
        let pool_parent = in_pool.first().and_then(|txid| self.get(txid));
        let (parent, has_children) = match (pool_parent, in_package.first()) {
            (Some(entry), _) => (&*entry.new.tx, !entry.children.is_empty()),
            (None, Some(other)) => (other.tx, false),
            (None, None) => return Ok(()),
        };
        check_child_size(new)?;
        check_inheritance(new.tx, parent)?;
        let parent_txid = parent.compute_txid();
        for other in package.iter().filter(|other| other.txid != new.txid) {
            for input in &other.tx.input {
                if input.previous_output.txid == parent_txid {
                    return Err(too_many_descendants(parent));
                }
                if input.previous_output.txid == new.txid {
                    return Err(too_many_ancestors(other.tx));
                }
            }
        }
        if has_children { Err(too_many_descendants(parent)) } else { Ok(()) }
    }
}
