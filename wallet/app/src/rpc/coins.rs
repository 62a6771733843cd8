//! Coins: list, lock.

use bitcoin::{OutPoint, Txid};
use bulkhead_rpc_util::codec::parse_txid;
use bulkhead_rpc_util::params::{as_bool, as_int, as_object, as_str, check_object};
use bulkhead_rpc_util::{ArgKind, RpcError, RpcResult, amount_from_json};
use bulkhead_wallet_core::descriptor::Solution;
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashSet};

use super::Call;
use super::util::{amount, persist, push_parents, script_of, synced_wallet, wallet_of};
use crate::records;
use crate::spend::coins::{CoinFilter, Costs, available};
use crate::spend::pool::PoolView;
use crate::spend::{Coin, CoinControl};
use crate::state::{Wallet, flags};
use crate::wallets::chain_error;

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
        let (pool, replaced) = (PoolView::default(), BTreeSet::new());
        let costs = Costs { rate: 0, long_term_rate: 0, pool: &pool, replaced: &replaced };
        let mut coins = available(&wallet, &control, &filter, &costs);
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
    let unconfirmed: Vec<Txid> = coins.iter().filter(|coin| coin.depth == 0).map(|coin| coin.outpoint.txid).collect();
    let pool = if unconfirmed.is_empty() { Ok(PoolView::default()) } else { call.app.chain.clusters(&unconfirmed).await };
    let pool = pool.map_err(|error| chain_error(&error))?;
    let wallet = loaded.wallet.borrow();
    Ok(coins.iter().map(|coin| describe(&wallet, coin, &pool)).collect())
}

fn describe(wallet: &Wallet, coin: &Coin, pool: &PoolView) -> Value {
    let mut out = Map::new();
    out.insert("txid".into(), json!(coin.outpoint.txid.to_string()));
    out.insert("vout".into(), json!(coin.outpoint.vout));
    let solution = wallet.solution(&coin.script);
    if let Some(address) = wallet.address(&coin.script) {
        out.insert("address".into(), json!(address));
        if let Some(label) = wallet.book_entry(&address).and_then(|entry| entry.label.clone()) {
            out.insert("label".into(), json!(label));
        }
        if let Some(redeem) = solution.as_ref().and_then(Solution::redeem_script) {
            out.insert("redeemScript".into(), json!(redeem.to_hex_string()));
        }
        if let Some(witness) = solution.as_ref().and_then(Solution::witness_script) {
            out.insert("witnessScript".into(), json!(witness.to_hex_string()));
        }
    }
    out.insert("scriptPubKey".into(), json!(coin.script.to_hex_string()));
    out.insert("amount".into(), amount(coin.value));
    out.insert("confirmations".into(), json!(coin.depth));
    if coin.depth == 0 && pool.contains(&coin.outpoint.txid) {
        let ancestors = pool.ancestors(&coin.outpoint.txid);
        let sum = pool.sum(&ancestors);
        out.insert("ancestorcount".into(), json!(ancestors.len()));
        out.insert("ancestorsize".into(), json!(sum.vsize));
        out.insert("ancestorfees".into(), json!(sum.fee));
    }
    out.insert("spendable".into(), json!(true));
    out.insert("solvable".into(), json!(coin.solvable));
    if coin.solvable
        && let Some(solution) = &solution
    {
        out.insert("desc".into(), json!(solution.descriptor()));
    }
    push_parents(wallet, &coin.script, &mut out);
    if wallet.has_flag(flags::AVOID_REUSE) {
        out.insert("reused".into(), json!(wallet.is_spent_key(&coin.script)));
    }
    out.insert("safe".into(), json!(coin.safe));
    Value::Object(out)
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
