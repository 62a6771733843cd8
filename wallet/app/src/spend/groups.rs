//! Coins that are spent together, and which of them may be used (Core: `OutputGroup`, `GroupOutputs`).

use bitcoin::ScriptBuf;
use std::collections::BTreeMap;

use super::Coin;
use crate::state::OutputType;

/// Coins of one address that a group holds at most.
const MAX_ENTRIES: usize = 100;

/// Coins that are spent together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Positions of the coins in the list that the groups were made of.
    pub coins: Vec<usize>,
    /// For grouping by address type; `None`: other.
    pub kind: Option<OutputType>,
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
    /// The recipients pay the fee: coins count with their whole value.
    pub subtract_fee: bool,
    /// Spending it leaves coins of the same address behind, although there are full groups of them.
    pub partial: bool,
    pub(super) depth: i32,
    pub(super) from_me: bool,
    pub(super) ancestors: u64,
    pub(super) cluster: u64,
}

/// Why an algorithm found nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// No combination fits.
    Nothing,
    /// Combinations fit, but the transaction would be too heavy.
    TooHeavy,
}

impl Group {
    fn push(&mut self, position: usize, coin: &Coin) {
        if self.coins.is_empty() {
            (self.depth, self.from_me, self.kind) = (coin.depth, true, coin.kind);
        }
        self.value += coin.value;
        self.effective += coin.effective_value();
        self.fee += coin.fee;
        self.long_term_fee += coin.long_term_fee;
        self.weight += coin.input_bytes.unwrap_or(0) * 4;
        self.depth = self.depth.min(coin.depth);
        self.from_me &= coin.from_me;
        self.ancestors += coin.ancestors;
        self.cluster = self.cluster.max(coin.cluster);
        self.coins.push(position);
    }

    /// The value that selection counts.
    pub fn amount(&self) -> i64 {
        if self.subtract_fee { self.value } else { self.effective }
    }

    /// Whether a filter lets the group pass.
    pub fn eligible(&self, filter: &Filter) -> bool {
        let confirmations = if self.from_me { filter.conf_mine } else { filter.conf_theirs };
        self.depth >= confirmations
            && self.ancestors <= filter.max_ancestors
            && self.cluster <= filter.max_cluster
            && (filter.partial || !self.partial)
    }

    /// Whether the mempool would refuse what spends it as too long a chain.
    pub fn is_long_chain(&self, max_ancestors: u64, max_cluster: u64) -> bool {
        self.ancestors >= max_ancestors || self.cluster >= max_cluster
    }
}

/// Which coins one attempt may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filter {
    /// Confirmations of our own coins.
    pub conf_mine: i32,
    /// Confirmations of coins from others.
    pub conf_theirs: i32,
    /// Unconfirmed ancestors at most, summed up.
    pub max_ancestors: u64,
    /// Transactions in the cluster of any coin at most.
    pub max_cluster: u64,
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
    max_cluster: u64,
) -> Vec<Filter> {
    let make = |conf_mine, conf_theirs, max_ancestors, max_cluster| Filter {
        conf_mine,
        conf_theirs,
        max_ancestors,
        max_cluster,
        partial: false,
        mixed_types: true,
    };
    let last = (max_ancestors.saturating_sub(1), max_cluster.saturating_sub(1));
    let mut out = vec![Filter { mixed_types: false, ..make(1, 6, 0, 0) }, make(1, 1, 0, 0)];
    if zero_conf {
        out.push(make(0, 1, 2, 2));
        out.push(make(0, 1, (max_ancestors / 3).min(4), (max_cluster / 3).min(4)));
        out.push(make(0, 1, max_ancestors / 2, max_cluster / 2));
        out.push(Filter { partial: true, ..make(0, 1, last.0, last.1) });
        if include_unsafe {
            out.push(Filter { partial: true, ..make(0, 0, last.0, last.1) });
        }
        if !reject_long_chains {
            out.push(Filter { partial: true, ..make(0, 1, u64::MAX, u64::MAX) });
        }
    }
    out
}

/// All groups, and those made of coins that are worth more than they cost.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    /// All coins.
    pub mixed: Vec<Group>,
    /// Coins with a positive effective value.
    pub positive: Vec<Group>,
}

/// Puts coins into groups: each alone, or those of an address together.
pub fn make_groups(coins: &[Coin], together: bool, subtract_fee: bool) -> Groups {
    let empty = || Group { subtract_fee, ..Group::default() };
    if !together {
        let alone = |(position, coin)| {
            let mut group = empty();
            group.push(position, coin);
            group
        };
        let mixed: Vec<Group> = coins.iter().enumerate().map(alone).collect();
        let positive = mixed.iter().filter(|group| group.amount() > 0).cloned().collect();
        return Groups { mixed, positive };
    }
    let grouped = |positive: bool| {
        let mut by_script: BTreeMap<(&ScriptBuf, Option<OutputType>), Vec<Group>> = BTreeMap::new();
        for (position, coin) in coins.iter().enumerate().filter(|(_, coin)| !positive || coin.effective_value() > 0) {
            let groups = by_script.entry((&coin.script, coin.kind)).or_default();
            if groups.last().is_none_or(|group| group.coins.len() >= MAX_ENTRIES) {
                groups.push(empty());
            }
            if let Some(last) = groups.last_mut() {
                last.push(position, coin);
            }
        }
        for groups in by_script.values_mut().filter(|groups| groups.len() > 1) {
            if let Some(last) = groups.last_mut() {
                last.partial = true;
            }
        }
        by_script.into_values().flatten().filter(|group| !positive || group.amount() > 0).collect()
    };
    Groups { mixed: grouped(false), positive: grouped(true) }
}
