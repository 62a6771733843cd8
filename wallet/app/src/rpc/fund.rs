//! send, sendall, fundrawtransaction, walletcreatefundedpsbt.

use bitcoin::secp256k1::rand::thread_rng;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, absolute, transaction};
use bulkhead_rpc_util::codec::{decode_hex_tx, tx_to_hex};
use bulkhead_rpc_util::error as code;
use bulkhead_rpc_util::params::{as_array, as_bool, as_int, as_str};
use bulkhead_rpc_util::{RpcError, RpcResult};
use serde_json::{Map, Value, json};

use super::Call;
use super::options::{apply_options, check_known, select_inputs};
use super::outputs::{normalize_outputs, object_or_empty, parse_outputs, recipients, set_fee_mode, subtract_positions};
use super::send::{can_sign, circumstances, commit, draft, extract, finalize, sign_psbt};
use super::util::{amount, ensure_unlocked, script_of, synced_wallet};
use crate::app::Loaded;
use crate::spend::build::{Draft, locktime_against_sniping, signed_weight};
use crate::spend::coins::{CoinFilter, available};
use crate::spend::fees::{fee, minimum_rate};
use crate::spend::{CoinControl, Recipient, Selected, psbt, size};
use crate::state::tx::TxTexts;

/// Moves the fee arguments of `send` and `sendall` into the options object.
fn merge_fee_arguments(call: &Call, first: usize, options: &mut Map<String, Value>) -> RpcResult<()> {
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

fn refuse_outdated(options: &Map<String, Value>) -> RpcResult<()> {
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
async fn finish(call: &Call, loaded: &Loaded, options: &Map<String, Value>, mut tx: Transaction) -> RpcResult {
    let snipe =
        !options.contains_key("locktime") && tx.input.iter().all(|input| [0xffff_fffe, 0xffff_fffd].contains(&input.sequence.0));
    if snipe {
        let around = circumstances(&call.app, loaded, &CoinControl::default()).await?;
        let height = loaded.wallet.borrow().tip.height;
        tx.lock_time = absolute::LockTime::from_consensus(locktime_against_sniping(height, &around, &mut thread_rng()));
    }
    let mut draft = psbt::unsigned(&tx).map_err(|error| RpcError::internal(error.to_string()))?;
    psbt::fill(&loaded.wallet.borrow(), &mut draft, true);
    if can_sign(loaded) {
        draft = sign_psbt(loaded, &draft, 0, true, true).await?.0;
    }
    let complete = finalize(&mut draft);
    let flag = |name: &str, default: bool| options.get(name).filter(|value| !value.is_null()).map_or(Ok(default), as_bool);
    let (psbt_wanted, add) = (flag("psbt", false)?, flag("add_to_wallet", true)?);
    let mut out = Map::new();
    if psbt_wanted || !complete || !add {
        out.insert("psbt".into(), super::psbt::encode(&draft));
    }
    if complete && let Some(tx) = extract(&draft) {
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
    super::options::find_external(call, loaded, options, &mut control).await?;
    if recipients.is_empty() {
        return Err(RpcError::parameter("TX must have at least one output"));
    }
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
    control.allow_other_inputs = control.selected.is_empty();
    let made = fund(call, &loaded, &recipients, &options, control, false).await?;
    finish(call, &loaded, &options, made.tx).await
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
    if options.contains_key("input_weights") {
        return Err(RpcError::parameter("Input weights should be specified in inputs rather than in options."));
    }
    let made = fund(call, &loaded, &recipients, &options, control, true).await?;
    let mut draft = psbt::unsigned(&made.tx).map_err(|error| RpcError::internal(error.to_string()))?;
    for (input, output) in draft.inputs.iter_mut().zip(&made.spent) {
        if output.script_pubkey.witness_version().is_some() {
            input.witness_utxo = Some(output.clone());
        }
    }
    psbt::fill(&loaded.wallet.borrow(), &mut draft, call.params.opt_bool(4)?.unwrap_or(true));
    Ok(json!({
        "psbt": super::psbt::encode(&draft),
        "fee": amount(made.fee),
        "changepos": made.change.map_or(-1, |position| position as i64),
    }))
}

/// Recipients of sendall: those with an amount, and those that share the rest.
fn sendall_recipients(call: &Call) -> RpcResult<Vec<(ScriptBuf, Option<i64>)>> {
    let mut outputs = Map::new();
    let mut open = Vec::new();
    for entry in as_array(call.params.get(0))? {
        match entry {
            Value::String(address) => {
                if outputs.insert(address.clone(), json!(0)).is_some() {
                    return Err(RpcError::parameter(format!("Invalid parameter, duplicated address: {address}")));
                }
                open.push(address.clone());
            }
            other => {
                for (address, value) in normalize_outputs(&json!([other]))? {
                    if outputs.insert(address.clone(), value).is_some() {
                        return Err(RpcError::parameter(format!("Invalid parameter, duplicated address: {address}")));
                    }
                }
            }
        }
    }
    if open.is_empty() {
        return Err(RpcError::parameter("Must provide at least one address without a specified amount"));
    }
    let parsed = parse_outputs(&call.app, &outputs)?;
    Ok(outputs.keys().zip(parsed).map(|(name, (script, value))| (script, (!open.contains(name)).then_some(value))).collect())
}

pub(super) async fn send_all(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let mut options = object_or_empty(call.params.get(4))?;
    merge_fee_arguments(call, 1, &mut options)?;
    refuse_outdated(&options)?;
    let field = |name: &str| options.get(name).filter(|value| !value.is_null());
    let mut control = CoinControl::default();
    set_fee_mode(
        &mut control,
        field("conf_target").unwrap_or(&Value::Null),
        field("estimate_mode").unwrap_or(&Value::Null),
        field("fee_rate").unwrap_or(&Value::Null),
        false,
    )?;
    let wallet_avoids = loaded.wallet.borrow().has_flag(crate::state::flags::AVOID_REUSE);
    control.avoid_address_reuse = wallet_avoids;
    if let Some(value) = field("minconf") {
        control.min_depth = as_int(value)?;
        if control.min_depth < 0 {
            return Err(RpcError::parameter(format!("Invalid minconf (minconf cannot be negative): {}", control.min_depth)));
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
    let rbf = field("replaceable").map(as_bool).transpose()?.unwrap_or(call.app.build.fees.rbf);
    control.rbf = Some(rbf);
    let recipients = sendall_recipients(call)?;
    let around = circumstances(&call.app, &loaded, &control).await?;
    let (rate, reason) = minimum_rate(&call.app.build.fees, &control, &around.fees);
    if let Some(set) = control.fee_rate
        && rate > set
    {
        return Err(RpcError::parameter(format!(
            "Fee rate ({}) is lower than the minimum fee rate setting ({})",
            crate::spend::fees::format_sat_vb(set),
            crate::spend::fees::format_sat_vb(rate)
        )));
    }
    if rate == 0 && reason == crate::spend::fees::FeeReason::Fallback {
        return Err(RpcError::new(
            code::WALLET_ERROR,
            "Fee estimation failed. Fallbackfee is disabled. Wait a few blocks or enable -fallbackfee.",
        ));
    }
    let send_max = field("send_max").map(as_bool).transpose()?.unwrap_or(false);
    if field("inputs").is_some() && send_max {
        return Err(RpcError::parameter("Cannot combine send_max with specific inputs."));
    }
    if field("inputs").is_some() && (options.contains_key("minconf") || options.contains_key("maxconf")) {
        return Err(RpcError::parameter("Cannot combine minconf or maxconf with specific inputs."));
    }
    let inputs = options.get("inputs").cloned().unwrap_or(Value::Null);
    select_inputs(&inputs, options.get("locktime").unwrap_or(&Value::Null), rbf, &mut control)?;
    let chosen = sendall_inputs(&loaded, &control, send_max, rate, &around.ancestry)?;
    let tx = sendall_tx(&loaded, &control, &recipients, &chosen, rate, rbf, around.fees.dust, call.app.build.fees.max_tx_fee)?;
    ensure_unlocked(&loaded).await?;
    if field("lock_unspents").map(as_bool).transpose()?.unwrap_or(false) {
        let mut wallet = loaded.wallet.borrow_mut();
        for input in &tx.input {
            wallet.locked.insert(input.previous_output, false);
        }
    }
    finish(call, &loaded, &options, tx).await
}

type Chosen = Vec<(OutPoint, i64, u32)>;

fn sendall_inputs(
    loaded: &Loaded,
    control: &CoinControl,
    send_max: bool,
    rate: i64,
    ancestry: &crate::spend::Ancestry,
) -> RpcResult<Chosen> {
    let wallet = loaded.wallet.borrow();
    let default_sequence = if control.rbf == Some(true) { 0xffff_fffd } else { 0xffff_fffe };
    if !control.selected.is_empty() {
        let mut out = Vec::new();
        for selected in &control.selected {
            let coin = selected.outpoint;
            if wallet.is_spent(&coin) {
                return Err(RpcError::parameter(format!(
                    "Input not available. UTXO ({}:{}) was already spent.",
                    coin.txid, coin.vout
                )));
            }
            let output = wallet.my_output(&coin).ok_or_else(|| {
                RpcError::parameter(format!("Input not found. UTXO ({}:{}) is not part of wallet.", coin.txid, coin.vout))
            })?;
            if wallet
                .txs
                .get(&coin.txid)
                .is_some_and(|wtx| wallet.depth(wtx) == 0 && wtx.tx.version.0 == 3 && control.version != 3)
            {
                return Err(RpcError::parameter("Can't spend unconfirmed version 3 pre-selected input with a version 2 tx"));
            }
            out.push((coin, output.value.to_sat() as i64, selected.sequence.unwrap_or(default_sequence)));
        }
        return Ok(out);
    }
    let coins = available(&wallet, control, &CoinFilter { min_amount: 0, ..CoinFilter::default() }, rate, rate, ancestry);
    Ok(coins
        .into_iter()
        .filter(|coin| coin.solvable && (!send_max || coin.fee <= coin.value))
        .map(|coin| (coin.outpoint, coin.value, default_sequence))
        .collect())
}

#[allow(clippy::too_many_arguments)]
fn sendall_tx(
    loaded: &Loaded,
    control: &CoinControl,
    recipients: &[(ScriptBuf, Option<i64>)],
    chosen: &Chosen,
    rate: i64,
    rbf: bool,
    dust: i64,
    max_fee: i64,
) -> RpcResult<Transaction> {
    let funds = |text: &str| RpcError::new(code::WALLET_INSUFFICIENT_FUNDS, text);
    let wallet_error = |text: &str| RpcError::new(code::WALLET_ERROR, text);
    let total: i64 = chosen.iter().map(|(_, value, _)| value).sum();
    if chosen.is_empty() {
        return Err(funds(
            "Total value of UTXO pool too low to pay for transaction. Try using lower feerate or excluding uneconomic UTXOs with 'send_max' option.",
        ));
    }
    let _ = rbf;
    let input = chosen
        .iter()
        .map(|(outpoint, _, sequence)| TxIn {
            previous_output: *outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence(*sequence),
            witness: Witness::new(),
        })
        .collect();
    let output = recipients
        .iter()
        .map(|(script, value)| TxOut { value: Amount::from_sat(value.unwrap_or(0) as u64), script_pubkey: script.clone() })
        .collect();
    let mut tx = Transaction {
        version: transaction::Version(control.version),
        lock_time: absolute::LockTime::from_consensus(control.locktime.unwrap_or(0)),
        input,
        output,
    };
    let wallet = loaded.wallet.borrow();
    let spent: Vec<TxOut> = chosen.iter().filter_map(|(outpoint, _, _)| wallet.output(outpoint).cloned()).collect();
    let weight = signed_weight(&wallet, &tx, &spent, control).ok_or_else(|| {
        wallet_error("Unable to determine the size of the transaction, the wallet contains unsolvable descriptors")
    })?;
    let cost = fee(rate, (weight + 3) / 4);
    if cost > max_fee {
        return Err(wallet_error("Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)"));
    }
    if total - cost <= 0 {
        return Err(funds(
            "Total value of UTXO pool too low to pay for transaction. Try using lower feerate or excluding uneconomic UTXOs with 'send_max' option.",
        ));
    }
    if weight > crate::spend::MAX_STANDARD_TX_WEIGHT {
        return Err(wallet_error("Transaction too large."));
    }
    let fixed: i64 = recipients.iter().filter_map(|(_, value)| *value).sum();
    let rest = total - cost - fixed;
    if rest < 0 {
        return Err(funds("Assigned more value to outputs than available funds."));
    }
    let open = recipients.iter().filter(|(_, value)| value.is_none()).count() as i64;
    let share = rest / open.max(1);
    let mut first = true;
    for (entry, (_, value)) in tx.output.iter_mut().zip(recipients) {
        if value.is_none() {
            let extra = if std::mem::take(&mut first) { rest - share * open } else { 0 };
            entry.value = Amount::from_sat((share + extra) as u64);
            if size::is_dust(entry, dust) {
                return Err(funds("Dynamically assigned remainder results in dust output."));
            }
        } else if size::is_dust(entry, dust) {
            return Err(RpcError::parameter("Specified output amount is below dust threshold."));
        }
    }
    Ok(tx)
}

/// The address in an option, as output script.
pub(super) fn change_script(call: &Call, value: &Value) -> RpcResult<ScriptBuf> {
    script_of(&call.app, as_str(value)?, "Change address must be a valid bitcoin address")
}
