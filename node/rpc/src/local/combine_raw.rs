//! `combinerawtransaction` (Core: rpc/rawtransaction.cpp). What signs raw transactions also merges their signatures; here
//! without any key.

use std::collections::HashMap;

use bitcoin::{OutPoint, ScriptBuf, Transaction, TxOut, Witness};
use bulkhead_keystore_edge::RawTransaction;
use bulkhead_rpc_util::codec::{decode_hex_tx, encode_tx, tx_to_hex};
use bulkhead_rpc_util::prevouts::SpentOutput;
use bulkhead_rpc_util::{Params, RpcError, error, params};
use serde_json::Value;

use super::coins;
use super::keys::with_keystore;
use super::sign_raw::{decode_signed, for_keystore};
use crate::door::Door;
use crate::jsonrpc::{CallError, CallResult};

/// The transaction without signatures.
fn bare(tx: &Transaction) -> Transaction {
    let mut tx = tx.clone();
    for input in &mut tx.input {
        input.script_sig = ScriptBuf::new();
        input.witness = Witness::new();
    }
    tx
}

/// At least two copies of one transaction.
fn read(params: &Params) -> Result<Vec<Transaction>, RpcError> {
    let texts = params.array(0)?;
    if texts.len() < 2 {
        return Err(RpcError::deserialization("Missing transactions. At least two transactions required."));
    }
    let mut copies: Vec<Transaction> = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let tx = decode_hex_tx(params::as_str(text)?, false, true).ok_or_else(|| {
            RpcError::deserialization(format!("TX decode failed for tx {index}. Make sure the tx has at least one input."))
        })?;
        copies.push(tx);
    }
    let first = bare(&copies[0]);
    match copies.iter().position(|copy| bare(copy) != first) {
        Some(index) => {
            Err(RpcError::parameter(format!("Transaction number {} not compatible with first transaction", index + 1)))
        }
        None => Ok(copies),
    }
}

pub(super) async fn combine(door: &Door, params: &[Value]) -> CallResult {
    let copies = read(&Params::new(params.to_vec()))?;
    let outpoints: Vec<OutPoint> = copies[0].input.iter().map(|input| input.previous_output).collect();
    let spent = coins::find(door, &outpoints).await?;
    if spent.iter().any(Option::is_none) {
        return Err(CallError::new(error::VERIFY_ERROR, "Input not found or already spent"));
    }
    let merged = take_complete(door, &copies, &spent).await?;
    let known = outpoints.iter().copied().zip(spent.into_iter().flatten().map(SpentOutput::from)).collect::<HashMap<_, _>>();
    let raw = RawTransaction {
        transaction: encode_tx(&merged, true),
        coins: for_keystore(&known),
        sighash: 0,
        copies: copies.iter().map(|copy| encode_tx(copy, true)).collect(),
    };
    let signed = with_keystore(door, move |keystore| keystore.one_shot_sign_raw(raw, Vec::new())).await?;
    Ok(Value::from(tx_to_hex(&decode_signed(&signed.psbt)?)).to_string())
}

/// The first copy, with the inputs that are complete in any: their scripts may be such that nobody could merge them.
async fn take_complete(door: &Door, copies: &[Transaction], spent: &[Option<TxOut>]) -> Result<Transaction, CallError> {
    let mut merged = copies[0].clone();
    let mut open = coins::verify(door, &merged, spent).await?;
    for copy in &copies[1..] {
        let checked = coins::verify(door, copy, spent).await?;
        for (index, error) in checked.iter().enumerate().filter(|(_, error)| error.is_empty()) {
            if !open[index].is_empty() {
                merged.input[index] = copy.input[index].clone();
                open[index].clone_from(error);
            }
        }
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    #[test]
    fn only_copies_of_one_transaction_are_combined() {
        let spending = |byte: &str| format!("0200000001{}0000000000ffffffff0100000000000000000000000000", byte.repeat(32));
        let (tx, other) = (spending("11"), spending("22"));
        let refused = |texts: Value| read(&Params::new(vec![texts])).unwrap_err();
        assert_eq!(refused(json!([])).message, "Missing transactions. At least two transactions required.");
        let bad = refused(json!([tx, format!("{tx}00")]));
        assert_eq!(
            (bad.code, bad.message.as_str()),
            (-22, "TX decode failed for tx 1. Make sure the tx has at least one input.")
        );
        let bad = refused(json!([tx, tx, other]));
        assert_eq!((bad.code, bad.message.as_str()), (-8, "Transaction number 3 not compatible with first transaction"));
        // Readable only in the format without witnesses, which segwit transactions with bytes behind them may fit by chance.
        let without_inputs = "02000000000100000000000000000000000000";
        assert_eq!(refused(json!([without_inputs, without_inputs])).code, -22);
        assert_eq!(read(&Params::new(vec![json!([tx, tx])])).unwrap().len(), 2);
    }
}
