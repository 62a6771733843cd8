//! After blocks were taken back, their transactions come before ones that are here already: links to children are made then,
//! and clusters that grew too large are cut (Core: `UpdateTransactionsFromBlock`, `TxGraph::Trim`).

use crate::feerate::FeeFrac;
use crate::pool::{Mempool, RemovalReason};
use crate::stage::Groups;
use bitcoin::{OutPoint, Txid};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// A transaction that may be kept, compared by the rate of its chunk, then the smaller chunk.
#[derive(Debug, PartialEq, Eq)]
struct Next {
    chunk: FeeFrac,
    node: usize,
}

impl Ord for Next {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_rate = self.chunk.cmp_rate(&other.chunk).then(other.chunk.size.cmp(&self.chunk.size));
        by_rate.then(other.node.cmp(&self.node))
    }
}

impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Clusters about to be joined: their transactions, cluster by cluster in mining order.
#[derive(Debug, Default)]
struct Joint {
    txids: Vec<Txid>,
    weights: Vec<i64>,
    chunks: Vec<FeeFrac>,
    /// What must be kept before; the predecessor in the cluster among them.
    needs: Vec<Vec<usize>>,
}

impl Mempool {
    /// Links transactions that were added after their children, cutting clusters that would become too large.
    pub fn link_children(&mut self, parents: &[Txid]) {
        let mut edges = BTreeSet::new();
        for txid in parents {
            let outputs = self.entries.get(txid).map_or(0, |entry| entry.new.tx.output.len());
            for vout in 0..outputs as u32 {
                let child = self.spender(&OutPoint { txid: *txid, vout });
                edges.extend(child.filter(|child| !self.is_linked(txid, child)).map(|child| (*txid, child)));
            }
        }
        let cut = self.joint(&edges).cut(self.options.cluster_count, self.options.cluster_weight());
        for (parent, child) in edges {
            self.link(&parent, &child);
        }
        self.remove_all(&cut, RemovalReason::SizeLimit);
    }

    fn is_linked(&self, parent: &Txid, child: &Txid) -> bool {
        self.entries.get(child).is_some_and(|entry| entry.parents.contains(parent))
    }

    fn joint(&self, edges: &BTreeSet<(Txid, Txid)>) -> Joint {
        let ends = edges.iter().flat_map(|(parent, child)| [parent, child]);
        let clusters: BTreeSet<_> = ends.filter_map(|txid| self.entries.get(txid)).map(|entry| entry.cluster).collect();
        let mut joint = Joint::default();
        for cluster in clusters.iter().filter_map(|id| self.clusters.by_id.get(id)) {
            let mut start = 0;
            for chunk in &cluster.chunks {
                for (position, txid) in cluster.members.iter().enumerate().take(chunk.end).skip(start) {
                    let node = joint.txids.len();
                    joint.txids.push(*txid);
                    joint.weights.push(self.entries.get(txid).map_or(0, |entry| entry.adjusted_weight));
                    joint.chunks.push(chunk.rank.frac);
                    joint.needs.push(if position == 0 { vec![] } else { vec![node - 1] });
                }
                start = chunk.end;
            }
        }
        let places: BTreeMap<Txid, usize> = joint.txids.iter().copied().zip(0..).collect();
        for (parent, child) in edges {
            if let (Some(parent), Some(child)) = (places.get(parent), places.get(child)) {
                joint.needs[*child].push(*parent);
            }
        }
        joint
    }
}

impl Joint {
    /// What has to go so that each cluster keeps to the limits: the best come first, each after what it needs, and stay if the
    /// cluster that they would make together with what they need is not too large.
    fn cut(&self, count: usize, weight: i64) -> BTreeSet<Txid> {
        let mut groups = Groups::new(self.weights.iter().copied());
        let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); self.txids.len()];
        for (node, needs) in self.needs.iter().enumerate() {
            for need in needs {
                groups.join(node, *need);
                needed_by[*need].push(node);
            }
        }
        let is_large: Vec<bool> = (0..self.txids.len())
            .map(|node| {
                let (members, size) = groups.totals(node);
                members > count || size > weight
            })
            .collect();
        let mut waits_for: Vec<usize> = self.needs.iter().map(Vec::len).collect();
        let mut kept: Vec<bool> = is_large.iter().map(|large| !large).collect();
        let mut partitions = Groups::new(self.weights.iter().copied());
        let mut ready: BinaryHeap<Next> = (0..self.txids.len())
            .filter(|node| is_large[*node] && waits_for[*node] == 0)
            .map(|node| Next { chunk: self.chunks[node], node })
            .collect();
        while let Some(Next { node, .. }) = ready.pop() {
            let roots: BTreeSet<usize> = self.needs[node].iter().map(|need| partitions.root(*need)).collect();
            let (members, size) = roots.iter().fold((1, self.weights[node]), |sum, root| {
                let (members, size) = partitions.totals(*root);
                (sum.0 + members, sum.1 + size)
            });
            if members > count || size > weight {
                continue;
            }
            kept[node] = true;
            for root in roots {
                partitions.join(root, node);
            }
            for next in &needed_by[node] {
                waits_for[*next] -= 1;
                if waits_for[*next] == 0 {
                    ready.push(Next { chunk: self.chunks[*next], node: *next });
                }
            }
        }
        (0..self.txids.len()).filter(|node| !kept[*node]).map(|node| self.txids[node]).collect()
    }
}
