//! Coins that are spent together, and which of them may be used (Core: `OutputGroup`, `GroupOutputs`).

use bitcoin::ScriptBuf;
use std::collections::BTreeMap;

use super::Coin;

/// Coins of one address that a group holds at most.
const MAX_ENTRIES: usize = 100;

/// Coins that are spent together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The coins.
    pub coins: Vec<Coin>,
    /// Sum, satoshi.
    pub value: i64,
    /// Sum after fees.
    pub effective: i64,
    /// Fees.
    pub fee: i64,
    /// Fees at the long-term rate.
    pub long_term_fee: i64,
    /// Weight of the inputs.
    pub weight: i64,
    pub(crate) depth: i32,
    pub(crate) from_me: bool,
    pub(crate) ancestors: u64,
    pub(crate) descendants: u64,
}

impl Group {
    /// Adds a coin.
    pub fn push(&mut self, coin: Coin) {
        if self.coins.is_empty() {
            (self.depth, self.from_me) = (coin.depth, true);
        }
        self.value += coin.value;
        self.effective += coin.effective_value();
        self.fee += coin.fee;
        self.long_term_fee += coin.long_term_fee;
        self.weight += coin.input_bytes.unwrap_or(0) * 4;
        self.depth = self.depth.min(coin.depth);
        self.from_me &= coin.from_me;
        self.ancestors += coin.ancestors;
        self.descendants = self.descendants.max(coin.descendants);
        self.coins.push(coin);
    }

    /// The value that selection counts.
    pub fn amount(&self, subtract_fee: bool) -> i64 {
        if subtract_fee { self.value } else { self.effective }
    }

    fn eligible(&self, filter: &Filter) -> bool {
        let confirmations = if self.from_me { filter.conf_mine } else { filter.conf_theirs };
        self.depth >= confirmations && self.ancestors <= filter.max_ancestors && self.descendants <= filter.max_descendants
    }
}

/// Which coins one attempt may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filter {
    /// Confirmations of our own coins.
    pub conf_mine: i32,
    /// Confirmations of coins from others.
    pub conf_theirs: i32,
    /// Unconfirmed ancestors at most.
    pub max_ancestors: u64,
    /// Transactions in the cluster at most.
    pub max_descendants: u64,
    /// Groups that leave coins of the same address behind are fine.
    pub partial: bool,
    /// Address types may be mixed.
    pub mixed_types: bool,
}

/// The filters that Core tries, strictest first.
pub fn filters(
    zero_conf: bool,
    include_unsafe: bool,
    reject_long_chains: bool,
    max_ancestors: u64,
    max_descendants: u64,
) -> Vec<Filter> {
    let make = |conf_mine, conf_theirs, max_ancestors, max_descendants| Filter {
        conf_mine,
        conf_theirs,
        max_ancestors,
        max_descendants,
        partial: false,
        mixed_types: true,
    };
    let mut out = vec![Filter { mixed_types: false, ..make(1, 6, 0, u64::MAX) }, make(1, 1, 0, u64::MAX)];
    if zero_conf {
        out.push(make(0, 1, 2, 2));
        out.push(make(0, 1, (max_ancestors / 3).min(4), (max_descendants / 3).min(4)));
        out.push(make(0, 1, max_ancestors / 2, max_descendants / 2));
        out.push(Filter { partial: true, ..make(0, 1, max_ancestors.saturating_sub(1), max_descendants.saturating_sub(1)) });
        if include_unsafe {
            out.push(Filter { partial: true, ..make(0, 0, max_ancestors.saturating_sub(1), max_descendants.saturating_sub(1)) });
        }
        if !reject_long_chains {
            out.push(Filter { partial: true, ..make(0, 1, u64::MAX, u64::MAX) });
        }
    }
    out
}

/// Groups of one attempt: all, and those made of coins that are worth more than they cost.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    /// All coins.
    pub mixed: Vec<Group>,
    /// Coins with a positive effective value.
    pub positive: Vec<Group>,
}

/// Puts coins into groups and keeps the eligible ones.
pub fn make_groups(coins: &[Coin], together: bool, subtract_fee: bool, filter: &Filter) -> Groups {
    let mut out = Groups::default();
    if !together {
        for coin in coins {
            let mut group = Group::default();
            group.push(coin.clone());
            if !group.eligible(filter) {
                continue;
            }
            if group.amount(subtract_fee) > 0 {
                out.positive.push(group.clone());
            }
            out.mixed.push(group);
        }
        return out;
    }
    for positive in [false, true] {
        let mut by_script: BTreeMap<&ScriptBuf, Vec<Group>> = BTreeMap::new();
        for coin in coins {
            if positive && coin.effective_value() <= 0 {
                continue;
            }
            let groups = by_script.entry(&coin.script).or_default();
            if groups.last().is_none_or(|group| group.coins.len() >= MAX_ENTRIES) {
                groups.push(Group::default());
            }
            if let Some(last) = groups.last_mut() {
                last.push(coin.clone());
            }
        }
        let target = if positive { &mut out.positive } else { &mut out.mixed };
        for groups in by_script.into_values() {
            let count = groups.len();
            for (position, group) in groups.into_iter().enumerate() {
                // With full groups present, the last one is partial: spending it leaves siblings behind.
                let is_partial = count > 1 && position + 1 == count;
                if (is_partial && !filter.partial) || !group.eligible(filter) || group.amount(subtract_fee) <= 0 {
                    continue;
                }
                target.push(group);
            }
        }
    }
    out
}
