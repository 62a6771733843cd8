//! Giving transactions to the mempool.

use std::collections::BTreeSet;
use std::sync::Arc;

use bitcoin::{OutPoint, Transaction, Txid};
use bulkhead_mempool::{FeeRate, Kind, Reject};
use bulkhead_rpc_util::codec::decode_hex_tx;
use bulkhead_rpc_util::error::{LIMIT_EXCEEDED, VERIFY_ALREADY_IN_UTXO_SET, VERIFY_ERROR, VERIFY_REJECTED};
use bulkhead_rpc_util::{Params, RpcError, RpcResult, amount_from_json, amount_to_json, fee_rate_from_json, opcode, params};
use bulkhead_schema::wire::net_chain_capnp::PrivateOutcome;
use serde_json::{Map, Value, json};

use super::lookup::storage_error;
use super::{Context, Handler};
use crate::engine::State;
use crate::mempool_accept::{
    AcceptOptions, Accepted, MAX_PACKAGE_COUNT, PackageError, PackageOutcome, is_child_with_parents_tree, submit_package,
    test_package,
};

pub(super) const METHODS: &[(&str, Handler)] =
    &[("sendrawtransaction", sendrawtransaction), ("submitpackage", submitpackage), ("testmempoolaccept", testmempoolaccept)];

const UNREACHABLE: &str = "-privatebroadcast is enabled, but none of the Tor or I2P networks is reachable. Maybe the location of \
                           the Tor proxy couldn't be retrieved from the Tor daemon at startup. Check whether the Tor daemon is \
                           running and that -torcontrol, -torpassword and -i2psam are configured properly.";

/// 0.10 coins per 1000 virtual bytes.
const DEFAULT_MAX_FEE_RATE: i64 = 10_000_000;

fn max_fee_rate(params: &Params) -> RpcResult<FeeRate> {
    match params.is_null(1) {
        true => Ok(FeeRate(DEFAULT_MAX_FEE_RATE)),
        false => fee_rate_from_json(params.get(1)).map(FeeRate),
    }
}

fn check_burn(params: &Params, tx: &Transaction) -> RpcResult<()> {
    let max = if params.is_null(2) { 0 } else { amount_from_json(params.get(2))? };
    let is_burnt = |script: &[u8]| opcode::is_unspendable(script) || !opcode::has_valid_ops(script);
    let exceeds = tx.output.iter().any(|output| {
        output.value.to_sat() as i64 > max && is_burnt(output.script_pubkey.as_bytes()) // signed as in Core
    });
    if exceeds {
        let text = "Unspendable output exceeds maximum configured by user (maxburnamount)";
        return Err(RpcError::new(VERIFY_ERROR, text));
    }
    Ok(())
}

/// The error of a refused transaction.
pub(super) fn reject_error(reject: &Reject) -> RpcError {
    let code = if reject.kind == Kind::MissingInputs { VERIFY_ERROR } else { VERIFY_REJECTED };
    RpcError::new(code, reject.to_string())
}

fn sendrawtransaction(context: &Context, params: &Params) -> RpcResult<Value> {
    let tx = decode_hex_tx(params.str(0)?, false, true)
        .ok_or_else(|| RpcError::deserialization("TX decode failed. Make sure the tx has at least one input."))?;
    check_burn(params, &tx)?;
    let rate = max_fee_rate(params)?;
    let max_fee = rate.fee((tx.weight().to_wu() as i64 + 3) / 4);
    let tx = Arc::new(tx);
    let send = if context.config.privatebroadcast { broadcast_privately } else { broadcast };
    let txid = send(context, &tx, max_fee)?;
    // As in Core: who asks a wallet next finds the transaction there.
    context.wait_for_others();
    Ok(txid.to_string().into())
}

/// Adds a transaction of ours to the pool, from which it is announced. `max_fee` 0: no limit.
///
/// # Errors
/// Core's codes and texts.
pub fn broadcast(context: &Context, tx: &Arc<Transaction>, max_fee: i64) -> RpcResult<Txid> {
    let txid = tx.compute_txid();
    let state = context.state();
    check_unconfirmed(&state, tx, txid)?;
    if context.pool.lock().get(&txid).is_some() {
        return Ok(txid);
    }
    if max_fee > 0 {
        check_acceptable(context, &state, tx, max_fee)?;
    }
    let options = AcceptOptions { time: context.now(), ..AcceptOptions::default() };
    context.pool.accept(&state, tx, &options).map_err(|reject| reject_error(&reject))?;
    context.pool.lock().add_unbroadcast(txid);
    Ok(txid)
}

fn check_unconfirmed(state: &State, tx: &Transaction, txid: Txid) -> RpcResult<()> {
    for vout in 0..tx.output.len() as u32 {
        if state.coin(&OutPoint { txid, vout }).map_err(storage_error)?.is_some() {
            let text = "Transaction outputs already in utxo set";
            return Err(RpcError::new(VERIFY_ALREADY_IN_UTXO_SET, text));
        }
    }
    Ok(())
}

/// Whether the mempool would take it, at a fee of not more than `max_fee` (0: any).
fn check_acceptable(context: &Context, state: &State, tx: &Arc<Transaction>, max_fee: i64) -> RpcResult<()> {
    let test = AcceptOptions { time: context.now(), test_only: true, ..AcceptOptions::default() };
    let accepted = context.pool.accept(state, tx, &test).map_err(|reject| reject_error(&reject))?;
    if max_fee > 0 && accepted.fee > max_fee {
        let text = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)";
        return Err(RpcError::new(VERIFY_ERROR, text));
    }
    Ok(())
}

/// Has net send a transaction of ours to peers that learn nothing else of us (`-privatebroadcast`); the pool gets it from the
/// network like any other.
fn broadcast_privately(context: &Context, tx: &Arc<Transaction>, max_fee: i64) -> RpcResult<Txid> {
    let txid = tx.compute_txid();
    {
        let state = context.state();
        check_unconfirmed(&state, tx, txid)?;
        if context.pool.lock().get(&txid).is_none() {
            check_acceptable(context, &state, tx, max_fee)?;
        }
    }
    match context.relay.as_ref().and_then(|relay| relay.broadcast_privately(tx)) {
        Some(PrivateOutcome::Queued) => Ok(txid),
        Some(PrivateOutcome::Full) => Err(RpcError::new(LIMIT_EXCEEDED, "Private broadcast queue is full")),
        Some(PrivateOutcome::Unreachable) => Err(RpcError::misc(UNREACHABLE)),
        None => Err(RpcError::internal("bitcoin-net does not answer")),
    }
}

fn read_transactions(params: &Params) -> RpcResult<Vec<Arc<Transaction>>> {
    let texts = params.array(0)?;
    if texts.is_empty() || texts.len() > MAX_PACKAGE_COUNT {
        return Err(RpcError::parameter(format!("Array must contain between 1 and {MAX_PACKAGE_COUNT} transactions.")));
    }
    let mut transactions = Vec::new();
    for text in texts {
        let text = params::as_str(text)?;
        let tx = decode_hex_tx(text, false, true).ok_or_else(|| {
            RpcError::deserialization(format!("TX decode failed: {text} Make sure the tx has at least one input."))
        })?;
        transactions.push(Arc::new(tx));
    }
    Ok(transactions)
}

fn testmempoolaccept(context: &Context, params: &Params) -> RpcResult<Value> {
    let count = params.array(0)?.len();
    if count == 0 || count > MAX_PACKAGE_COUNT {
        read_transactions(params)?;
    }
    let rate = max_fee_rate(params)?;
    let transactions = read_transactions(params)?;
    let options = AcceptOptions { time: context.now(), ..AcceptOptions::default() };
    let result = test_package(&context.state(), &context.pool, &transactions, &options);
    let package_error = result.error.filter(|error| matches!(error, PackageError::Policy(..))).map(|error| error.to_string());
    let mut results = Vec::new();
    let mut stopped = false;
    for (tx, outcome) in transactions.iter().zip(result.outcomes) {
        let mut out = Map::new();
        out.insert("txid".into(), tx.compute_txid().to_string().into());
        out.insert("wtxid".into(), tx.compute_wtxid().to_string().into());
        if let Some(error) = &package_error {
            out.insert("package-error".into(), error.clone().into());
        }
        if stopped {
            results.push(Value::Object(out));
            continue;
        }
        match outcome {
            PackageOutcome::Accepted(accepted) => {
                let max_fee = rate.fee(accepted.vsize);
                if max_fee != 0 && accepted.fee > max_fee {
                    out.insert("allowed".into(), false.into());
                    out.insert("reject-reason".into(), "max-fee-exceeded".into());
                    stopped = true;
                } else {
                    out.insert("allowed".into(), true.into());
                    out.insert("vsize".into(), accepted.vsize.into());
                    out.insert("fees".into(), fees_json(&accepted));
                }
            }
            PackageOutcome::Refused(reject) => {
                out.insert("allowed".into(), false.into());
                if reject.kind == Kind::MissingInputs {
                    out.insert("reject-reason".into(), "missing-inputs".into());
                } else {
                    out.insert("reject-reason".into(), reject.reason.clone().into());
                    out.insert("reject-details".into(), reject.to_string().into());
                }
            }
            _ => {}
        }
        results.push(Value::Object(out));
    }
    Ok(results.into())
}

fn fees_json(accepted: &Accepted) -> Value {
    json!({
        "base": amount_to_json(accepted.fee),
        "effective-feerate": amount_to_json(accepted.effective.per_kilo()),
        "effective-includes": accepted.effective_includes.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn submitpackage(context: &Context, params: &Params) -> RpcResult<Value> {
    let count = params.array(0)?.len();
    if count == 0 || count > MAX_PACKAGE_COUNT {
        read_transactions(params)?;
    }
    let rate = max_fee_rate(params)?;
    let transactions = read_transactions(params)?;
    for tx in &transactions {
        check_burn(params, tx)?;
    }
    if transactions.len() > 1 && !is_child_with_parents_tree(&transactions) {
        let text = "package topology disallowed. not child-with-parents or parents depend on each other.";
        return Err(RpcError::new(VERIFY_ERROR, text));
    }
    let options = AcceptOptions { time: context.now(), max_fee_rate: (rate.0 > 0).then_some(rate.0), ..AcceptOptions::default() };
    let result = submit_package(&context.state(), &context.pool, &transactions, &options);
    let message = result.error.map_or("success".into(), |error| error.to_string());
    let mut results = Map::new();
    let mut replaced = BTreeSet::new();
    for (tx, outcome) in transactions.iter().zip(result.outcomes) {
        let mut out = Map::new();
        out.insert("txid".into(), tx.compute_txid().to_string().into());
        match outcome {
            PackageOutcome::Accepted(accepted) => {
                out.insert("vsize".into(), accepted.vsize.into());
                out.insert("fees".into(), fees_json(&accepted));
                replaced.extend(accepted.replaced.iter().map(|tx| tx.compute_txid()));
            }
            PackageOutcome::Known { vsize, fee } => {
                out.insert("vsize".into(), vsize.into());
                out.insert("fees".into(), json!({"base": amount_to_json(fee)}));
            }
            PackageOutcome::KnownOtherWitness(wtxid) => {
                out.insert("other-wtxid".into(), wtxid.to_string().into());
            }
            PackageOutcome::Refused(reject) => {
                out.insert("error".into(), reject.to_string().into());
            }
            PackageOutcome::NotValidated => {
                out.insert("error".into(), "package-not-validated".into());
            }
        }
        results.insert(tx.compute_wtxid().to_string(), Value::Object(out));
    }
    let replaced: Vec<String> = replaced.iter().map(ToString::to_string).collect();
    Ok(json!({"package_msg": message, "tx-results": results, "replaced-transactions": replaced}))
}
