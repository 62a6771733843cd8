//! Which coins of a wallet can be spent (Core: `AvailableCoins`, `FetchSelectedInputs`).

use bulkhead_wallet_core::descriptor::Solution;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::fees::fee;
use super::pool::PoolView;
use super::{Coin, CoinControl, Selected, SpendError, TRUC_VERSION, size};
use crate::state::descriptor::output_type_of;
use crate::state::tx::WalletTx;
use crate::state::{OutputType, Wallet, flags};
use bitcoin::{OutPoint, TxOut, Txid};

/// What listunspent and selection filter by.
#[derive(Debug, Clone)]
pub struct CoinFilter {
    /// Satoshi at least.
    pub min_amount: i64,
    /// Satoshi at most.
    pub max_amount: i64,
    /// Young coinbases too.
    pub include_immature: bool,
    /// Leave locked coins out.
    pub skip_locked: bool,
    /// Keep version 3 transactions apart.
    pub check_version: bool,
}

impl Default for CoinFilter {
    fn default() -> CoinFilter {
        CoinFilter {
            min_amount: 1,
            max_amount: 2_100_000_000_000_000,
            include_immature: false,
            skip_locked: true,
            check_version: true,
        }
    }
}

/// What coins cost: rates in satoshi per 1000 vbytes, and the mempool around them.
#[derive(Debug, Clone, Copy)]
pub struct Costs<'a> {
    /// Rate to pay.
    pub rate: i64,
    /// Rate at which a coin would be spent one day.
    pub long_term_rate: i64,
    /// The mempool around our unconfirmed coins.
    pub pool: &'a PoolView,
    /// Transactions that the new one replaces.
    pub replaced: &'a BTreeSet<Txid>,
}

/// Whether outputs of a transaction can be used, and whether they are safe.
#[derive(Clone, Copy)]
struct Usable {
    safe: bool,
    depth: i32,
    from_me: bool,
}

/// Coins that pass.
pub fn available(wallet: &Wallet, control: &CoinControl, filter: &CoinFilter, costs: &Costs<'_>) -> Vec<Coin> {
    let allow_used = !wallet.has_flag(flags::AVOID_REUSE) || !control.avoid_address_reuse;
    let preset: HashSet<OutPoint> = control.selected.iter().map(|selected| selected.outpoint).collect();
    let max_sig = !wallet.private_keys_enabled();
    let mut trusted_parents = HashSet::new();
    let mut checked: HashMap<Txid, Option<Usable>> = HashMap::new();
    let mut out: Vec<Coin> = Vec::new();
    let mut truc: Vec<Coin> = Vec::new();
    for outpoint in &wallet.coins {
        let Some(wtx) = wallet.txs.get(&outpoint.txid) else { continue };
        let Some(output) = wallet.output(outpoint) else { continue };
        let usable = *checked
            .entry(outpoint.txid)
            .or_insert_with(|| usable(wallet, wtx, control, filter, &mut trusted_parents, costs.pool));
        let Some(usable) = usable else { continue };
        let value = output.value.to_sat() as i64;
        if value < filter.min_amount || value > filter.max_amount || preset.contains(outpoint) {
            continue;
        }
        if (filter.skip_locked && wallet.locked.contains_key(outpoint)) || wallet.is_spent(outpoint) {
            continue;
        }
        if !allow_used && wallet.is_spent_key(&output.script_pubkey) {
            continue;
        }
        let solution = wallet.solution(&output.script_pubkey);
        let bytes = solution.as_ref().and_then(|solution| size::input_bytes(solution, max_sig));
        let mut coin = make(*outpoint, output, bytes, costs);
        coin.kind = coin_kind(output, solution.as_ref());
        coin.time = i64::from(wtx.time());
        (coin.depth, coin.safe, coin.from_me) = (usable.depth, usable.safe, usable.from_me);
        if filter.check_version && usable.depth == 0 && wtx.tx.version.0 == TRUC_VERSION {
            truc.push(coin);
        } else {
            out.push(coin);
        }
    }
    // A version 3 transaction can have one unconfirmed parent only: the one that brings most.
    let mut sums: BTreeMap<Txid, i64> = BTreeMap::new();
    for coin in &truc {
        *sums.entry(coin.outpoint.txid).or_default() += coin.value;
    }
    if let Some((most, _)) = sums.into_iter().reduce(|best, next| if next.1 > best.1 { next } else { best }) {
        out.extend(truc.into_iter().filter(|coin| coin.outpoint.txid == most));
    }
    add_bump_fees(&mut out, costs);
    // Core keeps them by type, other scripts last.
    out.sort_by_key(|coin| coin.kind.map_or(u8::MAX, OutputType::number));
    out
}

fn coin_kind(output: &TxOut, solution: Option<&Solution>) -> Option<OutputType> {
    let kind = output_type_of(&output.script_pubkey)?;
    if kind == OutputType::P2shSegwit {
        // A script hash that holds no witness program counts as legacy.
        let segwit = solution.is_some_and(Solution::is_segwit);
        return Some(if segwit { OutputType::P2shSegwit } else { OutputType::Legacy });
    }
    Some(kind)
}

fn make(outpoint: OutPoint, output: &TxOut, bytes: Option<i64>, costs: &Costs<'_>) -> Coin {
    Coin {
        outpoint,
        value: output.value.to_sat() as i64,
        script: output.script_pubkey.clone(),
        depth: 0,
        input_bytes: bytes,
        solvable: bytes.is_some(),
        safe: true,
        from_me: false,
        time: 0,
        kind: None,
        fee: bytes.map_or(0, |bytes| fee(costs.rate, bytes)),
        bump_fee: 0,
        long_term_fee: bytes.map_or(0, |bytes| fee(costs.long_term_rate, bytes)),
        ancestors: costs.pool.ancestors(&outpoint.txid).len() as u64,
        cluster: costs.pool.cluster(&outpoint.txid).len() as u64,
    }
}

/// Adds what ancestors lack for the rate.
fn add_bump_fees(coins: &mut [Coin], costs: &Costs<'_>) {
    let outpoints: Vec<OutPoint> = coins.iter().map(|coin| coin.outpoint).collect();
    for (coin, bump) in coins.iter_mut().zip(costs.pool.bump_fees(&outpoints, costs.replaced, costs.rate)) {
        coin.bump_fee = bump;
        coin.fee += bump;
    }
}

fn usable(
    wallet: &Wallet,
    wtx: &WalletTx,
    control: &CoinControl,
    filter: &CoinFilter,
    trusted: &mut HashSet<Txid>,
    pool: &PoolView,
) -> Option<Usable> {
    let depth = wallet.depth(wtx);
    if (wallet.is_immature(wtx) && !filter.include_immature) || depth < 0 || (depth == 0 && !wtx.in_mempool()) {
        return None;
    }
    let mut safe = wallet.is_trusted(wtx, trusted);
    // Spending either side of a replacement would build on a transaction that may lose.
    if depth == 0 && (wtx.texts.replaces.is_some() || wtx.texts.replaced_by.is_some()) {
        safe = false;
    }
    if depth == 0 && filter.check_version {
        let is_truc = wtx.tx.version.0 == TRUC_VERSION;
        if is_truc != (control.version == TRUC_VERSION) {
            return None;
        }
        if is_truc && (wtx.truc_child.is_some() || pool.ancestors(&wtx.txid).len() > 1) {
            return None;
        }
    }
    if (!control.include_unsafe && !safe) || depth < control.min_depth || depth > control.max_depth {
        return None;
    }
    Some(Usable { safe, depth, from_me: wallet.is_from_me(&wtx.tx) })
}

/// Coins that the user chose.
///
/// # Errors
/// A coin is unknown, spent, or its size cannot be told.
pub fn selected(wallet: &Wallet, control: &CoinControl, costs: &Costs<'_>) -> Result<Vec<Coin>, SpendError> {
    let mut out = Vec::new();
    // A coin that is named twice is spent once.
    let mut seen = HashSet::new();
    for chosen in control.selected.iter().filter(|chosen| seen.insert(chosen.outpoint)) {
        out.push(fetch(wallet, chosen, control.version, costs)?);
    }
    add_bump_fees(&mut out, costs);
    Ok(out)
}

fn fetch(wallet: &Wallet, chosen: &Selected, target_version: i32, costs: &Costs<'_>) -> Result<Coin, SpendError> {
    let outpoint = chosen.outpoint;
    let given = chosen.weight.map(|weight| (weight + 3) / 4);
    let signed = |solution: Option<&Solution>, external| solution.and_then(|solution| size::input_bytes(solution, external));
    let (output, bytes) = if let Some(output) = wallet.my_output(&outpoint) {
        if let Some(wtx) = wallet.txs.get(&outpoint.txid).filter(|wtx| wallet.depth(wtx) == 0) {
            let version = wtx.tx.version.0;
            if (version == TRUC_VERSION) != (target_version == TRUC_VERSION) {
                return Err(SpendError::text(format!(
                    "Can't spend unconfirmed version {version} pre-selected input with a version {target_version} tx"
                )));
            }
        }
        (output, given.or_else(|| signed(wallet.solution(&output.script_pubkey).as_ref(), !wallet.private_keys_enabled())))
    } else {
        let missing = || SpendError::text(format!("Not found pre-selected input {}", shown(&outpoint)));
        (chosen.external.as_ref().ok_or_else(missing)?, given)
    };
    let bytes = bytes
        .or_else(|| signed(chosen.solution.as_ref(), true))
        .ok_or_else(|| SpendError::text(format!("Not solvable pre-selected input {}", shown(&outpoint))))?;
    Ok(make(outpoint, output, Some(bytes), costs))
}

/// Transaction ids in these texts are cut to ten digits, as in Core.
fn shown(outpoint: &OutPoint) -> String {
    let txid: String = outpoint.txid.to_string().chars().take(10).collect();
    format!("COutPoint({txid}, {})", outpoint.vout)
}
