//! Helpers without state: addresses, descriptors, multi-signature scripts, signed messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bitcoin::hashes::{Hash, hash160, sha256};
use bitcoin::{PublicKey, ScriptBuf};
use bulkhead_rpc_util::address::describe_destination;
use bulkhead_rpc_util::codec::parse_hex;
use bulkhead_rpc_util::descriptor::{Descriptor, checksum, multisig_script, parse_range, with_checksum};
use bulkhead_rpc_util::params::as_str;
use bulkhead_rpc_util::{Destination, Params, RpcError, RpcResult, decode_address, encode_address};
use serde_json::{Map, Value, json};

use super::message::recover_message_key;
use super::{Context, Handler};

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("createmultisig", createmultisig),
    ("deriveaddresses", deriveaddresses),
    ("getdescriptorinfo", getdescriptorinfo),
    ("validateaddress", validateaddress),
    ("verifymessage", verifymessage),
];

const MAX_MULTISIG_KEYS: usize = 20;
const MAX_ELEMENT_SIZE: usize = 520;

fn validateaddress(context: &Context, params: &Params) -> RpcResult<Value> {
    let mut out = Map::new();
    match decode_address(params.str(0)?, context.network) {
        Ok(destination) => {
            out.insert("isvalid".into(), true.into());
            out.insert("address".into(), encode_address(&destination, context.network).into());
            out.insert("scriptPubKey".into(), hex::encode(destination.script()).into());
            out.extend(describe_destination(&destination));
        }
        Err(error) => {
            out.insert("isvalid".into(), false.into());
            out.insert("error_locations".into(), error.locations.into());
            out.insert("error".into(), error.message.into());
        }
    }
    Ok(Value::Object(out))
}

fn getdescriptorinfo(context: &Context, params: &Params) -> RpcResult<Value> {
    let text = params.str(0)?;
    let descriptors = Descriptor::parse(text, context.network, false).map_err(RpcError::address_or_key)?;
    let first = descriptors.first().ok_or_else(|| RpcError::internal("descriptor without expansion"))?;
    let mut out = Map::new();
    out.insert("descriptor".into(), first.public_text().into());
    if descriptors.len() > 1 {
        let all = descriptors.iter().map(|descriptor| Value::from(descriptor.public_text()));
        out.insert("multipath_expansion".into(), all.collect());
    }
    out.insert("checksum".into(), text.split('#').next().and_then(checksum).into());
    out.insert("isrange".into(), first.is_range().into());
    out.insert("issolvable".into(), first.is_solvable().into());
    let has_keys = descriptors.iter().any(Descriptor::has_private_keys);
    out.insert("hasprivatekeys".into(), has_keys.into());
    Ok(Value::Object(out))
}

fn deriveaddresses(context: &Context, params: &Params) -> RpcResult<Value> {
    let text = params.str(0)?;
    let range = if params.is_null(1) { (0, 0) } else { parse_range(params.get(1))? };
    let descriptors = Descriptor::parse(text, context.network, true).map_err(RpcError::address_or_key)?;
    let is_range = descriptors.first().is_some_and(Descriptor::is_range);
    if !is_range && params.len() > 1 {
        return Err(RpcError::parameter("Range should not be specified for an un-ranged descriptor"));
    }
    if is_range && params.len() == 1 {
        return Err(RpcError::parameter("Range must be specified for a ranged descriptor"));
    }
    let mut lists = Vec::new();
    for descriptor in &descriptors {
        lists.push(derive(context, descriptor, range)?);
    }
    if lists.len() == 1 {
        return Ok(lists.remove(0));
    }
    Ok(lists.into())
}

fn derive(context: &Context, descriptor: &Descriptor, (low, high): (u32, u32)) -> RpcResult<Value> {
    let mut addresses = Vec::new();
    for position in low..=high {
        let expanded =
            descriptor.expand(position).ok_or_else(|| RpcError::address_or_key("Cannot derive script without private keys"))?;
        for (i, script) in expanded.scripts.iter().enumerate() {
            match Destination::from_script(script) {
                Some(destination) => addresses.push(Value::from(encode_address(&destination, context.network))),
                // The bare key of combo() has no address.
                None if descriptor.is_combo() && i == 0 => {}
                None => {
                    return Err(RpcError::address_or_key("Descriptor does not have a corresponding address"));
                }
            }
        }
    }
    Ok(addresses.into())
}

/// A public key in hex.
pub(super) fn parse_pubkey(text: &str) -> RpcResult<PublicKey> {
    let fail = |what: &str| RpcError::address_or_key(format!("Pubkey \"{text}\" {what}"));
    let bytes = parse_hex(text).ok_or_else(|| fail("must be a hex string"))?;
    if bytes.len() != 33 && bytes.len() != 65 {
        return Err(fail("must have a length of either 33 or 65 bytes"));
    }
    PublicKey::from_slice(&bytes).map_err(|_| fail("must be cryptographically valid."))
}

fn createmultisig(context: &Context, params: &Params) -> RpcResult<Value> {
    let required: i32 = params.int(0)?;
    let mut keys = Vec::new();
    for key in params.array(1)? {
        keys.push(parse_pubkey(as_str(key)?)?);
    }
    let wanted = params.opt_str(2)?.unwrap_or("legacy");
    match wanted {
        "legacy" | "p2sh-segwit" | "bech32" => {}
        "bech32m" => {
            return Err(RpcError::address_or_key("createmultisig cannot create bech32m multisig addresses"));
        }
        other => return Err(RpcError::address_or_key(format!("Unknown address type '{other}'"))),
    }
    let required = match usize::try_from(required) {
        Ok(required) if required >= 1 => required,
        _ => {
            return Err(RpcError::parameter("a multisignature address must require at least one key to redeem"));
        }
    };
    if keys.len() < required {
        return Err(RpcError::parameter(format!(
            "not enough keys supplied (got {} keys, but need at least {required} to redeem)",
            keys.len()
        )));
    }
    if keys.len() > MAX_MULTISIG_KEYS {
        return Err(RpcError::parameter(format!(
            "Number of keys involved in the multisignature address creation > {MAX_MULTISIG_KEYS}\nReduce the number"
        )));
    }
    let script = multisig_script(required, &keys);
    let kind = if keys.iter().all(|key| key.compressed) { wanted } else { "legacy" };
    if kind == "legacy" && script.len() > MAX_ELEMENT_SIZE {
        return Err(RpcError::parameter(format!("redeemScript exceeds size limit: {} > {MAX_ELEMENT_SIZE}", script.len())));
    }
    let texts: Vec<String> = keys.iter().map(PublicKey::to_string).collect();
    let multi = format!("multi({required},{})", texts.join(","));
    let (destination, descriptor) = multisig_destination(&script, &multi, kind);
    let mut out = Map::new();
    out.insert("address".into(), encode_address(&destination, context.network).into());
    out.insert("redeemScript".into(), hex::encode(&script).into());
    out.insert("descriptor".into(), with_checksum(&descriptor).into());
    if kind != wanted {
        let text = "Unable to make chosen address type, please ensure no uncompressed public keys are present.";
        out.insert("warnings".into(), json!([text]));
    }
    Ok(Value::Object(out))
}

fn multisig_destination(script: &ScriptBuf, multi: &str, kind: &str) -> (Destination, String) {
    let hash = |bytes: &[u8]| hash160::Hash::hash(bytes).to_byte_array();
    let witness = Destination::Witness(0, sha256::Hash::hash(script.as_bytes()).to_byte_array().to_vec());
    match kind {
        "bech32" => (witness, format!("wsh({multi})")),
        "p2sh-segwit" => (Destination::ScriptHash(hash(witness.script().as_bytes())), format!("sh(wsh({multi}))")),
        _ => (Destination::ScriptHash(hash(script.as_bytes())), format!("sh({multi})")),
    }
}

fn verifymessage(context: &Context, params: &Params) -> RpcResult<Value> {
    let (address, signature, message) = (params.str(0)?, params.str(1)?, params.str(2)?);
    let destination = decode_address(address, context.network).map_err(|_| RpcError::address_or_key("Invalid address"))?;
    let Destination::PubKeyHash(hash) = destination else {
        return Err(RpcError::type_error("Address does not refer to key"));
    };
    let bytes = STANDARD.decode(signature).map_err(|_| RpcError::type_error("Malformed base64 encoding"))?;
    let key = recover_message_key(&bytes, message);
    Ok(key.is_some_and(|key| key.pubkey_hash().to_byte_array() == hash).into())
}
