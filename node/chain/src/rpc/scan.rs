//! `scantxoutset`.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

use bitcoin::{OutPoint, ScriptBuf};
use bulkhead_rpc_util::descriptor::{Descriptor, Solution, parse_range};
use bulkhead_rpc_util::error::MISC_ERROR;
use bulkhead_rpc_util::{Params, RpcError, RpcResult, amount_to_json, infer_descriptor, params};
use bulkhead_store::{Coin, StoreError};
use serde_json::{Value, json};

use super::lookup::{engine_error, storage_error, tip};
use super::{Context, Handler};

pub(super) const METHODS: &[(&str, Handler)] = &[("scantxoutset", scantxoutset)];

/// A descriptor given as text, or as object with a range (first and last index).
pub(super) fn read_scan_object(object: &Value) -> RpcResult<(&str, Option<(u32, u32)>)> {
    match object {
        Value::String(text) => Ok((text.as_str(), None)),
        Value::Object(map) => {
            let text = map.get("desc").filter(|desc| !desc.is_null());
            let text = text.ok_or_else(|| RpcError::parameter("Descriptor needs to be provided in scan object"))?;
            let range = map.get("range").filter(|range| !range.is_null()).map(parse_range).transpose()?;
            Ok((params::as_str(text)?, range))
        }
        _ => Err(RpcError::parameter("Scan object needs to be either a string or an object")),
    }
}

/// Scripts of such a descriptor, up to 1001 without a range, and what is known of how each is spent.
pub(super) fn scripts_of_scan_object(context: &Context, object: &Value) -> RpcResult<Vec<(ScriptBuf, Option<Solution>)>> {
    let (text, range) = read_scan_object(object)?;
    let descriptors = Descriptor::parse(text, context.network, false).map_err(RpcError::address_or_key)?;
    let is_range = descriptors.first().is_some_and(Descriptor::is_range);
    let (low, high) = if is_range { range.unwrap_or((0, 1000)) } else { (0, 0) };
    let mut found = Vec::new();
    for position in low..=high {
        for descriptor in &descriptors {
            let expanded = descriptor
                .expand(position)
                .ok_or_else(|| RpcError::address_or_key(format!("Cannot derive script without private keys: '{text}'")))?;
            for (i, script) in expanded.scripts.iter().enumerate() {
                found.push((script.clone(), expanded.solution(i)));
            }
        }
    }
    Ok(found)
}

fn scantxoutset(context: &Context, params: &Params) -> RpcResult<Value> {
    let scan = &context.scan;
    let status = || json!({"progress": scan.percent.load(Ordering::Relaxed)});
    scan.act(params.str(0)?, status, || {
        if params.len() < 2 {
            return Err(RpcError::new(MISC_ERROR, "scanobjects argument is required for the start action"));
        }
        start(context, params.array(1)?)
    })
}

fn start(context: &Context, objects: &[Value]) -> RpcResult<Value> {
    let mut needles: HashMap<ScriptBuf, String> = HashMap::new();
    for object in objects {
        for (script, solution) in scripts_of_scan_object(context, object)? {
            let description = solution.map_or_else(|| infer_descriptor(&script, context.network), |known| known.descriptor());
            needles.entry(script).or_insert(description);
        }
    }
    let scan = &context.scan;
    let mut state = context.state();
    context.chain.sync(&mut state).map_err(engine_error)?;
    let database = state.coins().shared_database();
    let tip_id = tip(&state)?;
    let mut found: BTreeMap<OutPoint, Coin> = BTreeMap::new();
    let mut count = 0u64;
    let result = database.for_each_then(
        || drop(state),
        |outpoint, coin| {
            if count.is_multiple_of(8192) {
                use bitcoin::hashes::Hash;
                let txid = outpoint.txid.to_byte_array();
                let high = u32::from(txid[0]) * 256 + u32::from(txid[1]);
                scan.percent.store(high * 100 / 65536, Ordering::Relaxed);
                if context.chain.is_interrupted() || scan.is_aborted() {
                    return Err(StoreError::Interrupted);
                }
            }
            count += 1;
            if needles.contains_key(&coin.output.script_pubkey) {
                found.insert(outpoint, coin);
            }
            Ok(())
        },
    );
    let success = match result {
        Ok(()) => true,
        Err(StoreError::Interrupted) => false,
        Err(error) => return Err(storage_error(error)),
    };
    scan.percent.store(100, Ordering::Relaxed);

    let state = context.state();
    let tip = state.node(tip_id);
    let mut total = 0;
    let mut unspents = Vec::with_capacity(found.len());
    for (outpoint, coin) in found {
        let value = coin.output.value.to_sat() as i64; // within the money range
        total += value;
        let height = coin.height as i32; // heights are below 2^31
        let block = state.index().ancestor(tip_id, height).map(|id| state.node(id).hash.to_string());
        unspents.push(json!({
            "txid": outpoint.txid.to_string(),
            "vout": outpoint.vout,
            "scriptPubKey": hex::encode(&coin.output.script_pubkey),
            "desc": needles.get(&coin.output.script_pubkey),
            "amount": amount_to_json(value),
            "coinbase": coin.coinbase,
            "height": coin.height,
            "blockhash": block,
            "confirmations": tip.height - height + 1,
        }));
    }
    Ok(json!({
        "success": success,
        "txouts": count,
        "height": tip.height,
        "bestblock": tip.hash.to_string(),
        "unspents": unspents,
        "total_amount": amount_to_json(total),
    }))
}
