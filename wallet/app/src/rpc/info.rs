//! State of a wallet, flags, key pool.

use bulkhead_control::clock;
use bulkhead_rpc_util::error as code;
use bulkhead_rpc_util::{RpcError, RpcResult};
use serde_json::{Map, Value, json};

use super::Call;
use super::util::{ensure_unlocked, persist, push_last_block, synced_wallet, wallet_of};
use crate::state::flags;

pub(super) async fn wallet_info(call: &Call) -> RpcResult {
    const LATEST_LEGACY_VERSION: i32 = 169_900;
    let loaded = synced_wallet(call).await?;
    let status = loaded.refresh_status().await.map_err(|error| crate::wallets::keystore_error(&error))?;
    let wallet = loaded.wallet.borrow();
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| {
        out.insert(name.to_owned(), value);
    };
    put("walletname", json!(loaded.name));
    put("walletversion", json!(LATEST_LEGACY_VERSION));
    put("format", json!("sqlite"));
    put("txcount", json!(wallet.txs.len()));
    put("keypoolsize", json!(wallet.count_keys(false)));
    put("keypoolsize_hd_internal", json!(wallet.count_keys(true)));
    if status.encrypted {
        put("unlocked_until", json!(status.unlocked_until));
    }
    put("private_keys_enabled", json!(wallet.private_keys_enabled()));
    put("avoid_reuse", json!(wallet.has_flag(flags::AVOID_REUSE)));
    put(
        "scanning",
        match loaded.scan.get() {
            Some(scan) => json!({"duration": clock::now() - scan.started, "progress": scan.progress}),
            None => json!(false),
        },
    );
    put("descriptors", json!(wallet.has_flag(flags::DESCRIPTORS)));
    put("external_signer", json!(wallet.has_flag(flags::EXTERNAL_SIGNER)));
    put("blank", json!(wallet.has_flag(flags::BLANK_WALLET)));
    if wallet.birth_time != i64::MAX {
        put("birthtime", json!(wallet.birth_time));
    }
    let names: Vec<&str> = flags::NAMES.iter().filter(|(bit, _)| wallet.has_flag(*bit)).map(|(_, name)| *name).collect();
    put("flags", json!(names));
    push_last_block(&wallet, &mut out);
    Ok(Value::Object(out))
}

pub(super) async fn set_flag(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    let name = call.params.str(0)?;
    let value = call.params.opt_bool(1)?.unwrap_or(true);
    let flag = flags::NAMES
        .iter()
        .find(|(_, known)| *known == name)
        .map(|(bit, _)| *bit)
        .ok_or_else(|| RpcError::parameter(format!("Unknown wallet flag: {name}")))?;
    if flag != flags::AVOID_REUSE {
        return Err(RpcError::parameter(format!("Wallet flag is immutable: {name}")));
    }
    {
        let mut wallet = loaded.wallet.borrow_mut();
        if wallet.has_flag(flag) == value {
            return Err(RpcError::parameter(format!("Wallet flag is already set to {value}: {name}")));
        }
        let flags = if value { wallet.flags | flag } else { wallet.flags & !flag };
        wallet.set_flags(flags);
    }
    persist(&call.app, &loaded).await?;
    let mut out = Map::new();
    out.insert("flag_name".into(), json!(name));
    out.insert("flag_state".into(), json!(value));
    if value {
        out.insert(
            "warnings".into(),
            json!("You need to rescan the blockchain in order to correctly mark used destinations in the past. Until this is done, some destinations may be considered unused, even if the opposite is the case."),
        );
    }
    Ok(Value::Object(out))
}

pub(super) async fn keypool_refill(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    let size = match call.params.opt_int::<i64>(0)? {
        Some(size) if size < 0 => return Err(RpcError::parameter("Invalid parameter, expected valid size.")),
        Some(size) => i32::try_from(size).map_err(|_| RpcError::parameter("Invalid parameter, expected valid size."))?,
        None => 0,
    };
    ensure_unlocked(&loaded).await?;
    super::descriptors::top_up(call, &loaded, size).await?;
    let enough = {
        let wallet = loaded.wallet.borrow();
        wallet.count_keys(false) + wallet.count_keys(true) >= size
    };
    persist(&call.app, &loaded).await?;
    if !enough {
        return Err(RpcError::new(code::WALLET_ERROR, "Error refreshing keypool."));
    }
    Ok(Value::Null)
}
