//! Which coins of a wallet can be spent (Core: `AvailableCoins`, `FetchSelectedInputs`).

use std::collections::HashSet;

use super::fees::fee;
use super::{Ancestry, Coin, CoinControl, Selected, SpendError, size};
use crate::state::descriptor::output_type_of;
use crate::state::tx::WalletTx;
use crate::state::{OutputType, Wallet, flags};
use bitcoin::{OutPoint, TxOut};

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

fn coin_kind(wallet: &Wallet, output: &TxOut) -> Option<OutputType> {
    let kind = output_type_of(&output.script_pubkey)?;
    if kind == OutputType::P2shSegwit {
        // A script hash that holds no witness program counts as legacy.
        let segwit = wallet.solution(&output.script_pubkey).is_some_and(|solution| size::is_segwit(&solution));
        return Some(if segwit { OutputType::P2shSegwit } else { OutputType::Legacy });
    }
    Some(kind)
}

/// Coins that pass, with their fees at `rate` (satoshi per 1000 vbytes).
pub fn available(
    wallet: &Wallet,
    control: &CoinControl,
    filter: &CoinFilter,
    rate: i64,
    long_term_rate: i64,
    ancestry: &Ancestry,
) -> Vec<Coin> {
    let allow_used = !wallet.has_flag(flags::AVOID_REUSE) || !control.avoid_address_reuse;
    let preset: HashSet<OutPoint> = control.selected.iter().map(|selected| selected.outpoint).collect();
    let mut trusted_parents = HashSet::new();
    let mut out = Vec::new();
    for outpoint in &wallet.coins {
        let Some(wtx) = wallet.txs.get(&outpoint.txid) else { continue };
        let Some(output) = wallet.output(outpoint) else { continue };
        let value = output.value.to_sat() as i64;
        if value < filter.min_amount || value > filter.max_amount || preset.contains(outpoint) {
            continue;
        }
        let Some(safe) = usable(wallet, wtx, control, filter, &mut trusted_parents, ancestry) else { continue };
        if (filter.skip_locked && wallet.locked.contains_key(outpoint)) || wallet.is_spent(outpoint) {
            continue;
        }
        if !allow_used && wallet.is_spent_key(&output.script_pubkey) {
            continue;
        }
        let solution = wallet.solution(&output.script_pubkey);
        let bytes = solution.as_ref().and_then(|solution| size::input_bytes(solution, false));
        out.push(make(wallet, *outpoint, output, wtx, bytes, safe, rate, long_term_rate, ancestry));
    }
    out
}

#[allow(clippy::too_many_arguments)]
fn make(
    wallet: &Wallet,
    outpoint: OutPoint,
    output: &TxOut,
    wtx: &WalletTx,
    bytes: Option<i64>,
    safe: bool,
    rate: i64,
    long_term_rate: i64,
    ancestry: &Ancestry,
) -> Coin {
    let depth = wallet.depth(wtx);
    let (ancestors, descendants) = if depth > 0 { (0, 0) } else { ancestry.get(&wtx.txid).copied().unwrap_or((1, 1)) };
    Coin {
        outpoint,
        value: output.value.to_sat() as i64,
        script: output.script_pubkey.clone(),
        depth,
        input_bytes: bytes,
        solvable: bytes.is_some(),
        safe,
        from_me: wallet.is_from_me(&wtx.tx),
        time: i64::from(wtx.time()),
        kind: coin_kind(wallet, output),
        fee: bytes.map_or(0, |bytes| fee(rate, bytes)),
        long_term_fee: bytes.map_or(0, |bytes| fee(long_term_rate, bytes)),
        ancestors,
        descendants,
    }
}

/// Whether outputs of a transaction can be used at all, and whether they are safe.
fn usable(
    wallet: &Wallet,
    wtx: &WalletTx,
    control: &CoinControl,
    filter: &CoinFilter,
    trusted: &mut HashSet<bitcoin::Txid>,
    ancestry: &Ancestry,
) -> Option<bool> {
    const TRUC: i32 = 3;
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
        let is_truc = wtx.tx.version.0 == TRUC;
        if is_truc != (control.version == TRUC) {
            return None;
        }
        if is_truc && (wtx.truc_child.is_some() || ancestry.get(&wtx.txid).is_some_and(|(ancestors, _)| *ancestors > 1)) {
            return None;
        }
    }
    if (!control.include_unsafe && !safe) || depth < control.min_depth || depth > control.max_depth {
        return None;
    }
    Some(safe)
}

/// Coins that the user chose.
///
/// # Errors
/// A coin is unknown, spent, or its size cannot be told.
pub fn selected(
    wallet: &Wallet,
    control: &CoinControl,
    rate: i64,
    long_term_rate: i64,
    ancestry: &Ancestry,
) -> Result<Vec<Coin>, SpendError> {
    let mut out = Vec::new();
    for chosen in &control.selected {
        out.push(fetch(wallet, chosen, control.version, rate, long_term_rate, ancestry)?);
    }
    Ok(out)
}

fn fetch(
    wallet: &Wallet,
    chosen: &Selected,
    target_version: i32,
    rate: i64,
    long_term_rate: i64,
    ancestry: &Ancestry,
) -> Result<Coin, SpendError> {
    let outpoint = chosen.outpoint;
    let missing =
        || SpendError::text(format!("Not solvable pre-selected input COutPoint({}, {})", short(&outpoint), outpoint.vout));
    let given = chosen.weight.map(|weight| (weight + 3) / 4);
    if let Some(wtx) = wallet.txs.get(&outpoint.txid) {
        const TRUC: i32 = 3;
        let version = wtx.tx.version.0;
        if wallet.depth(wtx) == 0 && (version == TRUC) != (target_version == TRUC) {
            return Err(SpendError::text(format!(
                "Can't spend unconfirmed version {version} pre-selected input with a version {target_version} tx"
            )));
        }
        let output = wallet.output(&outpoint).ok_or_else(|| SpendError::text("Invalid pre-selected input"))?;
        let solution = wallet.solution(&output.script_pubkey).or_else(|| chosen.solution.clone());
        let bytes =
            given.or_else(|| solution.as_ref().and_then(|solution| size::input_bytes(solution, false))).ok_or_else(missing)?;
        return Ok(make(wallet, outpoint, output, wtx, Some(bytes), true, rate, long_term_rate, ancestry));
    }
    let output = chosen.external.as_ref().ok_or_else(|| {
        SpendError::text(format!("Not found pre-selected input COutPoint({}, {})", short(&outpoint), outpoint.vout))
    })?;
    let bytes =
        given.or_else(|| chosen.solution.as_ref().and_then(|solution| size::input_bytes(solution, true))).ok_or_else(missing)?;
    Ok(Coin {
        outpoint,
        value: output.value.to_sat() as i64,
        script: output.script_pubkey.clone(),
        depth: 0,
        input_bytes: Some(bytes),
        solvable: true,
        safe: true,
        from_me: false,
        time: 0,
        kind: output_type_of(&output.script_pubkey),
        fee: fee(rate, bytes),
        long_term_fee: fee(long_term_rate, bytes),
        ancestors: 0,
        descendants: 0,
    })
}

/// Transaction ids in these texts are cut to ten digits, as in Core.
fn short(outpoint: &OutPoint) -> String {
    outpoint.txid.to_string().chars().take(10).collect()
}
