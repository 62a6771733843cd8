//! sendall: spends everything, or what is named, without change.

use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, absolute, transaction};
use bulkhead_rpc_util::error as code;
use bulkhead_rpc_util::params::{as_array, as_bool, as_int};
use bulkhead_rpc_util::{RpcError, RpcResult};
use serde_json::{Map, Value, json};

use super::Call;
use super::fund::{finish, merge_fee_arguments, refuse_outdated};
use super::options::{TRUC_MAX_WEIGHT, select_inputs};
use super::outputs::{normalize_outputs, object_or_empty, parse_outputs, set_fee_mode};
use super::send::circumstances;
use super::util::synced_wallet;
use crate::spend::build::{Circumstances, MAX_BIP125_RBF_SEQUENCE, check_rate, signed_weight};
use crate::spend::coins::{CoinFilter, Costs, available};
use crate::spend::fees::{fee, minimum_rate};
use crate::spend::select::TRUC_CHILD_MAX_WEIGHT;
use crate::spend::{CoinControl, MAX_STANDARD_TX_WEIGHT, SpendError, TRUC_VERSION, size};
use crate::state::Wallet;

/// An output: its script, its address, and its amount in satoshi unless it shares the rest.
struct Output {
    script: ScriptBuf,
    address: String,
    amount: Option<i64>,
}

/// Recipients: those with an amount, and those that share the rest.
fn recipients(call: &Call) -> RpcResult<Vec<Output>> {
    let mut open = Vec::new();
    let mut pairs = Vec::new();
    for entry in as_array(call.params.get(0))? {
        if let Value::String(address) = entry {
            pairs.push(json!({ address: 0 }));
            open.push(address.clone());
        } else {
            pairs.push(entry.clone());
        }
    }
    if open.is_empty() {
        return Err(RpcError::parameter("Must provide at least one address without a specified amount"));
    }
    let outputs = normalize_outputs(&Value::Array(pairs))?;
    let parsed = parse_outputs(&call.app, &outputs)?;
    let named = outputs.keys().zip(parsed);
    Ok(named
        .map(|(address, (script, value))| Output {
            script,
            address: address.clone(),
            amount: (!open.contains(address)).then_some(value),
        })
        .collect())
}

fn depths(options: &Map<String, Value>, control: &mut CoinControl) -> RpcResult<()> {
    if let Some(value) = options.get("minconf") {
        control.min_depth = as_int(value)?;
        if control.min_depth < 0 {
            return Err(RpcError::parameter(format!("Invalid minconf (minconf cannot be negative): {}", control.min_depth)));
        }
    }
    if let Some(value) = options.get("maxconf") {
        control.max_depth = as_int(value)?;
        if control.max_depth < control.min_depth {
            return Err(RpcError::parameter(format!(
                "maxconf can't be lower than minconf: {} < {}",
                control.max_depth, control.min_depth
            )));
        }
    }
    Ok(())
}

pub(super) async fn send_all(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let mut options = object_or_empty(call.params.get(4))?;
    merge_fee_arguments(call, 1, &mut options)?;
    refuse_outdated(&options)?;
    let recipients = recipients(call)?;
    let field = |name: &str| options.get(name).filter(|value| !value.is_null());
    let or_null = |name: &str| field(name).unwrap_or(&Value::Null);
    let mut control = CoinControl::default();
    set_fee_mode(&mut control, or_null("conf_target"), or_null("estimate_mode"), or_null("fee_rate"), false)?;
    depths(&options, &mut control)?;
    if let Some(value) = field("version") {
        control.version = as_int(value)?;
    }
    let mut max_weight = if control.version == TRUC_VERSION { TRUC_MAX_WEIGHT } else { MAX_STANDARD_TX_WEIGHT };
    let rbf = field("replaceable").map(as_bool).transpose()?.unwrap_or(call.app.build.fees.rbf);
    let around = circumstances(&call.app, &loaded, &control).await?;
    let (rate, reason) = minimum_rate(&call.app.build.fees, &control, &around.fees);
    check_rate(rate, reason, &control, &call.app.build, &around).map_err(|error| match (control.fee_rate, error) {
        (Some(_), error) => RpcError::parameter(error.to_string()),
        (None, error) => RpcError::new(code::WALLET_ERROR, error.to_string()),
    })?;
    select_inputs(or_null("inputs"), or_null("locktime"), rbf, &mut control)?;
    let named = options.contains_key("inputs");
    if named && options.contains_key("send_max") {
        return Err(RpcError::parameter("Cannot combine send_max with specific inputs."));
    }
    if named && (options.contains_key("minconf") || options.contains_key("maxconf")) {
        return Err(RpcError::parameter("Cannot combine minconf or maxconf with specific inputs."));
    }
    let send_max = field("send_max").map(as_bool).transpose()?.unwrap_or(false);
    let tx = {
        let wallet = loaded.wallet.borrow();
        let inputs = if named {
            named_inputs(&wallet, &control)?
        } else {
            let sequence = if rbf { MAX_BIP125_RBF_SEQUENCE } else { MAX_BIP125_RBF_SEQUENCE + 1 };
            let (inputs, on_truc) = all_inputs(&wallet, &control, &around, rate, send_max, sequence);
            if on_truc {
                max_weight = TRUC_CHILD_MAX_WEIGHT;
            }
            inputs
        };
        let limits = Limits { rate, max_weight, max_fee: call.app.build.fees.max_tx_fee, send_max };
        transaction(&wallet, &control, &recipients, inputs, &around, &limits)?
    };
    if field("lock_unspents").map(as_bool).transpose()?.unwrap_or(false) {
        let mut wallet = loaded.wallet.borrow_mut();
        for input in &tx.input {
            wallet.locked.insert(input.previous_output, false);
        }
    }
    finish(call, &loaded, &options, tx).await
}

/// Inputs with what they spend.
type Inputs = Vec<(TxIn, TxOut)>;

fn input(outpoint: OutPoint, sequence: u32) -> TxIn {
    TxIn { previous_output: outpoint, script_sig: ScriptBuf::new(), sequence: Sequence(sequence), witness: Witness::new() }
}

fn named_inputs(wallet: &Wallet, control: &CoinControl) -> RpcResult<Inputs> {
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
        if let Some(wtx) = wallet.txs.get(&coin.txid).filter(|wtx| wallet.depth(wtx) == 0) {
            let version = wtx.tx.version.0;
            if (version == TRUC_VERSION) != (control.version == TRUC_VERSION) {
                return Err(RpcError::parameter(format!(
                    "Can't spend unconfirmed version {version} pre-selected input with a version {} tx",
                    control.version
                )));
            }
        }
        out.push((input(coin, selected.sequence.unwrap_or(MAX_BIP125_RBF_SEQUENCE)), output.clone()));
    }
    Ok(out)
}

/// All coins, and whether one of them is an unconfirmed output of a version 3 transaction.
fn all_inputs(
    wallet: &Wallet,
    control: &CoinControl,
    around: &Circumstances,
    rate: i64,
    send_max: bool,
    sequence: u32,
) -> (Inputs, bool) {
    let costs = Costs { rate, long_term_rate: rate, pool: &around.pool, replaced: &around.replaced };
    let coins = available(wallet, control, &CoinFilter { min_amount: 0, ..CoinFilter::default() }, &costs);
    let worth = |coin: &crate::spend::Coin| !send_max || fee(rate, coin.input_bytes.unwrap_or(0)) <= coin.value;
    let mut out = Vec::new();
    let mut on_truc = false;
    for coin in coins.into_iter().filter(worth) {
        on_truc |= coin.depth == 0 && control.version == TRUC_VERSION;
        let output = TxOut { value: Amount::from_sat(coin.value as u64), script_pubkey: coin.script };
        out.push((input(coin.outpoint, sequence), output));
    }
    (out, on_truc)
}

struct Limits {
    rate: i64,
    max_weight: i64,
    max_fee: i64,
    send_max: bool,
}

fn transaction(
    wallet: &Wallet,
    control: &CoinControl,
    recipients: &[Output],
    inputs: Inputs,
    around: &Circumstances,
    limits: &Limits,
) -> RpcResult<Transaction> {
    let funds = |text: &str| RpcError::new(code::WALLET_INSUFFICIENT_FUNDS, text);
    let wallet_error = |text: &str| RpcError::new(code::WALLET_ERROR, text);
    let total: i64 = inputs.iter().map(|(_, output)| output.value.to_sat() as i64).sum();
    let (input, spent): (Vec<TxIn>, Vec<TxOut>) = inputs.into_iter().unzip();
    let amount = |output: &Output| Amount::from_sat(output.amount.unwrap_or(0) as u64);
    let mut tx = Transaction {
        version: transaction::Version(control.version),
        lock_time: absolute::LockTime::from_consensus(control.locktime.unwrap_or(0)),
        input,
        output: recipients.iter().map(|to| TxOut { value: amount(to), script_pubkey: to.script.clone() }).collect(),
    };
    let weight = signed_weight(wallet, &tx, &spent, &CoinControl::default()).ok_or_else(|| {
        wallet_error("Unable to determine the size of the transaction, the wallet contains unsolvable descriptors")
    })?;
    let size_fee = fee(limits.rate, (weight + 3) / 4);
    let outpoints: Vec<OutPoint> = tx.input.iter().map(|input| input.previous_output).collect();
    let left = total - size_fee - around.pool.combined_bump_fee(&outpoints, &around.replaced, limits.rate);
    if size_fee > limits.max_fee {
        return Err(wallet_error(SpendError::MAX_FEE));
    }
    if left <= 0 {
        return Err(funds(if limits.send_max {
            "Total value of UTXO pool too low to pay for transaction, try using lower feerate."
        } else {
            "Total value of UTXO pool too low to pay for transaction. Try using lower feerate or excluding uneconomic UTXOs with 'send_max' option."
        }));
    }
    if weight > limits.max_weight {
        return Err(wallet_error("Transaction too large."));
    }
    let claimed: i64 = recipients.iter().filter_map(|to| to.amount).sum();
    if claimed > total {
        return Err(funds("Assigned more value to outputs than available funds."));
    }
    let rest = left - claimed;
    if rest < 0 {
        return Err(funds("Insufficient funds for fees after creating specified outputs."));
    }
    let sharers = recipients.iter().filter(|to| to.amount.is_none()).count() as i64;
    let mut extra = rest % sharers.max(1);
    for (output, to) in tx.output.iter_mut().zip(recipients) {
        let dust = |output: &TxOut| size::is_dust(output, around.fees.dust);
        if to.amount.is_none() {
            output.value = Amount::from_sat((rest / sharers.max(1) + std::mem::take(&mut extra)) as u64);
            if dust(output) {
                return Err(funds("Dynamically assigned remainder results in dust output."));
            }
        } else if dust(output) {
            return Err(RpcError::parameter(format!("Specified output amount to {} is below dust threshold.", to.address)));
        }
    }
    Ok(tx)
}
