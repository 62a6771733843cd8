//! Choice among the selection algorithms (Core: `SelectCoins` in `wallet/spend.cpp`).

use bitcoin::secp256k1::rand::RngCore;
use std::collections::BTreeMap;

use super::groups::{self, Filter, Groups};
use super::{Coin, MAX_STANDARD_TX_WEIGHT, SpendError, bnb, knapsack};

/// Numbers that selection works with; satoshi, bytes, satoshi per 1000 vbytes.
#[derive(Debug, Clone)]
pub struct Params {
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
    /// Descendant limit.
    pub max_descendants: u64,
    /// Weight of the transaction at most.
    pub max_weight: i64,
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
}

impl Selection {
    fn new(coins: Vec<Coin>, algorithm: &'static str, target: i64, params: &Params) -> Selection {
        let mut out = Selection { coins, algorithm, waste: 0, target, subtract_fee: params.subtract_fee };
        out.waste = out.compute_waste(params);
        out
    }

    /// Sum of the coins, satoshi.
    pub fn value(&self) -> i64 {
        self.coins.iter().map(|coin| coin.value).sum()
    }

    fn amount(&self) -> i64 {
        if self.subtract_fee { self.value() } else { self.coins.iter().map(Coin::effective_value).sum() }
    }

    /// Change to make; 0: none.
    pub fn change(&self, params: &Params) -> i64 {
        let change = self.amount() - self.target - if self.subtract_fee { 0 } else { params.change_fee };
        if change < params.min_viable_change { 0 } else { change }
    }

    fn compute_waste(&self, params: &Params) -> i64 {
        let timing: i64 = self.coins.iter().map(|coin| coin.fee - coin.long_term_fee).sum();
        let rest = if self.change(params) > 0 { params.cost_of_change } else { self.amount() - self.target };
        timing + rest
    }
}

/// Chooses coins for `target` satoshi, fees of everything but the inputs included.
///
/// # Errors
/// [`SpendError::InsufficientFunds`] or a text that says more.
pub fn select(
    available: &[Coin],
    preset: &[Coin],
    target: i64,
    allow_other: bool,
    params: &Params,
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
        let (algorithm, mut coins) = (chosen.algorithm, chosen.coins);
        coins.extend_from_slice(preset);
        let weight: i64 = coins.iter().map(|coin| coin.input_bytes.unwrap_or(0) * 4).sum();
        if weight > params.max_weight - params.no_inputs_size * 4 {
            return Err(SpendError::text(
                "The combination of the pre-selected inputs and the wallet automatic inputs selection exceeds the transaction maximum weight. Please try sending a smaller amount or manually consolidating your wallet's UTXOs",
            ));
        }
        chosen = Selection::new(coins, algorithm, target, params);
    }
    Ok(chosen)
}

fn automatic(available: &[Coin], target: i64, params: &Params, rng: &mut dyn RngCore) -> Result<Selection, SpendError> {
    let filters = groups::filters(
        params.zero_conf,
        params.include_unsafe,
        params.reject_long_chains,
        params.max_ancestors,
        params.max_descendants,
    );
    let mut first_error = None;
    let mut any_eligible = 0i64;
    for filter in &filters {
        let all = groups::make_groups(available, params.together, params.subtract_fee, filter);
        any_eligible = any_eligible.max(all.mixed.iter().map(|group| group.amount(params.subtract_fee)).sum());
        match attempt(available, &all, target, filter, params, rng) {
            Ok(Some(selection)) => return Ok(selection),
            Ok(None) => {}
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let long_chain: i64 = available
        .iter()
        .filter(|coin| coin.ancestors >= params.max_ancestors || coin.descendants >= params.max_descendants)
        .map(|coin| coin.value)
        .sum();
    if first_error.is_none() && any_eligible < target && any_eligible + long_chain > target {
        return Err(SpendError::text(
            "Unconfirmed UTXOs are available, but spending them creates a chain of transactions that will be rejected by the mempool",
        ));
    }
    Err(first_error.unwrap_or(SpendError::InsufficientFunds))
}

fn attempt(
    available: &[Coin],
    all: &Groups,
    target: i64,
    filter: &Filter,
    params: &Params,
    rng: &mut dyn RngCore,
) -> Result<Option<Selection>, SpendError> {
    let mut by_type: BTreeMap<Option<crate::state::OutputType>, Vec<Coin>> = BTreeMap::new();
    for coin in available {
        by_type.entry(coin.kind).or_default().push(coin.clone());
    }
    let mut best: Option<Selection> = None;
    for coins in by_type.values() {
        let groups = groups::make_groups(coins, params.together, params.subtract_fee, filter);
        if let Some(found) = choose(&groups, target, params, rng)?
            && best.as_ref().is_none_or(|best| better(&found, best))
        {
            best = Some(found);
        }
    }
    if best.is_none() && filter.mixed_types && by_type.len() > 1 {
        best = choose(all, target, params, rng)?;
    }
    Ok(best)
}

/// Less waste is better; at equal waste, more inputs.
fn better(a: &Selection, b: &Selection) -> bool {
    a.waste < b.waste || (a.waste == b.waste && a.coins.len() > b.coins.len())
}

fn choose(groups: &Groups, target: i64, params: &Params, rng: &mut dyn RngCore) -> Result<Option<Selection>, SpendError> {
    let mut max_weight = params.max_weight - params.no_inputs_size * 4;
    if max_weight <= 0 {
        return Err(SpendError::text("Maximum transaction weight is less than transaction weight without inputs"));
    }
    let mut found: Vec<Selection> = Vec::new();
    let mut add = |chosen: Option<Vec<groups::Group>>, name: &'static str| {
        if let Some(chosen) = chosen {
            found.push(Selection::new(chosen.into_iter().flat_map(|group| group.coins).collect(), name, target, params));
        }
    };
    if !params.subtract_fee {
        add(bnb::select(groups.positive.clone(), target, params.cost_of_change, max_weight), "bnb");
    }
    max_weight -= params.change_output_size * 4;
    if max_weight >= 0 {
        add(
            knapsack::knapsack(groups.mixed.clone(), target, params.change_target, max_weight, params.subtract_fee, rng),
            "knapsack",
        );
        add(
            knapsack::random_draw(groups.positive.clone(), target, params.change_fee, max_weight, params.subtract_fee, rng),
            "srd",
        );
    } else if found.is_empty() {
        return Err(SpendError::text("Maximum transaction weight is too low, can not accommodate change output"));
    }
    if found.is_empty() {
        let total: i64 = groups.mixed.iter().map(|group| group.amount(params.subtract_fee)).sum();
        if total >= target && groups.mixed.iter().map(|group| group.weight).sum::<i64>() > max_weight {
            return Err(SpendError::text(
                "The inputs size exceeds the maximum weight. Please try sending a smaller amount or manually consolidating your wallet's UTXOs",
            ));
        }
    }
    let mut best: Option<Selection> = None;
    for selection in found {
        if best.as_ref().is_none_or(|best| better(&selection, best)) {
            best = Some(selection);
        }
    }
    Ok(best)
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
