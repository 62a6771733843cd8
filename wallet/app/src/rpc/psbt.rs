//! Signing what others drafted.

use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, Psbt, TxOut};
use bulkhead_keystore_edge::{RawTransaction, Request, SpentCoin};
use bulkhead_rpc_util::asm::sighash_from_name;
use bulkhead_rpc_util::codec::{decode_hex_tx, encode_tx, tx_to_hex};
use bulkhead_rpc_util::prevouts::{SpentOutput, add_described};
use bulkhead_rpc_util::psbt::{VersionedPsbt, decode, is_final};
use bulkhead_rpc_util::signing::{merge_errors, signed_json};
use bulkhead_rpc_util::{RpcError, RpcResult};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

use super::Call;
use super::send::{can_sign, extract, finalize, sign_psbt, signed};
use super::util::{ensure_unlocked, synced_wallet, wallet_of};
use crate::spend::psbt;
use crate::state::Wallet;
use crate::wallets::chain_error;

/// A PSBT as base64.
pub(super) fn encode(psbt: &VersionedPsbt) -> Value {
    json!(bulkhead_rpc_util::psbt::encode(psbt))
}

/// Signature hash type by name; 0 for the default.
pub(super) fn sighash(value: &Value) -> RpcResult<u32> {
    if value.is_null() {
        return Ok(0);
    }
    sighash_from_name(bulkhead_rpc_util::params::as_str(value)?).map(u32::from).map_err(RpcError::parameter)
}

/// What is said of the inputs of a wallet without keys.
const NO_KEY: &str = "Unable to sign input, invalid stack size (possibly missing key)";

pub(super) async fn sign_raw(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    let mut tx = decode_hex_tx(call.params.str(0)?, false, true)
        .ok_or_else(|| RpcError::deserialization("TX decode failed. Make sure the tx has at least one input."))?;
    ensure_unlocked(&loaded).await?;
    let outpoints: Vec<OutPoint> = tx.input.iter().map(|input| input.previous_output).collect();
    let coins = call.app.chain.coins(&outpoints).await.map_err(|error| chain_error(&error))?;
    let known = outpoints.iter().copied().zip(coins);
    let mut known: HashMap<OutPoint, SpentOutput> =
        known.filter_map(|(outpoint, coin)| Some((outpoint, coin?.output.into()))).collect();
    add_described(call.params.get(1), &mut known, false)?;
    let sighash = sighash(call.params.get(2))?;
    let mut complaints: Vec<(u32, String)> = (0..).zip(&tx.input).map(|(index, _)| (index, NO_KEY.to_owned())).collect();
    if can_sign(&loaded) {
        let coins = spent_coins(&loaded.wallet.borrow(), &known);
        let raw = RawTransaction { transaction: encode_tx(&tx, true), coins, sighash, copies: Vec::new() };
        let signed = signed(&loaded, Request::SignRaw(raw)).await?;
        tx = bitcoin::consensus::deserialize(&signed.psbt).map_err(|error| RpcError::internal(format!("key store: {error}")))?;
        complaints = signed.errors;
    }
    let spent: Vec<Option<TxOut>> = outpoints.iter().map(|outpoint| Some(known.get(outpoint)?.output.clone())).collect();
    let mut checked = call.app.chain.verify_inputs(&tx, &spent).await.map_err(|error| chain_error(&error))?;
    for (error, _) in checked.iter_mut().zip(&spent).filter(|(_, spent)| spent.is_none()) {
        "Input not found or already spent".clone_into(error);
    }
    signed_json(&tx, &known, &merge_errors(&complaints, &checked))
}

/// Coins for the key store, with the transactions of ours that prove their amounts.
fn spent_coins(wallet: &Wallet, known: &HashMap<OutPoint, SpentOutput>) -> Vec<SpentCoin> {
    let coin = |(outpoint, spent): (&OutPoint, &SpentOutput)| {
        // A description that differs from our transaction stands on its own.
        let previous = wallet.txs.get(&outpoint.txid).filter(|_| wallet.output(outpoint) == Some(&spent.output));
        SpentCoin {
            txid: outpoint.txid.to_byte_array(),
            vout: outpoint.vout,
            script: spent.output.script_pubkey.to_bytes(),
            amount: spent.output.value.to_sat(),
            previous: previous.map_or_else(Vec::new, |wtx| bitcoin::consensus::serialize(&*wtx.tx)),
            ..SpentCoin::default()
        }
    };
    known.iter().map(coin).collect()
}

/// Whether the final fields of every input satisfy what it spends.
async fn holds(call: &Call, draft: &Psbt) -> RpcResult<bool> {
    let Some(tx) = extract(draft) else { return Ok(false) };
    let inputs = draft.inputs.iter().zip(&draft.unsigned_tx.input);
    let spent: Vec<Option<TxOut>> =
        inputs.map(|(input, unsigned)| psbt::spent_output(input, unsigned.previous_output.vout)).collect();
    let errors = call.app.chain.verify_inputs(&tx, &spent).await.map_err(|error| chain_error(&error))?;
    Ok(spent.iter().all(Option::is_some) && errors.iter().all(String::is_empty))
}

pub(super) async fn process(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let params = &call.params;
    let mut versioned = decode(params.str(0)?)?;
    let hash_type = sighash(params.get(2))?;
    let sign = params.opt_bool(1)?.unwrap_or(true);
    let bip32 = params.opt_bool(3)?.unwrap_or(true);
    let finish = params.opt_bool(4)?.unwrap_or(true);
    if sign {
        ensure_unlocked(&loaded).await?;
    }
    versioned.ensure_transaction()?;
    let draft = &mut versioned.psbt;
    if !psbt::fill_for(&loaded.wallet.borrow(), draft, bip32, hash_type) {
        return Err(RpcError::deserialization("Specified sighash value does not match value stored in PSBT"));
    }
    if sign && can_sign(&loaded) {
        *draft = sign_psbt(&loaded, draft, hash_type, finish, bip32).await?.0;
    }
    if finish {
        // Signatures of others may complete an input.
        finalize(draft);
    }
    // Final fields may come from elsewhere, or from another transaction: only scripts that hold are complete.
    let complete = draft.inputs.iter().all(is_final) && holds(call, draft).await?;
    let mut out = Map::new();
    out.insert("psbt".into(), encode(&versioned));
    out.insert("complete".into(), json!(complete));
    if complete && let Some(tx) = extract(&versioned.psbt) {
        out.insert("hex".into(), json!(tx_to_hex(&tx)));
    }
    Ok(Value::Object(out))
}
