//! Outputs that the caller of a signing method describes (`prevtxs`), with the checks and texts of Core's
//! `ParsePrevouts` (rpc/rawtransaction_util.cpp).

use crate::codec::{parse_hex_value, parse_txid};
use crate::params::{as_array, as_int, check_object};
use crate::{ArgKind, MAX_MONEY, RpcError, RpcResult, amount_from_json, script_asm};
use bitcoin::{Amount, OutPoint, ScriptBuf, TxOut};
use serde_json::Value;
use std::collections::HashMap;

/// An output that a transaction spends, and the scripts that its hashes stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpentOutput {
    /// The output; its value is [`MAX_MONEY`] when nobody gave it.
    pub output: TxOut,
    /// Script of a pay-to-script-hash output.
    pub redeem_script: Option<ScriptBuf>,
    /// Script of a pay-to-witness-script-hash output, nested or not.
    pub witness_script: Option<ScriptBuf>,
}

impl From<TxOut> for SpentOutput {
    fn from(output: TxOut) -> Self {
        Self { output, redeem_script: None, witness_script: None }
    }
}

impl SpentOutput {
    /// Whether the amount is not known.
    pub fn lacks_amount(&self) -> bool {
        i64::try_from(self.output.value.to_sat()) == Ok(MAX_MONEY)
    }
}

/// Adds what `prevtxs` describes to `known`, over what is there. `with_scripts`: the caller brings its own keys, so a
/// script hash needs its script.
///
/// # Errors
/// Core's.
pub fn add_described(prevtxs: &Value, known: &mut HashMap<OutPoint, SpentOutput>, with_scripts: bool) -> RpcResult<()> {
    if prevtxs.is_null() {
        return Ok(());
    }
    for entry in as_array(prevtxs)? {
        let Value::Object(object) = entry else {
            return Err(RpcError::deserialization("expected object with {\"txid'\",\"vout\",\"scriptPubKey\"}"));
        };
        let expected = [("txid", ArgKind::Str), ("vout", ArgKind::Num), ("scriptPubKey", ArgKind::Str)];
        check_object(object, &expected, false, false)?;
        let field = |name: &str| object.get(name).unwrap_or(&Value::Null);
        let txid = parse_txid(field("txid"), "txid")?;
        let vout: i32 = as_int(field("vout"))?;
        let vout = u32::try_from(vout).map_err(|_| RpcError::deserialization("vout cannot be negative"))?;
        let script = ScriptBuf::from_bytes(parse_hex_value(field("scriptPubKey"), "scriptPubKey")?);
        let outpoint = OutPoint { txid, vout };
        if let Some(other) = known.get(&outpoint).filter(|known| known.output.script_pubkey != script) {
            return Err(RpcError::deserialization(format!(
                "Previous output scriptPubKey mismatch:\n{}\nvs:\n{}",
                script_asm(other.output.script_pubkey.as_bytes(), false),
                script_asm(script.as_bytes(), false)
            )));
        }
        let amount = object.get("amount").map_or(Ok(MAX_MONEY), amount_from_json)?;
        let value = Amount::from_sat(u64::try_from(amount).unwrap_or_default());
        let mut described = SpentOutput::from(TxOut { value, script_pubkey: script });
        if with_scripts {
            resolve_scripts(object, &mut described)?;
        }
        known.insert(outpoint, described);
    }
    Ok(())
}

/// Reads `redeemScript` and `witnessScript`; each may stand in for the other, as clients have long sent them.
fn resolve_scripts(object: &serde_json::Map<String, Value>, described: &mut SpentOutput) -> RpcResult<()> {
    let script = &described.output.script_pubkey;
    if !(script.is_p2sh() || script.is_p2wsh()) {
        return Ok(());
    }
    check_object(object, &[("redeemScript", ArgKind::Str), ("witnessScript", ArgKind::Str)], true, false)?;
    let given = |name: &str| object.get(name).filter(|value| !value.is_null());
    let (redeem, witness) = (given("redeemScript"), given("witnessScript"));
    let read = |value: &Value, name: &str| parse_hex_value(value, name).map(ScriptBuf::from_bytes);
    let inner = match (witness, redeem) {
        (Some(witness), _) => read(witness, "witnessScript")?,
        (None, Some(redeem)) => read(redeem, "redeemScript")?,
        (None, None) => return Err(RpcError::parameter("Missing redeemScript/witnessScript")),
    };
    let program = inner.to_p2wsh();
    if let (Some(redeem), Some(witness)) = (redeem, witness)
        && redeem != witness
        && read(redeem, "redeemScript")? != program
    {
        return Err(RpcError::parameter("redeemScript does not correspond to witnessScript"));
    }
    (described.redeem_script, described.witness_script) = if *script == inner.to_p2sh() {
        (Some(inner), None)
    } else if *script == program.to_p2sh() {
        (Some(program), Some(inner))
    } else if *script == program {
        (None, Some(inner))
    } else {
        return Err(RpcError::parameter("redeemScript/witnessScript does not match scriptPubKey"));
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bitcoin::Txid;
    use bitcoin::hashes::Hash;
    use serde_json::json;

    const TXID: &str = "0707070707070707070707070707070707070707070707070707070707070707";

    fn outpoint() -> OutPoint {
        OutPoint { txid: Txid::from_byte_array([7; 32]), vout: 1 }
    }

    fn describe(script: &ScriptBuf, more: &Value) -> RpcResult<SpentOutput> {
        let mut entry = json!({"txid": TXID, "vout": 1, "scriptPubKey": script.to_hex_string()});
        for (name, value) in more.as_object().unwrap() {
            entry[name] = value.clone();
        }
        let mut known = HashMap::new();
        add_described(&json!([entry]), &mut known, true)?;
        Ok(known.remove(&outpoint()).unwrap())
    }

    #[test]
    fn either_name_gives_the_script_of_every_kind_of_hash() {
        let inner = ScriptBuf::from_bytes(vec![0x51]);
        let (hex, nested) = (inner.to_hex_string(), inner.to_p2wsh());
        for more in
            [json!({"redeemScript": hex}), json!({"witnessScript": hex}), json!({"redeemScript": hex, "witnessScript": hex})]
        {
            let legacy = describe(&inner.to_p2sh(), &more).unwrap();
            assert_eq!((legacy.redeem_script, legacy.witness_script), (Some(inner.clone()), None));
            let segwit = describe(&nested, &more).unwrap();
            assert_eq!((segwit.redeem_script, segwit.witness_script), (None, Some(inner.clone())));
            let both = describe(&nested.to_p2sh(), &more).unwrap();
            assert_eq!((both.redeem_script, both.witness_script), (Some(nested.clone()), Some(inner.clone())));
            assert!(both.output.value.to_sat() == 2_100_000_000_000_000);
        }
        let both = json!({"redeemScript": nested.to_hex_string(), "witnessScript": hex, "amount": 0.5});
        assert_eq!(describe(&nested.to_p2sh(), &both).unwrap().output.value, Amount::from_sat(50_000_000));
        let plain = describe(&ScriptBuf::from_bytes(vec![0x52]), &json!({})).unwrap();
        assert!(plain.lacks_amount() && plain.redeem_script.is_none());
    }

    #[test]
    fn scripts_that_do_not_fit_are_refused_with_cores_texts() {
        let inner = ScriptBuf::from_bytes(vec![0x51]);
        let refused = |more: &Value| {
            let error = describe(&inner.to_p2sh(), more).unwrap_err();
            assert_eq!(error.code, -8);
            error.message
        };
        assert_eq!(refused(&json!({})), "Missing redeemScript/witnessScript");
        let mismatch = "redeemScript/witnessScript does not match scriptPubKey";
        assert_eq!(refused(&json!({"redeemScript": "6a"})), mismatch);
        assert_eq!(refused(&json!({"witnessScript": "6a"})), mismatch);
        let both = json!({"redeemScript": "6a", "witnessScript": "51"});
        assert_eq!(refused(&both), "redeemScript does not correspond to witnessScript");
        assert_eq!(describe(&inner, &json!({"vout": -1})).unwrap_err().message, "vout cannot be negative");
        assert_eq!(describe(&inner, &json!({"vout": null})).unwrap_err().message, "Missing vout");
    }

    #[test]
    fn a_description_does_not_contradict_the_coin_and_replaces_it_otherwise() {
        let output = TxOut { value: Amount::from_sat(5), script_pubkey: ScriptBuf::from_bytes(vec![0x51]) };
        let mut known = HashMap::from([(outpoint(), SpentOutput::from(output))]);
        let entry = |script: &str| json!([{"txid": TXID, "vout": 1, "scriptPubKey": script}]);
        let error = add_described(&entry("52"), &mut known, false).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (-22, "Previous output scriptPubKey mismatch:\n1\nvs:\n2"));
        add_described(&entry("51"), &mut known, false).unwrap();
        assert!(known[&outpoint()].lacks_amount());
    }
}
