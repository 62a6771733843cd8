//! What the mempool holds around our unconfirmed coins: ancestors, clusters, and what a new transaction must pay for
//! ancestors so that it gets mined at its own rate (Core: src/node/mini_miner.cpp).

use bitcoin::{OutPoint, Txid};
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::fees::fee;

/// A transaction of the mempool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolTx {
    /// Virtual bytes.
    pub vsize: i64,
    /// Satoshi, with what `prioritisetransaction` added.
    pub fee: i64,
    /// Parents in the mempool.
    pub parents: BTreeSet<Txid>,
}

/// Whole clusters of the mempool.
#[derive(Debug, Clone, Default)]
pub struct PoolView {
    txs: HashMap<Txid, PoolTx>,
    children: HashMap<Txid, Vec<Txid>>,
}

/// Virtual bytes and satoshi of a set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// Virtual bytes.
    pub vsize: i64,
    /// Satoshi.
    pub fee: i64,
}

impl Sum {
    fn missing(self, rate: i64) -> i64 {
        fee(rate, self.vsize).saturating_sub(self.fee).max(0)
    }

    fn is_better_than(self, other: Sum) -> bool {
        i128::from(self.fee) * i128::from(other.vsize) > i128::from(other.fee) * i128::from(self.vsize)
    }
}

impl PoolView {
    /// Adds a transaction.
    pub fn add(&mut self, txid: Txid, tx: PoolTx) {
        for parent in &tx.parents {
            self.children.entry(*parent).or_default().push(txid);
        }
        self.txs.insert(txid, tx);
    }

    /// Whether a transaction is in the mempool.
    pub fn contains(&self, txid: &Txid) -> bool {
        self.txs.contains_key(txid)
    }

    fn walk<'a>(&'a self, start: &Txid, next: impl Fn(&'a Txid, &'a PoolTx, &mut Vec<Txid>)) -> BTreeSet<Txid> {
        let mut found = BTreeSet::new();
        let mut todo = vec![*start];
        while let Some(now) = todo.pop() {
            if let Some((txid, tx)) = self.txs.get_key_value(&now)
                && found.insert(now)
            {
                next(txid, tx, &mut todo);
            }
        }
        found
    }

    /// A transaction and its ancestors; empty when it is not in the mempool.
    pub fn ancestors(&self, txid: &Txid) -> BTreeSet<Txid> {
        self.walk(txid, |_, tx, todo| todo.extend(&tx.parents))
    }

    fn descendants(&self, txid: &Txid) -> BTreeSet<Txid> {
        self.walk(txid, |txid, _, todo| todo.extend(self.children.get(txid).into_iter().flatten()))
    }

    /// Everything that is connected with a transaction.
    pub fn cluster(&self, txid: &Txid) -> BTreeSet<Txid> {
        self.walk(txid, |txid, tx, todo| {
            todo.extend(&tx.parents);
            todo.extend(self.children.get(txid).into_iter().flatten());
        })
    }

    /// Size and fees of a set.
    pub fn sum(&self, set: &BTreeSet<Txid>) -> Sum {
        let txs = set.iter().filter_map(|txid| self.txs.get(txid));
        txs.fold(Sum::default(), |sum, tx| Sum { vsize: sum.vsize + tx.vsize, fee: sum.fee + tx.fee })
    }

    /// What is left of these transactions' clusters when a miner has taken whatever pays the rate: again and again the
    /// transaction that is best together with its ancestors. `replaced` and what builds on them count as gone.
    fn unmined(&self, txids: impl IntoIterator<Item = Txid>, replaced: &BTreeSet<Txid>, rate: i64) -> BTreeSet<Txid> {
        let mut out = BTreeSet::new();
        let mut seen: BTreeSet<Txid> = BTreeSet::new();
        let gone: BTreeSet<Txid> = replaced.iter().flat_map(|txid| self.descendants(txid)).collect();
        for txid in txids {
            if seen.contains(&txid) {
                continue;
            }
            // Clusters don't matter to each other.
            let cluster = self.cluster(&txid);
            seen.extend(&cluster);
            let mut left: BTreeSet<Txid> = cluster.difference(&gone).copied().collect();
            while let Some((sum, set)) = self.best(&left)
                && sum.fee >= fee(rate, sum.vsize)
            {
                left.retain(|txid| !set.contains(txid));
            }
            out.extend(left);
        }
        out
    }

    fn best(&self, left: &BTreeSet<Txid>) -> Option<(Sum, BTreeSet<Txid>)> {
        let mut best: Option<(Sum, BTreeSet<Txid>)> = None;
        for txid in left {
            let set: BTreeSet<Txid> = self.ancestors(txid).intersection(left).copied().collect();
            let sum = self.sum(&set);
            if best.as_ref().is_none_or(|(known, _)| sum.is_better_than(*known)) {
                best = Some((sum, set));
            }
        }
        best
    }

    /// Satoshi that ancestors of each outpoint lack for a rate (satoshi per 1000 vbytes).
    pub fn bump_fees(&self, outpoints: &[OutPoint], replaced: &BTreeSet<Txid>, rate: i64) -> Vec<i64> {
        let left = self.unmined(outpoints.iter().map(|outpoint| outpoint.txid), replaced, rate);
        let mut known: BTreeMap<Txid, i64> = BTreeMap::new();
        let one = |outpoint: &OutPoint| {
            *known.entry(outpoint.txid).or_insert_with(|| {
                if !left.contains(&outpoint.txid) {
                    return 0;
                }
                let set = self.ancestors(&outpoint.txid).intersection(&left).copied().collect();
                self.sum(&set).missing(rate)
            })
        };
        outpoints.iter().map(one).collect()
    }

    /// Satoshi that ancestors of all outpoints together lack for a rate: shared ones are paid for once.
    pub fn combined_bump_fee(&self, outpoints: &[OutPoint], replaced: &BTreeSet<Txid>, rate: i64) -> i64 {
        let left = self.unmined(outpoints.iter().map(|outpoint| outpoint.txid), replaced, rate);
        let mut set = BTreeSet::new();
        for outpoint in outpoints.iter().filter(|outpoint| left.contains(&outpoint.txid)) {
            set.extend(self.ancestors(&outpoint.txid).intersection(&left).copied());
        }
        self.sum(&set).missing(rate)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bitcoin::hashes::Hash;

    fn txid(number: u8) -> Txid {
        Txid::from_byte_array([number; 32])
    }

    /// 1 and 2 are parents of 3; 4 stands alone. All have 100 vbytes.
    fn view() -> PoolView {
        let mut view = PoolView::default();
        for (number, fee, parents) in [(1, 100, vec![]), (2, 300, vec![]), (3, 100, vec![1, 2]), (4, 50, vec![])] {
            view.add(txid(number), PoolTx { vsize: 100, fee, parents: parents.into_iter().map(txid).collect() });
        }
        view
    }

    fn outpoint(number: u8) -> OutPoint {
        OutPoint { txid: txid(number), vout: 0 }
    }

    #[test]
    fn ancestors_that_pay_less_are_paid_for_once() {
        let view = view();
        let none = BTreeSet::new();
        assert_eq!(view.ancestors(&txid(3)).len(), 3);
        assert_eq!(view.cluster(&txid(1)).len(), 3);
        // At 2 sat/vB number 2 is mined; 1 lacks 100, 3 lacks 200 with 1, 4 lacks 150, and what is confirmed nothing.
        let outpoints = [outpoint(1), outpoint(2), outpoint(3), outpoint(4), outpoint(9)];
        assert_eq!(view.bump_fees(&outpoints, &none, 2000), [100, 0, 200, 150, 0]);
        assert_eq!(view.combined_bump_fee(&outpoints, &none, 2000), 350);
        assert_eq!(view.bump_fees(&outpoints, &none, 500), [0; 5]);
        // 3 is replaced: nothing of it has to be paid for, and 1 stands by itself.
        assert_eq!(view.bump_fees(&[outpoint(1)], &BTreeSet::from([txid(3)]), 2000), [100]);
    }

    #[test]
    fn a_child_pays_for_its_parents() {
        let mut view = PoolView::default();
        view.add(txid(1), PoolTx { vsize: 100, fee: 10, parents: BTreeSet::new() });
        view.add(txid(2), PoolTx { vsize: 100, fee: 1000, parents: BTreeSet::from([txid(1)]) });
        assert_eq!(view.bump_fees(&[outpoint(1)], &BTreeSet::new(), 3000), [0]);
        // Were the child replaced, the parent would lack its fee.
        assert_eq!(view.bump_fees(&[outpoint(1)], &BTreeSet::from([txid(2)]), 3000), [290]);
    }
}
