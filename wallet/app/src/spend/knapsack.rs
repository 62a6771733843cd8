//! Selection that leaves change: the stochastic knapsack solver and single random draw
//! (Core: `KnapsackSolver`, `SelectCoinsSRD`).

use bitcoin::secp256k1::rand::{Rng, RngCore, seq::SliceRandom};

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::groups::{Group, Missed};

/// Smallest change that selection aims at, satoshi.
pub const CHANGE_LOWER: i64 = 50_000;
/// Largest change that selection aims at, satoshi.
pub const CHANGE_UPPER: i64 = 1_000_000;

/// Change to aim at for a payment, satoshi.
pub fn change_target(payment: i64, change_fee: i64, rng: &mut dyn RngCore) -> i64 {
    if payment <= CHANGE_LOWER / 2 {
        return change_fee + CHANGE_LOWER;
    }
    let upper = payment.saturating_mul(2).min(CHANGE_UPPER);
    change_fee + CHANGE_LOWER + if upper > CHANGE_LOWER { rng.gen_range(0..upper - CHANGE_LOWER) } else { 0 }
}

/// Random subsets of `pool` (sorted, largest first) that reach `target`; keeps the smallest sum.
fn best_subset(pool: &[&Group], total: i64, target: i64, max_weight: i64, rng: &mut dyn RngCore) -> (Vec<bool>, i64) {
    const ITERATIONS: usize = 1000;
    let mut best = vec![true; pool.len()];
    let mut best_sum = total;
    for _ in 0..ITERATIONS {
        if best_sum == target {
            break;
        }
        let mut chosen = vec![false; pool.len()];
        let (mut sum, mut weight) = (0i64, 0i64);
        let mut reached = false;
        for pass in 0..2 {
            if reached {
                break;
            }
            for (index, group) in pool.iter().enumerate() {
                // First pass: a coin flip each. Second pass: everything that the first left out.
                if if pass == 0 { rng.r#gen::<bool>() } else { !chosen[index] } {
                    sum += group.amount();
                    weight += group.weight;
                    chosen[index] = true;
                    if sum >= target && weight <= max_weight {
                        reached = true;
                        if sum < best_sum {
                            best_sum = sum;
                            best.clone_from(&chosen);
                        }
                        sum -= group.amount();
                        weight -= group.weight;
                        chosen[index] = false;
                    }
                }
            }
        }
    }
    (best, best_sum)
}

/// The knapsack solver.
///
/// # Errors
/// Nothing fits, or only what is too heavy.
pub fn knapsack<'a>(
    mut pool: Vec<&'a Group>,
    target: i64,
    change: i64,
    max_weight: i64,
    rng: &mut dyn RngCore,
) -> Result<Vec<&'a Group>, Missed> {
    pool.shuffle(rng);
    let mut lowest_larger: Option<&Group> = None;
    let mut applicable: Vec<&Group> = Vec::new();
    let (mut total, mut too_heavy) = (0i64, false);
    for group in pool {
        if group.weight > max_weight {
            too_heavy = true;
            continue;
        }
        if group.amount() == target {
            return Ok(vec![group]);
        }
        if group.amount() < target + change {
            total += group.amount();
            applicable.push(group);
        } else if lowest_larger.is_none_or(|larger| group.amount() < larger.amount()) {
            lowest_larger = Some(group);
        }
    }
    let fits = |groups: &[&Group]| groups.iter().map(|group| group.weight).sum::<i64>() <= max_weight;
    if total == target {
        if fits(&applicable) {
            return Ok(applicable);
        }
        too_heavy = true;
    }
    if total < target {
        return lowest_larger.map(|larger| vec![larger]).ok_or(if too_heavy { Missed::TooHeavy } else { Missed::Nothing });
    }
    applicable.sort_by_key(|group| (std::cmp::Reverse(group.amount()), group.fee - group.long_term_fee));
    let (mut best, mut sum) = best_subset(&applicable, total, target, max_weight, rng);
    if sum != target && total >= target + change {
        (best, sum) = best_subset(&applicable, total, target + change, max_weight, rng);
    }
    if let Some(larger) = lowest_larger
        && ((sum != target && sum < target + change) || larger.amount() <= sum)
    {
        return Ok(vec![larger]);
    }
    let chosen: Vec<&Group> = applicable.into_iter().zip(best).filter(|(_, chosen)| *chosen).map(|(group, _)| group).collect();
    if fits(&chosen) { Ok(chosen) } else { lowest_larger.map(|larger| vec![larger]).ok_or(Missed::TooHeavy) }
}

/// Single random draw: groups in random order until there is enough for the payment and some change.
///
/// # Errors
/// There is not enough, or only what is too heavy.
pub fn random_draw<'a>(
    mut pool: Vec<&'a Group>,
    target: i64,
    change_fee: i64,
    max_weight: i64,
    rng: &mut dyn RngCore,
) -> Result<Vec<&'a Group>, Missed> {
    let target = target + CHANGE_LOWER + change_fee;
    pool.shuffle(rng);
    // The least valuable one is given up first.
    let mut chosen: BinaryHeap<(Reverse<i64>, usize)> = BinaryHeap::new();
    let (mut sum, mut weight, mut too_heavy) = (0i64, 0i64, false);
    for (position, group) in pool.iter().enumerate() {
        sum += group.amount();
        weight += group.weight;
        chosen.push((Reverse(group.amount()), position));
        while weight > max_weight
            && let Some((_, worst)) = chosen.pop()
        {
            too_heavy = true;
            sum -= pool[worst].amount();
            weight -= pool[worst].weight;
        }
        if sum >= target {
            return Ok(chosen.into_iter().map(|(_, position)| pool[position]).collect());
        }
    }
    Err(if too_heavy { Missed::TooHeavy } else { Missed::Nothing })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bitcoin::secp256k1::rand::{SeedableRng, rngs::StdRng};

    fn pool(values: &[i64]) -> Vec<Group> {
        values.iter().map(|value| Group { value: *value, effective: *value, weight: 4, ..Group::default() }).collect()
    }

    fn sum(groups: Result<Vec<&Group>, Missed>) -> Result<i64, Missed> {
        groups.map(|groups| groups.iter().map(|group| group.value).sum())
    }

    #[test]
    fn knapsack_takes_the_exact_or_the_next_larger_coin() {
        let mut rng = StdRng::seed_from_u64(1);
        let (three, two) = (pool(&[5, 7, 100]), pool(&[5, 7]));
        let mut solve = |pool: &[Group], target| sum(knapsack(pool.iter().collect(), target, 1, 1000, &mut rng));
        assert_eq!(solve(&three, 7), Ok(7));
        assert_eq!(solve(&three, 12), Ok(12));
        assert_eq!(solve(&three, 50), Ok(100));
        assert_eq!(solve(&two, 50), Err(Missed::Nothing));
        assert_eq!(sum(knapsack(two.iter().collect(), 12, 1, 4, &mut rng)), Err(Missed::TooHeavy));
    }

    #[test]
    fn random_draw_leaves_change() {
        let mut rng = StdRng::seed_from_u64(2);
        let coins = pool(&[CHANGE_LOWER; 10]);
        assert_eq!(sum(random_draw(coins.iter().collect(), CHANGE_LOWER, 10, 1000, &mut rng)), Ok(3 * CHANGE_LOWER));
        let small = pool(&[1, 2]);
        assert_eq!(random_draw(small.iter().collect(), 1, 0, 1000, &mut rng), Err(Missed::Nothing));
        // Room for two inputs: the small ones are given up.
        let mixed = pool(&[1, 2, 3, CHANGE_LOWER, CHANGE_LOWER]);
        assert_eq!(sum(random_draw(mixed.iter().collect(), CHANGE_LOWER, 0, 8, &mut rng)), Ok(2 * CHANGE_LOWER));
        assert_eq!(random_draw(mixed.iter().collect(), 2 * CHANGE_LOWER, 0, 8, &mut rng), Err(Missed::TooHeavy));
        for payment in [1, 1_000_000] {
            let target = change_target(payment, 3, &mut rng);
            assert!((CHANGE_LOWER + 3..CHANGE_UPPER + 3).contains(&target));
        }
    }
}
