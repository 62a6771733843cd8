//! The lightest inputs that leave change, for times of high fees (Core: `CoinGrinder`).

use super::bnb::{MAX_TRIES, Walk, sums_behind};
use super::groups::{Group, Missed};

/// Looks for the lightest groups that reach `target + change`.
///
/// # Errors
/// There are none, or only such that are too heavy.
pub fn select(mut pool: Vec<&Group>, target: i64, change: i64, max_weight: i64) -> Result<Vec<&Group>, Missed> {
    pool.sort_by_key(|group| (std::cmp::Reverse(group.amount()), group.weight));
    let behind = sums_behind(&pool);
    let lightest = lightest_behind(&pool);
    let target = target + change;
    let (Some(first), Some(rest)) = (pool.first(), behind.first()) else { return Err(Missed::Nothing) };
    if first.amount() + rest < target {
        return Err(Missed::Nothing);
    }
    let mut best: Vec<usize> = Vec::new();
    let (mut best_amount, mut best_weight, mut too_heavy) = (i64::MAX, max_weight, false);
    let mut walk = Walk::default();
    for tries in 1.. {
        let last = walk.take(&pool);
        let (mut cut, mut shift) = (false, false);
        // Nothing behind the last group is lighter than it: leaving it out cannot help either.
        let hopeless = pool[last].weight <= lightest[last];
        if walk.amount + behind[last] < target {
            cut = true;
        } else if walk.weight > best_weight {
            too_heavy |= walk.weight > max_weight;
            (cut, shift) = (hopeless, !hopeless);
        } else if walk.amount >= target {
            shift = true;
            if walk.weight < best_weight || (walk.weight == best_weight && walk.amount < best_amount) {
                best.clone_from(&walk.chosen);
                (best_weight, best_amount) = (walk.weight, walk.amount);
            }
        } else if !best.is_empty() {
            let amount = pool[last].amount();
            let needed = (target - walk.amount + amount - 1) / amount;
            if walk.weight.saturating_add(lightest[last].saturating_mul(needed)) > best_weight {
                (cut, shift) = (hopeless, !hopeless);
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

/// For each group the least weight of any behind it.
fn lightest_behind(pool: &[&Group]) -> Vec<i64> {
    let mut out = vec![0; pool.len()];
    let mut least = i64::MAX;
    for (slot, group) in out.iter_mut().zip(pool).rev() {
        *slot = least;
        least = least.min(group.weight);
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn pool(groups: &[(i64, i64)]) -> Vec<Group> {
        groups.iter().map(|(value, weight)| Group { effective: *value, weight: *weight, ..Group::default() }).collect()
    }

    fn chosen(groups: &[(i64, i64)], target: i64, max_weight: i64) -> Result<Vec<i64>, Missed> {
        let pool = pool(groups);
        select(pool.iter().collect(), target, 0, max_weight).map(|found| found.iter().map(|group| group.amount()).collect())
    }

    #[test]
    fn the_lightest_inputs_win_and_among_them_the_smallest_amount() {
        assert_eq!(chosen(&[(10, 100), (6, 10), (6, 10)], 10, 1000), Ok(vec![6, 6]));
        assert_eq!(chosen(&[(10, 15), (6, 10), (6, 10)], 10, 1000), Ok(vec![10]));
        assert_eq!(chosen(&[(12, 15), (11, 15), (6, 10)], 10, 1000), Ok(vec![11]));
        assert_eq!(chosen(&[(6, 10), (6, 10)], 13, 1000), Err(Missed::Nothing));
        assert_eq!(chosen(&[(6, 10), (6, 10)], 12, 19), Err(Missed::TooHeavy));
    }
}
