//! Orders the transactions of one cluster by fee rate, and splits the order into chunks.
//!
//! The order repeatedly takes the set "one transaction with its remaining ancestors" of the highest rate. It is optimal for
//! chains, for one parent with children and one child with parents; Core's spanning-forest search can do better on tangled
//! clusters.

use crate::feerate::FeeFrac;
use std::cmp::Ordering;

/// One transaction of a cluster.
#[derive(Debug, Clone)]
pub struct Item<K> {
    /// Decides between equals: the smaller key goes first.
    pub key: K,
    /// Modified fee and adjusted weight.
    pub frac: FeeFrac,
    /// Positions of its parents in the slice.
    pub parents: Vec<usize>,
}

/// Transactions that are mined together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Positions in the slice, parents first.
    pub members: Vec<usize>,
    /// Sum of fees and weights.
    pub frac: FeeFrac,
}

fn ancestors_of<K>(items: &[Item<K>], start: usize, placed: &[bool]) -> Vec<usize> {
    let mut seen = vec![false; items.len()];
    let mut stack = vec![start];
    let mut found = Vec::new();
    while let Some(i) = stack.pop() {
        if seen[i] || placed[i] {
            continue;
        }
        seen[i] = true;
        found.push(i);
        stack.extend(&items[i].parents);
    }
    found
}

/// Chunks of a cluster in descending rate.
pub fn chunks<K: Ord>(items: &[Item<K>]) -> Vec<Chunk> {
    let mut placed = vec![false; items.len()];
    let mut chunks: Vec<Chunk> = Vec::new();
    for _ in 0..items.len() {
        let Some((mut set, frac)) = best_set(items, &placed) else { break };
        // Fewer ancestors first is a topological order; keys decide among siblings.
        let depths: Vec<usize> = (0..items.len()).map(|i| ancestors_of(items, i, &placed).len()).collect();
        set.sort_by(|a, b| depths[*a].cmp(&depths[*b]).then_with(|| items[*a].key.cmp(&items[*b].key)));
        for i in &set {
            placed[*i] = true;
        }
        let mut chunk = Chunk { members: set, frac };
        while let Some(last) = chunks.last()
            && chunk.frac.cmp_rate(&last.frac) == Ordering::Greater
            && let Some(mut last) = chunks.pop()
        {
            last.members.append(&mut chunk.members);
            chunk = Chunk { frac: last.frac.plus(chunk.frac), members: last.members };
        }
        chunks.push(chunk);
    }
    chunks
}

fn best_set<K: Ord>(items: &[Item<K>], placed: &[bool]) -> Option<(Vec<usize>, FeeFrac)> {
    let mut best: Option<(Vec<usize>, FeeFrac, usize)> = None;
    for i in (0..items.len()).filter(|i| !placed[*i]) {
        let set = ancestors_of(items, i, placed);
        let frac = set.iter().fold(FeeFrac::default(), |sum, i| sum.plus(items[*i].frac));
        let better = best.as_ref().is_none_or(|(_, old, j)| {
            let order = frac.cmp_rate(old).then(old.size.cmp(&frac.size));
            order.then_with(|| items[*j].key.cmp(&items[i].key)) == Ordering::Greater
        });
        if better {
            best = Some((set, frac, i));
        }
    }
    best.map(|(set, frac, _)| (set, frac))
}

/// Compares two sets of chunks, each in descending rate: `Greater` if `a` pays at least as much as `b` at every size and
/// more at one, `None` if neither is above the other.
pub fn compare_diagrams(a: &[FeeFrac], b: &[FeeFrac]) -> Option<Ordering> {
    let points = |chunks: &[FeeFrac]| {
        let mut sum = FeeFrac::default();
        let mut points = vec![sum];
        for chunk in chunks {
            sum = sum.plus(*chunk);
            points.push(sum);
        }
        points
    };
    let (left, right) = (points(a), points(b));
    let (mut above, mut below) = (false, false);
    for (own, other, flip) in [(&left, &right, false), (&right, &left, true)] {
        for point in own.iter() {
            let order = order_against(*point, other);
            let order = if flip { order.reverse() } else { order };
            above |= order == Ordering::Greater;
            below |= order == Ordering::Less;
        }
    }
    match (above, below) {
        (true, true) => None,
        (true, false) => Some(Ordering::Greater),
        (false, true) => Some(Ordering::Less),
        (false, false) => Some(Ordering::Equal),
    }
}

/// Whether a point lies above, on or below the line through `points`; behind its end the line is flat.
fn order_against(point: FeeFrac, points: &[FeeFrac]) -> Ordering {
    for pair in points.windows(2) {
        let (start, end) = (pair[0], pair[1]);
        if point.size <= end.size {
            let run = i128::from(end.size - start.size).max(1);
            let rise = i128::from(end.fee - start.fee) * i128::from(point.size - start.size);
            return (i128::from(point.fee - start.fee) * run).cmp(&rise);
        }
    }
    point.fee.cmp(&points.last().map_or(0, |last| last.fee))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn item(key: u32, fee: i64, parents: &[usize]) -> Item<u32> {
        Item { key, frac: FeeFrac::new(fee, 100), parents: parents.to_vec() }
    }

    #[test]
    fn child_pays_for_parent_in_one_chunk() {
        let found = chunks(&[item(1, 10, &[]), item(2, 1000, &[0]), item(3, 5, &[1])]);
        assert_eq!(found[0].members, [0, 1]);
        assert_eq!(found[0].frac, FeeFrac::new(1010, 200));
        assert_eq!(found[1].members, [2]);
    }

    #[test]
    fn order_is_topological_and_rates_fall() {
        let items = [item(1, 100, &[]), item(2, 1, &[0]), item(3, 500, &[0, 1]), item(4, 90, &[0])];
        let found = chunks(&items);
        let order: Vec<usize> = found.iter().flat_map(|chunk| chunk.members.clone()).collect();
        for (position, i) in order.iter().enumerate() {
            assert!(items[*i].parents.iter().all(|parent| order[..position].contains(parent)));
        }
        assert!(found.windows(2).all(|pair| pair[0].frac.cmp_rate(&pair[1].frac) != Ordering::Less));
    }

    #[test]
    fn diagrams_compare_at_every_size() {
        let frac = |fee, size| FeeFrac::new(fee, size);
        assert_eq!(compare_diagrams(&[frac(20, 10)], &[frac(10, 10)]), Some(Ordering::Greater));
        assert_eq!(compare_diagrams(&[frac(20, 100)], &[frac(10, 10)]), None);
        assert_eq!(compare_diagrams(&[], &[frac(0, 10)]), Some(Ordering::Equal));
    }
}
