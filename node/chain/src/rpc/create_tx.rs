//! `createrawtransaction`, and the reading of inputs and outputs that PSBT methods share.

use std::collections::BTreeSet;

use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use bulkhead_rpc_util::codec::{parse_hex, parse_txid, tx_to_hex};
use bulkhead_rpc_util::params::{as_array, as_int, as_object};
use bulkhead_rpc_util::{Params, RpcError, RpcResult, amount_from_json, decode_address};
use serde_json::Value;

use super::{Context, Handler};

pub(super) const METHODS: &[(&str, Handler)] = &[("createrawtransaction", createrawtransaction)];

const RBF_SEQUENCE: u32 = 0xffff_fffd;

fn createrawtransaction(context: &Context, params: &Params) -> RpcResult<Value> {
    Ok(tx_to_hex(&construct(context.network, params)?).into())
}

/// Inputs, outputs, lock time, replaceable and version at positions 0 to 4.
pub(super) fn construct(network: Network, params: &Params) -> RpcResult<Transaction> {
    let rbf = params.opt_bool(3)?;
    let lock_time: i64 = params.opt_int(2)?.unwrap_or(0);
    let lock_time = u32::try_from(lock_time).map_err(|_| RpcError::parameter("Invalid parameter, locktime out of range"))?;
    let version: u32 = params.opt_int(4)?.unwrap_or(2);
    if !(1..=3).contains(&version) {
        return Err(RpcError::parameter("Invalid parameter, version out of range(1~3)"));
    }
    let input = read_inputs(params.get(0), rbf, lock_time)?;
    let output = read_outputs(params.get(1), network)?;
    if rbf == Some(true) && !input.is_empty() && !input.iter().any(|input| input.sequence.0 <= RBF_SEQUENCE) {
        return Err(RpcError::parameter("Invalid parameter combination: Sequence number(s) contradict replaceable option"));
    }
    Ok(Transaction {
        version: Version(version as i32), // 1 to 3
        lock_time: LockTime::from_consensus(lock_time),
        input,
        output,
    })
}

fn read_inputs(value: &Value, rbf: Option<bool>, lock_time: u32) -> RpcResult<Vec<TxIn>> {
    if value.is_null() {
        return Ok(Vec::new());
    }
    as_array(value)?.iter().map(|input| read_input(input, rbf, lock_time)).collect()
}

fn read_input(value: &Value, rbf: Option<bool>, lock_time: u32) -> RpcResult<TxIn> {
    let object = as_object(value)?;
    let get = |name: &str| object.get(name).unwrap_or(&Value::Null);
    let txid = parse_txid(get("txid"), "txid")?;
    if !get("vout").is_number() {
        return Err(RpcError::parameter("Invalid parameter, missing vout key"));
    }
    let vout: i32 = as_int(get("vout"))?;
    let vout = u32::try_from(vout).map_err(|_| RpcError::parameter("Invalid parameter, vout cannot be negative"))?;
    let mut sequence = match (rbf.unwrap_or(true), lock_time) {
        (true, _) => RBF_SEQUENCE,
        (false, 0) => u32::MAX,
        (false, _) => u32::MAX - 1,
    };
    if get("sequence").is_number() {
        let given: i64 = as_int(get("sequence"))?;
        sequence = u32::try_from(given).map_err(|_| RpcError::parameter("Invalid parameter, sequence number is out of range"))?;
    }
    Ok(TxIn {
        previous_output: OutPoint { txid, vout },
        script_sig: ScriptBuf::new(),
        sequence: Sequence(sequence),
        witness: Witness::new(),
    })
}

/// Pairs of name and value from an object or from an array of one-member objects.
fn output_pairs(value: &Value) -> RpcResult<Vec<(&String, &Value)>> {
    if value.is_null() {
        return Err(RpcError::parameter("Invalid parameter, output argument must be non-null"));
    }
    if let Value::Object(map) = value {
        return Ok(map.iter().collect());
    }
    let mut pairs = Vec::new();
    for output in as_array(value)? {
        let Value::Object(map) = output else {
            return Err(RpcError::parameter("Invalid parameter, key-value pair not an object as expected"));
        };
        let mut members = map.iter();
        match (members.next(), members.next()) {
            (Some(pair), None) => pairs.push(pair),
            _ => {
                return Err(RpcError::parameter("Invalid parameter, key-value pair must contain exactly one key"));
            }
        }
    }
    Ok(pairs)
}

pub(super) fn read_outputs(value: &Value, network: Network) -> RpcResult<Vec<TxOut>> {
    let mut seen = BTreeSet::new();
    let mut has_data = false;
    let mut outputs = Vec::new();
    for (name, value) in output_pairs(value)? {
        if name == "data" {
            if has_data {
                return Err(RpcError::parameter("Invalid parameter, duplicate key: data"));
            }
            has_data = true;
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => String::new(),
            };
            let data =
                parse_hex(&text).ok_or_else(|| RpcError::parameter(format!("Data must be hexadecimal string (not '{text}')")))?;
            outputs.push(TxOut { value: Amount::ZERO, script_pubkey: data_script(&data) });
            continue;
        }
        let destination = decode_address(name, network);
        let amount = amount_from_json(value)?;
        let destination = destination.map_err(|_| RpcError::address_or_key(format!("Invalid Bitcoin address: {name}")))?;
        let script = destination.script();
        if !seen.insert(destination) {
            return Err(RpcError::parameter(format!("Invalid parameter, duplicated address: {name}")));
        }
        outputs.push(TxOut { value: Amount::from_sat(amount.unsigned_abs()), script_pubkey: script });
    }
    Ok(outputs)
}

/// OP_RETURN and one push of the shortest form for its length.
fn data_script(data: &[u8]) -> ScriptBuf {
    let mut script = vec![0x6a];
    match data.len() {
        length @ 0..=75 => script.push(length as u8),
        length @ 76..=255 => script.extend([0x4c, length as u8]),
        length @ 256..=65535 => {
            script.push(0x4d);
            script.extend((length as u16).to_le_bytes());
        }
        length => {
            script.push(0x4e);
            script.extend((length as u32).to_le_bytes());
        }
    }
    script.extend_from_slice(data);
    ScriptBuf::from_bytes(script)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    fn make(params: Value) -> RpcResult<Transaction> {
        let Value::Array(values) = params else { panic!("test parameters are an array") };
        construct(Network::Regtest, &Params::new(values))
    }

    #[test]
    fn sequences_follow_replaceable_and_lock_time() {
        let input = json!([{"txid": "11".repeat(32), "vout": 0}]);
        for (rest, sequence) in
            [(vec![], RBF_SEQUENCE), (vec![json!(5), json!(false)], u32::MAX - 1), (vec![json!(0), json!(false)], u32::MAX)]
        {
            let mut params = vec![input.clone(), json!({"data": "00"})];
            params.extend(rest);
            assert_eq!(make(Value::Array(params)).unwrap().input[0].sequence.0, sequence);
        }
    }

    #[test]
    fn bad_outputs_have_core_errors() {
        let address = "bcrt1qtmp74ayg7p24uslctssvjm06q5phz4yrxucgnv";
        for (outputs, code, message) in [
            (json!([{address: 1}, {address: 1}]), -8, format!("Invalid parameter, duplicated address: {address}")),
            (json!({"foo": 0}), -5, "Invalid Bitcoin address: foo".into()),
            (json!({"data": "foo"}), -8, "Data must be hexadecimal string (not 'foo')".into()),
            (json!([{"data": "99"}, {"data": "99"}]), -8, "Invalid parameter, duplicate key: data".into()),
            (json!([["key-value pair1"], ["2"]]), -8, "Invalid parameter, key-value pair not an object as expected".into()),
            (json!([{"a": 1, "b": 2}]), -8, "Invalid parameter, key-value pair must contain exactly one key".into()),
            (json!({address: "66ae"}), -3, "Invalid amount".into()),
            (json!({address: -1}), -3, "Amount out of range".into()),
            (Value::Null, -8, "Invalid parameter, output argument must be non-null".into()),
        ] {
            let error = make(json!([[], outputs])).unwrap_err();
            assert_eq!((error.code, error.message), (code, message));
        }
    }
}
