//! Orders the transactions of one cluster by fee rate, and splits the order into chunks.
//!
//! The result is optimal: at no size could another order pay more. A set of transactions that contains all its ancestors is a
//! closure; the closures of one rate are found as minimum cuts of a flow network. A set whose best closure pays more than the
//! whole is cut in two there, and both parts are treated alike; what cannot be cut is of one rate, and falls apart into the
//! strongly connected components of the network's residual graph, the smallest chunks that there are. Smallest chunks are
//! unique, so are the rules by which they and their transactions are put in order: the result is the one that Core's
//! spanning-forest search reaches when it ends (src/cluster_linearize.h).

use crate::feerate::FeeFrac;
use crate::flow::Network;
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

/// Chunks of a cluster, best first. The items may be of several clusters.
pub fn chunks<K: Ord>(items: &[Item<K>]) -> Vec<Chunk> {
    let mut sets = Vec::new();
    let mut work = vec![(0..items.len()).collect::<Vec<usize>>()];
    while let Some(set) = work.pop() {
        match set.len() {
            0 => {}
            1 => sets.push(set),
            _ => match divide(items, &set) {
                Division::Parts(best, rest) => work.extend([rest, best]),
                Division::Chunks(mut smallest) => sets.append(&mut smallest),
            },
        }
    }
    let chunk = |members: Vec<usize>| Chunk { frac: sum(items, &members), members };
    put_in_order(items, sets.into_iter().map(chunk).collect())
}

fn sum<K>(items: &[Item<K>], members: &[usize]) -> FeeFrac {
    members.iter().fold(FeeFrac::default(), |sum, i| sum.plus(items[*i].frac))
}

enum Division {
    /// A closure that pays more than the whole, and the rest.
    Parts(Vec<usize>, Vec<usize>),
    /// All of one rate: its smallest chunks.
    Chunks(Vec<Vec<usize>>),
}

fn divide<K>(items: &[Item<K>], set: &[usize]) -> Division {
    let total_fee: i128 = set.iter().map(|i| i128::from(items[*i].frac.fee)).sum();
    let total_size: i128 = set.iter().map(|i| i128::from(items[*i].frac.size)).sum();
    let mut place = vec![usize::MAX; items.len()];
    for (position, i) in set.iter().enumerate() {
        place[*i] = position;
    }
    // What each pays above the rate of the whole, times the size of the whole. Parents outside the set come before it anyway.
    let mut network = Network::new(set.len());
    for (position, i) in set.iter().enumerate() {
        let FeeFrac { fee, size } = items[*i].frac;
        network.weigh(position, i128::from(fee) * total_size - total_fee * i128::from(size));
        for parent in &items[*i].parents {
            if place[*parent] != usize::MAX {
                network.require(position, place[*parent]);
            }
        }
    }
    let named = |positions: Vec<usize>| positions.into_iter().map(|position| set[position]).collect::<Vec<_>>();
    let best = network.best_closure();
    if best.is_empty() {
        return Division::Chunks(network.components().into_iter().map(named).collect());
    }
    let best = named(best);
    let rest = set.iter().copied().filter(|i| !best.contains(i)).collect();
    Division::Parts(best, rest)
}

/// Chunks by rate, then the smaller, then the one whose largest key is smallest; each after what it depends on.
fn put_in_order<K: Ord>(items: &[Item<K>], mut chunks: Vec<Chunk>) -> Vec<Chunk> {
    let mut chunk_of = vec![0; items.len()];
    for (c, chunk) in chunks.iter_mut().enumerate() {
        for i in &chunk.members {
            chunk_of[*i] = c;
        }
        order_members(items, &mut chunk.members);
    }
    let mut waits_for = vec![0_usize; chunks.len()];
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); chunks.len()];
    for (i, item) in items.iter().enumerate() {
        for parent in &item.parents {
            let (own, other) = (chunk_of[i], chunk_of[*parent]);
            if own != other {
                waits_for[own] += 1;
                needed_by[other].push(own);
            }
        }
    }
    let largest = |chunk: &Chunk| chunk.members.iter().map(|i| &items[*i].key).max();
    let better = |a: usize, b: usize| {
        let (left, right) = (&chunks[a], &chunks[b]);
        let by_rate = right.frac.cmp_rate(&left.frac).then(left.frac.size.cmp(&right.frac.size));
        by_rate.then_with(|| largest(left).cmp(&largest(right)))
    };
    let mut ready: Vec<usize> = (0..chunks.len()).filter(|c| waits_for[*c] == 0).collect();
    let mut order = Vec::with_capacity(chunks.len());
    while let Some(position) = best_position(&ready, better) {
        let c = ready.swap_remove(position);
        order.push(c);
        for next in &needed_by[c] {
            waits_for[*next] -= 1;
            if waits_for[*next] == 0 {
                ready.push(*next);
            }
        }
    }
    let mut chunks: Vec<Option<Chunk>> = chunks.into_iter().map(Some).collect();
    order.into_iter().filter_map(|c| chunks[c].take()).collect()
}

/// By own rate, then the smaller, then the key; each after its parents in the chunk.
fn order_members<K: Ord>(items: &[Item<K>], members: &mut Vec<usize>) {
    if members.len() < 2 {
        return;
    }
    let better = |a: usize, b: usize| {
        let (left, right) = (&items[a], &items[b]);
        let by_rate = right.frac.cmp_rate(&left.frac).then(left.frac.size.cmp(&right.frac.size));
        by_rate.then_with(|| left.key.cmp(&right.key))
    };
    let mut waiting = std::mem::take(members);
    while !waiting.is_empty() {
        let is_ready = |i: &usize| !items[*i].parents.iter().any(|parent| waiting.contains(parent));
        let ready: Vec<usize> = waiting.iter().copied().filter(is_ready).collect();
        let Some(position) = best_position(&ready, better) else { break };
        let chosen = ready[position];
        waiting.retain(|i| *i != chosen);
        members.push(chosen);
    }
}

fn best_position(candidates: &[usize], order: impl Fn(usize, usize) -> Ordering) -> Option<usize> {
    (0..candidates.len()).min_by(|a, b| order(candidates[*a], candidates[*b]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::diagram::compare_diagrams;
    use proptest::prelude::*;

    fn item(key: u32, fee: i64, parents: &[usize]) -> Item<u32> {
        Item { key, frac: FeeFrac::new(fee, 100), parents: parents.to_vec() }
    }

    fn members(found: &[Chunk]) -> Vec<Vec<usize>> {
        found.iter().map(|chunk| chunk.members.clone()).collect()
    }

    #[test]
    fn child_pays_for_parent_in_one_chunk() {
        let found = chunks(&[item(1, 10, &[]), item(2, 1000, &[0]), item(3, 5, &[1])]);
        assert_eq!(members(&found), [vec![0, 1], vec![2]]);
        assert_eq!(found[0].frac, FeeFrac::new(1010, 200));
    }

    #[test]
    fn two_children_pay_for_a_parent_together() {
        // No child alone lifts the parent above the other transaction; both do.
        let found = chunks(&[item(1, 0, &[]), item(2, 300, &[0]), item(3, 300, &[0]), item(4, 160, &[])]);
        assert_eq!(members(&found), [vec![0, 1, 2], vec![3]]);
    }

    #[test]
    fn equal_rates_stay_in_smallest_chunks() {
        let found = chunks(&[item(9, 100, &[]), item(1, 100, &[0]), item(5, 100, &[])]);
        assert_eq!(members(&found), [vec![2], vec![0], vec![1]]);
        // Two parents with one child: the smallest chunk that holds the child holds all.
        let found = chunks(&[item(1, 50, &[]), item(2, 50, &[]), item(3, 200, &[0, 1])]);
        assert_eq!(members(&found), [vec![0, 1, 2]]);
    }

    /// Diagram of the best of all orders, by trying them all.
    fn best_by_force(items: &[Item<u32>]) -> Vec<FeeFrac> {
        fn walk(items: &[Item<u32>], placed: &mut Vec<usize>, best: &mut Vec<FeeFrac>) {
            if placed.len() == items.len() {
                let mut found: Vec<FeeFrac> = Vec::new();
                for i in placed.iter() {
                    let mut next = items[*i].frac;
                    while let Some(last) = found.pop_if(|last| next.cmp_rate(last).is_gt()) {
                        next = last.plus(next);
                    }
                    found.push(next);
                }
                if best.is_empty() || compare_diagrams(&found, best) == Some(Ordering::Greater) {
                    *best = found;
                }
                return;
            }
            for i in 0..items.len() {
                if !placed.contains(&i) && items[i].parents.iter().all(|parent| placed.contains(parent)) {
                    placed.push(i);
                    walk(items, placed, best);
                    placed.pop();
                }
            }
        }
        let mut best = Vec::new();
        walk(items, &mut Vec::new(), &mut best);
        best
    }

    fn clusters(size: usize) -> impl Strategy<Value = Vec<Item<u32>>> {
        let one = (-50i64..400, 1i64..40, any::<u64>());
        proptest::collection::vec(one, 1..size).prop_map(|facts| {
            let make = |(i, (fee, size, links)): (usize, (i64, i64, u64))| Item {
                key: (i as u32).wrapping_mul(0x9e37_79b9),
                frac: FeeFrac::new(fee, size),
                parents: (0..i).filter(|parent| links >> (2 * (parent % 32)) & 3 == 0).collect(),
            };
            facts.into_iter().enumerate().map(make).collect()
        })
    }

    proptest! {
        #[test]
        fn no_order_pays_more(items in clusters(7)) {
            let found: Vec<FeeFrac> = chunks(&items).iter().map(|chunk| chunk.frac).collect();
            prop_assert_eq!(compare_diagrams(&found, &best_by_force(&items)), Some(Ordering::Equal));
        }

        #[test]
        fn order_is_topological_and_rates_fall(items in clusters(64)) {
            let found = chunks(&items);
            let order: Vec<usize> = found.iter().flat_map(|chunk| chunk.members.clone()).collect();
            prop_assert_eq!(order.len(), items.len());
            for (position, i) in order.iter().enumerate() {
                prop_assert!(items[*i].parents.iter().all(|parent| order[..position].contains(parent)));
            }
            prop_assert!(found.windows(2).all(|pair| pair[0].frac.cmp_rate(&pair[1].frac) != Ordering::Less));
        }
    }
}
