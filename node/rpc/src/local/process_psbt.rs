//! `descriptorprocesspsbt` (Core: rpc/rawtransaction.cpp). Chain adds what it knows of the coins and never sees the
//! descriptors, which may hold private keys.

use bitcoin::psbt::Input;
use bitcoin::{Network, OutPoint, Psbt, Transaction};
use bulkhead_keystore_edge::OneShotDescriptor;
use bulkhead_rpc_util::codec::tx_to_hex;
use bulkhead_rpc_util::descriptor::{parse_range, split_multipath};
use bulkhead_rpc_util::psbt::{decode, encode, is_final};
use bulkhead_rpc_util::{Params, RpcError, network_from_name, params};
use bulkhead_schema::methods::Owner;
use serde_json::{Map, Value};

use super::coins;
use super::keys::with_keystore;
use super::sign_raw::sighash;
use crate::door::Door;
use crate::jsonrpc::{CallError, CallResult, code};

/// Last index of a descriptor without a range of its own.
const DEFAULT_END: u32 = 1000;

/// A descriptor as text, or as an object with a range (Core: `EvalDescriptorStringOrObject`).
fn descriptors(value: &Value, network: Network) -> Result<Vec<OneShotDescriptor>, RpcError> {
    let (text, (first, last)) = match value {
        Value::String(text) => (text.as_str(), (0, DEFAULT_END)),
        Value::Object(object) => {
            let text = object.get("desc").filter(|text| !text.is_null());
            let text = text.ok_or_else(|| RpcError::parameter("Descriptor needs to be provided in scan object"))?;
            let range = object.get("range").filter(|range| !range.is_null());
            (params::as_str(text)?, range.map_or(Ok((0, DEFAULT_END)), parse_range)?)
        }
        _ => return Err(RpcError::parameter("Scan object needs to be either a string or an object")),
    };
    let bound = |index: u32| i32::try_from(index).map_err(|_| RpcError::parameter("End of range is too high"));
    let (range_start, range_end) = (bound(first)?, bound(last)?.saturating_add(1));
    let texts = split_multipath(text, false, network).map_err(|error| RpcError::address_or_key(error.to_string()))?;
    let one = |text: String| OneShotDescriptor { descriptor: text.into(), range_start, range_end };
    Ok(texts.into_iter().map(one).collect())
}

fn lacks_coin(input: &Input) -> bool {
    input.witness_utxo.is_none() && input.non_witness_utxo.is_none() && !is_final(input)
}

/// The transaction of a PSBT whose inputs are all final.
fn extract(psbt: &Psbt) -> Option<Transaction> {
    let mut tx = psbt.unsigned_tx.clone();
    for (txin, input) in tx.input.iter_mut().zip(&psbt.inputs) {
        if !is_final(input) {
            return None;
        }
        txin.script_sig = input.final_script_sig.clone().unwrap_or_default();
        txin.witness = input.final_script_witness.clone().unwrap_or_default();
    }
    Some(tx)
}

/// Adds the coins of pay-to-script-hash inputs, whose scripts only the key store may know. Answers where.
async fn add_nested(door: &Door, psbt: &mut Psbt) -> Result<Vec<usize>, CallError> {
    let open: Vec<usize> = (0..psbt.inputs.len()).filter(|index| lacks_coin(&psbt.inputs[*index])).collect();
    let outpoints: Vec<OutPoint> = open.iter().map(|index| psbt.unsigned_tx.input[*index].previous_output).collect();
    let mut added = Vec::new();
    for (index, output) in open.into_iter().zip(coins::find(door, &outpoints).await?) {
        if let Some(output) = output.filter(|output| output.script_pubkey.is_p2sh()) {
            psbt.inputs[index].witness_utxo = Some(output);
            added.push(index);
        }
    }
    Ok(added)
}

/// Takes the coins out again where no witness program turned up: an output alone proves no amount to a legacy script.
fn drop_legacy(psbt: &mut Psbt, added: &[usize]) {
    for index in added {
        let input = &mut psbt.inputs[*index];
        let nested = input.redeem_script.as_ref().is_some_and(|script| script.is_witness_program());
        if !nested && input.final_script_witness.is_none() {
            input.witness_utxo = None;
        }
    }
}

pub(super) async fn process(door: &Door, params: &[Value]) -> CallResult {
    let params = Params::new(params.to_vec());
    let network = network_from_name(&door.config.network).ok_or_else(|| RpcError::internal("a network without name"))?;
    let mut found = Vec::new();
    for value in params.array(1)? {
        found.extend(descriptors(value, network)?);
    }
    let sighash = sighash(&params, 2)?;
    let derivations = params.opt_bool(3)?.unwrap_or(true);
    let finalize = params.opt_bool(4)?.unwrap_or(true);

    let broken = |process: &str| CallError::new(code::INTERNAL, format!("{process} answered no PSBT"));
    let updated = door.owners.execute(Owner::Chain, "utxoupdatepsbt", &[params.get(0).clone()], "/", "").await?;
    let updated: String = serde_json::from_str(&updated).map_err(|_| broken("bitcoin-chain"))?;
    let mut versioned = decode(&updated).map_err(|_| broken("bitcoin-chain"))?;
    let psbt = &mut versioned.psbt;
    let added = add_nested(door, psbt).await?;
    let bytes = psbt.serialize(); // the key store knows version 0
    let signed = with_keystore(door, move |keystore| {
        keystore.one_shot_sign_transaction(bytes, Vec::new(), found, sighash, finalize, derivations)
    });
    let signed = Psbt::deserialize(&signed.await?.psbt).ok().filter(|signed| signed.unsigned_tx == psbt.unsigned_tx);
    *psbt = signed.ok_or_else(|| broken("key store"))?;
    drop_legacy(psbt, &added);

    let mut out = Map::new();
    let tx = extract(psbt);
    out.insert("psbt".into(), encode(&versioned).into());
    out.insert("complete".into(), tx.is_some().into());
    if let Some(tx) = tx {
        out.insert("hex".into(), tx_to_hex(&tx).into());
    }
    Ok(Value::Object(out).to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    #[test]
    fn ranges_are_given_or_end_at_a_thousand() {
        let bounds = |value: Value| descriptors(&value, Network::Regtest).map(|found| (found[0].range_start, found[0].range_end));
        assert_eq!(bounds(json!("raw(51)")), Ok((0, 1001)));
        assert_eq!(bounds(json!({"desc": "raw(51)"})), Ok((0, 1001)));
        assert_eq!(bounds(json!({"desc": "raw(51)", "range": 3})), Ok((0, 4)));
        assert_eq!(bounds(json!({"desc": "raw(51)", "range": [2, 3]})), Ok((2, 4)));
        assert_eq!(bounds(json!("wpkh(x)")).unwrap_err().message, "wpkh(): key 'x' is not valid");
        assert_eq!(bounds(json!({"range": 3})).unwrap_err().message, "Descriptor needs to be provided in scan object");
        assert_eq!(bounds(json!(1)).unwrap_err().message, "Scan object needs to be either a string or an object");
        assert_eq!(bounds(json!({"desc": "x", "range": [3, 2]})).unwrap_err().code, -8);
    }
}
