//! send, fundrawtransaction, walletcreatefundedpsbt.

use bitcoin::secp256k1::rand::thread_rng;
use bitcoin::{ScriptBuf, Transaction, absolute};
use bulkhead_rpc_util::codec::{decode_hex_tx, tx_to_hex};
use bulkhead_rpc_util::error as code;
use bulkhead_rpc_util::params::{as_bool, as_str};
use bulkhead_rpc_util::psbt::Version;
use bulkhead_rpc_util::{RpcError, RpcResult};
use serde_json::{Map, Value, json};

use super::Call;
use super::options::{apply_options, check_known, select_inputs};
use super::outputs::{normalize_outputs, object_or_empty, parse_outputs, recipients, subtract_positions};
use super::send::{can_sign_now, circumstances, commit, draft, extract, finalize, sign_psbt};
use super::util::{amount, script_of, synced_wallet};
use crate::app::Loaded;
use crate::spend::build::{Draft, locktime_against_sniping};
use crate::spend::{CoinControl, Recipient, Selected, psbt};
use crate::state::tx::TxTexts;

/// Moves the fee arguments of `send` and `sendall` into the options object.
pub(super) fn merge_fee_arguments(call: &Call, first: usize, options: &mut Map<String, Value>) -> RpcResult<()> {
    let (target, mode, rate) = (call.params.get(first), call.params.get(first + 1), call.params.get(first + 2));
    if options.contains_key("conf_target") || options.contains_key("estimate_mode") {
        if !target.is_null() || !mode.is_null() {
            return Err(RpcError::parameter(
                "Pass conf_target and estimate_mode either as arguments or in the options object, but not both",
            ));
        }
    } else {
        options.insert("conf_target".into(), target.clone());
        options.insert("estimate_mode".into(), mode.clone());
    }
    if options.contains_key("fee_rate") {
        if !rate.is_null() {
            return Err(RpcError::parameter("Pass the fee_rate either as an argument, or in the options object, but not both"));
        }
    } else {
        options.insert("fee_rate".into(), rate.clone());
    }
    let is = |name: &str| options.get(name).filter(|value| !value.is_null());
    if is("conf_target").is_some() && is("estimate_mode").is_none_or(|mode| mode.as_str() == Some("unset")) {
        return Err(RpcError::parameter("Specify estimate_mode"));
    }
    Ok(())
}

pub(super) fn refuse_outdated(options: &Map<String, Value>) -> RpcResult<()> {
    const OLD: [(&str, &str); 5] = [
        ("feeRate", "Use fee_rate (sat/vB) instead of feeRate"),
        ("changeAddress", "Use change_address instead of changeAddress"),
        ("changePosition", "Use change_position instead of changePosition"),
        ("lockUnspents", "Use lock_unspents instead of lockUnspents"),
        ("subtractFeeFromOutputs", "Use subtract_fee_from_outputs instead of subtractFeeFromOutputs"),
    ];
    match OLD.iter().find(|(name, _)| options.contains_key(*name)) {
        Some((_, text)) => Err(RpcError::parameter(*text)),
        None => Ok(()),
    }
}

/// Signs, and adds to the wallet or hands out (Core: FinishTransaction).
pub(super) async fn finish(call: &Call, loaded: &Loaded, options: &Map<String, Value>, mut tx: Transaction) -> RpcResult {
    let snipe =
        !options.contains_key("locktime") && tx.input.iter().all(|input| [0xffff_fffe, 0xffff_fffd].contains(&input.sequence.0));
    if snipe {
        let around = circumstances(&call.app, loaded, &CoinControl::default()).await?;
        let height = loaded.wallet.borrow().tip.height;
        tx.lock_time = absolute::LockTime::from_consensus(locktime_against_sniping(height, &around, &mut thread_rng()));
    }
    let mut draft = psbt::unsigned(&tx, Version::Two).map_err(|error| RpcError::internal(error.to_string()))?;
    psbt::fill(&loaded.wallet.borrow(), &mut draft.psbt, true);
    if can_sign_now(loaded).await? {
        draft.psbt = sign_psbt(loaded, &draft.psbt, 0, true, true).await?.0;
    }
    let complete = finalize(&mut draft.psbt);
    let flag = |name: &str, default: bool| options.get(name).filter(|value| !value.is_null()).map_or(Ok(default), as_bool);
    let (psbt_wanted, add) = (flag("psbt", false)?, flag("add_to_wallet", true)?);
    let mut out = Map::new();
    if psbt_wanted || !complete || !add {
        out.insert("psbt".into(), super::psbt::encode(&draft));
    }
    if complete && let Some(tx) = extract(&draft.psbt) {
        out.insert("txid".into(), json!(tx.compute_txid().to_string()));
        if add && !psbt_wanted {
            commit(&call.app, loaded, tx, TxTexts::default()).await?;
        } else {
            out.insert("hex".into(), json!(tx_to_hex(&tx)));
        }
    }
    out.insert("complete".into(), json!(complete));
    Ok(Value::Object(out))
}

/// Drafts with the options object of the funding methods.
async fn fund(
    call: &Call,
    loaded: &Loaded,
    recipients: &[Recipient],
    options: &Map<String, Value>,
    mut control: CoinControl,
    override_min_fee: bool,
) -> RpcResult<Draft> {
    check_known(options)?;
    let position = apply_options(call, options, recipients.len(), &mut control, override_min_fee)?;
    if recipients.is_empty() {
        return Err(RpcError::parameter("TX must have at least one output"));
    }
    super::options::find_external(call, loaded, options, &mut control).await?;
    let made = draft(call, loaded, recipients, position, &control, code::WALLET_ERROR).await?;
    let lock = options.get("lock_unspents").or_else(|| options.get("lockUnspents")).filter(|value| !value.is_null());
    if lock.map(as_bool).transpose()?.unwrap_or(false) {
        let mut wallet = loaded.wallet.borrow_mut();
        for input in &made.tx.input {
            wallet.locked.insert(input.previous_output, false);
        }
    }
    super::util::persist(&call.app, loaded).await?;
    Ok(made)
}

pub(super) async fn send(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let mut options = object_or_empty(call.params.get(4))?;
    merge_fee_arguments(call, 1, &mut options)?;
    refuse_outdated(&options)?;
    let outputs = normalize_outputs(call.params.get(0))?;
    let names: Vec<String> = outputs.keys().cloned().collect();
    let subtract = subtract_positions(options.get("subtract_fee_from_outputs").unwrap_or(&Value::Null), &names)?;
    let recipients = recipients(parse_outputs(&call.app, &outputs)?, &subtract);
    let rbf =
        options.get("replaceable").filter(|value| !value.is_null()).map(as_bool).transpose()?.unwrap_or(call.app.build.fees.rbf);
    let mut control = CoinControl { version: call.params.opt_int::<i32>(5)?.unwrap_or(2), ..CoinControl::default() };
    let inputs = options.get("inputs").cloned().unwrap_or(Value::Null);
    select_inputs(&inputs, options.get("locktime").unwrap_or(&Value::Null), rbf, &mut control)?;
    refuse_weights(&options)?;
    control.allow_other_inputs = control.selected.is_empty();
    let made = fund(call, &loaded, &recipients, &options, control, false).await?;
    finish(call, &loaded, &options, made.tx).await
}

/// Inputs that are given one by one have their weights beside them.
fn refuse_weights(options: &Map<String, Value>) -> RpcResult<()> {
    match options.contains_key("input_weights") {
        true => Err(RpcError::parameter("Input weights should be specified in inputs rather than in options.")),
        false => Ok(()),
    }
}

pub(super) async fn fund_raw(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let witness = call.params.opt_bool(2)?;
    let tx = decode_hex_tx(call.params.str(0)?, witness.is_none_or(|witness| !witness), witness.unwrap_or(true))
        .ok_or_else(|| RpcError::deserialization("TX decode failed"))?;
    let options = match call.params.get(1) {
        // A boolean was the only option once; it does nothing.
        Value::Bool(_) => Map::new(),
        other => object_or_empty(other)?,
    };
    let names = vec!["dummy".to_owned(); tx.output.len()];
    let subtract = subtract_positions(options.get("subtractFeeFromOutputs").unwrap_or(&Value::Null), &names)?;
    let outputs = tx.output.iter().map(|output| (output.script_pubkey.clone(), output.value.to_sat() as i64)).collect();
    let recipients = recipients(outputs, &subtract);
    let control = CoinControl {
        locktime: Some(tx.lock_time.to_consensus_u32()),
        version: tx.version.0,
        selected: tx
            .input
            .iter()
            .map(|input| Selected { outpoint: input.previous_output, sequence: Some(input.sequence.0), ..Selected::default() })
            .collect(),
        ..CoinControl::default()
    };
    let mut made = fund(call, &loaded, &recipients, &options, control, true).await?;
    for (input, old) in made.tx.input.iter_mut().zip(&tx.input) {
        if input.previous_output == old.previous_output {
            input.script_sig.clone_from(&old.script_sig);
            input.witness.clone_from(&old.witness);
        }
    }
    Ok(json!({
        "hex": tx_to_hex(&made.tx),
        "fee": amount(made.fee),
        "changepos": made.change.map_or(-1, |position| position as i64),
    }))
}

pub(super) async fn create_funded_psbt(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let options = object_or_empty(call.params.get(3))?;
    let rbf =
        options.get("replaceable").filter(|value| !value.is_null()).map(as_bool).transpose()?.unwrap_or(call.app.build.fees.rbf);
    let mut control = CoinControl { version: call.params.opt_int::<i32>(5)?.unwrap_or(2), ..CoinControl::default() };
    select_inputs(call.params.get(0), call.params.get(2), rbf, &mut control)?;
    control.locktime = control.locktime.or(Some(0));
    let outputs = normalize_outputs(call.params.get(1))?;
    let names: Vec<String> = outputs.keys().cloned().collect();
    let subtract = subtract_positions(options.get("subtractFeeFromOutputs").unwrap_or(&Value::Null), &names)?;
    let recipients = recipients(parse_outputs(&call.app, &outputs)?, &subtract);
    control.allow_other_inputs = control.selected.is_empty();
    refuse_weights(&options)?;
    let made = fund(call, &loaded, &recipients, &options, control, true).await?;
    let version = Version::wished(call.params.opt_int::<i32>(6)?.map(i64::from))?;
    let mut draft = psbt::unsigned(&made.tx, version).map_err(|error| RpcError::internal(error.to_string()))?;
    for (input, output) in draft.psbt.inputs.iter_mut().zip(&made.spent) {
        if output.script_pubkey.witness_version().is_some() {
            input.witness_utxo = Some(output.clone());
        }
    }
    psbt::fill(&loaded.wallet.borrow(), &mut draft.psbt, call.params.opt_bool(4)?.unwrap_or(true));
    Ok(json!({
        "psbt": super::psbt::encode(&draft),
        "fee": amount(made.fee),
        "changepos": made.change.map_or(-1, |position| position as i64),
    }))
}

/// The address in an option, as output script.
pub(super) fn change_script(call: &Call, value: &Value) -> RpcResult<ScriptBuf> {
    script_of(&call.app, as_str(value)?, "Change address must be a valid bitcoin address")
}
