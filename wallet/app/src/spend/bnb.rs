//! Branch and bound: inputs that need no change (Core: `SelectCoinsBnB`).

use super::groups::{Group, Missed};

/// Steps after which the best choice so far is taken.
pub(super) const MAX_TRIES: usize = 100_000;

/// Looks for groups whose amounts fall between `target` and `target + cost_of_change` with the least waste.
///
/// # Errors
/// There are none, or only such that are too heavy.
pub fn select(mut pool: Vec<&Group>, target: i64, cost_of_change: i64, max_weight: i64) -> Result<Vec<&Group>, Missed> {
    pool.sort_by_key(|group| (std::cmp::Reverse(group.amount()), group.fee - group.long_term_fee));
    let behind = sums_behind(&pool);
    let (Some(first), Some(rest)) = (pool.first(), behind.first()) else { return Err(Missed::Nothing) };
    if first.amount() + rest < target {
        return Err(Missed::Nothing);
    }
    let high_rate = first.fee > first.long_term_fee;
    let mut best: Vec<usize> = Vec::new();
    let (mut best_waste, mut too_heavy) = (i64::MAX, false);
    let mut walk = Walk::default();
    for tries in 1.. {
        let last = walk.take(&pool);
        let (mut cut, mut shift) = (false, false);
        if walk.amount + behind[last] < target {
            cut = true;
        } else if walk.weight > max_weight {
            (too_heavy, shift) = (true, true);
        } else if walk.amount > target + cost_of_change || (high_rate && walk.waste > best_waste) {
            shift = true;
        } else if walk.amount >= target {
            shift = true;
            let waste = walk.waste + (walk.amount - target);
            if waste <= best_waste {
                best.clone_from(&walk.chosen);
                best_waste = waste;
            }
        }
        if tries >= MAX_TRIES || !walk.advance(&pool, cut, shift) {
            break;
        }
    }
    if best.is_empty() {
        return Err(if too_heavy { Missed::TooHeavy } else { Missed::Nothing });
    }
    Ok(best.into_iter().map(|index| pool[index]).collect())
}

/// For each group the sum of all behind it.
pub(super) fn sums_behind(pool: &[&Group]) -> Vec<i64> {
    let mut out = vec![0; pool.len()];
    let mut sum = 0;
    for (slot, group) in out.iter_mut().zip(pool).rev() {
        *slot = sum;
        sum += group.amount();
    }
    out
}

/// A walk through the tree of choices: at each group first with it, then without it.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) chosen: Vec<usize>,
    pub(super) amount: i64,
    pub(super) weight: i64,
    pub(super) waste: i64,
    next: usize,
}

impl Walk {
    /// Chooses the next group; answers its position.
    pub(super) fn take(&mut self, pool: &[&Group]) -> usize {
        let taken = self.next;
        let group = pool[taken];
        self.amount += group.amount();
        self.weight += group.weight;
        self.waste += group.fee - group.long_term_fee;
        self.chosen.push(taken);
        self.next += 1;
        taken
    }

    fn give_back(&mut self, pool: &[&Group]) -> Option<usize> {
        let last = self.chosen.pop()?;
        self.amount -= pool[last].amount();
        self.weight -= pool[last].weight;
        self.waste -= pool[last].fee - pool[last].long_term_fee;
        Some(last)
    }

    /// Goes on: `shift` leaves the last group out, `cut` also what was chosen before it. Answers whether there is a next
    /// group to choose.
    pub(super) fn advance(&mut self, pool: &[&Group], cut: bool, shift: bool) -> bool {
        let mut shift = shift;
        if cut || self.next == pool.len() {
            self.give_back(pool);
            shift = true;
        }
        while std::mem::take(&mut shift) {
            let Some(last) = self.give_back(pool) else { return false };
            self.next = last + 1;
            // A twin of what was just left out would only repeat the same branch.
            while pool[self.next - 1].amount() == pool[self.next].amount() {
                if self.next + 1 >= pool.len() {
                    shift = true;
                    break;
                }
                self.next += 1;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn pool(values: &[i64]) -> Vec<Group> {
        values.iter().map(|value| Group { value: *value, effective: *value, weight: 4, ..Group::default() }).collect()
    }

    fn sum(values: &[i64], target: i64, cost: i64, max_weight: i64) -> Result<i64, Missed> {
        let pool = pool(values);
        select(pool.iter().collect(), target, cost, max_weight).map(|groups| groups.iter().map(|group| group.value).sum())
    }

    #[test]
    fn finds_an_exact_match_or_nothing() {
        assert_eq!(sum(&[1, 2, 3, 4], 5, 0, 1000), Ok(5));
        assert_eq!(sum(&[1, 2, 3, 4], 10, 0, 1000), Ok(10));
        assert_eq!(sum(&[2, 4, 6], 5, 0, 1000), Err(Missed::Nothing));
        assert_eq!(sum(&[2, 4, 6], 5, 1, 1000), Ok(6));
        assert_eq!(sum(&[1, 1], 5, 1, 1000), Err(Missed::Nothing));
        assert_eq!(sum(&[], 5, 1, 1000), Err(Missed::Nothing));
        assert_eq!(sum(&[5], 5, 1, 1000), Ok(5));
        // Five inputs of 1 are too heavy.
        assert_eq!(sum(&[1, 1, 1, 1, 1], 5, 0, 12), Err(Missed::TooHeavy));
        assert_eq!(sum(&[3, 1, 1, 1, 1, 1], 5, 0, 12), Ok(5));
    }

    #[test]
    fn many_twins_are_skipped() {
        let values = [vec![7; 50_000], vec![3]].concat();
        assert_eq!(sum(&values, 10, 0, 1_000_000), Ok(10));
        assert_eq!(sum(&values, 5, 0, 1_000_000), Err(Missed::Nothing));
    }
}
