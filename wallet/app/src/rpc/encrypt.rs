//! Passphrases. They go to the key store and are nowhere kept here.

use bulkhead_keystore_edge::Request;
use bulkhead_rpc_util::error as code;
use bulkhead_rpc_util::{RpcError, RpcResult};
use serde_json::{Value, json};

use super::Call;
use super::util::{persist, wallet_of};
use crate::app::Loaded;
use crate::wallets::keystore_error;

fn state_error(what: &str, method: &str) -> RpcError {
    RpcError::new(code::WALLET_WRONG_ENC_STATE, format!("Error: running with an {what} wallet, but {method} was called."))
}

async fn ensure_encrypted(loaded: &Loaded, method: &str) -> RpcResult<()> {
    let status = loaded.refresh_status().await.map_err(|error| keystore_error(&error))?;
    if status.encrypted { Ok(()) } else { Err(state_error("unencrypted", method)) }
}

/// Scanning needs the keys when descriptors are extended.
fn ensure_not_scanning(loaded: &Loaded, what: &str) -> RpcResult<()> {
    if loaded.scan.get().is_none() {
        return Ok(());
    }
    Err(RpcError::new(
        code::WALLET_ERROR,
        format!(
            "Error: the wallet is currently being used to rescan the blockchain for related transactions. Please call `abortrescan` before {what}."
        ),
    ))
}

/// Old versions cut passphrases at the first null character.
fn null_hint(passphrase: &str, which: &str, call: &str) -> RpcError {
    if !passphrase.contains('\0') {
        return RpcError::new(code::WALLET_PASSPHRASE_INCORRECT, "Error: The wallet passphrase entered was incorrect.");
    }
    let rest = if call == "walletpassphrase" {
        "If the passphrase was set with a version of this software prior to 25.0, please try again with only the characters up to — but not including — the first null character. If this is successful, please set a new passphrase to avoid this issue in the future."
    } else {
        "If the old passphrase was set with a version of this software prior to 25.0, please try again with only the characters up to — but not including — the first null character."
    };
    RpcError::new(
        code::WALLET_PASSPHRASE_INCORRECT,
        format!("Error: The {which} passphrase entered is incorrect. It contains a null character (ie - a zero byte). {rest}"),
    )
}

fn wrong(error: RpcError, passphrase: &str, which: &str, call: &str) -> RpcError {
    if error.code == code::WALLET_PASSPHRASE_INCORRECT { null_hint(passphrase, which, call) } else { error }
}

pub(super) async fn encrypt(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    if !loaded.wallet.borrow().private_keys_enabled() {
        return Err(RpcError::new(
            code::WALLET_ENCRYPTION_FAILED,
            "Error: wallet does not contain private keys, nothing to encrypt.",
        ));
    }
    let status = loaded.refresh_status().await.map_err(|error| keystore_error(&error))?;
    if status.encrypted {
        return Err(state_error("encrypted", "encryptwallet"));
    }
    ensure_not_scanning(&loaded, "encrypting the wallet")?;
    let passphrase = call.params.str(0)?;
    if passphrase.is_empty() {
        return Err(RpcError::parameter("passphrase cannot be empty"));
    }
    persist(&call.app, &loaded).await?;
    let request = Request::Encrypt(passphrase.as_bytes().to_vec().into());
    loaded.keys.call(request).await.map_err(|error| keystore_error(&error))?;
    // The key store made a new seed: everything about descriptors is read again.
    super::descriptors::reload(call, &loaded).await?;
    Ok(json!(
        "wallet encrypted; The keypool has been flushed and a new HD seed was generated. You need to make a new backup with the backupwallet RPC."
    ))
}

pub(super) async fn passphrase(call: &Call) -> RpcResult {
    const MAX_SECONDS: i64 = 100_000_000;
    let loaded = wallet_of(call)?;
    ensure_encrypted(&loaded, "walletpassphrase").await?;
    let passphrase = call.params.str(0)?;
    let seconds: i64 = call.params.int(1)?;
    if seconds < 0 {
        return Err(RpcError::parameter("Timeout cannot be negative."));
    }
    if passphrase.is_empty() {
        return Err(RpcError::parameter("passphrase cannot be empty"));
    }
    let request = Request::Unlock { passphrase: passphrase.as_bytes().to_vec().into(), seconds: seconds.min(MAX_SECONDS) };
    loaded.keys.call(request).await.map_err(|error| wrong(keystore_error(&error), passphrase, "wallet", "walletpassphrase"))?;
    super::descriptors::top_up(call, &loaded, 0).await?;
    persist(&call.app, &loaded).await?;
    Ok(Value::Null)
}

pub(super) async fn lock(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    ensure_encrypted(&loaded, "walletlock").await?;
    ensure_not_scanning(&loaded, "locking the wallet")?;
    loaded.keys.call(Request::Lock).await.map_err(|error| keystore_error(&error))?;
    Ok(Value::Null)
}

pub(super) async fn change(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    ensure_encrypted(&loaded, "walletpassphrasechange").await?;
    ensure_not_scanning(&loaded, "changing the passphrase")?;
    let (old, new) = (call.params.str(0)?, call.params.str(1)?);
    if old.is_empty() || new.is_empty() {
        return Err(RpcError::parameter("passphrase cannot be empty"));
    }
    let request = Request::ChangePassphrase { old: old.as_bytes().to_vec().into(), new: new.as_bytes().to_vec().into() };
    loaded
        .keys
        .call(request)
        .await
        .map_err(|error| wrong(keystore_error(&error), old, "old wallet", "walletpassphrasechange"))?;
    Ok(Value::Null)
}
