//! Clusters: transactions connected by spending, directly or not; the unit of ordering and of limits.

use crate::feerate::FeeFrac;
use crate::linearize::{Item, chunks};
use crate::pool::Mempool;
use bitcoin::Txid;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Chunk of a cluster: its transactions, parents first, with fees and weights summed up.
pub type TxChunk = (Vec<Txid>, FeeFrac);

impl Mempool {
    /// Everything connected with a transaction.
    pub fn cluster(&self, txid: &Txid) -> BTreeSet<Txid> {
        let mut found = BTreeSet::new();
        let mut stack = vec![*txid];
        while let Some(txid) = stack.pop() {
            if let Some(entry) = self.entries.get(&txid)
                && found.insert(txid)
            {
                stack.extend(entry.parents.iter().chain(&entry.children));
            }
        }
        found
    }

    /// All clusters.
    pub fn clusters(&self) -> Vec<BTreeSet<Txid>> {
        let mut seen = BTreeSet::new();
        let mut clusters = Vec::new();
        for txid in self.entries.keys() {
            if !seen.contains(txid) {
                let cluster = self.cluster(txid);
                seen.extend(cluster.iter().copied());
                clusters.push(cluster);
            }
        }
        clusters
    }

    /// Chunks of a set of transactions, best first. Dependencies on transactions outside the set are ignored.
    pub fn chunks_of(&self, set: &BTreeSet<Txid>) -> Vec<TxChunk> {
        let txids: Vec<Txid> = set.iter().copied().filter(|txid| self.entries.contains_key(txid)).collect();
        let items: Vec<Item<Txid>> = txids
            .iter()
            .filter_map(|txid| self.entries.get(txid))
            .map(|entry| Item {
                key: entry.txid,
                frac: entry.frac(),
                parents: entry.parents.iter().filter_map(|parent| txids.binary_search(parent).ok()).collect(),
            })
            .collect();
        let named = |chunk: crate::linearize::Chunk| (chunk.members.iter().map(|i| txids[*i]).collect(), chunk.frac);
        chunks(&items).into_iter().map(named).collect()
    }

    /// All chunks of the pool, best first. Chunks of equal rate: those with less of that rate before them in their cluster
    /// first, then by their largest id, as in Core (src/txgraph.cpp).
    pub fn mining_order(&self) -> Vec<TxChunk> {
        let mut ranked = Vec::new();
        for cluster in self.clusters() {
            let mut equal_prefix = FeeFrac::default();
            for chunk in self.chunks_of(&cluster) {
                let same = equal_prefix.size > 0 && equal_prefix.cmp_rate(&chunk.1) == Ordering::Equal;
                equal_prefix = if same { equal_prefix.plus(chunk.1) } else { chunk.1 };
                let largest = chunk.0.iter().max().copied();
                ranked.push((chunk, equal_prefix.size, largest));
            }
        }
        ranked.sort_by(|a, b| {
            let by_rate = b.0.1.cmp_rate(&a.0.1);
            by_rate.then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2))
        });
        ranked.into_iter().map(|(chunk, ..)| chunk).collect()
    }

    /// All ids in mining order.
    pub fn ordered_txids(&self) -> Vec<Txid> {
        self.mining_order().into_iter().flat_map(|(members, _)| members).collect()
    }

    /// Whether a transaction with these ancestors fits the cluster limits once `replaced` are gone.
    pub fn fits_cluster(&self, parents: &BTreeSet<Txid>, vsize: i64, replaced: &BTreeSet<Txid>) -> bool {
        let mut members = BTreeSet::new();
        let mut stack: Vec<Txid> = parents.iter().copied().collect();
        while let Some(txid) = stack.pop() {
            if !replaced.contains(&txid)
                && let Some(entry) = self.entries.get(&txid)
                && members.insert(txid)
            {
                stack.extend(entry.parents.iter().chain(&entry.children));
            }
        }
        let (count, size, _) = self.totals(&members);
        count < self.options.cluster_count && size + vsize <= self.options.cluster_vbytes
    }
}
