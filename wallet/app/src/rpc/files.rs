//! Wallet files: create, load, unload, list, backup, restore.

use bulkhead_control::{OpenFile, Request as ControlRequest};
use bulkhead_keystore_edge::Request;
use bulkhead_rpc_util::error as code;
use bulkhead_rpc_util::{RpcError, RpcResult};
use serde_json::{Map, Value, json};

use super::Call;
use super::util::{persist, push_warnings, synced_wallet, unique_name};
use crate::state::flags;
use crate::wallets::{self, CreateOptions};

fn named(name: &str, warnings: &[String]) -> Value {
    let mut out = Map::new();
    out.insert("name".into(), json!(name));
    push_warnings(&mut out, warnings);
    Value::Object(out)
}

pub(super) async fn create(call: &Call) -> RpcResult {
    let params = &call.params;
    let mut warnings = Vec::new();
    let mut options = CreateOptions::default();
    for (position, flag) in [(1, flags::DISABLE_PRIVATE_KEYS), (2, flags::BLANK_WALLET), (4, flags::AVOID_REUSE)] {
        if params.opt_bool(position)?.unwrap_or(false) {
            options.flags |= flag;
        }
    }
    if let Some(passphrase) = params.opt_str(3)? {
        if passphrase.is_empty() {
            warnings.push("Empty string given as passphrase, wallet will not be encrypted.".to_owned());
        }
        options.passphrase = passphrase.to_owned();
    }
    if !params.opt_bool(5)?.unwrap_or(true) {
        return Err(RpcError::new(
            code::WALLET_ERROR,
            "descriptors argument must be set to \"true\"; it is no longer possible to create a legacy wallet.",
        ));
    }
    if params.opt_bool(7)?.unwrap_or(false) {
        return Err(RpcError::new(
            code::WALLET_ERROR,
            "Compiled without external signing support (required for external signing)",
        ));
    }
    let name = params.str(0)?.to_owned();
    if name.is_empty() {
        return Err(RpcError::parameter("Wallet name cannot be empty"));
    }
    wallets::create(&call.app, &name, options).await?;
    warnings.extend(wallets::remember(&call.app, &name, params.opt_bool(6)?).await);
    Ok(named(&name, &warnings))
}

pub(super) async fn load(call: &Call) -> RpcResult {
    let name = call.params.str(0)?.to_owned();
    wallets::load(&call.app, &name).await?;
    let warnings: Vec<String> = wallets::remember(&call.app, &name, call.params.opt_bool(1)?).await.into_iter().collect();
    Ok(named(&name, &warnings))
}

pub(super) async fn unload(call: &Call) -> RpcResult {
    let name = unique_name(call, call.params.opt_str(0)?)?;
    let loaded = call
        .app
        .find(&name)
        .ok_or_else(|| RpcError::new(code::WALLET_NOT_FOUND, "Requested wallet does not exist or is not loaded"))?;
    if loaded.scan.get().is_some() {
        return Err(RpcError::new(code::WALLET_ERROR, "Wallet is currently rescanning. Abort existing rescan or wait."));
    }
    wallets::unload(&call.app, &loaded).await?;
    let warnings: Vec<String> = wallets::remember(&call.app, &name, call.params.opt_bool(1)?).await.into_iter().collect();
    let mut out = Map::new();
    push_warnings(&mut out, &warnings);
    Ok(Value::Object(out))
}

pub(super) fn list(call: &Call) -> RpcResult {
    Ok(json!(call.app.all().iter().map(|loaded| loaded.name.clone()).collect::<Vec<_>>()))
}

pub(super) async fn list_dir(call: &Call) -> RpcResult {
    let (text, _) = wallets::ask_supervisor(&call.app, ControlRequest::ListWalletDir).await?;
    let names: Vec<String> = serde_json::from_str(&text).map_err(|_| RpcError::internal("the supervisor sent a bad list"))?;
    let entries: Vec<Value> = names.into_iter().map(|name| json!({"name": name, "warnings": []})).collect();
    Ok(json!({ "wallets": entries }))
}

pub(super) async fn backup(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let request = ControlRequest::OpenFile(OpenFile { purpose: "backupWallet".into(), path: call.params.str(0)?.to_owned() });
    let failed = || RpcError::new(code::WALLET_ERROR, "Error: Wallet backup failed!");
    let target = wallets::ask_supervisor(&call.app, request).await.map_err(|_| failed())?.1.ok_or_else(failed)?;
    persist(&call.app, &loaded).await?;
    loaded.keys.call_with(Request::Backup, Some(target)).await.map_err(|_| failed())?;
    Ok(Value::Null)
}

pub(super) async fn restore(call: &Call) -> RpcResult {
    let name = call.params.str(0)?.to_owned();
    let path = call.params.str(1)?.to_owned();
    if name.is_empty() {
        return Err(RpcError::parameter("Wallet name cannot be empty"));
    }
    let request = ControlRequest::OpenFile(OpenFile { purpose: "restoreWallet".into(), path });
    let source = wallets::ask_supervisor(&call.app, request).await?.1;
    let source = source.ok_or_else(|| RpcError::parameter("Backup file does not exist"))?;
    wallets::restore(&call.app, &name, source).await?;
    let warnings: Vec<String> = wallets::remember(&call.app, &name, call.params.opt_bool(2)?).await.into_iter().collect();
    Ok(named(&name, &warnings))
}
