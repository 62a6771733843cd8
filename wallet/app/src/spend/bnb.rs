//! Branch and bound: inputs that need no change (Core: `SelectCoinsBnB`).

use super::groups::Group;

const MAX_TRIES: usize = 100_000;

/// Looks for groups whose amounts fall between `target` and `target + cost_of_change` with the least waste.
pub fn select(mut pool: Vec<Group>, target: i64, cost_of_change: i64, max_weight: i64) -> Option<Vec<Group>> {
    let amount = |group: &Group| group.effective;
    let mut available: i64 = pool.iter().map(amount).sum();
    if available < target || pool.is_empty() {
        return None;
    }
    pool.sort_by_key(|group| (std::cmp::Reverse(group.effective), group.fee - group.long_term_fee));
    let high_rate = pool[0].fee > pool[0].long_term_fee;
    let (mut value, mut waste, mut weight) = (0i64, 0i64, 0i64);
    let mut current: Vec<usize> = Vec::new();
    let mut best: Option<(i64, Vec<usize>)> = None;
    let mut index = 0usize;
    for _ in 0..MAX_TRIES {
        let best_waste = best.as_ref().map_or(i64::MAX, |(waste, _)| *waste);
        let mut backtrack = false;
        if value + available < target
            || value > target + cost_of_change
            || (waste > best_waste && high_rate)
            || weight > max_weight
        {
            backtrack = true;
        } else if value >= target {
            let total = waste + (value - target);
            if total <= best_waste {
                best = Some((total, current.clone()));
            }
            backtrack = true;
        }
        if backtrack {
            let Some(last) = current.pop() else { break };
            // What was left out behind the last one included is available again.
            for group in &pool[last + 1..index] {
                available += amount(group);
            }
            index = last;
            let group = &pool[last];
            value -= amount(group);
            weight -= group.weight;
            waste -= group.fee - group.long_term_fee;
        } else if let Some(group) = pool.get(index) {
            available -= amount(group);
            // A twin of a group that was just left out would only repeat the same branch.
            let twin_left_out = index > 0
                && current.last() != Some(&(index - 1))
                && amount(group) == amount(&pool[index - 1])
                && group.fee == pool[index - 1].fee;
            if current.is_empty() || !twin_left_out {
                current.push(index);
                value += amount(group);
                weight += group.weight;
                waste += group.fee - group.long_term_fee;
            }
        }
        index += 1;
    }
    best.map(|(_, chosen)| chosen.into_iter().map(|index| pool[index].clone()).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn pool(values: &[i64]) -> Vec<Group> {
        values.iter().map(|value| Group { value: *value, effective: *value, weight: 4, ..Group::default() }).collect()
    }

    fn sum(groups: Option<Vec<Group>>) -> Option<i64> {
        groups.map(|groups| groups.iter().map(|group| group.value).sum())
    }

    #[test]
    fn finds_an_exact_match_or_nothing() {
        assert_eq!(sum(select(pool(&[1, 2, 3, 4]), 5, 0, 1000)), Some(5));
        assert_eq!(sum(select(pool(&[1, 2, 3, 4]), 10, 0, 1000)), Some(10));
        assert_eq!(select(pool(&[2, 4, 6]), 5, 0, 1000), None);
        assert_eq!(sum(select(pool(&[2, 4, 6]), 5, 1, 1000)), Some(6));
        assert_eq!(select(pool(&[1, 1]), 5, 1, 1000), None);
        // Five inputs of 1 are too heavy, one of 5 is not.
        assert_eq!(select(pool(&[1, 1, 1, 1, 1]), 5, 0, 12), None);
    }
}
