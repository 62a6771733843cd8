//! A change thought through before it is made: which clusters it would leave, and what they would pay.

use crate::diagram::compare_diagrams;
use crate::feerate::FeeFrac;
use crate::linearize::{Item, chunks};
use crate::pool::Mempool;
use crate::replace::Candidate;
use bitcoin::Txid;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

/// Clusters that a change touches, as they would be after it.
#[derive(Debug)]
pub struct Staged {
    items: Vec<Item<Txid>>,
    /// Chunks of the clusters as they are, best first.
    before: Vec<FeeFrac>,
}

impl Mempool {
    /// Adds `additions`, parents first, and takes `removals` with all their descendants away, on paper.
    pub fn stage(&self, additions: &[Candidate<'_>], removals: &BTreeSet<Txid>) -> Staged {
        let mut clusters = BTreeSet::new();
        let parents = additions.iter().flat_map(|new| new.tx.input.iter().map(|input| input.previous_output.txid));
        for txid in removals.iter().copied().chain(parents) {
            clusters.extend(self.entries.get(&txid).map(|entry| entry.cluster));
        }
        let clusters = || clusters.iter().filter_map(|id| self.clusters.by_id.get(id));
        let mut before: Vec<FeeFrac> =
            clusters().flat_map(|cluster| cluster.chunks.iter().map(|chunk| chunk.rank.frac)).collect();
        before.sort_by(|a, b| b.cmp_rate(a));

        let mut kept: Vec<Txid> = clusters().flat_map(|cluster| cluster.members.iter().copied()).collect();
        kept.retain(|txid| !removals.contains(txid));
        kept.sort();
        let mut items = self.items(&kept);
        let mut places: HashMap<Txid, usize> = kept.into_iter().zip(0..).collect();
        for new in additions {
            let parents: BTreeSet<usize> =
                new.tx.input.iter().filter_map(|input| places.get(&input.previous_output.txid).copied()).collect();
            places.insert(new.txid, items.len());
            items.push(Item { key: new.txid, frac: new.frac(), parents: parents.into_iter().collect() });
        }
        Staged { items, before }
    }
}

impl Staged {
    /// Whether each cluster would have at most `count` transactions and `weight` units of adjusted weight.
    pub fn fits(&self, count: usize, weight: i64) -> bool {
        let mut groups = Groups::new(self.items.iter().map(|item| item.frac.size));
        for (i, item) in self.items.iter().enumerate() {
            for parent in &item.parents {
                groups.join(i, *parent);
            }
        }
        (0..self.items.len()).all(|i| {
            let (members, size) = groups.totals(i);
            members <= count && size <= weight
        })
    }

    /// Whether the touched clusters would pay at least as much at every size, and more at one.
    pub fn improves_diagram(&self) -> bool {
        let mut after: Vec<FeeFrac> = chunks(&self.items).into_iter().map(|chunk| chunk.frac).collect();
        after.sort_by(|a, b| b.cmp_rate(a));
        compare_diagrams(&after, &self.before) == Some(Ordering::Greater)
    }
}

/// Disjoint sets with their counts and sizes.
#[derive(Debug)]
pub(crate) struct Groups {
    parent: Vec<usize>,
    totals: Vec<(usize, i64)>,
}

impl Groups {
    pub fn new(sizes: impl Iterator<Item = i64>) -> Self {
        let totals: Vec<(usize, i64)> = sizes.map(|size| (1, size)).collect();
        Self { parent: (0..totals.len()).collect(), totals }
    }

    pub fn root(&mut self, mut i: usize) -> usize {
        while self.parent[i] != i {
            self.parent[i] = self.parent[self.parent[i]];
            i = self.parent[i];
        }
        i
    }

    pub fn join(&mut self, a: usize, b: usize) {
        let (mut large, mut small) = (self.root(a), self.root(b));
        if large == small {
            return;
        }
        if self.totals[large].0 < self.totals[small].0 {
            std::mem::swap(&mut large, &mut small);
        }
        self.parent[small] = large;
        self.totals[large].0 += self.totals[small].0;
        self.totals[large].1 += self.totals[small].1;
    }

    pub fn totals(&mut self, i: usize) -> (usize, i64) {
        let root = self.root(i);
        self.totals[root]
    }
}
