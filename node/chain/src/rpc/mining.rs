//! Mining on test chains, blocks and headers from miners, priorities.

use std::sync::Arc;

use bitcoin::ScriptBuf;
use bitcoin::consensus::encode::serialize_hex;
use bulkhead_consensus::block::{Checks, witness_commitment_index};
use bulkhead_consensus::params::Buried;
use bulkhead_consensus::{HeaderView, PreparedBlock, Reject, RejectKind, pow};
use bulkhead_mempool::standard::dust_outputs;
use bulkhead_rpc_util::amount::double_to_json;
use bulkhead_rpc_util::codec::{decode_hex_block, decode_hex_header, decode_hex_tx, parse_txid};
use bulkhead_rpc_util::descriptor::Descriptor;
use bulkhead_rpc_util::error::{INTERNAL_ERROR, MISC_ERROR, VERIFY_ERROR};
use bulkhead_rpc_util::txjson::{difficulty, target_hex};
use bulkhead_rpc_util::{Params, RpcError, RpcResult, amount_to_json, decode_address, params};
use serde_json::{Map, Value, json};

use super::chain_info::warnings;
use super::lookup::tip;
use super::{Context, Handler};
use crate::engine::State;
use crate::mining::{build_template, mine, mine_blocks, regenerate_commitment};

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("generateblock", generateblock),
    ("generatetoaddress", generatetoaddress),
    ("generatetodescriptor", generatetodescriptor),
    ("getmininginfo", getmininginfo),
    ("getnetworkhashps", getnetworkhashps),
    ("getprioritisedtransactions", getprioritisedtransactions),
    ("prioritisetransaction", prioritisetransaction),
    ("submitblock", submitblock),
    ("submitheader", submitheader),
];

const DEFAULT_MAX_TRIES: u64 = 1_000_000;

fn generate(context: &Context, script: &ScriptBuf, count: i32, tries: u64) -> RpcResult<Value> {
    let options = context.template_options();
    let wait_for_others = || context.wait_for_others();
    let hashes = mine_blocks(&context.chain, &context.pool, script, i64::from(count), tries, &options, wait_for_others)
        .map_err(|_| RpcError::new(INTERNAL_ERROR, "ProcessNewBlock, block not accepted"))?;
    context.note_template(options.reserved_weight, 0);
    context.pool.deliver();
    Ok(hashes.iter().map(|hash| Value::from(hash.to_string())).collect())
}

fn generatetoaddress(context: &Context, params: &Params) -> RpcResult<Value> {
    let count: i32 = params.int(0)?;
    let tries: i32 = params.opt_int(2)?.unwrap_or(DEFAULT_MAX_TRIES as i32);
    let destination =
        decode_address(params.str(1)?, context.network).map_err(|_| RpcError::address_or_key("Error: Invalid address"))?;
    generate(context, &destination.script(), count, u64::try_from(tries).unwrap_or(u64::MAX))
}

/// The script that blocks mined to a descriptor pay to.
fn script_of_descriptor(context: &Context, text: &str) -> RpcResult<ScriptBuf> {
    let descriptors = Descriptor::parse(text, context.network, false).map_err(RpcError::address_or_key)?;
    let [descriptor] = descriptors.as_slice() else {
        return Err(RpcError::parameter("Multipath descriptor not accepted"));
    };
    if descriptor.is_range() {
        return Err(RpcError::parameter("Ranged descriptor not accepted. Maybe pass through deriveaddresses first?"));
    }
    let expanded = descriptor.expand(0).ok_or_else(|| RpcError::address_or_key("Cannot derive script without private keys"))?;
    // combo(): P2WPKH where the key allows it, else P2PKH.
    let index = match expanded.scripts.len() {
        4 => 2,
        1 => 0,
        _ => 1,
    };
    let chosen = expanded.scripts.into_iter().nth(index);
    chosen.ok_or_else(|| RpcError::internal("descriptor without script"))
}

fn generatetodescriptor(context: &Context, params: &Params) -> RpcResult<Value> {
    let count: i32 = params.int(0)?;
    let tries: u64 = params.opt_int(2)?.unwrap_or(DEFAULT_MAX_TRIES);
    let script = script_of_descriptor(context, params.str(1)?)?;
    generate(context, &script, count, tries)
}

fn generateblock(context: &Context, params: &Params) -> RpcResult<Value> {
    let output = params.str(0)?;
    let script = match script_of_descriptor(context, output) {
        Ok(script) => script,
        Err(error) if error.code == bulkhead_rpc_util::error::INVALID_PARAMETER => return Err(error),
        Err(error) if error.message == "Cannot derive script without private keys" => return Err(error),
        Err(_) => decode_address(output, context.network)
            .map_err(|_| RpcError::address_or_key("Error: Invalid address or descriptor"))?
            .script(),
    };
    let mut transactions = Vec::new();
    for value in params.array(1)? {
        let text = params::as_str(value)?;
        if let Ok(txid) = parse_txid(value, "txid") {
            let pool = context.pool.lock();
            let entry = pool.get(&txid).ok_or_else(|| RpcError::address_or_key(format!("Transaction {text} not in mempool.")))?;
            transactions.push((*entry.new.tx).clone());
        } else if let Some(tx) = decode_hex_tx(text, false, true) {
            transactions.push(tx);
        } else {
            return Err(RpcError::deserialization(format!(
                "Transaction decode failed for {text}. Make sure the tx has at least one input."
            )));
        }
    }
    let submit = params.opt_bool(2)?.unwrap_or(true);
    let options = crate::mining::TemplateOptions { coinbase_script: script, ..context.template_options() };
    let rules = context.chain.params();
    let block = {
        let state = context.state();
        let template = build_template(&state, None, rules, &options, context.now());
        let mut block = template.block;
        block.txdata.append(&mut transactions);
        regenerate_commitment(&mut block, rules.is_active_at(Buried::Segwit, template.height));
        let prepared = Arc::new(PreparedBlock::new(block));
        let checks = Checks { proof_of_work: false, merkle_root: false };
        context
            .chain
            .test_block_validity(&state, &prepared, checks)
            .map_err(|reject| RpcError::new(VERIFY_ERROR, format!("TestBlockValidity failed: {reject}")))?;
        prepared.block().clone()
    };
    let mut tries = DEFAULT_MAX_TRIES;
    let block = mine(block, rules, &mut tries, || context.chain.is_interrupted())
        .ok_or_else(|| RpcError::new(MISC_ERROR, "Failed to make block."))?;
    let mut out = Map::new();
    out.insert("hash".into(), block.block_hash().to_string().into());
    if submit {
        context
            .chain
            .process_new_block(block, true, true)
            .map_err(|_| RpcError::new(INTERNAL_ERROR, "ProcessNewBlock, block not accepted"))?;
        context.pool.deliver();
    } else {
        out.insert("hex".into(), serialize_hex(&block).into());
    }
    Ok(Value::Object(out))
}

/// Hashes per second over the last blocks.
fn network_hashes(state: &State, interval: i32, lookup: i32, height: i32) -> RpcResult<f64> {
    if lookup < -1 || lookup == 0 {
        return Err(RpcError::parameter("Invalid nblocks. Must be a positive number or -1."));
    }
    if height < -1 || height > state.height() {
        return Err(RpcError::parameter("Block does not exist at specified height"));
    }
    let height = if height < 0 { state.height() } else { height };
    let Some(last) = state.active_at(height).filter(|node| node.height > 0) else { return Ok(0.0) };
    let lookup = if lookup == -1 { last.height % interval.max(1) + 1 } else { lookup }.min(last.height);
    let nodes = (height - lookup..=height).filter_map(|height| state.active_at(height));
    let (mut earliest, mut latest) = (i64::MAX, i64::MIN);
    for node in nodes {
        earliest = earliest.min(i64::from(node.time()));
        latest = latest.max(i64::from(node.time()));
    }
    let Some(first) = state.active_at(height - lookup).filter(|_| latest > earliest) else { return Ok(0.0) };
    let work = work_to_f64(last.chain_work) - work_to_f64(first.chain_work);
    Ok(work / (latest - earliest) as f64)
}

fn work_to_f64(work: bitcoin::Work) -> f64 {
    work.to_be_bytes().iter().fold(0.0, |sum, byte| sum * 256.0 + f64::from(*byte))
}

fn getnetworkhashps(context: &Context, params: &Params) -> RpcResult<Value> {
    let lookup = params.opt_int(0)?.unwrap_or(120);
    let height = params.opt_int(1)?.unwrap_or(-1);
    let interval = context.chain.params().difficulty_interval();
    Ok(double_to_json(network_hashes(&context.state(), interval, lookup, height)?))
}

fn getmininginfo(context: &Context, _: &Params) -> RpcResult<Value> {
    let state = context.state();
    let rules = context.chain.params();
    let node = state.node(tip(&state)?);
    let bits = node.header.bits.to_consensus();
    let last = *context.last_template.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut out = Map::new();
    out.insert("blocks".into(), node.height.into());
    if let Some((weight, transactions)) = last {
        out.insert("currentblockweight".into(), weight.into());
        out.insert("currentblocktx".into(), transactions.into());
    }
    out.insert("bits".into(), format!("{bits:08x}").into());
    out.insert("difficulty".into(), double_to_json(difficulty(bits)));
    out.insert("target".into(), target_hex(bits).into());
    let hashes = network_hashes(&state, rules.difficulty_interval(), 120, -1)?;
    out.insert("networkhashps".into(), double_to_json(hashes));
    out.insert("pooledtx".into(), context.pool.lock().len().into());
    out.insert("blockmintxfee".into(), amount_to_json(context.config.blockmintxfee));
    out.insert("chain".into(), rules.name.into());
    let view = state.index().view(state.active().tip());
    let facts = view.header_at(view.height());
    let next_time = facts.map_or(0, |facts| facts.time).saturating_add(rules.target_spacing);
    let next_bits = pow::next_work_required(&view, next_time, rules);
    out.insert(
        "next".into(),
        json!({
            "height": node.height + 1,
            "bits": format!("{next_bits:08x}"),
            "difficulty": double_to_json(difficulty(next_bits)),
            "target": target_hex(next_bits),
        }),
    );
    if let Some(challenge) = &rules.signet_challenge {
        out.insert("signet_challenge".into(), hex::encode(challenge).into());
    }
    out.insert("warnings".into(), warnings(context));
    Ok(Value::Object(out))
}

/// BIP22's answer to a block.
pub(super) fn bip22_result(result: Result<(), Reject>) -> RpcResult<Value> {
    match result {
        Ok(()) => Ok(Value::Null),
        Err(reject) if reject.kind == RejectKind::System => Err(RpcError::new(VERIFY_ERROR, reject.to_string())),
        Err(reject) if reject.reason.is_empty() => Ok("rejected".into()),
        Err(reject) => Ok(reject.reason.into()),
    }
}

fn submitblock(context: &Context, params: &Params) -> RpcResult<Value> {
    let mut block = decode_hex_block(params.str(0)?).ok_or_else(|| RpcError::deserialization("Block decode failed"))?;
    {
        let state = context.state();
        let segwit = state
            .lookup(&block.header.prev_blockhash)
            .is_some_and(|prev| context.chain.params().is_active_at(Buried::Segwit, state.node(prev).height + 1));
        // Miners of old leave out the witness of the coinbase.
        if segwit
            && witness_commitment_index(&block).is_some()
            && let Some(input) = block.txdata.first_mut().and_then(|tx| tx.input.first_mut())
            && input.witness.is_empty()
        {
            input.witness = bitcoin::Witness::from_slice(&[[0u8; 32]]);
        }
    }
    let result = context.chain.process_new_block(block, true, true);
    context.pool.deliver();
    match result {
        Err(reject) => bip22_result(Err(reject)),
        Ok(accepted) if !accepted.is_new => Ok("duplicate".into()),
        Ok(accepted) => match accepted.checked {
            None => Ok("inconclusive".into()),
            Some(checked) => bip22_result(checked),
        },
    }
}

fn submitheader(context: &Context, params: &Params) -> RpcResult<Value> {
    let header = decode_hex_header(params.str(0)?).ok_or_else(|| RpcError::deserialization("Block header decode failed"))?;
    if context.state().lookup(&header.prev_blockhash).is_none() {
        let text = format!("Must submit previous header ({}) first", header.prev_blockhash);
        return Err(RpcError::new(VERIFY_ERROR, text));
    }
    match context.chain.process_headers(&[header], true) {
        Ok(_) => Ok(Value::Null),
        Err(reject) if reject.kind == RejectKind::System => Err(RpcError::new(VERIFY_ERROR, reject.to_string())),
        Err(reject) => Err(RpcError::new(VERIFY_ERROR, reject.reason)),
    }
}

fn prioritisetransaction(context: &Context, params: &Params) -> RpcResult<Value> {
    let txid = parse_txid(params.get(0), "txid")?;
    let dummy = params.opt_f64(1)?;
    let delta: i64 = params.int(2)?;
    if dummy.is_some_and(|dummy| dummy != 0.0) {
        return Err(RpcError::parameter("Priority is no longer supported, dummy argument to prioritisetransaction must be 0."));
    }
    let has_dust = {
        let pool = context.pool.lock();
        let options = pool.options();
        options.require_standard && pool.get(&txid).is_some_and(|entry| !dust_outputs(&entry.new.tx, options.dust).is_empty())
    };
    if has_dust {
        return Err(RpcError::parameter("Priority is not supported for transactions with dust outputs."));
    }
    context.pool.prioritise(txid, delta);
    Ok(true.into())
}

fn getprioritisedtransactions(context: &Context, _: &Params) -> RpcResult<Value> {
    let pool = context.pool.lock();
    let mut out = Map::new();
    for (txid, delta) in pool.deltas() {
        let entry = pool.get(txid);
        let mut inner = Map::new();
        inner.insert("fee_delta".into(), (*delta).into());
        inner.insert("in_mempool".into(), entry.is_some().into());
        if let Some(entry) = entry {
            inner.insert("modified_fee".into(), entry.modified_fee.into());
        }
        out.insert(txid.to_string(), Value::Object(inner));
    }
    Ok(Value::Object(out))
}
