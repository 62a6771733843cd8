//! `utxoupdatepsbt`: coins that the node knows, scripts and keys that descriptors tell (Core: `ProcessPSBT`).

use std::collections::HashMap;

use bitcoin::psbt::{Input, PsbtSighashType};
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{EcdsaSighashType, Psbt, Script, ScriptBuf};
use bulkhead_rpc_util::psbt::{decode, is_final};
use bulkhead_rpc_util::{Params, RpcError, RpcResult, solver};
use miniscript::psbt::{PsbtInputExt, PsbtOutputExt};
use miniscript::{DefiniteDescriptorKey, DescriptorPublicKey};
use serde_json::Value;

use super::super::Context;
use super::super::lookup::storage_error;
use super::super::scan::{read_scan_object, scripts_of_scan_object};
use super::encode;
use super::spend::{spent_output, takes_witness};
use crate::indexes::transactions::find_transaction;
use crate::mempool_accept::{PackageCoins, find_coin};

type Definite = miniscript::Descriptor<DefiniteDescriptorKey>;

/// Last index of a ranged descriptor without a range of its own.
const DEFAULT_END: u32 = 1000;

/// Descriptors by the script that they stand for.
#[derive(Default)]
struct Known {
    by_script: HashMap<ScriptBuf, Definite>,
}

impl Known {
    fn read(context: &Context, objects: &[Value]) -> RpcResult<Self> {
        let mut known = Self::default();
        for object in objects {
            // It has the rules and words for descriptors that are malformed.
            scripts_of_scan_object(context, object)?;
            let (text, range) = read_scan_object(object)?;
            // Descriptors without keys, such as addr(), tell nothing more.
            if let Ok((descriptor, _)) = miniscript::Descriptor::parse_descriptor(&Secp256k1::signing_only(), text) {
                known.add(&descriptor, range)?;
            }
        }
        Ok(known)
    }

    fn add(&mut self, descriptor: &miniscript::Descriptor<DescriptorPublicKey>, range: Option<(u32, u32)>) -> RpcResult<()> {
        let failed = |error: &dyn std::fmt::Display| RpcError::address_or_key(error.to_string());
        for single in descriptor.clone().into_single_descriptors().map_err(|error| failed(&error))? {
            let (low, high) = if single.has_wildcard() { range.unwrap_or((0, DEFAULT_END)) } else { (0, 0) };
            for position in low..=high {
                let definite = single.at_derivation_index(position).map_err(|error| failed(&error))?;
                self.by_script.insert(definite.script_pubkey(), definite);
            }
        }
        Ok(())
    }
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
    let is_nested = |script: &Script| {
        let descriptor = known.by_script.get(script);
        script.is_p2sh() && descriptor.is_some_and(|descriptor| descriptor.desc_type().segwit_version().is_some())
    };
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
        Some(objects) => Known::read(context, objects)?,
        None => Known::default(),
    };
    versioned.ensure_transaction()?;
    let psbt = &mut versioned.psbt;
    add_indexed(context, psbt)?;
    add_coins(context, psbt, &known)?;
    for i in 0..psbt.inputs.len() {
        let Some(spent) = spent_output(psbt, i).cloned().filter(|_| !is_final(&psbt.inputs[i])) else { continue };
        let input = &mut psbt.inputs[i];
        if let Some(descriptor) = known.by_script.get(&spent.script_pubkey) {
            input.update_with_descriptor_unchecked(descriptor).map_err(|error| RpcError::internal(error.to_string()))?;
        }
        if takes_witness(input, &spent.script_pubkey) {
            input.witness_utxo = Some(spent);
        }
    }
    for (output, txout) in psbt.outputs.iter_mut().zip(&psbt.unsigned_tx.output) {
        if let Some(descriptor) = known.by_script.get(&txout.script_pubkey) {
            output.update_with_descriptor_unchecked(descriptor).map_err(|error| RpcError::internal(error.to_string()))?;
        }
    }
    drop_needless_transactions(psbt);
    Ok(encode(&versioned))
}
