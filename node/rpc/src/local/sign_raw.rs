//! `signrawtransactionwithkey` (Core: rpc/rawtransaction.cpp).

use std::collections::HashMap;

use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, Transaction, TxOut, base58};
use bulkhead_keystore_edge::{RawTransaction, SecretText, SpentCoin};
use bulkhead_rpc_util::asm::sighash_from_name;
use bulkhead_rpc_util::codec::{decode_hex_tx, encode_tx};
use bulkhead_rpc_util::prevouts::{SpentOutput, add_described};
use bulkhead_rpc_util::signing::{merge_errors, signed_json};
use bulkhead_rpc_util::{Params, RpcError};
use serde_json::Value;
use zeroize::Zeroizing;

use super::coins;
use super::keys::with_keystore;
use crate::door::Door;
use crate::jsonrpc::{CallError, CallResult, code};

/// Refuses what is no private key of this network; whether it is a number that can be one shows in the key store.
pub(super) fn check_key(text: &str, network: &str) -> Result<SecretText, RpcError> {
    let prefix = if network == "main" { 128 } else { 239 };
    let bytes = Zeroizing::new(base58::decode_check(text).unwrap_or_default());
    let fits = match &bytes[..] {
        [first, rest @ ..] if *first == prefix => rest.len() == 32 || (rest.len() == 33 && rest.last() == Some(&1)),
        _ => false,
    };
    if fits { Ok(text.to_owned().into()) } else { Err(RpcError::address_or_key("Invalid private key")) }
}

/// Signature hash type by name; 0 for the default.
pub(super) fn sighash(params: &Params, index: usize) -> Result<u32, RpcError> {
    let name = params.opt_str(index)?;
    name.map_or(Ok(0), |name| sighash_from_name(name).map(u32::from).map_err(RpcError::parameter))
}

/// The transaction and the keys of a call.
fn read(params: &Params, network: &str) -> Result<(Transaction, Vec<SecretText>), RpcError> {
    let tx = decode_hex_tx(params.str(0)?, false, true)
        .ok_or_else(|| RpcError::deserialization("TX decode failed. Make sure the tx has at least one input."))?;
    let mut keys = Vec::new();
    for key in params.array(1)? {
        keys.push(check_key(bulkhead_rpc_util::params::as_str(key)?, network)?);
    }
    Ok((tx, keys))
}

/// The transaction that a key store answers.
pub(super) fn decode_signed(bytes: &[u8]) -> Result<Transaction, CallError> {
    bitcoin::consensus::deserialize(bytes).map_err(|error| CallError::new(code::INTERNAL, format!("key store: {error}")))
}

pub(super) fn for_keystore(known: &HashMap<OutPoint, SpentOutput>) -> Vec<SpentCoin> {
    let bytes = |script: &Option<bitcoin::ScriptBuf>| script.as_ref().map_or_else(Vec::new, |script| script.to_bytes());
    let coin = |(outpoint, spent): (&OutPoint, &SpentOutput)| SpentCoin {
        txid: outpoint.txid.to_byte_array(),
        vout: outpoint.vout,
        script: spent.output.script_pubkey.to_bytes(),
        amount: spent.output.value.to_sat(),
        redeem_script: bytes(&spent.redeem_script),
        witness_script: bytes(&spent.witness_script),
        previous: Vec::new(),
    };
    known.iter().map(coin).collect()
}

pub(super) async fn sign_raw(door: &Door, params: &[Value]) -> CallResult {
    let params = Params::new(params.to_vec());
    let (tx, keys) = read(&params, &door.config.network)?;
    let outpoints: Vec<OutPoint> = tx.input.iter().map(|input| input.previous_output).collect();
    let found = outpoints.iter().copied().zip(coins::find(door, &outpoints).await?);
    let mut known: HashMap<OutPoint, SpentOutput> =
        found.filter_map(|(outpoint, output)| Some((outpoint, output?.into()))).collect();
    add_described(params.get(2), &mut known, true)?;
    let raw = RawTransaction {
        transaction: encode_tx(&tx, true),
        coins: for_keystore(&known),
        sighash: sighash(&params, 3)?,
        copies: Vec::new(),
    };
    let signed = with_keystore(door, move |keystore| keystore.one_shot_sign_raw(raw, keys)).await?;
    let tx = decode_signed(&signed.psbt)?;
    let spent: Vec<Option<TxOut>> = outpoints.iter().map(|outpoint| Some(known.get(outpoint)?.output.clone())).collect();
    // An input whose coin nobody knows keeps the complaint of the key store.
    let mut checked = coins::verify(door, &tx, &spent).await?;
    for (error, _) in checked.iter_mut().zip(&spent).filter(|(_, spent)| spent.is_none()) {
        "Input not found or already spent".clone_into(error);
    }
    Ok(signed_json(&tx, &known, &merge_errors(&signed.errors, &checked))?.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn keys_belong_to_their_network() {
        let regtest = "cUeKHd5orzT3mz8P9pxyREHfsWtVfgsfDjiZZBcjUBAaGk1BTj7N";
        assert_eq!(check_key(regtest, "regtest").unwrap().as_str(), regtest);
        for (text, network) in [(regtest, "main"), ("123", "regtest"), ("", "regtest")] {
            let error = check_key(text, network).unwrap_err();
            assert_eq!((error.code, error.message.as_str()), (-5, "Invalid private key"));
        }
    }
}
