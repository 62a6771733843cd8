//! `utxoupdatepsbt`, `analyzepsbt`.

use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Psbt, TxOut};
use bulkhead_rpc_util::{MAX_MONEY, Params, RpcError, RpcResult, amount_to_json, opcode, solve};
use bulkhead_rpc_util::{ScriptType, solver};
use miniscript::psbt::PsbtExt;
use serde_json::{Map, Value, json};

use super::super::Context;
use super::super::lookup::storage_error;
use super::super::scan::scripts_of_scan_object;
use super::{decode, encode};
use crate::mempool_accept::{PackageCoins, find_coin};

/// Adds coins that are known here to segwit inputs, whole transactions from the mempool to others, and scripts of descriptors.
pub(super) fn utxoupdatepsbt(context: &Context, params: &Params) -> RpcResult<Value> {
    let mut psbt = decode(params.str(0)?)?;
    let mut known = Vec::new();
    for object in params.opt_array(1)?.into_iter().flatten() {
        known.extend(scripts_of_scan_object(context, object)?);
    }
    let state = context.state();
    let pool = context.pool.lock();
    for i in 0..psbt.inputs.len() {
        let outpoint = psbt.unsigned_tx.input[i].previous_output;
        let input = &mut psbt.inputs[i];
        if input.non_witness_utxo.is_none()
            && let Some(entry) = pool.get(&outpoint.txid)
        {
            input.non_witness_utxo = Some((*entry.new.tx).clone());
        }
        if input.witness_utxo.is_some() {
            continue;
        }
        let coin = find_coin(&state, &pool, &PackageCoins::default(), &outpoint).map_err(storage_error)?;
        let is_wrapped = |script: &bitcoin::Script| {
            script.is_p2sh() && known.iter().any(|(other, text)| other == script && text.starts_with("sh(w"))
        };
        if let Some(coin) = coin {
            let script = &coin.output.script_pubkey;
            if solver::witness_program(script.as_bytes()).is_some() || is_wrapped(script) {
                input.witness_utxo = Some(coin.output);
            }
        }
    }
    Ok(encode(&psbt))
}

fn spent_output(psbt: &Psbt, i: usize) -> Option<&TxOut> {
    let input = psbt.inputs.get(i)?;
    let outpoint = psbt.unsigned_tx.input.get(i)?.previous_output;
    match &input.non_witness_utxo {
        Some(tx) => tx.output.get(outpoint.vout as usize),
        None => input.witness_utxo.as_ref(),
    }
}

fn invalid(message: String) -> Value {
    json!({"next": "creator", "error": message})
}

/// What each input still needs. Missing keys and signatures are not listed one by one yet.
pub(super) fn analyzepsbt(_: &Context, params: &Params) -> RpcResult<Value> {
    let psbt = decode(params.str(0)?)?;
    let secp = Secp256k1::verification_only();
    let order = ["updater", "signer", "finalizer", "extractor"];
    let mut lowest = order.len() - 1;
    let mut inputs = Vec::new();
    let mut total_in = Some(0i64);
    let mut finished = psbt.clone();
    let mut all_final = true;
    for i in 0..psbt.inputs.len() {
        let input = &psbt.inputs[i];
        let spent = spent_output(&psbt, i);
        if input.non_witness_utxo.is_some() && spent.is_none() {
            return Ok(invalid(format!("PSBT is not valid. Input {i} specifies invalid prevout")));
        }
        if let Some(output) = spent {
            let value = i64::try_from(output.value.to_sat()).unwrap_or(i64::MAX);
            let sum = total_in.unwrap_or(0);
            if value > MAX_MONEY - sum {
                return Ok(invalid(format!("PSBT is not valid. Input {i} has invalid value")));
            }
            if opcode::is_unspendable(output.script_pubkey.as_bytes()) {
                return Ok(invalid(format!("PSBT is not valid. Input {i} spends unspendable output")));
            }
            total_in = total_in.map(|sum| sum + value);
        } else {
            total_in = None;
        }
        let is_final = input.final_script_sig.is_some() || input.final_script_witness.is_some();
        let role = if spent.is_none() {
            0
        } else if is_final {
            3
        } else if finished.finalize_inp_mut(&secp, i).is_ok() {
            2
        } else if knows_script(input, spent) {
            1
        } else {
            0
        };
        all_final &= role >= 2;
        lowest = lowest.min(role);
        inputs.push(json!({"has_utxo": spent.is_some(), "is_final": is_final, "next": order[role]}));
    }
    let mut out = Map::new();
    if !inputs.is_empty() {
        out.insert("inputs".into(), inputs.into());
    }
    if let Some(total_in) = total_in {
        let total_out: i64 = psbt
            .unsigned_tx
            .output
            .iter()
            .try_fold(0i64, |sum, output| sum.checked_add(i64::try_from(output.value.to_sat()).ok()?))
            .filter(|sum| *sum <= MAX_MONEY)
            .unwrap_or(-1);
        if total_out < 0 {
            return Ok(invalid("PSBT is not valid. Output amount invalid".into()));
        }
        let fee = total_in - total_out;
        if all_final {
            let tx = finished.extract_tx_unchecked_fee_rate();
            let vsize = i64::try_from(tx.vsize()).map_err(|_| RpcError::internal("transaction too large"))?;
            out.insert("estimated_vsize".into(), vsize.into());
            out.insert("estimated_feerate".into(), amount_to_json(fee * 1000 / vsize.max(1)));
        }
        out.insert("fee".into(), amount_to_json(fee));
    }
    out.insert("next".into(), order[lowest].into());
    Ok(Value::Object(out))
}

/// Whether scripts and keys are there, so that only signatures are missing.
fn knows_script(input: &bitcoin::psbt::Input, spent: Option<&TxOut>) -> bool {
    let Some(output) = spent else { return false };
    match solve(output.script_pubkey.as_bytes()) {
        ScriptType::ScriptHash(_) => input.redeem_script.is_some(),
        ScriptType::WitnessV0ScriptHash(_) => input.witness_script.is_some(),
        ScriptType::WitnessV1Taproot(_) => input.tap_internal_key.is_some(),
        ScriptType::PubKeyHash(_) | ScriptType::WitnessV0KeyHash(_) => !input.bip32_derivation.is_empty(),
        _ => true,
    }
}
