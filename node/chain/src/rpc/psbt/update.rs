//! `utxoupdatepsbt`: coins that the node knows, scripts and keys that descriptors tell (Core: `ProcessPSBT`).

use std::collections::HashMap;

use bitcoin::psbt::{Input, PsbtSighashType};
use bitcoin::{EcdsaSighashType, Psbt, Script, ScriptBuf};
use bulkhead_rpc_util::descriptor::Solution;
use bulkhead_rpc_util::psbt::{decode, is_final};
use bulkhead_rpc_util::{Params, RpcResult, solver};
use serde_json::Value;

use super::super::Context;
use super::super::lookup::storage_error;
use super::super::scan::scripts_of_scan_object;
use super::encode;
use super::spend::{spent_output, takes_witness};
use crate::indexes::transactions::find_transaction;
use crate::mempool_accept::{PackageCoins, find_coin};

/// How outputs are spent, by their script.
type Known = HashMap<ScriptBuf, Solution>;

fn read_known(context: &Context, objects: &[Value]) -> RpcResult<Known> {
    let mut known = Known::new();
    for object in objects {
        // Descriptors without keys, such as addr(), tell nothing more.
        let solved = scripts_of_scan_object(context, object)?.into_iter();
        known.extend(solved.filter_map(|(script, solution)| Some((script, solution?))));
    }
    Ok(known)
}

/// Adds whole transactions from the index, if there is one.
fn add_indexed(context: &Context, psbt: &mut Psbt) -> RpcResult<()> {
    let Some(index) = &context.indexes.tx else { return Ok(()) };
    index.wait_for_tip(&context.chain);
    for (input, txin) in psbt.inputs.iter_mut().zip(&psbt.unsigned_tx.input) {
        if input.non_witness_utxo.is_none() {
            let found = find_transaction(index, &context.chain, &txin.previous_output.txid).map_err(storage_error)?;
            input.non_witness_utxo = found.map(|found| found.tx);
        }
    }
    Ok(())
}

/// Adds whole transactions from the mempool, else coins of segwit inputs.
fn add_coins(context: &Context, psbt: &mut Psbt, known: &Known) -> RpcResult<()> {
    let state = context.state();
    let pool = context.pool.lock();
    let is_nested = |script: &Script| script.is_p2sh() && known.get(script).is_some_and(Solution::is_segwit);
    for i in 0..psbt.inputs.len() {
        let outpoint = psbt.unsigned_tx.input[i].previous_output;
        let input = &mut psbt.inputs[i];
        if input.non_witness_utxo.is_some() {
            continue;
        }
        if let Some(entry) = pool.get(&outpoint.txid) {
            input.non_witness_utxo = Some((*entry.new.tx).clone());
            continue;
        }
        let coin = find_coin(&state, &pool, &PackageCoins::default(), &outpoint).map_err(storage_error)?;
        if let Some(coin) = coin {
            let script = &coin.output.script_pubkey;
            if solver::witness_program(script.as_bytes()).is_some() || is_nested(script) {
                input.witness_utxo = Some(coin.output);
            }
        }
    }
    Ok(())
}

/// Whole previous transactions are of no use when all inputs are of segwit version 1 or above and sign for all of them.
fn drop_needless_transactions(psbt: &mut Psbt) {
    let needs_none = |input: &Input| {
        let program = input.witness_utxo.as_ref().and_then(|utxo| solver::witness_program(utxo.script_pubkey.as_bytes()));
        let anyone_can_pay = input.sighash_type.is_some_and(signs_for_one_input);
        program.is_some_and(|(version, _)| version > 0) && !anyone_can_pay
    };
    if psbt.inputs.iter().all(needs_none) {
        for input in &mut psbt.inputs {
            input.non_witness_utxo = None;
        }
    }
}

fn signs_for_one_input(sighash: PsbtSighashType) -> bool {
    let anyone_can_pay = EcdsaSighashType::AllPlusAnyoneCanPay.to_u32() & !EcdsaSighashType::All.to_u32();
    sighash.to_u32() & anyone_can_pay != 0
}

/// Adds what the node and the given descriptors know.
pub(super) fn utxoupdatepsbt(context: &Context, params: &Params) -> RpcResult<Value> {
    let mut versioned = decode(params.str(0)?)?;
    let known = match params.opt_array(1)? {
        Some(objects) => read_known(context, objects)?,
        None => Known::default(),
    };
    versioned.ensure_transaction()?;
    let psbt = &mut versioned.psbt;
    add_indexed(context, psbt)?;
    add_coins(context, psbt, &known)?;
    for i in 0..psbt.inputs.len() {
        let Some(spent) = spent_output(psbt, i).cloned().filter(|_| !is_final(&psbt.inputs[i])) else { continue };
        let input = &mut psbt.inputs[i];
        if let Some(solution) = known.get(&spent.script_pubkey) {
            solution.fill_input(input, &spent, true);
        }
        if takes_witness(input, &spent.script_pubkey) {
            input.witness_utxo = Some(spent);
        }
    }
    for (output, txout) in psbt.outputs.iter_mut().zip(&psbt.unsigned_tx.output) {
        if let Some(solution) = known.get(&txout.script_pubkey) {
            solution.fill_output(output, true);
        }
    }
    drop_needless_transactions(psbt);
    Ok(encode(&versioned))
}
