//! importdescriptors.

use bitcoin::bip32::Xpub;
use bulkhead_keystore_edge::{Reply, Request};
use bulkhead_rpc_util::error as code;
use bulkhead_rpc_util::params::{as_array, as_bool, as_int, as_str, type_name};
use bulkhead_rpc_util::{RpcError, RpcResult};
use bulkhead_wallet_core::Descriptor;
use bulkhead_wallet_core::descriptor::{Cache, KeyExpression, KeyKind, Keys, split_multipath, with_checksum};
use serde_json::{Map, Value, json};
use std::str::FromStr;

use super::Call;
use super::rescan::{Reservation, height_of_time, scan};
use super::util::{ensure_unlocked, label, persist, push_warnings, synced_wallet};
use crate::app::Loaded;
use crate::ipc::scan::Outcome;
use crate::state::OutputType;
use crate::wallets::{TIMESTAMP_WINDOW, chain_error, keystore_error, resubmit};

fn timestamp_of(object: &Map<String, Value>, now: i64) -> RpcResult<i64> {
    match object.get("timestamp") {
        None => Err(RpcError::type_error("Missing required timestamp field for key")),
        Some(value @ Value::Number(_)) => as_int(value),
        Some(Value::String(text)) if text == "now" => Ok(now),
        Some(other) => Err(RpcError::type_error(format!(
            "Expected number or \"now\" timestamp value for key. got type {}",
            type_name(other)
        ))),
    }
}

/// A range as number (the end) or pair.
pub(super) fn range_of(value: &Value) -> RpcResult<(i64, i64)> {
    let (low, high) = match value {
        Value::Number(_) => (0, as_int::<i64>(value)?),
        Value::Array(pair) if pair.len() == 2 => {
            let (low, high) = (as_int::<i64>(&pair[0])?, as_int::<i64>(&pair[1])?);
            if low > high {
                return Err(RpcError::parameter("Range specified as [begin,end] must not have begin after end"));
            }
            (low, high)
        }
        _ => return Err(RpcError::parameter("Range must be specified as end or as [begin,end]")),
    };
    if low < 0 {
        return Err(RpcError::parameter("Range should be greater or equal than 0"));
    }
    if (high >> 31) != 0 {
        return Err(RpcError::parameter("End of range is too high"));
    }
    if high >= low + 1_000_000 {
        return Err(RpcError::parameter("Range is too large"));
    }
    Ok((low, high))
}

struct Range {
    start: i32,
    end: i32,
    next: i32,
}

fn read_range(loaded: &Loaded, object: &Map<String, Value>, ranged: bool, warnings: &mut Vec<String>) -> RpcResult<Range> {
    let given = object.get("range").filter(|value| !value.is_null());
    if !ranged {
        if given.is_some() {
            return Err(RpcError::parameter("Range should not be specified for an un-ranged descriptor"));
        }
        return Ok(Range { start: 0, end: 1, next: 0 });
    }
    let (start, end) = match given {
        Some(value) => {
            let (low, high) = range_of(value)?;
            (low, high + 1)
        }
        None => {
            warnings.push("Range not given, using default keypool range".into());
            (0, i64::from(loaded.wallet.borrow().options.keypool))
        }
    };
    let mut next = start;
    if let Some(value) = object.get("next_index").filter(|value| !value.is_null()) {
        next = as_int(value)?;
        if next < start || next >= end {
            return Err(RpcError::parameter("next_index is out of range"));
        }
    }
    let small = |value: i64| i32::try_from(value).map_err(|_| RpcError::parameter("End of range is too high"));
    Ok(Range { start: small(start)?, end: small(end)?, next: small(next)? })
}

async fn import_one(
    call: &Call,
    loaded: &Loaded,
    object: &Map<String, Value>,
    timestamp: i64,
    warnings: &mut Vec<String>,
) -> RpcResult<()> {
    let field = |name: &str| object.get(name).filter(|value| !value.is_null());
    let whole = as_str(field("desc").ok_or_else(|| RpcError::parameter("Descriptor not found."))?)?;
    let active = field("active").map(as_bool).transpose()?.unwrap_or(false);
    let label = label(object.get("label").unwrap_or(&Value::Null))?;
    let mut keys = Keys::default();
    let texts = split_multipath(whole, true, call.app.network).map_err(|error| RpcError::address_or_key(error.to_string()))?;
    let mut parsed = Vec::with_capacity(texts.len());
    for text in texts {
        let descriptor = Descriptor::parse(&text, &mut keys).map_err(|error| RpcError::address_or_key(error.to_string()))?;
        parsed.push((with_checksum(&text), descriptor));
    }
    let internal = field("internal").map(as_bool).transpose()?;
    if internal.is_some() && parsed.len() > 1 {
        return Err(RpcError::address_or_key("Cannot have multipath descriptor while also specifying 'internal'"));
    }
    let Some((_, first)) = parsed.first() else { return Err(RpcError::address_or_key("Invalid descriptor")) };
    let ranged = first.is_range();
    let range = read_range(loaded, object, ranged, warnings)?;
    if active && !ranged {
        return Err(RpcError::parameter("Active descriptors must be ranged"));
    }
    let has_label = object.contains_key("label");
    if parsed.len() > 1 && has_label {
        return Err(RpcError::parameter("Multipath descriptors should not have a label"));
    }
    if ranged && has_label {
        return Err(RpcError::parameter("Ranged descriptors should not have a label"));
    }
    if internal == Some(true) && has_label {
        return Err(RpcError::parameter("Internal addresses should not have a label"));
    }
    if active && !first.is_single_type() {
        return Err(RpcError::new(code::WALLET_ERROR, "Combo descriptors cannot be set to active"));
    }
    let private = loaded.wallet.borrow().private_keys_enabled();
    if !private && !keys.is_empty() {
        return Err(RpcError::new(code::WALLET_ERROR, "Cannot import private keys to a wallet with private keys disabled"));
    }
    let pair = parsed.len() == 2;
    for (position, (text, descriptor)) in parsed.iter().enumerate() {
        check_one(loaded, descriptor, &keys, private, warnings).await?;
        let internal = if pair { position == 1 } else { internal.unwrap_or(false) };
        let how = How { given: whole, range: &range, timestamp, active, internal, label: &label };
        add(call, loaded, text, &how, warnings).await?;
    }
    Ok(())
}

/// Whether a descriptor fits into the wallet, with Core's texts.
async fn check_one(
    loaded: &Loaded,
    descriptor: &Descriptor,
    keys: &Keys,
    private: bool,
    warnings: &mut Vec<String>,
) -> RpcResult<()> {
    let refuse = |text: &str| Err(RpcError::new(code::WALLET_ERROR, text));
    if descriptor.fill_cache(0, keys, &mut Cache::default()).is_err() {
        return refuse("Cannot expand descriptor. Probably because of hardened derivations without private keys provided");
    }
    warnings.extend(descriptor.warnings());
    if private {
        if keys.is_empty() {
            return refuse("Cannot import descriptor without private keys to a wallet with private keys enabled");
        }
        let complete = !descriptor.keys().is_empty() && descriptor.keys().iter().all(|key| key.derive_private(0, keys).is_some());
        if !complete {
            warnings.push("Not all private keys provided. Some wallet functionality may return unexpected errors".into());
        }
    }
    if descriptor.has_scripts() {
        return Ok(());
    }
    if !private {
        return refuse("Cannot import unused() to wallet without private keys enabled");
    }
    for key in descriptor.keys() {
        if has_private_key(loaded, &key.root_key()).await? {
            return refuse("Cannot import an unused() descriptor when its private key is already in the wallet");
        }
    }
    Ok(())
}

/// Whether the wallet holds the private key of a key, as it stands in its descriptors.
pub(super) async fn has_private_key(loaded: &Loaded, key: &bitcoin::PublicKey) -> RpcResult<bool> {
    let known = super::descriptors::export_hd_keys(loaded, false).await?;
    if known.iter().any(|known| known.has_private && Xpub::from_str(&known.xpub).is_ok_and(|xpub| xpub.public_key == key.inner)) {
        return Ok(true);
    }
    let wallet = loaded.wallet.borrow();
    let single = |key: &&KeyExpression| matches!(key.kind, KeyKind::Single { .. });
    Ok(wallet
        .spkms
        .values()
        .flat_map(|spkm| spkm.descriptor.parsed().keys())
        .filter(single)
        .any(|known| known.root_key() == *key))
}

struct How<'a> {
    /// The text of the request.
    given: &'a str,
    range: &'a Range,
    timestamp: i64,
    active: bool,
    internal: bool,
    label: &'a str,
}

async fn add(call: &Call, loaded: &Loaded, text: &str, how: &How<'_>, warnings: &mut Vec<String>) -> RpcResult<()> {
    let How { given, range, timestamp, active, internal, label } = *how;
    let request = Request::AddDescriptor {
        descriptor: text.to_owned().into(),
        range_start: range.start,
        range_end: range.end,
        next_index: range.next,
        creation_time: timestamp,
    };
    let refused =
        |error: RpcError| RpcError::new(code::WALLET_ERROR, format!("Could not add descriptor '{given}': {}", error.message));
    let info = match loaded.keys.call(request).await.map_err(|error| refused(keystore_error(&error)))? {
        Reply::Descriptors(mut list) if list.len() == 1 => list.remove(0),
        _ => return Err(RpcError::internal("key store: unexpected reply to addDescriptor")),
    };
    super::descriptors::take_over(call, loaded, &info)?;
    {
        let mut wallet = loaded.wallet.borrow_mut();
        let Some(spkm) = wallet.spkms.get(&info.id) else {
            return Err(RpcError::internal("key store: the new descriptor is not in the file"));
        };
        let kind: Option<OutputType> = spkm.descriptor.output_type();
        if !spkm.descriptor.is_ranged() && !internal {
            let scripts = spkm.descriptor.scripts(0).unwrap_or_default();
            for script in scripts {
                if let Some(address) = wallet.address(&script) {
                    wallet.set_address_book(&address, label, Some("receive"));
                }
            }
        }
        match kind {
            Some(kind) if active => wallet.activate(&info.id, kind, internal),
            Some(kind) => wallet.deactivate(&info.id, kind, internal),
            None if active => warnings.push("Unknown output type, cannot set descriptor to active.".into()),
            None => {}
        }
        wallet.refresh_all_coins();
    }
    persist(&call.app, loaded).await?;
    // The range of the request may be shorter than the pool.
    super::descriptors::extend(call, loaded, vec![info.id], 0).await
}

pub(super) async fn descriptors(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let reservation = Reservation::new(&loaded)?;
    let requests = as_array(call.params.get(0))?;
    ensure_unlocked(&loaded).await?;
    let tip = call.app.chain.state().await.map_err(|error| chain_error(&error))?.tip;
    let now = tip.median_time;
    let mut lowest = tip.time;
    let mut times = Vec::new();
    let mut results = Vec::new();
    let mut any = false;
    for request in requests {
        // As in Core, what is no object lacks its time.
        let nothing = Map::new();
        let object = request.as_object().unwrap_or(&nothing);
        let given = timestamp_of(object, now)?;
        let timestamp = given.max(1);
        let mut warnings = Vec::new();
        let mut result = Map::new();
        match import_one(call, &loaded, object, timestamp, &mut warnings).await {
            Ok(()) => {
                any = true;
                result.insert("success".into(), json!(true));
            }
            // A field of another type fails the call as a whole.
            Err(error) if error.code == code::TYPE_ERROR => return Err(error),
            Err(error) => {
                result.insert("success".into(), json!(false));
                result.insert("error".into(), error.to_json());
            }
        }
        push_warnings(&mut result, &warnings);
        lowest = lowest.min(timestamp);
        times.push(given);
        results.push(result);
    }
    if any {
        let outcome = match height_of_time(&call.app, &loaded, lowest).await? {
            Some(height) => scan(&call.app, &reservation, height, None).await?,
            None => Outcome::Done(None),
        };
        resubmit(&call.app, &loaded, false, true).await;
        match outcome {
            Outcome::Aborted => return Err(RpcError::misc("Rescan aborted by user.")),
            Outcome::Failed(time) => {
                let missing = call.app.chain.blocks_from().await.map_err(|error| chain_error(&error))? > 0;
                let cause = match (call.app.config.prune, missing) {
                    (true, _) => PRUNED,
                    (false, true) => BEHIND_SNAPSHOT,
                    (false, false) => CORRUPTED,
                };
                mark_unscanned(&mut results, &times, time + TIMESTAMP_WINDOW + 1, cause);
            }
            Outcome::Done(_) => {}
        }
    }
    Ok(Value::Array(results.into_iter().map(Value::Object).collect()))
}

// What is said of blocks that could not be read.
const PRUNED: &str = " This error could be caused by pruning or data corruption (see bitcoind log for details) and could be dealt with by downloading and rescanning the relevant blocks (see -reindex option and rescanblockchain RPC).";
const BEHIND_SNAPSHOT: &str = " This error is likely caused by an in-progress assumeutxo background sync. Check logs or getchainstates RPC for assumeutxo background sync progress and try again later.";
const CORRUPTED: &str = " This error could potentially caused by data corruption. If the issue persists you may want to reindex (see -reindex option).";

/// Descriptors older than what could be scanned failed after all.
fn mark_unscanned(results: &mut [Map<String, Value>], times: &[i64], scanned: i64, cause: &str) {
    for (result, time) in results.iter_mut().zip(times) {
        if scanned <= *time || result.contains_key("error") {
            continue;
        }
        let mut text = format!(
            "Rescan failed for descriptor with timestamp {time}. There was an error reading a block from time {}, which is after or within {TIMESTAMP_WINDOW} seconds of key creation, and could contain transactions pertaining to the desc. As a result, transactions and coins using this desc may not appear in the wallet.",
            scanned - TIMESTAMP_WINDOW - 1
        );
        text.push_str(cause);
        *result = Map::new();
        result.insert("success".into(), json!(false));
        result.insert("error".into(), RpcError::misc(text).to_json());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn ranges_are_bounded() {
        assert_eq!(range_of(&json!(5)).unwrap(), (0, 5));
        assert_eq!(range_of(&json!([2, 4])).unwrap(), (2, 4));
        assert_eq!(range_of(&json!([4, 2])).unwrap_err().message, "Range specified as [begin,end] must not have begin after end");
        assert_eq!(range_of(&json!(-1)).unwrap_err().message, "End of range is too high");
        assert_eq!(range_of(&json!([-1, 1])).unwrap_err().message, "Range should be greater or equal than 0");
        assert_eq!(range_of(&json!(2_000_000)).unwrap_err().message, "Range is too large");
        assert_eq!(range_of(&json!(1i64 << 31)).unwrap_err().message, "End of range is too high");
    }
}
