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
        options.flags |= flags::EXTERNAL_SIGNER;
    }
    let name = params.str(0)?.to_owned();
    if name.is_empty() {
        return Err(RpcError::parameter("Wallet name cannot be empty"));
    }
    wallets::create(&call.app, &name, options).await?;
    warnings.extend(wallets::option_warnings(&call.app));
    warnings.extend(wallets::remember(&call.app, &name, params.opt_bool(6)?).await);
    Ok(named(&name, &warnings))
}

pub(super) async fn load(call: &Call) -> RpcResult {
    let name = call.params.str(0)?.to_owned();
    wallets::load(&call.app, &name).await?;
    let mut warnings = wallets::option_warnings(&call.app);
    warnings.extend(wallets::remember(&call.app, &name, call.params.opt_bool(1)?).await);
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
    const LEGACY: &str = "This wallet is a legacy wallet and will need to be migrated with migratewallet before it can be loaded";
    let entry = |(name, legacy): (String, bool)| {
        let warnings: &[&str] = if legacy { &[LEGACY] } else { &[] };
        json!({"name": name, "warnings": warnings})
    };
    let entries: Vec<Value> = wallets::list_directory(&call.app).await?.into_iter().map(entry).collect();
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

/// The supervisor opens a file for a purpose; what it refuses is said in its words.
async fn open_for(call: &Call, purpose: &str, path: &str) -> RpcResult<Option<std::os::fd::OwnedFd>> {
    let open = OpenFile { purpose: purpose.into(), path: path.to_owned() };
    Ok(wallets::ask_supervisor(&call.app, ControlRequest::OpenFile(open)).await?.1)
}

pub(super) async fn export_watch_only(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let destination = call.params.str(0)?;
    let refuse = |text: &str| RpcError::new(code::WALLET_ERROR, text);
    super::descriptors::top_up(call, &loaded, 0).await?;
    if destination.is_empty() {
        return Err(refuse("Error: Export destination cannot be empty"));
    }
    if loaded.wallet.borrow().spkms.is_empty() {
        return Err(refuse("Error: Wallet has no descriptors to export"));
    }
    crate::ipc::events::write_position(&call.app, &loaded).await;
    persist(&call.app, &loaded).await?;
    let target = open_for(call, "exportWallet", destination).await?;
    let target = target.ok_or_else(|| refuse("Error: Unable to write the exported wallet"))?;
    loaded.keys.call_with(Request::ExportWatchOnly, Some(target)).await.map_err(|error| wallets::keystore_error(&error))?;
    open_for(call, "finishExport", destination).await?;
    Ok(json!({ "exported_file": destination }))
}

/// Core turns wallets of old versions, in Berkeley DB, into descriptor wallets; this wallet does not read Berkeley DB.
pub(super) async fn migrate(call: &Call) -> RpcResult {
    let name = unique_name(call, call.params.opt_str(0)?)?;
    let refuse = |text: String| Err(RpcError::new(code::WALLET_ERROR, text));
    if call.app.find(&name).is_some() {
        return refuse("Error: This wallet is already a descriptor wallet".into());
    }
    match wallets::list_directory(&call.app).await?.into_iter().find(|(found, _)| *found == name) {
        Some((_, false)) => refuse("Error: This wallet is already a descriptor wallet".into()),
        Some((_, true)) => refuse(format!(
            "Unable to open the database of wallet '{name}': this node does not read Berkeley DB. Migrate it with Bitcoin Core and load the result."
        )),
        None => refuse("Error: Wallet does not exist".into()),
    }
}

pub(super) async fn restore(call: &Call) -> RpcResult {
    let name = call.params.str(0)?.to_owned();
    let path = call.params.str(1)?.to_owned();
    if name.is_empty() {
        return Err(RpcError::parameter("Wallet name cannot be empty"));
    }
    let missing = || RpcError::parameter("Backup file does not exist");
    if path.is_empty() {
        return Err(missing());
    }
    let request = ControlRequest::OpenFile(OpenFile { purpose: "restoreWallet".into(), path });
    let source = wallets::ask_supervisor(&call.app, request).await?.1.ok_or_else(missing)?;
    wallets::restore(&call.app, &name, source).await?;
    let mut warnings = wallets::option_warnings(&call.app);
    warnings.extend(wallets::remember(&call.app, &name, call.params.opt_bool(2)?).await);
    Ok(named(&name, &warnings))
}
