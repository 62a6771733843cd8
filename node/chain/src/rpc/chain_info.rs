//! State of the active chain and of its validation.

use bulkhead_consensus::Params as Rules;
use bulkhead_rpc_util::amount::double_to_json;
use bulkhead_rpc_util::error::MISC_ERROR;
use bulkhead_rpc_util::txjson::{difficulty, target_hex};
use bulkhead_rpc_util::{Params, RpcError, RpcResult, codec::parse_block_hash};
use serde_json::{Map, Value, json};

use super::lookup::{block_by_hash, tip};
use super::{Context, Handler};
use crate::engine::prune::MIN_BLOCKS_TO_KEEP;
use crate::engine::{BlockNode, NodeId, State, VerifyOutcome};

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("getbestblockhash", getbestblockhash),
    ("getblockchaininfo", getblockchaininfo),
    ("getblockcount", getblockcount),
    ("getchainstates", getchainstates),
    ("getchaintips", getchaintips),
    ("getchaintxstats", getchaintxstats),
    ("getdifficulty", getdifficulty),
    ("pruneblockchain", pruneblockchain),
    ("verifychain", verifychain),
];

fn getblockcount(context: &Context, _: &Params) -> RpcResult<Value> {
    Ok(context.chain.tip().height.into())
}

fn getbestblockhash(context: &Context, _: &Params) -> RpcResult<Value> {
    Ok(context.chain.tip().hash.to_string().into())
}

fn getdifficulty(context: &Context, _: &Params) -> RpcResult<Value> {
    let state = context.state();
    let node = state.node(tip(&state)?);
    Ok(double_to_json(difficulty(node.header.bits.to_consensus())))
}

/// Share of the chain's transactions that is validated, estimated.
fn verification_progress(state: &State, rules: &Rules, node: &BlockNode, now: i64) -> f64 {
    if node.chain_tx == 0 {
        return 0.0;
    }
    let data = rules.chain_tx_data;
    let mut block_time = i64::from(node.time());
    if let Some(best) = state.best_header()
        && (now - block_time).abs() <= 2 * 60 * 60
        && best.height >= node.height
    {
        // Near the tip heights are steadier than the miners' times.
        block_time = now - i64::from(best.height - node.height) * i64::from(rules.target_spacing);
    }
    let total = if node.chain_tx <= data.tx_count {
        data.tx_count as f64 + (now - data.time) as f64 * data.tx_rate
    } else {
        node.chain_tx as f64 + (now - block_time) as f64 * data.tx_rate
    };
    (node.chain_tx as f64 / total).min(1.0)
}

fn getblockchaininfo(context: &Context, _: &Params) -> RpcResult<Value> {
    let state = context.state();
    let rules = context.chain.params();
    let id = tip(&state)?;
    let node = state.node(id);
    let bits = node.header.bits.to_consensus();
    let mut out = Map::new();
    let mut add = |name: &str, value: Value| {
        out.insert(name.into(), value);
    };
    add("chain", rules.name.into());
    add("blocks", node.height.into());
    add("headers", state.best_header().map_or(-1, |best| best.height).into());
    add("bestblockhash", node.hash.to_string().into());
    add("bits", format!("{bits:08x}").into());
    add("target", target_hex(bits).into());
    add("difficulty", double_to_json(difficulty(bits)));
    add("time", node.time().into());
    add("mediantime", state.index().median_time_past(id).into());
    add("verificationprogress", double_to_json(verification_progress(&state, rules, node, context.now())));
    add("initialblockdownload", state.initial_download().into());
    if let Some((tip, target)) = state.historical_range() {
        add("backgroundvalidation", background_validation(&state, tip, target));
    }
    add("chainwork", format!("{:064x}", node.chain_work).into());
    add("size_on_disk", state.files().disk_usage().into());
    add("pruned", (context.config.prune > 0).into());
    if context.config.prune > 0 {
        add("pruneheight", state.prune_height().map_or(0, |height| height + 1).into());
        let automatic = context.config.prune > 1;
        add("automatic_pruning", automatic.into());
        if automatic {
            add("prune_target_size", (context.config.prune << 20).into());
        }
    }
    if let Some(challenge) = &rules.signet_challenge {
        add("signet_challenge", hex::encode(challenge).into());
    }
    add("warnings", warnings(context));
    Ok(Value::Object(out))
}

/// How far the chain below a snapshot is.
fn background_validation(state: &State, tip: NodeId, target: NodeId) -> Value {
    let (node, target) = (state.node(tip), state.node(target));
    let progress = if node.chain_tx == 0 || target.chain_tx == 0 { 0.0 } else { node.chain_tx as f64 / target.chain_tx as f64 };
    json!({
        "snapshotheight": target.height,
        "blocks": node.height,
        "bestblockhash": node.hash.to_string(),
        "mediantime": state.index().median_time_past(tip),
        "chainwork": format!("{:064x}", node.chain_work),
        "verificationprogress": double_to_json(progress),
    })
}

pub(super) fn warnings(context: &Context) -> Value {
    let warnings = context.warnings.texts();
    if context.config.deprecatedrpc.iter().any(|name| name == "warnings") {
        return warnings.last().cloned().unwrap_or_default().into();
    }
    warnings.into()
}

fn getchaintips(context: &Context, _: &Params) -> RpcResult<Value> {
    let state = context.state();
    let mut tips = Vec::new();
    for id in state.tips() {
        let node = state.node(id);
        let fork = state.active().find_fork(state.index(), id).map_or(0, |fork| state.node(fork).height);
        let status = if state.is_active(id) {
            "active"
        } else if node.status.is_failed() {
            "invalid"
        } else if !node.have_chain_tx() {
            "headers-only"
        } else if node.status.is_valid_scripts() {
            "valid-fork"
        } else {
            "valid-headers"
        };
        tips.push(json!({
            "height": node.height,
            "hash": node.hash.to_string(),
            "branchlen": node.height - fork,
            "status": status,
        }));
    }
    Ok(tips.into())
}

fn getchaintxstats(context: &Context, params: &Params) -> RpcResult<Value> {
    let spacing = i64::from(context.chain.params().target_spacing).max(1);
    if !params.is_null(1) {
        parse_block_hash(params.get(1), "blockhash")?;
    }
    let state = context.state();
    let id = if params.is_null(1) {
        tip(&state)?
    } else {
        let id = block_by_hash(&state, params.get(1), "blockhash")?;
        if !state.is_active(id) {
            return Err(RpcError::parameter("Block is not in main chain"));
        }
        id
    };
    let node = state.node(id);
    let count = match params.opt_int::<i32>(0)? {
        None => i32::try_from(30 * 24 * 60 * 60 / spacing).unwrap_or(i32::MAX).min(node.height - 1).max(0),
        Some(count) if count < 0 || (count > 0 && count >= node.height) => {
            return Err(RpcError::parameter("Invalid block count: should be between 0 and the block's height - 1"));
        }
        Some(count) => count,
    };
    let past = state.index().ancestor(id, node.height - count).unwrap_or(id);
    let interval = state.index().median_time_past(id) - state.index().median_time_past(past);
    let mut out = Map::new();
    out.insert("time".into(), node.time().into());
    if node.chain_tx != 0 {
        out.insert("txcount".into(), node.chain_tx.into());
    }
    out.insert("window_final_block_hash".into(), node.hash.to_string().into());
    out.insert("window_final_block_height".into(), node.height.into());
    out.insert("window_block_count".into(), count.into());
    if count > 0 {
        out.insert("window_interval".into(), interval.into());
        let past = state.node(past);
        if node.chain_tx != 0 && past.chain_tx != 0 {
            let transactions = node.chain_tx - past.chain_tx;
            out.insert("window_tx_count".into(), transactions.into());
            if interval > 0 {
                out.insert("txrate".into(), double_to_json(transactions as f64 / interval as f64));
            }
        }
    }
    Ok(Value::Object(out))
}

fn getchainstates(context: &Context, _: &Params) -> RpcResult<Value> {
    let state = context.state();
    let describe = |id: NodeId, cache: usize| {
        let node = state.node(id);
        let bits = node.header.bits.to_consensus();
        let progress = verification_progress(&state, context.chain.params(), node, context.now());
        let mut out = Map::new();
        let mut add = |name: &str, value: Value| {
            out.insert(name.into(), value);
        };
        add("blocks", node.height.into());
        add("bestblockhash", node.hash.to_string().into());
        add("bits", format!("{bits:08x}").into());
        add("target", target_hex(bits).into());
        add("difficulty", double_to_json(difficulty(bits)));
        add("verificationprogress", double_to_json(progress));
        add("coins_db_cache_bytes", context.chain.options().caches().coins_db.into());
        add("coins_tip_cache_bytes", cache.into());
        out
    };
    let (cache, background_cache) = context.chain.coins_limits(&state);
    let mut chainstates: Vec<Value> = Vec::new();
    if let Some((tip, _)) = state.historical_range() {
        let mut below = describe(tip, background_cache);
        below.insert("validated".into(), true.into());
        chainstates.push(below.into());
    }
    let mut current = describe(tip(&state)?, cache);
    if let Some(snapshot) = state.snapshot() {
        current.insert("snapshot_blockhash".into(), state.node(snapshot.base).hash.to_string().into());
    }
    current.insert("validated".into(), state.snapshot().is_none_or(|snapshot| snapshot.validated).into());
    chainstates.push(current.into());
    Ok(json!({
        "headers": state.best_header().map_or(-1, |best| best.height),
        "chainstates": chainstates,
    }))
}

fn verifychain(context: &Context, params: &Params) -> RpcResult<Value> {
    let level = params.opt_int(0)?.unwrap_or(3);
    let depth = params.opt_int(1)?.unwrap_or(6);
    Ok(matches!(context.chain.verify_chain(level, depth), VerifyOutcome::Verified).into())
}

/// Seconds by which a block's time may lie before that of older ones.
const TIMESTAMP_WINDOW: i32 = 2 * 60 * 60;

fn pruneblockchain(context: &Context, params: &Params) -> RpcResult<Value> {
    if context.config.prune == 0 {
        return Err(RpcError::new(MISC_ERROR, "Cannot prune blocks because node is not in prune mode."));
    }
    let height: i32 = params.int(0)?;
    if height < 0 {
        return Err(RpcError::parameter("Negative block height."));
    }
    let state = context.state();
    let tip = state.height();
    let mut height = height;
    // A number above a billion is a time.
    if height > 1_000_000_000 {
        let wanted = height - TIMESTAMP_WINDOW;
        let found = (0..=tip).find(|at| state.active_at(*at).is_some_and(|node| i64::from(node.time_max) >= i64::from(wanted)));
        let missing = || RpcError::parameter("Could not find block with at least the specified timestamp.");
        height = found.ok_or_else(missing)?;
    }
    if tip < context.chain.params().prune_after_height {
        return Err(RpcError::new(MISC_ERROR, "Blockchain is too short for pruning."));
    }
    if height > tip {
        return Err(RpcError::parameter("Blockchain is shorter than the attempted prune height."));
    }
    drop(state);
    context
        .chain
        .prune_to_height(height.min(tip - MIN_BLOCKS_TO_KEEP))
        .map_err(|error| RpcError::new(MISC_ERROR, error.to_string()))?;
    Ok(context.state().prune_height().unwrap_or(-1).into())
}
