//! New addresses, groups of addresses, signed messages.

use bulkhead_keystore_edge::{Reply, Request};
use bulkhead_rpc_util::error as code;
use bulkhead_rpc_util::{RpcError, RpcResult, decode_address};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::Call;
use super::util::{amount, ensure_unlocked, label, persist, synced_wallet, wallet_of};
use crate::app::Loaded;
use crate::state::{OutputType, Wallet};

fn parse_type(name: Option<&str>, default: OutputType) -> RpcResult<OutputType> {
    match name {
        None => Ok(default),
        Some(name) => OutputType::parse(name).ok_or_else(|| RpcError::address_or_key(format!("Unknown address type '{name}'"))),
    }
}

/// A new address; when the descriptor needs private keys for it, the key store extends it first.
async fn fresh(call: &Call, loaded: &Loaded, kind: OutputType, internal: bool) -> RpcResult<String> {
    let first = loaded.wallet.borrow_mut().new_script(kind, internal);
    let script = match first {
        Ok(script) => script,
        Err(crate::state::keys::KeyError::RanOut) => {
            crate::rpc::descriptors::top_up(call, loaded, 0).await?;
            let again = loaded.wallet.borrow_mut().new_script(kind, internal);
            again.map_err(|error| RpcError::new(code::WALLET_KEYPOOL_RAN_OUT, error.to_string()))?
        }
        Err(error) => return Err(RpcError::new(code::WALLET_KEYPOOL_RAN_OUT, error.to_string())),
    };
    let address = loaded.wallet.borrow().address(&script);
    address.ok_or_else(|| {
        RpcError::new(code::WALLET_KEYPOOL_RAN_OUT, "Error: Cannot extract destination from the generated scriptpubkey")
    })
}

pub(super) async fn new_address(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    if !loaded.wallet.borrow().can_get_addresses(false) {
        return Err(RpcError::new(code::WALLET_ERROR, "Error: This wallet has no available keys"));
    }
    let label = label(call.params.get(0))?;
    let kind = parse_type(call.params.opt_str(1)?, call.app.build.address_type)?;
    let address = fresh(call, &loaded, kind, false).await?;
    loaded.wallet.borrow_mut().set_address_book(&address, &label, Some("receive"));
    persist(&call.app, &loaded).await?;
    Ok(json!(address))
}

pub(super) async fn change_address(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    if !loaded.wallet.borrow().can_get_addresses(true) {
        return Err(RpcError::new(code::WALLET_ERROR, "Error: This wallet has no available keys"));
    }
    let default = call.app.build.change_type.unwrap_or(call.app.build.address_type);
    let kind = parse_type(call.params.opt_str(0)?, default)?;
    let address = fresh(call, &loaded, kind, true).await?;
    persist(&call.app, &loaded).await?;
    Ok(json!(address))
}

pub(super) async fn sign_message(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    ensure_unlocked(&loaded).await?;
    let (address, message) = (call.params.str(0)?, call.params.str(1)?);
    let destination =
        decode_address(address, call.app.network).map_err(|_| RpcError::address_or_key("Invalid address".to_owned()))?;
    let script = destination.script();
    if !script.is_p2pkh() {
        return Err(RpcError::type_error("Address does not refer to key"));
    }
    let request = Request::SignMessage { address: address.to_owned(), message: message.to_owned(), script: script.to_bytes() };
    match loaded.keys.call(request).await.map_err(|error| crate::wallets::keystore_error(&error))? {
        Reply::Text(signature) => Ok(json!(signature)),
        _ => Err(RpcError::internal("key store: unexpected reply to signMessage")),
    }
}

/// Sum of trusted, spendable coins by address.
fn address_balances(wallet: &Wallet) -> BTreeMap<String, i64> {
    let mut trusted = HashSet::new();
    let mut out: BTreeMap<String, i64> = BTreeMap::new();
    for wtx in wallet.txs.values() {
        let own = wallet.is_from_me(&wtx.tx);
        if !wallet.is_trusted(wtx, &mut trusted) || wallet.is_immature(wtx) || wallet.depth(wtx) < i32::from(!own) {
            continue;
        }
        for (vout, output) in wtx.tx.output.iter().enumerate() {
            let Some(address) = wallet.address(&output.script_pubkey).filter(|_| wallet.is_mine(&output.script_pubkey)) else {
                continue;
            };
            let coin = bitcoin::OutPoint { txid: wtx.txid, vout: vout as u32 };
            *out.entry(address).or_default() += if wallet.is_spent(&coin) { 0 } else { output.value.to_sat() as i64 };
        }
    }
    out
}

/// Addresses that common use in transactions ties together.
fn address_groups(wallet: &Wallet) -> Vec<BTreeSet<String>> {
    let mut groups: Vec<BTreeSet<String>> = Vec::new();
    let mut add = |group: BTreeSet<String>| {
        if group.is_empty() {
            return;
        }
        let (touching, rest): (Vec<_>, Vec<_>) = groups.drain(..).partition(|other| !other.is_disjoint(&group));
        let mut merged = group;
        merged.extend(touching.into_iter().flatten());
        groups = rest;
        groups.push(merged);
    };
    for wtx in wallet.txs.values() {
        let mut inputs: BTreeSet<String> = wtx
            .tx
            .input
            .iter()
            .filter_map(|input| wallet.my_output(&input.previous_output))
            .filter_map(|output| wallet.address(&output.script_pubkey))
            .collect();
        if !inputs.is_empty() {
            let change = wtx.tx.output.iter().filter(|output| wallet.is_change(output));
            inputs.extend(change.filter_map(|output| wallet.address(&output.script_pubkey)));
            add(inputs);
        }
        for output in wtx.tx.output.iter().filter(|output| wallet.is_mine(&output.script_pubkey)) {
            add(wallet.address(&output.script_pubkey).into_iter().collect());
        }
    }
    groups
}

pub(super) async fn groupings(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let wallet = loaded.wallet.borrow();
    let balances = address_balances(&wallet);
    let mut out = Vec::new();
    for group in address_groups(&wallet) {
        let mut entries = Vec::new();
        for address in group {
            let mut entry = vec![json!(address), amount(balances.get(&address).copied().unwrap_or(0))];
            if let Some(label) = wallet.book_entry(&address).and_then(|entry| entry.label.clone()) {
                entry.push(json!(label));
            }
            entries.push(Value::Array(entry));
        }
        out.push(Value::Array(entries));
    }
    Ok(Value::Array(out))
}
