//! The answer of the methods that sign raw transactions (Core: `SignTransactionResultToJSON`, rpc/rawtransaction_util.cpp).

use crate::codec::tx_to_hex;
use crate::error::TYPE_ERROR;
use crate::prevouts::SpentOutput;
use crate::{RpcError, RpcResult};
use bitcoin::{OutPoint, Transaction, TxOut};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Core's stand-in for an error that its script check does not name.
const UNNAMED: &str = "unknown error";

/// Which inputs still lack something, from what the signer complains of and what the script check says (empty: the
/// script is satisfied; its own words go before those of the signer).
pub fn merge_errors(complaints: &[(u32, String)], checked: &[String]) -> Vec<(usize, String)> {
    let judge = |(index, complaint): &(u32, String)| {
        let index = usize::try_from(*index).ok()?;
        match checked.get(index).map(String::as_str) {
            Some("") => None,
            Some(text) if text != UNNAMED => Some((index, text.to_owned())),
            _ => Some((index, complaint.clone())),
        }
    };
    complaints.iter().filter_map(judge).collect()
}

/// As Core's `CTxOut::ToString`.
fn show(output: &TxOut) -> String {
    let satoshi = output.value.to_sat();
    let (coins, rest) = (satoshi / 100_000_000, satoshi % 100_000_000);
    let script: String = output.script_pubkey.to_hex_string().chars().take(30).collect();
    format!("CTxOut(nValue={coins}.{rest:08}, scriptPubKey={script})")
}

/// Result object; `errors` by input, ascending.
///
/// # Errors
/// An input with a witness spends a coin whose amount nobody gave.
pub fn signed_json(tx: &Transaction, known: &HashMap<OutPoint, SpentOutput>, errors: &[(usize, String)]) -> RpcResult {
    for input in tx.input.iter().filter(|input| !input.witness.is_empty()) {
        if let Some(coin) = known.get(&input.previous_output).filter(|coin| coin.lacks_amount()) {
            return Err(RpcError::new(TYPE_ERROR, format!("Missing amount for {}", show(&coin.output))));
        }
    }
    let describe = |(index, text): &(usize, String)| {
        let input = tx.input.get(*index)?;
        Some(json!({
            "txid": input.previous_output.txid.to_string(),
            "vout": input.previous_output.vout,
            "witness": input.witness.iter().map(hex::encode).collect::<Vec<_>>(),
            "scriptSig": input.script_sig.to_hex_string(),
            "sequence": input.sequence.0,
            "error": text,
        }))
    };
    let problems: Vec<Value> = errors.iter().filter_map(describe).collect();
    let mut out = Map::new();
    out.insert("hex".into(), tx_to_hex(tx).into());
    out.insert("complete".into(), errors.is_empty().into());
    if !problems.is_empty() {
        out.insert("errors".into(), Value::Array(problems));
    }
    Ok(Value::Object(out))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bitcoin::{Amount, ScriptBuf, TxIn, Witness, absolute::LockTime, transaction::Version};

    #[test]
    fn satisfied_scripts_need_no_signer_and_named_errors_win() {
        let complaints = [(0, "a".to_owned()), (1, "b".to_owned()), (2, "c".to_owned()), (5, "d".to_owned())];
        let checked = ["", "Witness program hash mismatch", "unknown error"].map(str::to_owned);
        let expected = [(1, "Witness program hash mismatch".to_owned()), (2, "c".to_owned()), (5, "d".to_owned())];
        assert_eq!(merge_errors(&complaints, &checked), expected);
    }

    #[test]
    fn errors_describe_their_inputs_and_missing_amounts_are_refused() {
        let mut tx =
            Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input: vec![TxIn::default()], output: vec![] };
        let mut known = HashMap::new();
        let answer = signed_json(&tx, &known, &[(0, "no".into())]).unwrap();
        assert_eq!(answer["complete"], false);
        let error = &answer["errors"][0];
        assert_eq!((&error["vout"], &error["sequence"], &error["error"]), (&json!(u32::MAX), &json!(u32::MAX), &json!("no")));
        assert_eq!(answer.as_object().unwrap().keys().collect::<Vec<_>>(), ["hex", "complete", "errors"]);

        let script = ScriptBuf::from_hex("0014000102030405060708090a0b0c0d0e0f10111213").unwrap();
        let output = TxOut { value: Amount::from_sat(2_100_000_000_000_000), script_pubkey: script };
        known.insert(tx.input[0].previous_output, SpentOutput::from(output));
        assert!(signed_json(&tx, &known, &[]).is_ok(), "without a witness no signature commits to the amount");
        tx.input[0].witness = Witness::from_slice(&[[1u8]]);
        let error = signed_json(&tx, &known, &[]).unwrap_err();
        let text = "Missing amount for CTxOut(nValue=21000000.00000000, scriptPubKey=0014000102030405060708090a0b0c)";
        assert_eq!((error.code, error.message.as_str()), (-3, text));
    }
}
