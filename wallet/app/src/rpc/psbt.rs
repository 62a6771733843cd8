//! Signing what others drafted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bitcoin::{OutPoint, Psbt, ScriptBuf, Transaction, TxOut};
use bulkhead_rpc_util::codec::{decode_hex_tx, parse_hex_value, parse_txid, tx_to_hex};
use bulkhead_rpc_util::params::{as_int, as_object, check_object};
use bulkhead_rpc_util::{ArgKind, RpcError, RpcResult, amount_from_json, script_asm};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

use super::Call;
use super::send::{can_sign, extract, finalize, sign_psbt};
use super::util::{ensure_unlocked, synced_wallet, wallet_of};
use crate::spend::psbt;
use crate::wallets::chain_error;

/// A PSBT as base64.
pub(super) fn encode(psbt: &Psbt) -> Value {
    json!(STANDARD.encode(psbt.serialize()))
}

/// A PSBT from base64.
pub(super) fn decode(text: &str) -> RpcResult<Psbt> {
    let bad = |error: &dyn std::fmt::Display| RpcError::deserialization(format!("TX decode failed {error}"));
    let bytes = STANDARD.decode(text).map_err(|_| bad(&"invalid base64"))?;
    Psbt::deserialize(&bytes).map_err(|error| bad(&error))
}

/// Signature hash type by name; 0 for the default.
pub(super) fn sighash(value: &Value) -> RpcResult<u32> {
    if value.is_null() {
        return Ok(0);
    }
    let text = bulkhead_rpc_util::params::as_str(value)?;
    Ok(match text {
        "DEFAULT" => 0,
        "ALL" => 1,
        "NONE" => 2,
        "SINGLE" => 3,
        "ALL|ANYONECANPAY" => 0x81,
        "NONE|ANYONECANPAY" => 0x82,
        "SINGLE|ANYONECANPAY" => 0x83,
        other => return Err(RpcError::parameter(format!("'{other}' is not a valid sighash parameter."))),
    })
}

/// Outputs that the caller describes.
fn given_outputs(value: &Value, known: &mut HashMap<OutPoint, TxOut>) -> RpcResult<HashMap<OutPoint, Vec<ScriptBuf>>> {
    let mut scripts: HashMap<OutPoint, Vec<ScriptBuf>> = HashMap::new();
    if value.is_null() {
        return Ok(scripts);
    }
    for entry in bulkhead_rpc_util::params::as_array(value)? {
        let Value::Object(_) = entry else {
            return Err(RpcError::deserialization("expected object with {\"txid'\",\"vout\",\"scriptPubKey\"}"));
        };
        let object = as_object(entry)?;
        let expected = [("txid", ArgKind::Str), ("vout", ArgKind::Num), ("scriptPubKey", ArgKind::Str)];
        check_object(object, &expected, false, false)?;
        let field = |name: &str| object.get(name).unwrap_or(&Value::Null);
        let txid = parse_txid(field("txid"), "txid")?;
        let vout: i32 = as_int(field("vout"))?;
        let vout = u32::try_from(vout).map_err(|_| RpcError::deserialization("vout cannot be negative"))?;
        let script = ScriptBuf::from_bytes(parse_hex_value(field("scriptPubKey"), "scriptPubKey")?);
        let outpoint = OutPoint { txid, vout };
        if let Some(other) = known.get(&outpoint).filter(|output| output.script_pubkey != script) {
            return Err(RpcError::deserialization(format!(
                "Previous output scriptPubKey mismatch:\n{}\nvs:\n{}",
                script_asm(other.script_pubkey.as_bytes(), false),
                script_asm(script.as_bytes(), false)
            )));
        }
        let value = match object.get("amount").filter(|value| !value.is_null()) {
            Some(value) => amount_from_json(value)?,
            None => known.get(&outpoint).map_or(bulkhead_rpc_util::MAX_MONEY, |output| output.value.to_sat() as i64),
        };
        let value = bitcoin::Amount::from_sat(u64::try_from(value).unwrap_or(0));
        known.insert(outpoint, TxOut { value, script_pubkey: script });
        for name in ["redeemScript", "witnessScript"] {
            if let Some(value) = object.get(name).filter(|value| !value.is_null()) {
                scripts.entry(outpoint).or_default().push(ScriptBuf::from_bytes(parse_hex_value(value, name)?));
            }
        }
    }
    Ok(scripts)
}

pub(super) async fn sign_raw(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    let tx = decode_hex_tx(call.params.str(0)?, true, true)
        .ok_or_else(|| RpcError::deserialization("TX decode failed. Make sure the tx has at least one input."))?;
    ensure_unlocked(&loaded).await?;
    let outpoints: Vec<OutPoint> = tx.input.iter().map(|input| input.previous_output).collect();
    let coins = call.app.chain.coins(&outpoints).await.map_err(|error| chain_error(&error))?;
    let mut known: HashMap<OutPoint, TxOut> =
        outpoints.iter().copied().zip(coins).filter_map(|(outpoint, coin)| Some((outpoint, coin?.output))).collect();
    given_outputs(call.params.get(1), &mut known)?;
    let hash_type = sighash(call.params.get(2))?;

    let mut draft = psbt::unsigned(&tx).map_err(|error| RpcError::internal(error.to_string()))?;
    for (index, outpoint) in outpoints.iter().enumerate() {
        let Some(output) = known.get(outpoint) else { continue };
        let input = &mut draft.inputs[index];
        // Signatures that are there already count when they are all there; the key store makes ours again.
        input.witness_utxo = Some(output.clone());
    }
    {
        let wallet = loaded.wallet.borrow();
        psbt::fill(&wallet, &mut draft, true);
        for (index, outpoint) in outpoints.iter().enumerate() {
            // A described output stands for the coin even when the wallet knows another transaction.
            if let Some(output) = known.get(outpoint)
                && draft.inputs[index].witness_utxo.is_none()
                && draft.inputs[index].non_witness_utxo.is_none()
            {
                draft.inputs[index].witness_utxo = Some(output.clone());
            }
        }
    }
    let (signed, errors) = if can_sign(&loaded) {
        let (mut signed, status) = sign_psbt(&loaded, &draft, hash_type, true, true).await?;
        finalize(&mut signed);
        (signed, status.errors)
    } else {
        (draft, Vec::new())
    };
    Ok(raw_result(&tx, &signed, &known, &errors))
}

/// Answer of the signing methods: new signatures where there are some, the old ones elsewhere, errors by input.
fn raw_result(tx: &Transaction, signed: &Psbt, known: &HashMap<OutPoint, TxOut>, errors: &[(u32, String)]) -> Value {
    let mut out_tx = tx.clone();
    let mut problems = Vec::new();
    for (index, input) in out_tx.input.iter_mut().enumerate() {
        let done = &signed.inputs[index];
        if done.final_script_sig.is_some() || done.final_script_witness.is_some() {
            input.script_sig = done.final_script_sig.clone().unwrap_or_default();
            input.witness = done.final_script_witness.clone().unwrap_or_default();
            continue;
        }
        let outpoint = input.previous_output;
        let had_signature = !input.script_sig.is_empty() || !input.witness.is_empty();
        let text = if !known.contains_key(&outpoint) {
            "Input not found or already spent".to_owned()
        } else if had_signature && errors.iter().all(|(position, _)| *position as usize != index) {
            continue;
        } else {
            let found = errors.iter().find(|(position, _)| *position as usize == index).map(|(_, text)| text.clone());
            found.unwrap_or_else(|| "Unable to sign input, invalid stack size (possibly missing key)".to_owned())
        };
        problems.push(json!({
            "txid": outpoint.txid.to_string(),
            "vout": outpoint.vout,
            "witness": input.witness.iter().map(hex::encode).collect::<Vec<_>>(),
            "scriptSig": input.script_sig.to_hex_string(),
            "sequence": input.sequence.0,
            "error": text,
        }));
    }
    let mut out = Map::new();
    out.insert("hex".into(), json!(tx_to_hex(&out_tx)));
    out.insert("complete".into(), json!(problems.is_empty()));
    if !problems.is_empty() {
        out.insert("errors".into(), Value::Array(problems));
    }
    Value::Object(out)
}

pub(super) async fn process(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let params = &call.params;
    let mut draft = decode(params.str(0)?)?;
    let hash_type = sighash(params.get(2))?;
    let sign = params.opt_bool(1)?.unwrap_or(true);
    let bip32 = params.opt_bool(3)?.unwrap_or(true);
    let finish = params.opt_bool(4)?.unwrap_or(true);
    if sign {
        ensure_unlocked(&loaded).await?;
    }
    psbt::fill(&loaded.wallet.borrow(), &mut draft, bip32);
    if sign && can_sign(&loaded) {
        draft = sign_psbt(&loaded, &draft, hash_type, finish, bip32).await?.0;
    }
    if finish {
        // Signatures of others may complete an input.
        let mut trial = draft.clone();
        finalize(&mut trial);
        draft = trial;
    }
    let is_final = |input: &bitcoin::psbt::Input| input.final_script_sig.is_some() || input.final_script_witness.is_some();
    let complete = draft.inputs.iter().all(is_final);
    let mut out = Map::new();
    out.insert("psbt".into(), encode(&draft));
    out.insert("complete".into(), json!(complete));
    if complete && let Some(tx) = extract(&draft) {
        out.insert("hex".into(), json!(tx_to_hex(&tx)));
    }
    Ok(Value::Object(out))
}
