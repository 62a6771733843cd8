//! Methods that bring their own private keys: a key store without a file is started for each call.

use bulkhead_control::{OpenKeystore, Request};
use bulkhead_keystore_edge::{ClientError, KeystoreClient};
use serde_json::Value;

use super::sign_raw::check_key;
use super::{ask, param};
use crate::door::Door;
use crate::jsonrpc::{CallError, CallResult, code};

/// Runs `work` with a key store that ends afterwards.
pub(super) async fn with_keystore<T: Send + 'static>(
    door: &Door,
    work: impl FnOnce(&mut KeystoreClient) -> Result<T, ClientError> + Send + 'static,
) -> Result<T, CallError> {
    let request = Request::OpenKeystore(OpenKeystore { one_shot: true, ..OpenKeystore::default() });
    let stream = ask(door, request).await?.descriptors.pop().ok_or_else(|| CallError::new(code::INTERNAL, "no key store"))?;
    let done = tokio::task::spawn_blocking(move || work(&mut KeystoreClient::new(stream))).await;
    done.map_err(|error| CallError::new(code::INTERNAL, error.to_string()))?.map_err(|error| {
        let (code, message) = error.code_and_message();
        CallError::new(code, message)
    })
}

pub(super) async fn sign_message(door: &Door, params: &[Value]) -> CallResult {
    let text = |index| param(params, index).as_str().unwrap_or_default().to_owned();
    let (key, message) = (check_key(&text(0), &door.config.network)?, text(1));
    let signature = with_keystore(door, move |keystore| keystore.one_shot_sign_message(key.as_str(), &message)).await?;
    Ok(Value::String(signature).to_string())
}
