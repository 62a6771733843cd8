//! Selection that leaves change: the stochastic knapsack solver and single random draw
//! (Core: `KnapsackSolver`, `SelectCoinsSRD`).

use bitcoin::secp256k1::rand::{Rng, RngCore, seq::SliceRandom};

use super::groups::Group;

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
fn best_subset(
    pool: &[Group],
    amounts: &[i64],
    total: i64,
    target: i64,
    max_weight: i64,
    rng: &mut dyn RngCore,
) -> (Vec<bool>, i64) {
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
            for index in 0..pool.len() {
                // First pass: a coin flip each. Second pass: everything that the first left out.
                if if pass == 0 { rng.r#gen::<bool>() } else { !chosen[index] } {
                    sum += amounts[index];
                    weight += pool[index].weight;
                    chosen[index] = true;
                    if sum >= target && weight <= max_weight {
                        reached = true;
                        if sum < best_sum {
                            best_sum = sum;
                            best.clone_from(&chosen);
                        }
                        sum -= amounts[index];
                        weight -= pool[index].weight;
                        chosen[index] = false;
                    }
                }
            }
        }
    }
    (best, best_sum)
}

/// The knapsack solver. `subtract_fee`: amounts count before fees.
pub fn knapsack(
    mut pool: Vec<Group>,
    target: i64,
    change: i64,
    max_weight: i64,
    subtract_fee: bool,
    rng: &mut dyn RngCore,
) -> Option<Vec<Group>> {
    pool.shuffle(rng);
    let amount = |group: &Group| group.amount(subtract_fee);
    let mut lowest_larger: Option<Group> = None;
    let mut applicable: Vec<Group> = Vec::new();
    let mut total = 0i64;
    for group in pool {
        if group.weight > max_weight {
            continue;
        }
        if amount(&group) == target {
            return Some(vec![group]);
        }
        if amount(&group) < target + change {
            total += amount(&group);
            applicable.push(group);
        } else if lowest_larger.as_ref().is_none_or(|larger| amount(&group) < amount(larger)) {
            lowest_larger = Some(group);
        }
    }
    let fits = |groups: &[Group]| groups.iter().map(|group| group.weight).sum::<i64>() <= max_weight;
    if total == target && fits(&applicable) {
        return Some(applicable);
    }
    if total < target {
        return lowest_larger.map(|larger| vec![larger]);
    }
    applicable.sort_by_key(|group| std::cmp::Reverse(amount(group)));
    let amounts: Vec<i64> = applicable.iter().map(amount).collect();
    let (mut best, mut sum) = best_subset(&applicable, &amounts, total, target, max_weight, rng);
    if sum != target && total >= target + change {
        (best, sum) = best_subset(&applicable, &amounts, total, target + change, max_weight, rng);
    }
    if let Some(larger) = lowest_larger
        && ((sum != target && sum < target + change) || amount(&larger) <= sum)
    {
        return Some(vec![larger]);
    }
    let chosen: Vec<Group> = applicable.into_iter().zip(best).filter(|(_, chosen)| *chosen).map(|(group, _)| group).collect();
    fits(&chosen).then_some(chosen)
}

/// Single random draw: groups in random order until there is enough for the payment and some change.
pub fn random_draw(
    mut pool: Vec<Group>,
    target: i64,
    change_fee: i64,
    max_weight: i64,
    subtract_fee: bool,
    rng: &mut dyn RngCore,
) -> Option<Vec<Group>> {
    let target = target + CHANGE_LOWER + change_fee;
    pool.shuffle(rng);
    let mut chosen: Vec<Group> = Vec::new();
    let (mut sum, mut weight) = (0i64, 0i64);
    for group in pool {
        sum += group.amount(subtract_fee);
        weight += group.weight;
        chosen.push(group);
        while weight > max_weight {
            // Too heavy: give up the least valuable one.
            let worst = chosen.iter().enumerate().min_by_key(|(_, group)| group.amount(subtract_fee)).map(|(index, _)| index)?;
            let gone = chosen.swap_remove(worst);
            sum -= gone.amount(subtract_fee);
            weight -= gone.weight;
        }
        if sum >= target {
            return Some(chosen);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bitcoin::secp256k1::rand::{SeedableRng, rngs::StdRng};

    fn pool(values: &[i64]) -> Vec<Group> {
        values.iter().map(|value| Group { value: *value, effective: *value, weight: 4, ..Group::default() }).collect()
    }

    fn sum(groups: Option<Vec<Group>>) -> Option<i64> {
        groups.map(|groups| groups.iter().map(|group| group.value).sum())
    }

    #[test]
    fn knapsack_takes_the_exact_or_the_next_larger_coin() {
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(sum(knapsack(pool(&[5, 7, 100]), 7, 1, 1000, false, &mut rng)), Some(7));
        assert_eq!(sum(knapsack(pool(&[5, 7, 100]), 12, 1, 1000, false, &mut rng)), Some(12));
        assert_eq!(sum(knapsack(pool(&[5, 7, 100]), 50, 1, 1000, false, &mut rng)), Some(100));
        assert_eq!(sum(knapsack(pool(&[5, 7]), 50, 1, 1000, false, &mut rng)), None);
    }

    #[test]
    fn random_draw_leaves_change() {
        let mut rng = StdRng::seed_from_u64(2);
        let coins = pool(&[CHANGE_LOWER; 10]);
        let got = sum(random_draw(coins, CHANGE_LOWER, 10, 1000, false, &mut rng)).unwrap();
        assert_eq!(got, 3 * CHANGE_LOWER);
        assert_eq!(random_draw(pool(&[1, 2]), 1, 0, 1000, false, &mut rng), None);
        for payment in [1, 1_000_000] {
            let target = change_target(payment, 3, &mut rng);
            assert!((CHANGE_LOWER + 3..CHANGE_UPPER + 3).contains(&target));
        }
    }
}
