//! `analyzepsbt`: who has to do what next (Core: `AnalyzePSBT`).

use bitcoin::Psbt;
use bulkhead_rpc_util::psbt::decode;
use bulkhead_rpc_util::{MAX_MONEY, Params, RpcError, RpcResult, amount_to_json, opcode};
use serde_json::{Map, Value, json};

use super::super::Context;
use super::needs::{Needs, needs};
use super::spend::{can_finalize, estimated_vsize, is_amount_proven, is_satisfied, spent_output};

/// Roles that a PSBT passes through, in order.
const ROLES: [&str; 4] = ["updater", "signer", "finalizer", "extractor"];

fn invalid(message: impl Into<String>) -> Value {
    json!({"next": "creator", "error": message.into()})
}

/// What is known of one input.
struct InputReport {
    /// Place in [`ROLES`].
    role: usize,
    json: Value,
}

fn report(psbt: &Psbt, i: usize) -> InputReport {
    let Some(spent) = spent_output(psbt, i) else {
        return InputReport { role: 0, json: json!({"has_utxo": false, "is_final": false, "next": ROLES[0]}) };
    };
    if is_satisfied(psbt, i) {
        return InputReport { role: 3, json: json!({"has_utxo": true, "is_final": true, "next": ROLES[3]}) };
    }
    let mut out = Map::new();
    out.insert("has_utxo".into(), true.into());
    out.insert("is_final".into(), false.into());
    let can_finalize = can_finalize(psbt, i);
    let input = &psbt.inputs[i];
    let is_proven = is_amount_proven(input, &spent.script_pubkey);
    // Without proof of the amount no signer may sign, so that nothing else is asked for first.
    let needs = if is_proven { needs(input, &spent.script_pubkey) } else { Needs::default() };
    let role = match can_finalize {
        true => 2,
        false if needs.only_signatures() => 1,
        false => 0,
    };
    out.insert("next".into(), ROLES[role].into());
    if !can_finalize && let Some(missing) = needs.to_json() {
        out.insert("missing".into(), missing);
    }
    InputReport { role, json: Value::Object(out) }
}

/// The amount that the inputs spend; `None` while one is unknown, an error if the amounts make no sense.
fn total_in(psbt: &Psbt) -> Result<Option<i64>, String> {
    let mut total = Some(0i64);
    for (i, input) in psbt.inputs.iter().enumerate() {
        let Some(output) = spent_output(psbt, i) else {
            if input.non_witness_utxo.is_some() {
                return Err(format!("PSBT is not valid. Input {i} specifies invalid prevout"));
            }
            total = None;
            continue;
        };
        let value = i64::try_from(output.value.to_sat()).unwrap_or(i64::MAX);
        if value > MAX_MONEY - total.unwrap_or(0) {
            return Err(format!("PSBT is not valid. Input {i} has invalid value"));
        }
        if opcode::is_unspendable(output.script_pubkey.as_bytes()) {
            return Err(format!("PSBT is not valid. Input {i} spends unspendable output"));
        }
        total = total.map(|sum| sum + value);
    }
    Ok(total)
}

fn total_out(psbt: &Psbt) -> Option<i64> {
    let add = |sum: i64, output: &bitcoin::TxOut| sum.checked_add(i64::try_from(output.value.to_sat()).ok()?);
    psbt.unsigned_tx.output.iter().try_fold(0i64, add).filter(|sum| *sum <= MAX_MONEY)
}

/// What each input still needs, the next role, and fee and size as far as they can be told.
pub(super) fn analyzepsbt(context: &Context, params: &Params) -> RpcResult<Value> {
    let versioned = decode(params.str(0)?)?;
    if versioned.lock_time().is_none() {
        return Ok(invalid("PSBT cannot be made into a valid transaction"));
    }
    let psbt = &versioned.psbt;
    let total_in = match total_in(psbt) {
        Ok(total) => total,
        Err(problem) => return Ok(invalid(problem)),
    };
    let reports: Vec<InputReport> = (0..psbt.inputs.len()).map(|i| report(psbt, i)).collect();
    let next = reports.iter().map(|report| report.role).min().unwrap_or(ROLES.len() - 1);
    let mut out = Map::new();
    if !reports.is_empty() {
        out.insert("inputs".into(), reports.into_iter().map(|report| report.json).collect());
    }
    if let Some(total_in) = total_in {
        let Some(total_out) = total_out(psbt) else {
            return Ok(invalid("PSBT is not valid. Output amount invalid"));
        };
        let fee = total_in - total_out;
        if let Some(vsize) = estimated_vsize(psbt, context.config.bytespersigop) {
            let vsize = i64::try_from(vsize).map_err(|_| RpcError::internal("transaction too large"))?;
            out.insert("estimated_vsize".into(), vsize.into());
            out.insert("estimated_feerate".into(), amount_to_json(fee * 1000 / vsize.max(1)));
        }
        out.insert("fee".into(), amount_to_json(fee));
    }
    out.insert("next".into(), ROLES[next].into());
    Ok(Value::Object(out))
}
