//! `decodescript`.

use bitcoin::ScriptBuf;
use bitcoin::hashes::{Hash, hash160, sha256};
use bulkhead_rpc_util::codec::parse_hex_value;
use bulkhead_rpc_util::descriptor::with_checksum;
use bulkhead_rpc_util::opcode::{self, Ops};
use bulkhead_rpc_util::{Destination, Params, RpcResult, ScriptType, encode_address, script_to_json, solve};
use serde_json::Value;

use super::{Context, Handler};

pub(super) const METHODS: &[(&str, Handler)] = &[("decodescript", decodescript)];

/// OP_SUCCESSx of BIP342.
fn is_success(code: u8) -> bool {
    matches!(code, 80 | 98 | 126..=129 | 131..=134 | 137..=138 | 141..=142 | 149..=153 | 187..=254)
}

/// Whether the script may stand inside a P2SH output.
fn can_wrap(script: &[u8], kind: &ScriptType) -> bool {
    let wrappable = matches!(
        kind,
        ScriptType::MultiSig { .. }
            | ScriptType::NonStandard
            | ScriptType::PubKey(_)
            | ScriptType::PubKeyHash(_)
            | ScriptType::WitnessV0KeyHash(_)
            | ScriptType::WitnessV0ScriptHash(_)
    );
    let forbidden = |code: u8| code == 0xba || is_success(code);
    wrappable
        && opcode::has_valid_ops(script)
        && !opcode::is_unspendable(script)
        && !Ops::new(script).any(|op| op.is_ok_and(|op| forbidden(op.code)))
}

/// Whether the script may stand inside a P2WSH output: no witness program, no uncompressed key.
fn can_wrap_in_witness(kind: &ScriptType) -> bool {
    match kind {
        ScriptType::MultiSig { keys, .. } => keys.iter().all(|key| key.len() == 33),
        ScriptType::PubKey(key) => key.len() == 33,
        ScriptType::NonStandard | ScriptType::PubKeyHash(_) => true,
        _ => false,
    }
}

fn decodescript(context: &Context, params: &Params) -> RpcResult<Value> {
    let bytes = if params.str(0)?.is_empty() { Vec::new() } else { parse_hex_value(params.get(0), "argument")? };
    let script = ScriptBuf::from_bytes(bytes);
    let mut out = script_to_json(&script, context.network, false, true);
    let kind = solve(script.as_bytes());
    if !can_wrap(script.as_bytes(), &kind) {
        return Ok(Value::Object(out));
    }
    let p2sh = |script: &ScriptBuf| {
        let hash = hash160::Hash::hash(script.as_bytes()).to_byte_array();
        encode_address(&Destination::ScriptHash(hash), context.network)
    };
    out.insert("p2sh".into(), p2sh(&script).into());
    if can_wrap_in_witness(&kind) {
        let program = match &kind {
            ScriptType::PubKey(key) => hash160::Hash::hash(key).to_byte_array().to_vec(),
            ScriptType::PubKeyHash(hash) => hash.to_vec(),
            _ => sha256::Hash::hash(script.as_bytes()).to_byte_array().to_vec(),
        };
        let is_script = program.len() == 32;
        let witness = Destination::Witness(0, program).script();
        let mut segwit = script_to_json(&witness, context.network, true, true);
        if is_script && let Some(inner) = infer_witness_script(&script, &kind) {
            segwit.insert("desc".into(), with_checksum(&format!("wsh({inner})")).into());
        }
        segwit.insert("p2sh-segwit".into(), p2sh(&witness).into());
        out.insert("segwit".into(), Value::Object(segwit));
    }
    Ok(Value::Object(out))
}

/// Descriptor of a script inside `wsh()`: multi, or sane miniscript.
fn infer_witness_script(script: &ScriptBuf, kind: &ScriptType) -> Option<String> {
    use miniscript::{Miniscript, Segwitv0};
    if let ScriptType::MultiSig { required, keys } = kind {
        let keys: Vec<String> = keys.iter().map(hex::encode).collect();
        return Some(format!("multi({required},{})", keys.join(",")));
    }
    // Keys that are only known by their hash cannot be written.
    let parsed = Miniscript::<bitcoin::PublicKey, Segwitv0>::decode(script).ok()?;
    let text = parsed.to_string();
    (!text.contains("expr_raw_pkh")).then_some(text)
}
