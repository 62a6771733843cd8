//! Labels of addresses.

use bulkhead_rpc_util::error as code;
use bulkhead_rpc_util::{RpcError, RpcResult};
use serde_json::{Map, Value, json};

use super::Call;
use super::util::{label, persist, script_of, wallet_of};

pub(super) async fn set(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    let script = script_of(&call.app, call.params.str(0)?, "Invalid Bitcoin address")?;
    let label = label(call.params.get(1))?;
    {
        let mut wallet = loaded.wallet.borrow_mut();
        let purpose = if wallet.is_mine(&script) { "receive" } else { "send" };
        // The canonical spelling: bech32 may be given in upper case.
        let address = wallet.address(&script).unwrap_or_else(|| call.params.str(0).unwrap_or_default().to_owned());
        wallet.set_address_book(&address, &label, Some(purpose));
    }
    persist(&call.app, &loaded).await?;
    Ok(Value::Null)
}

pub(super) fn list(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    let purpose = call.params.opt_str(0)?.filter(|purpose| !purpose.is_empty());
    if purpose.is_some_and(|purpose| !["send", "receive", "refund"].contains(&purpose)) {
        return Err(RpcError::parameter(
            "Invalid 'purpose' argument, must be a known purpose string, typically 'send', or 'receive'.",
        ));
    }
    let labels = loaded.wallet.borrow().labels(purpose);
    Ok(json!(labels))
}

pub(super) fn addresses(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    let label = label(call.params.get(0))?;
    let wallet = loaded.wallet.borrow();
    let mut out = Map::new();
    for (address, entry) in wallet.sorted_book() {
        if entry.label.as_deref() == Some(&label) {
            out.insert(address.clone(), json!({"purpose": entry.purpose.as_deref().unwrap_or("unknown")}));
        }
    }
    if out.is_empty() {
        return Err(RpcError::new(code::WALLET_INVALID_LABEL_NAME, format!("No addresses with label {label}")));
    }
    Ok(Value::Object(out))
}
