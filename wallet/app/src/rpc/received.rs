//! Sums by address and by label.

use bitcoin::{ScriptBuf, Txid};
use bulkhead_rpc_util::error as code;
use bulkhead_rpc_util::{RpcError, RpcResult, decode_address};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};

use super::Call;
use super::util::{amount, label, script_of, synced_wallet};
use crate::state::Wallet;
use crate::state::tx::WalletTx;

/// Whether what a transaction pays counts as received.
fn counts(wallet: &Wallet, wtx: &WalletTx, min_depth: i32, include_immature: bool) -> bool {
    let depth = wallet.depth(wtx);
    depth >= min_depth && !(wtx.is_coinbase() && depth < 1) && (include_immature || !wallet.is_immature(wtx))
}

fn received(call: &Call, wallet: &Wallet, scripts: HashSet<ScriptBuf>) -> RpcResult {
    let scripts: HashSet<ScriptBuf> = scripts.into_iter().filter(|script| wallet.is_mine(script)).collect();
    if scripts.is_empty() {
        return Err(RpcError::new(code::WALLET_ERROR, "Address not found in wallet"));
    }
    let min_depth = call.params.opt_int::<i32>(1)?.unwrap_or(1);
    let include_immature = call.params.opt_bool(2)?.unwrap_or(false);
    let sum: i64 = wallet
        .txs
        .values()
        .filter(|wtx| counts(wallet, wtx, min_depth, include_immature))
        .flat_map(|wtx| &wtx.tx.output)
        .filter(|output| scripts.contains(&output.script_pubkey))
        .map(|output| output.value.to_sat() as i64)
        .sum();
    Ok(amount(sum))
}

pub(super) async fn by_address(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let script = script_of(&call.app, call.params.str(0)?, "Invalid Bitcoin address")?;
    let wallet = loaded.wallet.borrow();
    received(call, &wallet, HashSet::from([script]))
}

pub(super) async fn by_label(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let wanted = label(call.params.get(0))?;
    let wallet = loaded.wallet.borrow();
    let scripts: HashSet<ScriptBuf> = wallet
        .book
        .iter()
        .filter(|(_, entry)| entry.label.as_deref() == Some(&wanted))
        .filter_map(|(address, _)| decode_address(address, call.app.network).ok())
        .map(|destination| destination.script())
        .collect();
    if scripts.is_empty() {
        return Err(RpcError::new(code::WALLET_ERROR, "Label not found in wallet"));
    }
    received(call, &wallet, scripts)
}

#[derive(Default)]
struct Tally {
    amount: i64,
    confirmations: Option<i32>,
    txids: Vec<Txid>,
}

fn tally(wallet: &Wallet, only: Option<&str>, min_depth: i32, include_immature: bool) -> BTreeMap<String, Tally> {
    let mut out: BTreeMap<String, Tally> = BTreeMap::new();
    // In the order of ids: like Core's, it says nothing about which came first.
    let sorted: BTreeMap<&Txid, &WalletTx> = wallet.txs.iter().collect();
    for wtx in sorted.into_values() {
        if !counts(wallet, wtx, min_depth, include_immature) {
            continue;
        }
        let depth = wallet.depth(wtx);
        for output in wtx.tx.output.iter().filter(|output| wallet.is_mine(&output.script_pubkey)) {
            let Some(address) = wallet.address(&output.script_pubkey) else { continue };
            if only.is_some_and(|only| only != address) {
                continue;
            }
            let item = out.entry(address).or_default();
            item.amount += output.value.to_sat() as i64;
            item.confirmations = Some(item.confirmations.map_or(depth, |known| known.min(depth)));
            item.txids.push(wtx.txid);
        }
    }
    out
}

pub(super) async fn list(call: &Call, by_label: bool) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let params = &call.params;
    let min_depth = params.opt_int::<i32>(0)?.unwrap_or(1);
    let include_empty = params.opt_bool(1)?.unwrap_or(false);
    let include_immature = params.opt_bool(if by_label { 3 } else { 4 })?.unwrap_or(false);
    let mut only = None;
    if !by_label && let Some(text) = params.opt_str(3)?.filter(|text| !text.is_empty()) {
        let destination = decode_address(text, call.app.network)
            .map_err(|_| RpcError::new(code::WALLET_ERROR, "address_filter parameter was invalid"))?;
        only = Some(bulkhead_rpc_util::encode_address(&destination, call.app.network));
    }
    let wallet = loaded.wallet.borrow();
    let mut tallies = tally(&wallet, only.as_deref(), min_depth, include_immature);
    let mut labels: BTreeMap<String, Tally> = BTreeMap::new();
    let mut out = Vec::new();
    for (address, entry) in wallet.sorted_book() {
        let Some(label) = &entry.label else { continue };
        if only.as_ref().is_some_and(|only| only != address) {
            continue;
        }
        let item = tallies.remove(address);
        if item.is_none() && !include_empty {
            continue;
        }
        let item = item.unwrap_or_default();
        if by_label {
            let sum = labels.entry(label.clone()).or_default();
            sum.amount += item.amount;
            sum.confirmations = [sum.confirmations, item.confirmations].into_iter().flatten().min();
            continue;
        }
        let mut object = Map::new();
        object.insert("address".into(), json!(address));
        object.insert("amount".into(), amount(item.amount));
        object.insert("confirmations".into(), json!(item.confirmations.unwrap_or(0)));
        object.insert("label".into(), json!(label));
        object.insert("txids".into(), json!(item.txids.iter().map(ToString::to_string).collect::<Vec<_>>()));
        out.push(Value::Object(object));
    }
    for (label, sum) in labels {
        let mut object = Map::new();
        object.insert("amount".into(), amount(sum.amount));
        object.insert("confirmations".into(), json!(sum.confirmations.unwrap_or(0)));
        object.insert("label".into(), json!(label));
        out.push(Value::Object(object));
    }
    Ok(Value::Array(out))
}
