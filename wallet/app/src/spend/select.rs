//! Choice among the selection algorithms (Core: `SelectCoins` in `wallet/spend.cpp`).

use bitcoin::secp256k1::rand::RngCore;
use bitcoin::secp256k1::rand::seq::SliceRandom;
use bitcoin::{OutPoint, Txid};
use std::collections::{BTreeMap, BTreeSet};

use super::groups::{self, Filter, Groups, Missed};
use super::pool::PoolView;
use super::{Coin, MAX_STANDARD_TX_WEIGHT, SpendError, TRUC_VERSION, bnb, grinder, knapsack};
use crate::state::OutputType;

/// Weight of a version 3 transaction with an unconfirmed parent at most (BIP431).
pub const TRUC_CHILD_MAX_WEIGHT: i64 = 4000;

/// Numbers that selection works with; satoshi, bytes, satoshi per 1000 vbytes.
#[derive(Debug, Clone)]
pub struct Params<'a> {
    /// Rate to pay.
    pub rate: i64,
    /// Rate at which a coin would be spent one day.
    pub long_term_rate: i64,
    /// Fee of the change output.
    pub change_fee: i64,
    /// That and the fee to spend it.
    pub cost_of_change: i64,
    /// Change to aim at.
    pub change_target: i64,
    /// Smallest change worth making.
    pub min_viable_change: i64,
    /// Bytes of the transaction without inputs.
    pub no_inputs_size: i64,
    /// Bytes of the change output.
    pub change_output_size: i64,
    /// Recipients pay the fee.
    pub subtract_fee: bool,
    /// Coins of an address are spent together.
    pub together: bool,
    /// Unsafe coins may be used.
    pub include_unsafe: bool,
    /// Unconfirmed change may be used.
    pub zero_conf: bool,
    /// Coins with long chains of unconfirmed ancestors are left alone.
    pub reject_long_chains: bool,
    /// Ancestor limit.
    pub max_ancestors: u64,
    /// Limit of a cluster.
    pub max_cluster: u64,
    /// Weight of the transaction at most.
    pub max_weight: i64,
    /// Version of the transaction.
    pub version: i32,
    /// The mempool around our unconfirmed coins.
    pub pool: &'a PoolView,
    /// Transactions that this one replaces.
    pub replaced: &'a BTreeSet<Txid>,
}

/// The outcome.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Coins to spend.
    pub coins: Vec<Coin>,
    /// Name of the algorithm, for the log.
    pub algorithm: &'static str,
    /// Waste, satoshi.
    pub waste: i64,
    target: i64,
    subtract_fee: bool,
    /// Satoshi by which fees for ancestors are less together than one by one.
    discount: i64,
}

impl Selection {
    fn new(coins: Vec<Coin>, algorithm: &'static str, target: i64, params: &Params<'_>) -> Selection {
        let mut out = Selection { coins, algorithm, waste: 0, target, subtract_fee: params.subtract_fee, discount: 0 };
        out.waste = out.compute_waste(params);
        out
    }

    /// Sum of the coins, satoshi.
    pub fn value(&self) -> i64 {
        self.coins.iter().map(|coin| coin.value).sum()
    }

    /// Fees for ancestors, satoshi.
    pub fn bump_fees(&self) -> i64 {
        self.coins.iter().map(|coin| coin.bump_fee).sum::<i64>() - self.discount
    }

    fn amount(&self) -> i64 {
        if self.subtract_fee { self.value() } else { self.coins.iter().map(Coin::effective_value).sum::<i64>() + self.discount }
    }

    fn weight(&self) -> i64 {
        self.coins.iter().map(|coin| coin.input_bytes.unwrap_or(0) * 4).sum()
    }

    /// Change to make; 0: none.
    pub fn change(&self, params: &Params<'_>) -> i64 {
        let change = self.amount() - self.target - if self.subtract_fee { 0 } else { params.change_fee };
        if change < params.min_viable_change { 0 } else { change }
    }

    fn compute_waste(&self, params: &Params<'_>) -> i64 {
        let timing: i64 = self.coins.iter().map(|coin| coin.fee - coin.long_term_fee).sum();
        let rest = if self.change(params) > 0 { params.cost_of_change } else { self.amount() - self.target };
        timing - self.discount + rest
    }

    /// Shared ancestors are paid for once.
    fn apply_discount(&mut self, params: &Params<'_>) {
        let unconfirmed: Vec<&Coin> = self.coins.iter().filter(|coin| coin.depth <= 0).collect();
        let single: i64 = unconfirmed.iter().map(|coin| coin.bump_fee).sum();
        if single > 0 {
            let outpoints: Vec<OutPoint> = unconfirmed.iter().map(|coin| coin.outpoint).collect();
            self.discount = (single - params.pool.combined_bump_fee(&outpoints, params.replaced, params.rate)).max(0);
        }
        self.waste = self.compute_waste(params);
    }

    /// Less waste is better; at equal waste, more inputs.
    fn is_better_than(&self, other: &Selection) -> bool {
        self.waste < other.waste || (self.waste == other.waste && self.coins.len() > other.coins.len())
    }
}

/// The first of the best.
fn best(all: Vec<Selection>) -> Option<Selection> {
    all.into_iter().reduce(|best, next| if next.is_better_than(&best) { next } else { best })
}

/// Chooses coins for `target` satoshi, fees of everything but the inputs included.
///
/// # Errors
/// [`SpendError::InsufficientFunds`] or a text that says more.
pub fn select(
    available: &mut [Coin],
    preset: &[Coin],
    target: i64,
    allow_other: bool,
    params: &Params<'_>,
    rng: &mut dyn RngCore,
) -> Result<Selection, SpendError> {
    let amount = |coin: &Coin| if params.subtract_fee { coin.value } else { coin.effective_value() };
    let rest = target - preset.iter().map(amount).sum::<i64>();
    if !allow_other && rest > 0 {
        return Err(SpendError::text(
            "The preselected coins total amount does not cover the transaction target. Please allow other inputs to be automatically selected or include more coins manually",
        ));
    }
    if rest <= 0 {
        return Ok(Selection::new(preset.to_vec(), "manual", target, params));
    }
    if rest > available.iter().map(amount).sum::<i64>() {
        return Err(SpendError::InsufficientFunds);
    }
    let mut chosen = automatic(available, rest, params, rng)?;
    if !preset.is_empty() {
        chosen.coins.extend_from_slice(preset);
        chosen.target = target;
        chosen.waste = chosen.compute_waste(params);
        if chosen.weight() > params.max_weight - params.no_inputs_size * 4 {
            return Err(SpendError::text(
                "The combination of the pre-selected inputs and the wallet automatic inputs selection exceeds the transaction maximum weight. Please try sending a smaller amount or manually consolidating your wallet's UTXOs",
            ));
        }
    }
    Ok(chosen)
}

fn automatic(available: &mut [Coin], target: i64, params: &Params<'_>, rng: &mut dyn RngCore) -> Result<Selection, SpendError> {
    const FULL_GROUP: usize = 100;
    if params.together && available.len() > FULL_GROUP {
        // Which coins of an address form a group must not tell anything.
        available.shuffle(rng);
    }
    let filters = groups::filters(
        params.zero_conf,
        params.include_unsafe,
        params.reject_long_chains,
        params.max_ancestors,
        params.max_cluster,
    );
    let groups = groups::make_groups(available, params.together, params.subtract_fee);
    let discarded = || groups.mixed.iter().filter(|group| !filters.iter().any(|filter| group.eligible(filter)));
    let left = available.iter().map(|coin| coin.value).sum::<i64>() - discarded().map(groups::Group::amount).sum::<i64>();
    if left < target {
        let long = discarded().filter(|group| group.is_long_chain(params.max_ancestors, params.max_cluster));
        if left + long.map(groups::Group::amount).sum::<i64>() > target {
            return Err(SpendError::text(
                "Unconfirmed UTXOs are available, but spending them creates a chain of transactions that will be rejected by the mempool",
            ));
        }
        return Err(SpendError::InsufficientFunds);
    }
    let mut first_error = None;
    let mut params = params.clone();
    for filter in &filters {
        if params.version == TRUC_VERSION && (filter.conf_mine == 0 || filter.conf_theirs == 0) {
            params.max_weight = params.max_weight.min(TRUC_CHILD_MAX_WEIGHT);
        }
        match attempt(available, &groups, target, filter, &params, rng) {
            Ok(Some(selection)) => return Ok(selection),
            Ok(None) => {}
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or(SpendError::InsufficientFunds))
}

/// Groups that one run of the algorithms may use.
#[derive(Default)]
struct Pools<'a> {
    mixed: Vec<&'a groups::Group>,
    positive: Vec<&'a groups::Group>,
}

fn attempt(
    available: &[Coin],
    groups: &Groups,
    target: i64,
    filter: &Filter,
    params: &Params<'_>,
    rng: &mut dyn RngCore,
) -> Result<Option<Selection>, SpendError> {
    let mut by_type: BTreeMap<Option<OutputType>, Pools<'_>> = BTreeMap::new();
    let mut all = Pools::default();
    for group in groups.mixed.iter().filter(|group| group.eligible(filter)) {
        by_type.entry(group.kind).or_default().mixed.push(group);
        all.mixed.push(group);
    }
    for group in groups.positive.iter().filter(|group| group.eligible(filter)) {
        by_type.entry(group.kind).or_default().positive.push(group);
        all.positive.push(group);
    }
    let types = by_type.len();
    let mut found = Vec::new();
    for pools in by_type.into_values() {
        found.extend(choose(available, pools, target, params, rng)?);
    }
    if found.is_empty() && filter.mixed_types && types > 1 {
        return choose(available, all, target, params, rng);
    }
    Ok(best(found))
}

fn choose(
    available: &[Coin],
    pools: Pools<'_>,
    target: i64,
    params: &Params<'_>,
    rng: &mut dyn RngCore,
) -> Result<Option<Selection>, SpendError> {
    let mut max_weight = params.max_weight - params.no_inputs_size * 4;
    if max_weight <= 0 {
        return Err(SpendError::text("Maximum transaction weight is less than transaction weight without inputs"));
    }
    let mut found: Vec<Selection> = Vec::new();
    let mut too_heavy = false;
    let mut add = |found: &mut Vec<Selection>, chosen: Result<Vec<&groups::Group>, Missed>, name: &'static str| match chosen {
        Ok(chosen) => {
            let coins = chosen.into_iter().flat_map(|group| &group.coins).map(|position| available[*position].clone());
            found.push(Selection::new(coins.collect(), name, target, params));
        }
        Err(missed) => too_heavy |= missed == Missed::TooHeavy,
    };
    if !params.subtract_fee {
        add(&mut found, bnb::select(pools.positive.clone(), target, params.cost_of_change, max_weight), "bnb");
    }
    max_weight -= params.change_output_size * 4;
    if max_weight < 0 && found.is_empty() {
        return Err(SpendError::text("Maximum transaction weight is too low, can not accommodate change output"));
    }
    add(&mut found, knapsack::knapsack(pools.mixed, target, params.change_target, max_weight, rng), "knapsack");
    if params.rate > params.long_term_rate.saturating_mul(3) {
        add(&mut found, grinder::select(pools.positive.clone(), target, params.change_target, max_weight), "cg");
    }
    add(&mut found, knapsack::random_draw(pools.positive, target, params.change_fee, max_weight, rng), "srd");
    if found.is_empty() && too_heavy {
        return Err(SpendError::text(
            "The inputs size exceeds the maximum weight. Please try sending a smaller amount or manually consolidating your wallet's UTXOs",
        ));
    }
    for selection in &mut found {
        selection.apply_discount(params);
    }
    Ok(best(found))
}

/// Weight limit that the user may set.
///
/// # Errors
/// The limit is out of its range.
pub fn check_max_weight(weight: Option<i64>) -> Result<i64, SpendError> {
    let weight = weight.unwrap_or(MAX_STANDARD_TX_WEIGHT);
    let minimum = super::MIN_STANDARD_TX_NONWITNESS_SIZE * 4;
    if !(minimum..=MAX_STANDARD_TX_WEIGHT).contains(&weight) {
        return Err(SpendError::text(format!(
            "Maximum transaction weight must be between {minimum} and {MAX_STANDARD_TX_WEIGHT}"
        )));
    }
    Ok(weight)
}
