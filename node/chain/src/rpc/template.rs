//! `getblocktemplate` (BIP22, BIP23, BIP9, BIP145).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::BlockHash;
use bulkhead_consensus::block::{Checks, witness_commitment_index};
use bulkhead_consensus::params::Buried;
use bulkhead_consensus::versionbits::{ThresholdState, state_after};
use bulkhead_consensus::{HeaderView, MAX_BLOCK_SIGOPS_COST, MAX_BLOCK_WEIGHT, PreparedBlock};
use bulkhead_rpc_util::codec::{decode_hex_block, parse_block_hash, tx_to_hex};
use bulkhead_rpc_util::error::CLIENT_IN_INITIAL_DOWNLOAD;
use bulkhead_rpc_util::txjson::target_hex;
use bulkhead_rpc_util::{Params, RpcError, RpcResult, params};
use serde_json::{Map, Value, json};

use super::mining::bip22_result;
use super::{Context, Handler};
use crate::engine::{State, is_abandoned};
use crate::mining::{BlockTemplate, build_template, minimum_time};

pub(super) const METHODS: &[(&str, Handler)] = &[("getblocktemplate", getblocktemplate)];

const MAX_BLOCK_SIZE: usize = 4_000_000;

fn getblocktemplate(context: &Context, params: &Params) -> RpcResult<Value> {
    let empty = Map::new();
    let request = params.opt_object(0)?.unwrap_or(&empty);
    match request.get("mode") {
        None | Some(Value::Null) => {}
        Some(Value::String(mode)) if mode == "template" => {}
        Some(Value::String(mode)) if mode == "proposal" => return proposal(context, request),
        _ => return Err(RpcError::parameter("Invalid mode")),
    }
    let mut rules = BTreeSet::new();
    if let Some(Value::Array(given)) = request.get("rules") {
        for rule in given {
            rules.insert(params::as_str(rule)?.to_owned());
        }
    }
    let chain = context.chain.params();
    if !chain.is_test_chain() && context.chain.tip().initial_download {
        let text = "Bulkhead is in initial sync and waiting for blocks...";
        return Err(RpcError::new(CLIENT_IN_INITIAL_DOWNLOAD, text));
    }
    if let Some(id) = request.get("longpollid").filter(|id| !id.is_null()) {
        long_poll(context, id)?;
    }
    if chain.signet_challenge.is_some() && !rules.contains("signet") {
        return Err(RpcError::parameter(
            "getblocktemplate must be called with the signet rule set (call with {\"rules\": [\"segwit\", \"signet\"]})",
        ));
    }
    if !rules.contains("segwit") {
        return Err(RpcError::parameter(
            "getblocktemplate must be called with the segwit rule set (call with {\"rules\": [\"segwit\"]})",
        ));
    }
    let state = context.state();
    let (template, updates) = {
        let pool = context.pool.lock();
        let options = context.template_options();
        (build_template(&state, Some(&pool), chain, &options, context.now()), pool.updates())
    };
    context.note_template(template.weight, template.fees.len());
    template_json(context, &state, template, updates)
}

fn proposal(context: &Context, request: &Map<String, Value>) -> RpcResult<Value> {
    let Some(Value::String(data)) = request.get("data") else {
        return Err(RpcError::type_error("Missing data String key for proposal"));
    };
    let block = decode_hex_block(data).ok_or_else(|| RpcError::deserialization("Block decode failed"))?;
    let state = context.state();
    if let Some(id) = state.lookup(&block.block_hash()) {
        let status = state.node(id).status;
        return Ok(if status.is_failed() {
            "duplicate-invalid".into()
        } else if status.is_valid_scripts() {
            "duplicate".into()
        } else {
            "duplicate-inconclusive".into()
        });
    }
    let checks = Checks { proof_of_work: false, merkle_root: true };
    bip22_result(context.chain.test_block_validity(&state, &Arc::new(PreparedBlock::new(block)), checks))
}

/// Waits for another tip, or after a minute for another mempool.
fn long_poll(context: &Context, id: &Value) -> RpcResult<()> {
    let (watched, updates) = match id {
        Value::String(text) => {
            let hash = text.get(..64).unwrap_or(text);
            let count = text.get(64..).unwrap_or_default();
            (parse_block_hash(&Value::from(hash), "longpollid")?, count.parse().unwrap_or(0))
        }
        _ => (context.chain.tip().hash, context.pool.lock().updates()),
    };
    let mut wait = Duration::from_secs(60);
    loop {
        let tip = context.chain.wait_for_tip(Some(Instant::now() + wait), |tip| tip.hash != watched);
        let unchanged = tip.hash == watched && context.pool.lock().updates() == updates;
        if !unchanged || context.chain.is_interrupted() || is_abandoned() {
            return Ok(());
        }
        wait = Duration::from_secs(10);
    }
}

fn transactions_json(template: &BlockTemplate, pre_segwit: bool) -> Value {
    let mut positions = HashMap::new();
    let mut out = Vec::new();
    for (i, tx) in template.block.txdata.iter().enumerate() {
        let txid = tx.compute_txid();
        positions.insert(txid, i);
        let Some(index) = i.checked_sub(1) else { continue };
        let depends: Vec<usize> =
            tx.input.iter().filter_map(|input| positions.get(&input.previous_output.txid).copied()).collect();
        let sigops = template.sigops.get(index).copied().unwrap_or(0);
        out.push(json!({
            "data": tx_to_hex(tx),
            "txid": txid.to_string(),
            "hash": tx.compute_wtxid().to_string(),
            "depends": depends,
            "fee": template.fees.get(index),
            "sigops": if pre_segwit { sigops / 4 } else { sigops },
            "weight": tx.weight().to_wu(),
        }));
    }
    out.into()
}

fn template_json(context: &Context, state: &State, template: BlockTemplate, updates: u64) -> RpcResult<Value> {
    let chain = context.chain.params();
    let view = state.index().view(state.active().tip());
    let pre_segwit = !chain.is_active_at(Buried::Segwit, template.height);
    let mut rules = vec!["csv".to_owned()];
    if !pre_segwit {
        rules.extend(["!segwit".to_owned(), "taproot".to_owned()]);
    }
    if chain.signet_challenge.is_some() {
        rules.push("!signet".into());
    }
    let mut version = template.block.header.version.to_consensus();
    let mut available = Map::new();
    for deployment in &chain.deployments {
        // Only the test dummy is left, which clients need not know.
        match state_after(deployment, &view, view.height()).0 {
            ThresholdState::Started => {
                available.insert(deployment.name.into(), deployment.bit.into());
            }
            ThresholdState::LockedIn => {
                version |= 1 << deployment.bit;
                available.insert(deployment.name.into(), deployment.bit.into());
            }
            ThresholdState::Active => rules.push(deployment.name.into()),
            _ => {}
        }
    }
    let header = &template.block.header;
    let coinbase = template.block.txdata.first();
    let value = coinbase.and_then(|tx| tx.output.first()).map_or(0, |output| output.value.to_sat());
    let bits = header.bits.to_consensus();
    let scale = if pre_segwit { 4 } else { 1 };
    let mut out = Map::new();
    let mut add = |name: &str, value: Value| {
        out.insert(name.into(), value);
    };
    add("capabilities", json!(["proposal"]));
    add("version", version.into());
    add("rules", rules.into());
    add("vbavailable", available.into());
    add("vbrequired", 0.into());
    add("previousblockhash", header.prev_blockhash.to_string().into());
    add("transactions", transactions_json(&template, pre_segwit));
    add("coinbaseaux", json!({}));
    add("coinbasevalue", value.into());
    add("longpollid", long_poll_id(header.prev_blockhash, updates).into());
    add("target", target_hex(bits).into());
    add("mintime", minimum_time(&view, chain).into());
    add("mutable", json!(["time", "transactions", "prevblock"]));
    add("noncerange", "00000000ffffffff".into());
    add("sigoplimit", (MAX_BLOCK_SIGOPS_COST / scale).into());
    add("sizelimit", (MAX_BLOCK_SIZE / scale).into());
    if !pre_segwit {
        add("weightlimit", MAX_BLOCK_WEIGHT.into());
    }
    add("curtime", header.time.into());
    add("bits", format!("{bits:08x}").into());
    add("height", template.height.into());
    if let Some(challenge) = &chain.signet_challenge {
        add("signet_challenge", hex::encode(challenge).into());
    }
    if let Some(index) = witness_commitment_index(&template.block)
        && let Some(output) = coinbase.and_then(|tx| tx.output.get(index))
    {
        add("default_witness_commitment", hex::encode(&output.script_pubkey).into());
    }
    Ok(Value::Object(out))
}

fn long_poll_id(tip: BlockHash, updates: u64) -> String {
    format!("{tip}{updates}")
}
