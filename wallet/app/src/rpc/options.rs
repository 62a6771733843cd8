//! The options object of the funding methods, and inputs that the caller chose.

use bitcoin::{OutPoint, ScriptBuf};
use bulkhead_rpc_util::codec::parse_txid;
use bulkhead_rpc_util::params::{as_array, as_bool, as_int, as_object, as_str, check_object};
use bulkhead_rpc_util::{ArgKind, RpcError, RpcResult, amount_from_json};
use bulkhead_wallet_core::Descriptor;
use bulkhead_wallet_core::descriptor::{Cache, DescriptorError, Keys, Solution, split_multipath};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::str::FromStr;

use super::Call;
use super::fund::change_script;
use super::outputs::set_fee_mode;
use crate::app::Loaded;
use crate::spend::{CoinControl, MAX_STANDARD_TX_WEIGHT, Selected, TRUC_VERSION};
use crate::state::OutputType;
use crate::wallets::chain_error;

/// Weight of a version 3 transaction at most (BIP431).
pub(super) const TRUC_MAX_WEIGHT: i64 = 40_000;

/// Weight of an input without signature.
const MIN_INPUT_WEIGHT: i64 = 165;

/// Refuses unknown options and wrong types.
pub(super) fn check_known(options: &Map<String, Value>) -> RpcResult<()> {
    use ArgKind::{Any, Arr, Bool, Num, Obj, Str};
    const KNOWN: [(&str, ArgKind); 27] = [
        ("add_inputs", Bool),
        ("include_unsafe", Bool),
        ("add_to_wallet", Bool),
        ("changeAddress", Str),
        ("change_address", Str),
        ("changePosition", Num),
        ("change_position", Num),
        ("change_type", Str),
        ("includeWatching", Bool),
        ("include_watching", Bool),
        ("inputs", Arr),
        ("lockUnspents", Bool),
        ("lock_unspents", Bool),
        ("locktime", Num),
        ("fee_rate", Any),
        ("feeRate", Any),
        ("psbt", Bool),
        ("solving_data", Obj),
        ("subtractFeeFromOutputs", Arr),
        ("subtract_fee_from_outputs", Arr),
        ("replaceable", Bool),
        ("conf_target", Num),
        ("estimate_mode", Str),
        ("minconf", Num),
        ("maxconf", Num),
        ("input_weights", Arr),
        ("max_tx_weight", Num),
    ];
    check_object(options, &KNOWN, true, true)
}

/// Takes the options into `control`. Answers the position of the change output.
pub(super) fn apply_options(
    call: &Call,
    options: &Map<String, Value>,
    outputs: usize,
    control: &mut CoinControl,
    override_min_fee: bool,
) -> RpcResult<Option<usize>> {
    // An option that is there with null is a mistake of its type; fees alone may be null.
    let field = |name: &str| options.get(name);
    let set = |name: &str| field(name).is_some_and(|value| !value.is_null());
    let either = |new: &str, old: &str| field(new).or_else(|| field(old));
    if let Some(value) = field("add_inputs") {
        control.allow_other_inputs = as_bool(value)?;
    }
    if let Some(value) = either("change_address", "changeAddress") {
        control.change_script = Some(change_script(call, value)?);
    }
    let mut position = None;
    if let Some(value) = either("change_position", "changePosition") {
        let wanted: i32 = as_int(value)?;
        let fits = usize::try_from(wanted).ok().filter(|wanted| *wanted <= outputs);
        position = Some(fits.ok_or_else(|| RpcError::parameter("changePosition out of bounds"))?);
    }
    if let Some(value) = field("change_type") {
        if control.change_script.is_some() {
            return Err(RpcError::parameter("Cannot specify both change address and address type options"));
        }
        let name = as_str(value)?;
        let kind = OutputType::parse(name).ok_or_else(|| RpcError::address_or_key(format!("Unknown change type '{name}'")))?;
        control.change_type = Some(kind);
    }
    if let Some(value) = field("include_unsafe") {
        control.include_unsafe = as_bool(value)?;
    }
    if let Some(value) = field("feeRate") {
        if set("fee_rate") {
            return Err(RpcError::parameter("Cannot specify both fee_rate (sat/vB) and feeRate (BTC/kvB)"));
        }
        if set("conf_target") {
            return Err(RpcError::parameter(
                "Cannot specify both conf_target and feeRate. Please provide either a confirmation target in blocks for automatic fee estimation, or an explicit fee rate.",
            ));
        }
        if set("estimate_mode") {
            return Err(RpcError::parameter("Cannot specify both estimate_mode and feeRate"));
        }
        control.fee_rate = Some(amount_from_json(value)?);
        control.override_fee_rate = true;
    }
    if let Some(value) = field("replaceable") {
        control.rbf = Some(as_bool(value)?);
    }
    if let Some(value) = field("minconf") {
        control.min_depth = as_int(value)?;
        if control.min_depth < 0 {
            return Err(RpcError::parameter("Negative minconf"));
        }
    }
    if let Some(value) = field("maxconf") {
        control.max_depth = as_int(value)?;
        if control.max_depth < control.min_depth {
            return Err(RpcError::parameter(format!(
                "maxconf can't be lower than minconf: {} < {}",
                control.max_depth, control.min_depth
            )));
        }
    }
    let or_null = |name: &str| field(name).unwrap_or(&Value::Null);
    set_fee_mode(control, or_null("conf_target"), or_null("estimate_mode"), or_null("fee_rate"), override_min_fee)?;
    if let Some(list) = field("input_weights") {
        for entry in as_array(list)? {
            set_weight(as_object(entry)?, control)?;
        }
    }
    if let Some(value) = field("max_tx_weight") {
        control.max_weight = Some(i64::from(as_int::<i32>(value)?));
    }
    if control.version == TRUC_VERSION {
        control.max_weight = Some(control.max_weight.map_or(TRUC_MAX_WEIGHT, |weight| weight.min(TRUC_MAX_WEIGHT)));
    }
    Ok(position)
}

fn outpoint_of(object: &Map<String, Value>) -> RpcResult<OutPoint> {
    let txid = parse_txid(object.get("txid").unwrap_or(&Value::Null), "txid")?;
    let vout = match object.get("vout") {
        Some(value @ Value::Number(_)) => as_int::<i32>(value)?,
        _ => return Err(RpcError::parameter("Invalid parameter, missing vout key")),
    };
    let vout = u32::try_from(vout).map_err(|_| RpcError::parameter("Invalid parameter, vout cannot be negative"))?;
    Ok(OutPoint { txid, vout })
}

fn set_weight(object: &Map<String, Value>, control: &mut CoinControl) -> RpcResult<()> {
    let outpoint = outpoint_of(object)?;
    let weight: i64 = match object.get("weight") {
        Some(value @ Value::Number(_)) => as_int(value)?,
        _ => return Err(RpcError::parameter("Invalid parameter, missing weight key")),
    };
    if weight < MIN_INPUT_WEIGHT {
        return Err(RpcError::parameter(
            "Invalid parameter, weight cannot be less than 165 (41 bytes (size of outpoint + sequence + empty scriptSig) * 4 (witness scaling factor)) + 1 (empty witness)",
        ));
    }
    if weight > MAX_STANDARD_TX_WEIGHT {
        return Err(RpcError::parameter(format!(
            "Invalid parameter, weight cannot be greater than the maximum standard tx weight of {MAX_STANDARD_TX_WEIGHT}"
        )));
    }
    match control.selected.iter_mut().find(|selected| selected.outpoint == outpoint) {
        Some(selected) => selected.weight = Some(weight),
        // A weight chooses its coin.
        None => control.selected.push(Selected { outpoint, weight: Some(weight), ..Selected::default() }),
    }
    Ok(())
}

/// Inputs and lock time that the caller gave (Core: ConstructTransaction).
pub(super) fn select_inputs(inputs: &Value, locktime: &Value, rbf: bool, control: &mut CoinControl) -> RpcResult<()> {
    if !locktime.is_null() {
        let value: i64 = as_int(locktime)?;
        let value = u32::try_from(value).map_err(|_| RpcError::parameter("Invalid parameter, locktime out of range"))?;
        control.locktime = Some(value);
    }
    if !(1..=3).contains(&control.version) {
        return Err(RpcError::parameter("Invalid parameter, version out of range(1~3)"));
    }
    if inputs.is_null() {
        return Ok(());
    }
    let default = if rbf {
        0xffff_fffd
    } else if control.locktime.is_some_and(|locktime| locktime != 0) {
        0xffff_fffe
    } else {
        0xffff_ffff
    };
    for entry in as_array(inputs)? {
        let object = as_object(entry)?;
        let outpoint = outpoint_of(object)?;
        let mut sequence = default;
        if let Some(value @ Value::Number(_)) = object.get("sequence") {
            let wanted: i64 = as_int(value)?;
            sequence =
                u32::try_from(wanted).map_err(|_| RpcError::parameter("Invalid parameter, sequence number is out of range"))?;
        }
        control.selected.push(Selected { outpoint, sequence: Some(sequence), ..Selected::default() });
        if object.get("weight").is_some_and(|value| !value.is_null()) {
            set_weight(object, control)?;
        }
    }
    let signals = control.selected.iter().any(|selected| selected.sequence.is_some_and(|sequence| sequence <= 0xffff_fffd));
    if rbf && !control.selected.is_empty() && !signals {
        return Err(RpcError::parameter("Invalid parameter combination: Sequence number(s) contradict replaceable option"));
    }
    Ok(())
}

/// How outputs are spent by descriptors that the caller brought, by output script.
type Solutions = HashMap<ScriptBuf, Solution>;

fn add_descriptor(text: &str, out: &mut Solutions) -> Result<(), DescriptorError> {
    let mut keys = Keys::default();
    let parsed = Descriptor::parse(text, &mut keys)?;
    let mut cache = Cache::default();
    parsed.fill_cache(0, &keys, &mut cache)?;
    let expansion = parsed.expand(0, &cache)?;
    for (position, script) in expansion.scripts.iter().enumerate() {
        if let Some(solution) = expansion.solution(position) {
            out.insert(script.clone(), solution);
        }
    }
    Ok(())
}

fn solving_data(data: &Map<String, Value>, network: bitcoin::Network) -> RpcResult<Solutions> {
    let mut out = Solutions::new();
    let texts = |name: &str| -> RpcResult<Vec<String>> {
        let list = data.get(name).map(as_array).transpose()?.into_iter().flatten();
        list.map(|text| as_str(text).map(str::to_owned)).collect()
    };
    let mut keys = Vec::new();
    for text in texts("pubkeys")? {
        let refuse = |what: &str| RpcError::address_or_key(format!("Pubkey \"{text}\" {what}"));
        let bytes = bulkhead_rpc_util::parse_hex(&text).ok_or_else(|| refuse("must be a hex string"))?;
        if bytes.len() != 33 && bytes.len() != 65 {
            return Err(refuse("must have a length of either 33 or 65 bytes"));
        }
        bitcoin::PublicKey::from_slice(&bytes).map_err(|_| refuse("must be cryptographically valid."))?;
        // An uncompressed key has no segwit forms.
        let _ = add_descriptor(&format!("combo({text})"), &mut out);
        keys.push(text);
    }
    for text in texts("scripts")? {
        let bytes =
            bulkhead_rpc_util::parse_hex(&text).ok_or_else(|| RpcError::address_or_key(format!("'{text}' is not hex")))?;
        for form in script_forms(&bytes, &keys) {
            // A form that its key or its size forbids stands for no output.
            let _ = add_descriptor(&form, &mut out);
        }
    }
    for text in texts("descriptors")? {
        let fail = |error: DescriptorError| RpcError::parameter(format!("Unable to parse descriptor '{text}': {error}"));
        for single in split_multipath(&text, true, network).map_err(fail)? {
            add_descriptor(&single, &mut out).map_err(fail)?;
        }
    }
    Ok(out)
}

/// Descriptors of outputs that hold a script, or its hash.
fn script_forms(script: &[u8], keys: &[String]) -> Vec<String> {
    use bulkhead_rpc_util::ScriptType;
    let hash_of = |wanted: &dyn Fn(&bitcoin::PublicKey) -> bool| {
        keys.iter().find(|text| bitcoin::PublicKey::from_str(text).is_ok_and(|key| wanted(&key))).cloned()
    };
    let buf = bitcoin::Script::from_bytes(script);
    let inner = match bulkhead_rpc_util::solve(script) {
        ScriptType::MultiSig { required, keys } => {
            let keys: Vec<String> = keys.iter().map(hex::encode).collect();
            format!("multi({required},{})", keys.join(","))
        }
        ScriptType::PubKey(key) => format!("pk({})", hex::encode(key)),
        _ if buf.is_p2pkh() => match hash_of(&|key| *ScriptBuf::new_p2pkh(&key.pubkey_hash()) == *buf) {
            Some(key) => format!("pkh({key})"),
            None => return Vec::new(),
        },
        _ => match miniscript::Miniscript::<bitcoin::PublicKey, miniscript::Segwitv0>::decode_consensus(buf) {
            Ok(inner) => return vec![format!("wsh({inner})"), format!("sh(wsh({inner}))")],
            Err(_) => return Vec::new(),
        },
    };
    vec![format!("sh({inner})"), format!("wsh({inner})"), format!("sh(wsh({inner}))")]
}

/// Looks up chosen coins that are not the wallet's.
pub(super) async fn find_external(
    call: &Call,
    loaded: &Loaded,
    options: &Map<String, Value>,
    control: &mut CoinControl,
) -> RpcResult<()> {
    let data = match options.get("solving_data").filter(|value| !value.is_null()) {
        Some(value) => solving_data(as_object(value)?, call.app.network)?,
        None => HashMap::new(),
    };
    let foreign: Vec<OutPoint> = {
        let wallet = loaded.wallet.borrow();
        control.selected.iter().map(|selected| selected.outpoint).filter(|coin| wallet.my_output(coin).is_none()).collect()
    };
    let coins = call.app.chain.coins(&foreign).await.map_err(|error| chain_error(&error))?;
    for (outpoint, coin) in foreign.iter().zip(coins) {
        let coin =
            coin.ok_or_else(|| RpcError::new(bulkhead_rpc_util::error::WALLET_ERROR, "Unable to find UTXO for external input"))?;
        for selected in control.selected.iter_mut().filter(|selected| selected.outpoint == *outpoint) {
            selected.solution = data.get(&coin.output.script_pubkey).cloned();
            selected.external = Some(coin.output.clone());
        }
    }
    Ok(())
}
