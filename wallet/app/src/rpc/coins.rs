//! Coins: list, lock.

use bitcoin::OutPoint;
use bulkhead_rpc_util::codec::parse_txid;
use bulkhead_rpc_util::params::{as_bool, as_int, as_object, as_str, check_object};
use bulkhead_rpc_util::{ArgKind, RpcError, RpcResult, amount_from_json};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

use super::Call;
use super::util::{amount, persist, push_parents, script_of, synced_wallet, wallet_of};
use crate::records;
use crate::spend::coins::{CoinFilter, available};
use crate::spend::{Ancestry, Coin, CoinControl};
use crate::state::descriptor::inferred;
use crate::state::{Wallet, flags};

struct Limits {
    sum: Option<i64>,
    count: Option<usize>,
}

fn options(value: &Value, filter: &mut CoinFilter) -> RpcResult<Limits> {
    let mut limits = Limits { sum: None, count: None };
    if value.is_null() {
        return Ok(limits);
    }
    let object = as_object(value)?;
    let expected = [
        ("minimumAmount", ArgKind::Any),
        ("maximumAmount", ArgKind::Any),
        ("minimumSumAmount", ArgKind::Any),
        ("maximumCount", ArgKind::Num),
        ("include_immature_coinbase", ArgKind::Bool),
    ];
    check_object(object, &expected, true, true)?;
    let get = |name: &str| object.get(name).filter(|value| !value.is_null());
    if let Some(value) = get("minimumAmount") {
        filter.min_amount = amount_from_json(value)?;
    }
    if let Some(value) = get("maximumAmount") {
        filter.max_amount = amount_from_json(value)?;
    }
    if let Some(value) = get("minimumSumAmount") {
        limits.sum = Some(amount_from_json(value)?);
    }
    if let Some(value) = get("maximumCount") {
        limits.count = usize::try_from(as_int::<i64>(value)?).ok().filter(|count| *count > 0);
    }
    if let Some(value) = get("include_immature_coinbase") {
        filter.include_immature = as_bool(value)?;
    }
    Ok(limits)
}

pub(super) async fn list_unspent(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    let params = &call.params;
    let min_depth = params.opt_int::<i32>(0)?.unwrap_or(1);
    let max_depth = params.opt_int::<i32>(1)?.unwrap_or(9_999_999);
    let mut scripts = HashSet::new();
    for address in params.opt_array(2)?.into_iter().flatten() {
        let text = as_str(address)?;
        let script = script_of(&call.app, text, &format!("Invalid Bitcoin address: {text}"))?;
        if !scripts.insert(script) {
            return Err(RpcError::parameter(format!("Invalid parameter, duplicated address: {text}")));
        }
    }
    let include_unsafe = params.opt_bool(3)?.unwrap_or(true);
    let mut filter = CoinFilter { min_amount: 0, check_version: false, ..CoinFilter::default() };
    let limits = options(params.get(4), &mut filter)?;
    call.app.wait_for_tip(&loaded).await;
    let control = CoinControl { min_depth, max_depth, include_unsafe, ..CoinControl::default() };
    let coins = {
        let wallet = loaded.wallet.borrow();
        let mut coins = available(&wallet, &control, &filter, 0, 0, &Ancestry::new());
        let mut sum = 0;
        let enough = coins.iter().position(|coin| {
            sum += coin.value;
            limits.sum.is_some_and(|limit| sum >= limit)
        });
        if let Some(count) = enough.map(|position| position + 1).into_iter().chain(limits.count).min() {
            coins.truncate(count);
        }
        coins.retain(|coin| scripts.is_empty() || scripts.contains(&coin.script));
        coins
    };
    let mut out = Vec::new();
    for coin in coins {
        let ancestors = if coin.depth == 0 { call.app.chain.in_mempool(&coin.outpoint.txid).await.ok().flatten() } else { None };
        out.push(describe(&loaded.wallet.borrow(), &coin, ancestors));
    }
    Ok(Value::Array(out))
}

fn describe(wallet: &Wallet, coin: &Coin, ancestry: Option<(u64, u64)>) -> Value {
    let mut out = Map::new();
    out.insert("txid".into(), json!(coin.outpoint.txid.to_string()));
    out.insert("vout".into(), json!(coin.outpoint.vout));
    let solution = wallet.solution(&coin.script);
    if let Some(address) = wallet.address(&coin.script) {
        if let Some(label) = wallet.book_entry(&address).and_then(|entry| entry.label.clone()) {
            out.insert("address".into(), json!(address));
            out.insert("label".into(), json!(label));
        } else {
            out.insert("address".into(), json!(address));
        }
        if let Some(solution) = &solution {
            let witness_script = solution.explicit_script().ok().filter(|_| {
                use miniscript::descriptor::DescriptorType::{ShWsh, ShWshSortedMulti, Wsh, WshSortedMulti};
                matches!(solution.desc_type(), Wsh | WshSortedMulti | ShWsh | ShWshSortedMulti)
            });
            if coin.script.is_p2sh() {
                let redeem = super::describe::redeem_script(solution);
                if let Some(redeem) = redeem {
                    out.insert("redeemScript".into(), json!(redeem.to_hex_string()));
                }
            }
            if let Some(script) = witness_script {
                out.insert("witnessScript".into(), json!(script.to_hex_string()));
            }
        }
    }
    out.insert("scriptPubKey".into(), json!(coin.script.to_hex_string()));
    out.insert("amount".into(), amount(coin.value));
    out.insert("confirmations".into(), json!(coin.depth));
    if let Some((ancestors, _)) = ancestry {
        out.insert("ancestorcount".into(), json!(ancestors));
        let (size, fees) = unconfirmed_ancestors(wallet, coin);
        out.insert("ancestorsize".into(), json!(size));
        out.insert("ancestorfees".into(), json!(fees));
    }
    out.insert("spendable".into(), json!(true));
    out.insert("solvable".into(), json!(coin.solvable));
    if coin.solvable
        && let Some(solution) = &solution
    {
        out.insert("desc".into(), json!(inferred(&wallet.secp, solution)));
    }
    push_parents(wallet, &coin.script, &mut out);
    if wallet.has_flag(flags::AVOID_REUSE) {
        out.insert("reused".into(), json!(wallet.is_spent_key(&coin.script)));
    }
    out.insert("safe".into(), json!(coin.safe));
    Value::Object(out)
}

/// Size and fees of the unconfirmed ancestors that are ours; fees of others' transactions we cannot know.
fn unconfirmed_ancestors(wallet: &Wallet, coin: &Coin) -> (u64, i64) {
    let mut todo = vec![coin.outpoint.txid];
    let mut seen = HashSet::new();
    let (mut size, mut fees) = (0u64, 0i64);
    while let Some(txid) = todo.pop() {
        let Some(wtx) = wallet.txs.get(&txid).filter(|wtx| wtx.in_mempool() && seen.insert(txid)) else { continue };
        size += wtx.tx.vsize() as u64;
        let spent: Option<i64> = wtx
            .tx
            .input
            .iter()
            .map(|input| wallet.output(&input.previous_output).map(|output| output.value.to_sat() as i64))
            .sum();
        fees += spent.map_or(0, |spent| spent - wtx.tx.output.iter().map(|output| output.value.to_sat() as i64).sum::<i64>());
        todo.extend(wtx.tx.input.iter().map(|input| input.previous_output.txid));
    }
    (size, fees)
}

pub(super) async fn lock(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let unlock = call.params.bool(0)?;
    let persistent = call.params.opt_bool(2)?.unwrap_or(false);
    {
        let mut wallet = loaded.wallet.borrow_mut();
        let chosen = match call.params.opt_array(1)? {
            None => {
                if unlock {
                    for (coin, stored) in std::mem::take(&mut wallet.locked) {
                        if stored {
                            wallet.push(records::write_locked(&coin, false));
                        }
                    }
                }
                Vec::new()
            }
            Some(list) => check_outputs(&wallet, list, unlock, persistent)?,
        };
        for coin in chosen {
            if unlock {
                if wallet.locked.remove(&coin) == Some(true) {
                    wallet.push(records::write_locked(&coin, false));
                }
            } else {
                wallet.locked.insert(coin, persistent);
                if persistent {
                    wallet.push(records::write_locked(&coin, true));
                }
            }
        }
    }
    persist(&call.app, &loaded).await?;
    Ok(json!(true))
}

fn check_outputs(wallet: &Wallet, list: &[Value], unlock: bool, persistent: bool) -> RpcResult<Vec<OutPoint>> {
    let mut out = Vec::new();
    for entry in list {
        let object = as_object(entry)?;
        check_object(object, &[("txid", ArgKind::Str), ("vout", ArgKind::Num)], false, false)?;
        let txid = parse_txid(object.get("txid").unwrap_or(&Value::Null), "txid")?;
        let vout: i32 = as_int(object.get("vout").unwrap_or(&Value::Null))?;
        let vout = u32::try_from(vout).map_err(|_| RpcError::parameter("Invalid parameter, vout cannot be negative"))?;
        let coin = OutPoint { txid, vout };
        let wtx = wallet.txs.get(&txid).ok_or_else(|| RpcError::parameter("Invalid parameter, unknown transaction"))?;
        if vout as usize >= wtx.tx.output.len() {
            return Err(RpcError::parameter("Invalid parameter, vout index out of bounds"));
        }
        if wallet.is_spent(&coin) {
            return Err(RpcError::parameter("Invalid parameter, expected unspent output"));
        }
        let locked = wallet.locked.contains_key(&coin);
        if unlock && !locked {
            return Err(RpcError::parameter("Invalid parameter, expected locked output"));
        }
        if !unlock && locked && !persistent {
            return Err(RpcError::parameter("Invalid parameter, output already locked"));
        }
        out.push(coin);
    }
    Ok(out)
}

pub(super) fn list_locked(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    let wallet = loaded.wallet.borrow();
    let list = wallet.locked.keys().map(|coin| json!({"txid": coin.txid.to_string(), "vout": coin.vout})).collect();
    Ok(Value::Array(list))
}
