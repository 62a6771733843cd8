//! Clusters: transactions connected by spending, directly or not; the unit of ordering and of limits.
//!
//! Each cluster keeps its transactions in the best order with the chunks of that order, and all chunks of the pool are in one
//! index in mining order. A change marks the clusters it touches; they are taken apart and ordered anew once, when it is done.

use crate::feerate::FeeFrac;
use crate::linearize::{Item, chunks};
use crate::pool::Mempool;
use bitcoin::Txid;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Number of a cluster; never used twice.
pub type ClusterId = u64;

/// Chunk of a cluster: its transactions, parents first, with modified fees and adjusted weights summed up.
#[derive(Debug, Clone, Copy)]
pub struct TxChunk<'a> {
    /// The cluster it is part of.
    pub cluster: ClusterId,
    /// Its transactions.
    pub members: &'a [Txid],
    /// Sum of modified fees and adjusted weights.
    pub frac: FeeFrac,
}

/// A cluster in its best order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cluster {
    pub members: Vec<Txid>,
    pub chunks: Vec<ChunkEnd>,
    pub weight: i64,
}

/// Where a chunk ends in the order of its cluster, and its place in the index.
#[derive(Debug, Clone)]
pub(crate) struct ChunkEnd {
    pub end: usize,
    pub rank: Rank,
}

/// Place of a chunk in mining order: by rate, then with less of that rate before its end in its cluster, then by its largest
/// id (Core: `CompareMainTransactions` in src/txgraph.cpp).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rank {
    pub frac: FeeFrac,
    equal_prefix: i64,
    largest: Txid,
    cluster: ClusterId,
    index: usize,
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_rate = other.frac.cmp_rate(&self.frac).then(self.equal_prefix.cmp(&other.equal_prefix));
        let by_id = by_rate.then_with(|| self.largest.cmp(&other.largest));
        by_id.then(self.cluster.cmp(&other.cluster)).then(self.index.cmp(&other.index))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// All clusters of a pool.
#[derive(Debug, Default)]
pub(crate) struct Clusters {
    pub by_id: HashMap<ClusterId, Cluster>,
    next: ClusterId,
    order: BTreeSet<Rank>,
    touched: BTreeSet<ClusterId>,
}

impl Clusters {
    /// A cluster of one new transaction, to be ordered with the others that are touched.
    pub fn start(&mut self, txid: Txid) -> ClusterId {
        let id = self.next;
        self.next += 1;
        self.by_id.insert(id, Cluster { members: vec![txid], ..Cluster::default() });
        self.touched.insert(id);
        id
    }

    /// Marks a cluster whose links or fees change.
    pub fn touch(&mut self, id: ClusterId) {
        self.touched.insert(id);
    }

    fn put(&mut self, cluster: Cluster) {
        for chunk in &cluster.chunks {
            self.order.insert(chunk.rank.clone());
        }
        self.by_id.insert(self.next, cluster);
        self.next += 1;
    }

    fn take(&mut self, id: ClusterId) -> Vec<Txid> {
        let Some(cluster) = self.by_id.remove(&id) else { return Vec::new() };
        for chunk in &cluster.chunks {
            self.order.remove(&chunk.rank);
        }
        cluster.members
    }

    fn chunk(&self, rank: &Rank) -> Option<TxChunk<'_>> {
        let cluster = self.by_id.get(&rank.cluster)?;
        let start = rank.index.checked_sub(1).and_then(|before| cluster.chunks.get(before)).map_or(0, |before| before.end);
        let members = cluster.members.get(start..cluster.chunks.get(rank.index)?.end)?;
        Some(TxChunk { cluster: rank.cluster, members, frac: rank.frac })
    }
}

impl Mempool {
    /// Puts the clusters that were touched in order again.
    pub(crate) fn settle(&mut self) {
        let touched = std::mem::take(&mut self.clusters.touched);
        let mut members: BTreeSet<Txid> = BTreeSet::new();
        for id in touched {
            members.extend(self.clusters.take(id).into_iter().filter(|txid| self.entries.contains_key(txid)));
        }
        while let Some(first) = members.first().copied() {
            let connected = self.connected(first, |_| true);
            for txid in &connected {
                members.remove(txid);
            }
            self.settle_cluster(&connected.into_iter().collect::<Vec<_>>());
        }
    }

    fn settle_cluster(&mut self, members: &[Txid]) {
        let id = self.clusters.next;
        let mut cluster = Cluster { members: Vec::with_capacity(members.len()), ..Cluster::default() };
        let mut equal = FeeFrac::default();
        for (index, chunk) in chunks(&self.items(members)).into_iter().enumerate() {
            let largest = chunk.members.iter().map(|i| members[*i]).max().unwrap_or(members[0]);
            let same = equal.size > 0 && equal.cmp_rate(&chunk.frac) == Ordering::Equal;
            equal = if same { equal.plus(chunk.frac) } else { chunk.frac };
            cluster.members.extend(chunk.members.iter().map(|i| members[*i]));
            cluster.weight += chunk.frac.size;
            let rank = Rank { frac: chunk.frac, equal_prefix: equal.size, largest, cluster: id, index };
            cluster.chunks.push(ChunkEnd { end: cluster.members.len(), rank });
        }
        for txid in members {
            if let Some(entry) = self.entries.get_mut(txid) {
                entry.cluster = id;
            }
        }
        self.clusters.put(cluster);
    }

    /// Transactions for the linearizer; `members` in ascending order. Links to others are left out.
    pub(crate) fn items(&self, members: &[Txid]) -> Vec<Item<Txid>> {
        let entries = members.iter().filter_map(|txid| self.entries.get(txid));
        let item = |entry: &crate::Entry| Item {
            key: entry.txid,
            frac: entry.frac(),
            parents: entry.parents.iter().filter_map(|parent| members.binary_search(parent).ok()).collect(),
        };
        entries.map(item).collect()
    }

    /// What is connected with a transaction over transactions for which `is_in` holds.
    pub(crate) fn connected(&self, start: Txid, is_in: impl Fn(&Txid) -> bool) -> BTreeSet<Txid> {
        let mut found = BTreeSet::new();
        let mut stack = vec![start];
        while let Some(txid) = stack.pop() {
            if is_in(&txid)
                && let Some(entry) = self.entries.get(&txid)
                && found.insert(txid)
            {
                stack.extend(entry.parents.iter().chain(&entry.children));
            }
        }
        found
    }

    pub(crate) fn cluster_of(&self, txid: &Txid) -> Option<&Cluster> {
        self.entries.get(txid).and_then(|entry| self.clusters.by_id.get(&entry.cluster))
    }

    /// Everything connected with a transaction, in mining order.
    pub fn cluster(&self, txid: &Txid) -> &[Txid] {
        self.cluster_of(txid).map_or(&[], |cluster| &cluster.members)
    }

    /// Chunks of the cluster of a transaction, best first.
    pub fn cluster_chunks(&self, txid: &Txid) -> Vec<TxChunk<'_>> {
        let chunks = self.cluster_of(txid).map_or(&[][..], |cluster| &cluster.chunks);
        chunks.iter().filter_map(|chunk| self.clusters.chunk(&chunk.rank)).collect()
    }

    /// Modified fee and adjusted weight of the chunk that would mine this transaction.
    pub fn chunk_of(&self, txid: &Txid) -> FeeFrac {
        self.rank(txid).map_or(FeeFrac::default(), |(rank, _)| rank.frac)
    }

    fn rank(&self, txid: &Txid) -> Option<(&Rank, usize)> {
        let cluster = self.cluster_of(txid)?;
        let position = cluster.members.iter().position(|member| member == txid)?;
        let chunk = cluster.chunks.get(cluster.chunks.partition_point(|chunk| chunk.end <= position))?;
        Some((&chunk.rank, position))
    }

    /// All chunks of the pool, best first.
    pub fn mining_order(&self) -> impl DoubleEndedIterator<Item = TxChunk<'_>> {
        self.clusters.order.iter().filter_map(|rank| self.clusters.chunk(rank))
    }

    /// All ids in mining order.
    pub fn ordered_txids(&self) -> Vec<Txid> {
        self.mining_order().flat_map(|chunk| chunk.members.iter().copied()).collect()
    }

    /// Sorts ids into mining order; those of transactions that are not here go.
    pub fn sort_for_mining(&self, txids: &mut Vec<Txid>) {
        let ranked: BTreeMap<(&Rank, usize), Txid> =
            txids.iter().filter_map(|txid| self.rank(txid).map(|rank| (rank, *txid))).collect();
        *txids = ranked.into_values().collect();
    }

    /// Number of clusters that these transactions are in.
    pub fn count_clusters(&self, txids: &BTreeSet<Txid>) -> usize {
        let ids = txids.iter().filter_map(|txid| self.entries.get(txid)).map(|entry| entry.cluster);
        ids.collect::<BTreeSet<_>>().len()
    }

    /// Verifies clusters and their index, for tests and `-checkmempool`.
    pub(crate) fn check_clusters(&self) -> Result<(), String> {
        let mut count = 0;
        for (id, cluster) in &self.clusters.by_id {
            let Some(first) = cluster.members.first() else { return Err(format!("cluster {id} is empty")) };
            let own: BTreeSet<Txid> = cluster.members.iter().copied().collect();
            if self.connected(*first, |_| true) != own || own.len() != cluster.members.len() {
                return Err(format!("cluster {id} has wrong members"));
            }
            if cluster.members.iter().any(|txid| self.entries.get(txid).is_none_or(|entry| entry.cluster != *id)) {
                return Err(format!("cluster {id} is not known to its members"));
            }
            count += cluster.members.len();
        }
        let indexed: usize = self.mining_order().map(|chunk| chunk.members.len()).sum();
        if count != self.entries.len() || indexed != count {
            return Err("clusters do not hold all transactions".into());
        }
        Ok(())
    }
}
