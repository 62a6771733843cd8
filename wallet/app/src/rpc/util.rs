//! What all families share (Core: `wallet/rpc/util.cpp`).

use bitcoin::{Script, ScriptBuf};
use bulkhead_rpc_util::error as code;
use bulkhead_rpc_util::{RpcError, RpcResult, decode_address};
use serde_json::{Map, Value, json};
use std::rc::Rc;

use super::Call;
use crate::app::{App, Loaded};
use crate::state::{Wallet, flags};

const ENDPOINT: &str = "/wallet/";

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let digits = bytes.get(index + 1..index + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match (bytes[index], digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                index += 3;
            }
            (byte, _) => {
                out.push(byte);
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Wallet name in the address of the request.
pub(crate) fn endpoint_wallet(uri: &str) -> Option<String> {
    uri.strip_prefix(ENDPOINT).map(percent_decode)
}

/// The wallet that a call is about.
pub(crate) fn wallet_of(call: &Call) -> RpcResult<Rc<Loaded>> {
    if let Some(name) = endpoint_wallet(&call.uri) {
        return call
            .app
            .find(&name)
            .ok_or_else(|| RpcError::new(code::WALLET_NOT_FOUND, "Requested wallet does not exist or is not loaded"));
    }
    let all = call.app.all();
    match all.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(RpcError::new(
            code::WALLET_NOT_FOUND,
            "No wallet is loaded. Load a wallet using loadwallet or create a new one with createwallet. (Note: A default wallet is no longer automatically created)",
        )),
        _ => Err(RpcError::new(
            code::WALLET_NOT_SPECIFIED,
            "Multiple wallets are loaded. Please select which wallet to use by requesting the RPC through the /wallet/<walletname> URI path.",
        )),
    }
}

/// The name that endpoint and parameter agree on.
pub(crate) fn unique_name(call: &Call, parameter: Option<&str>) -> RpcResult<String> {
    match (endpoint_wallet(&call.uri), parameter) {
        (Some(endpoint), Some(name)) if endpoint != name => {
            Err(RpcError::parameter("The RPC endpoint wallet and the wallet name parameter specify different wallets"))
        }
        (Some(endpoint), _) => Ok(endpoint),
        (None, Some(name)) => Ok(name.to_owned()),
        (None, None) => Err(RpcError::parameter("Either the RPC endpoint wallet or the wallet name parameter must be provided")),
    }
}

/// Waits until the wallet has seen the tip, and gives it.
pub(crate) async fn synced_wallet(call: &Call) -> RpcResult<Rc<Loaded>> {
    let loaded = wallet_of(call)?;
    call.app.wait_for_tip(&loaded).await;
    Ok(loaded)
}

/// Refuses when the wallet is locked.
pub(crate) async fn ensure_unlocked(loaded: &Loaded) -> RpcResult<()> {
    let status = loaded.refresh_status().await.map_err(|error| crate::wallets::keystore_error(&error))?;
    if status.encrypted && status.locked {
        return Err(RpcError::new(
            code::WALLET_UNLOCK_NEEDED,
            "Error: Please enter the wallet passphrase with walletpassphrase first.",
        ));
    }
    Ok(())
}

/// Writes what changed, and runs notifications.
pub(crate) async fn persist(app: &App, loaded: &Loaded) -> RpcResult<()> {
    loaded.persist().await.map_err(|error| crate::wallets::keystore_error(&error))?;
    app.send_notices(loaded);
    Ok(())
}

/// A label, which must not be `*`.
pub(crate) fn label(value: &Value) -> RpcResult<String> {
    if value.is_null() {
        return Ok(String::new());
    }
    let text = bulkhead_rpc_util::params::as_str(value)?;
    if text == "*" {
        return Err(RpcError::new(code::WALLET_INVALID_LABEL_NAME, "Invalid label name"));
    }
    Ok(text.to_owned())
}

/// Whether addresses that were spent from are avoided.
pub(crate) fn avoid_reuse(wallet: &Wallet, value: &Value) -> RpcResult<bool> {
    let can = wallet.has_flag(flags::AVOID_REUSE);
    let wanted = if value.is_null() { can } else { bulkhead_rpc_util::params::as_bool(value)? };
    if wanted && !can {
        return Err(RpcError::new(code::WALLET_ERROR, "wallet does not have the \"avoid reuse\" feature enabled"));
    }
    Ok(wanted)
}

/// Output script of an address, or Core's -5.
pub(crate) fn script_of(app: &App, address: &str, text: &str) -> RpcResult<ScriptBuf> {
    decode_address(address, app.network)
        .map(|destination| destination.script())
        .map_err(|_| RpcError::address_or_key(text.to_owned()))
}

/// Adds `warnings` when there are any.
pub(crate) fn push_warnings(object: &mut Map<String, Value>, warnings: &[String]) {
    if !warnings.is_empty() {
        object.insert("warnings".into(), json!(warnings));
    }
}

/// Adds `parent_descs`.
pub(crate) fn push_parents(wallet: &Wallet, script: &Script, object: &mut Map<String, Value>) {
    object.insert("parent_descs".into(), json!(wallet.parent_descriptors(script)));
}

/// Adds `lastprocessedblock`.
pub(crate) fn push_last_block(wallet: &Wallet, object: &mut Map<String, Value>) {
    let tip = wallet.tip;
    object.insert("lastprocessedblock".into(), json!({"hash": tip.hash.to_string(), "height": tip.height}));
}

/// Satoshi as JSON.
pub(crate) fn amount(satoshi: i64) -> Value {
    bulkhead_rpc_util::amount_to_json(satoshi)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn names_in_addresses_are_percent_encoded() {
        assert_eq!(endpoint_wallet("/wallet/a%20b%2fc"), Some("a b/c".into()));
        assert_eq!(endpoint_wallet("/wallet/"), Some(String::new()));
        assert_eq!(endpoint_wallet("/wallet/50%"), Some("50%".into()));
        assert_eq!(endpoint_wallet("/"), None);
    }
}
