//! PSBT methods (BIP174, BIP370, BIP371).

mod analyze;
mod decode;
mod musig2;
mod needs;
mod spend;
mod update;

use bitcoin::secp256k1::Secp256k1;
use bitcoin::secp256k1::rand::seq::SliceRandom;
use bitcoin::secp256k1::rand::thread_rng;
use bitcoin::{ScriptBuf, Transaction, Witness};
use bulkhead_rpc_util::codec::{decode_hex_tx, tx_to_hex};
use bulkhead_rpc_util::psbt::{Version, VersionedPsbt, decode};
use bulkhead_rpc_util::{Params, RpcError, RpcResult, params};
use miniscript::psbt::PsbtExt;
use serde_json::{Map, Value};

use super::create_tx::construct;
use super::{Context, Handler};

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("analyzepsbt", analyze::analyzepsbt),
    ("combinepsbt", combinepsbt),
    ("converttopsbt", converttopsbt),
    ("createpsbt", createpsbt),
    ("decodepsbt", decodepsbt),
    ("finalizepsbt", finalizepsbt),
    ("joinpsbts", joinpsbts),
    ("utxoupdatepsbt", update::utxoupdatepsbt),
];

fn encode(psbt: &VersionedPsbt) -> Value {
    bulkhead_rpc_util::psbt::encode(psbt).into()
}

/// A PSBT of a transaction without signatures, in the version that stands at position `i`.
fn unsigned(tx: Transaction, params: &Params, i: usize) -> RpcResult<Value> {
    let version = Version::wished(params.opt_int::<u32>(i)?.map(i64::from))?;
    let psbt = VersionedPsbt::new(tx, version).map_err(|error| RpcError::internal(error.to_string()))?;
    Ok(encode(&psbt))
}

fn createpsbt(context: &Context, params: &Params) -> RpcResult<Value> {
    unsigned(construct(context.network, params)?, params, 5)
}

fn converttopsbt(_: &Context, params: &Params) -> RpcResult<Value> {
    let permit = params.opt_bool(1)?.unwrap_or(false);
    let is_witness = params.opt_bool(2)?;
    let mut tx = decode_hex_tx(params.str(0)?, !is_witness.unwrap_or(false), is_witness.unwrap_or(true))
        .ok_or_else(|| RpcError::deserialization("TX decode failed"))?;
    for input in &mut tx.input {
        if (!input.script_sig.is_empty() || !input.witness.is_empty()) && !permit {
            return Err(RpcError::deserialization("Inputs must not have scriptSigs and scriptWitnesses"));
        }
        input.script_sig = ScriptBuf::new();
        input.witness = Witness::new();
    }
    unsigned(tx, params, 3)
}

fn decodepsbt(context: &Context, params: &Params) -> RpcResult<Value> {
    Ok(decode::psbt_json(context, &decode(params.str(0)?)?))
}

fn combinepsbt(_: &Context, params: &Params) -> RpcResult<Value> {
    let psbts: Vec<VersionedPsbt> =
        params.array(0)?.iter().map(|text| decode(params::as_str(text)?)).collect::<RpcResult<_>>()?;
    let mut psbts = psbts.into_iter();
    let mut combined = psbts.next().ok_or_else(|| RpcError::parameter("Parameter 'txs' cannot be empty"))?;
    if !psbts.all(|psbt| combined.combine(psbt)) {
        return Err(RpcError::parameter("PSBTs not compatible (different transactions)"));
    }
    Ok(encode(&combined))
}

fn finalizepsbt(_: &Context, params: &Params) -> RpcResult<Value> {
    let mut versioned = decode(params.str(0)?)?;
    let extract = params.opt_bool(1)?.unwrap_or(true);
    // Inputs that cannot be finalised stay as they are; those that need nothing count as final.
    let secp = Secp256k1::verification_only();
    let mut complete = versioned.lock_time().is_some();
    let inputs = if complete { versioned.psbt.inputs.len() } else { 0 };
    let psbt = &mut versioned.psbt;
    for i in 0..inputs {
        bulkhead_musig2::aggregate_input(psbt, i);
        let done = spend::is_satisfied(psbt, i)
            || (spend::has_agreed_sighashes(psbt, i)
                && (spend::finalize_key_path(psbt, i) || psbt.finalize_inp_mut(&secp, i).is_ok()));
        if done {
            bulkhead_musig2::forget(&mut psbt.inputs[i].unknown);
        }
        complete &= done;
    }
    let mut out = Map::new();
    if complete && extract {
        out.insert("hex".into(), tx_to_hex(&versioned.psbt.extract_tx_unchecked_fee_rate()).into());
    } else {
        out.insert("psbt".into(), encode(&versioned));
    }
    out.insert("complete".into(), complete.into());
    Ok(Value::Object(out))
}

/// Joins inputs and outputs of several PSBTs and shuffles them, so that nothing tells which came from whom. Signatures do
/// not hold for the new transaction and are left out.
fn joinpsbts(_: &Context, params: &Params) -> RpcResult<Value> {
    let texts = params.array(0)?;
    if texts.len() <= 1 {
        return Err(RpcError::parameter("At least two PSBTs are required to join PSBTs."));
    }
    let mut version = 1;
    let mut lock_time = u32::MAX;
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    let mut joined: Option<VersionedPsbt> = None;
    for text in texts {
        let versioned = decode(params::as_str(text)?)?;
        if versioned.version() != Version::Zero {
            return Err(RpcError::parameter("joinpsbts only operates on version 0 PSBTs"));
        }
        let psbt = &versioned.psbt;
        version = version.max(psbt.unsigned_tx.version.0);
        lock_time = lock_time.min(psbt.unsigned_tx.lock_time.to_consensus_u32());
        for (txin, input) in psbt.unsigned_tx.input.iter().zip(&psbt.inputs) {
            if inputs.iter().any(|(known, _): &(bitcoin::TxIn, _)| known.previous_output == txin.previous_output) {
                let outpoint = txin.previous_output;
                return Err(RpcError::parameter(format!("Input {}:{} exists in multiple PSBTs", outpoint.txid, outpoint.vout)));
            }
            let mut input = input.clone();
            input.partial_sigs.clear();
            input.final_script_sig = None;
            input.final_script_witness = None;
            inputs.push((txin.clone(), input));
        }
        outputs.extend(psbt.unsigned_tx.output.iter().cloned().zip(psbt.outputs.iter().cloned()));
        let target = &mut joined.get_or_insert_with(|| versioned.clone()).psbt;
        target.xpub.extend(versioned.psbt.xpub);
        target.unknown.extend(versioned.psbt.unknown);
    }
    let mut joined = joined.ok_or_else(|| RpcError::internal("nothing was joined"))?;
    inputs.shuffle(&mut thread_rng());
    outputs.shuffle(&mut thread_rng());
    let psbt = &mut joined.psbt;
    psbt.unsigned_tx.version = bitcoin::transaction::Version(version);
    psbt.unsigned_tx.lock_time = bitcoin::absolute::LockTime::from_consensus(lock_time);
    (psbt.unsigned_tx.input, psbt.inputs) = inputs.into_iter().unzip();
    (psbt.unsigned_tx.output, psbt.outputs) = outputs.into_iter().unzip();
    Ok(encode(&joined))
}
