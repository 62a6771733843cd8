//! Outputs, fee modes and recipients as the spending methods take them
//! (Core: `rpc/rawtransaction_util.cpp`, `wallet/rpc/spend.cpp`).

use bitcoin::ScriptBuf;
use bitcoin::script::{Builder, PushBytesBuf};
use bulkhead_rpc_util::amount::amount_from_json_decimals;
use bulkhead_rpc_util::params::{as_array, as_int, as_object, as_str, type_name};
use bulkhead_rpc_util::{RpcError, RpcResult, amount_from_json, parse_hex};
use serde_json::{Map, Value};
use std::collections::HashSet;

use super::util::script_of;
use crate::app::App;
use crate::spend::{CoinControl, Recipient};

/// Longest target that fee estimation knows, blocks.
pub(super) const MAX_CONFIRM_TARGET: u32 = 1008;

/// Outputs of one object: address or "data", and amount.
pub(super) fn parse_outputs(app: &App, object: &Map<String, Value>) -> RpcResult<Vec<(ScriptBuf, i64)>> {
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for (name, value) in object {
        if name == "data" {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let bytes =
                parse_hex(&text).ok_or_else(|| RpcError::parameter(format!("Data must be hexadecimal string (not '{text}')")))?;
            let push = PushBytesBuf::try_from(bytes).map_err(|_| RpcError::parameter("Data is too long"))?;
            out.push((Builder::new().push_opcode(bitcoin::opcodes::all::OP_RETURN).push_slice(push).into_script(), 0));
            continue;
        }
        let amount = amount_from_json(value);
        let script = script_of(app, name, &format!("Invalid Bitcoin address: {name}"));
        // The amount is looked at first, as in Core.
        let (amount, script) = (amount?, script?);
        if !seen.insert(script.clone()) {
            return Err(RpcError::parameter(format!("Invalid parameter, duplicated address: {name}")));
        }
        out.push((script, amount));
    }
    Ok(out)
}

/// Outputs as object, or as array of objects with one key each.
pub(super) fn normalize_outputs(value: &Value) -> RpcResult<Map<String, Value>> {
    match value {
        Value::Object(object) => Ok(object.clone()),
        Value::Null => Err(RpcError::parameter("Invalid parameter, output argument must be non-null")),
        other => {
            let mut out = Map::new();
            for entry in as_array(other)? {
                let Value::Object(object) = entry else {
                    return Err(RpcError::parameter("Invalid parameter, key-value pair not an object as expected"));
                };
                if object.len() != 1 {
                    return Err(RpcError::parameter("Invalid parameter, key-value pair must contain exactly one key"));
                }
                for (key, value) in object {
                    if out.insert(key.clone(), value.clone()).is_some() {
                        let what =
                            if key == "data" { "duplicate key: data".into() } else { format!("duplicated address: {key}") };
                        return Err(RpcError::parameter(format!("Invalid parameter, {what}")));
                    }
                }
            }
            Ok(out)
        }
    }
}

/// Positions of the outputs that the fee is taken from.
pub(super) fn subtract_positions(value: &Value, names: &[String]) -> RpcResult<HashSet<usize>> {
    let mut out = HashSet::new();
    if value.is_null() {
        return Ok(out);
    }
    for entry in value.as_array().ok_or_else(|| RpcError::misc("JSON value is not an object or array as expected"))? {
        const PREFIX: &str = "Invalid parameter 'subtract fee from output'";
        let position: i64 = match entry {
            Value::String(name) => names
                .iter()
                .position(|other| other == name)
                .map(|position| position as i64)
                .ok_or_else(|| RpcError::parameter(format!("{PREFIX}, destination {name} not found in tx outputs")))?,
            Value::Number(_) => i64::from(as_int::<i32>(entry)?),
            other => return Err(RpcError::parameter(format!("{PREFIX}, invalid value type: {}", type_name(other)))),
        };
        let fits = usize::try_from(position).ok();
        if fits.is_some_and(|position| out.contains(&position)) {
            return Err(RpcError::parameter(format!("{PREFIX}, duplicated position: {position}")));
        }
        let Some(fits) = fits else { return Err(RpcError::parameter(format!("{PREFIX}, negative position: {position}"))) };
        if fits >= names.len() {
            return Err(RpcError::parameter(format!("{PREFIX}, position too large: {position}")));
        }
        out.insert(fits);
    }
    Ok(out)
}

/// Recipients of outputs.
pub(super) fn recipients(outputs: Vec<(ScriptBuf, i64)>, subtract: &HashSet<usize>) -> Vec<Recipient> {
    let make = |(position, (script, amount))| Recipient { script, amount, subtract_fee: subtract.contains(&position) };
    outputs.into_iter().enumerate().map(make).collect()
}

/// A confirmation target in blocks.
pub(super) fn confirm_target(value: &Value) -> RpcResult<u32> {
    let target: i32 = as_int(value)?;
    u32::try_from(target)
        .ok()
        .filter(|target| (1..=MAX_CONFIRM_TARGET).contains(target))
        .ok_or_else(|| RpcError::parameter(format!("Invalid conf_target, must be between 1 and {MAX_CONFIRM_TARGET}")))
}

/// Takes the fee wishes of a call into `control` (Core: SetFeeEstimateMode).
pub(super) fn set_fee_mode(
    control: &mut CoinControl,
    target: &Value,
    mode: &Value,
    rate: &Value,
    override_min_fee: bool,
) -> RpcResult<()> {
    let mode_text = if mode.is_null() { None } else { Some(as_str(mode)?) };
    if !rate.is_null() {
        if !target.is_null() {
            return Err(RpcError::parameter(
                "Cannot specify both conf_target and fee_rate. Please provide either a confirmation target in blocks for automatic fee estimation, or an explicit fee rate.",
            ));
        }
        if mode_text.is_some_and(|mode| mode != "unset") {
            return Err(RpcError::parameter("Cannot specify both estimate_mode and fee_rate"));
        }
        control.fee_rate = Some(amount_from_json_decimals(rate, 3)?);
        control.override_fee_rate |= override_min_fee;
        control.rbf = control.rbf.or(Some(true));
        return Ok(());
    }
    if let Some(mode) = mode_text {
        control.conservative = match mode.to_lowercase().as_str() {
            "unset" => None,
            "economical" => Some(false),
            "conservative" => Some(true),
            _ => {
                return Err(RpcError::parameter(
                    "Invalid estimate_mode parameter, must be one of: \"unset\", \"economical\", \"conservative\"",
                ));
            }
        };
    }
    if !target.is_null() {
        control.confirm_target = Some(confirm_target(target)?);
    }
    Ok(())
}

/// An object parameter, empty when it was left out.
pub(super) fn object_or_empty(value: &Value) -> RpcResult<Map<String, Value>> {
    if value.is_null() { Ok(Map::new()) } else { Ok(as_object(value)?.clone()) }
}
