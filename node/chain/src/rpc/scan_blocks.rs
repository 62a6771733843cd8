//! `scanblocks`.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use bitcoin::{BlockHash, ScriptBuf};
use bulkhead_rpc_util::error::MISC_ERROR;
use bulkhead_rpc_util::params::as_bool;
use bulkhead_rpc_util::{Params, RpcError, RpcResult};
use serde_json::{Value, json};

use super::indexes::filter_index;
use super::lookup::{read_block, read_undo, storage_error, tip};
use super::scan::scripts_of_scan_object;
use super::{Context, Handler};
use crate::indexes::Index;
use crate::indexes::filters::find_filter;

pub(super) const METHODS: &[(&str, Handler)] = &[("scanblocks", scanblocks)];

/// Blocks between two looks at whether the scan shall end; also the unit in which progress is shown.
const CHUNK: i32 = 10_000;

fn scanblocks(context: &Context, params: &Params) -> RpcResult<Value> {
    let scan = &context.block_scan;
    let status = || {
        json!({
            "progress": scan.percent.load(Ordering::Relaxed),
            "current_height": scan.height.load(Ordering::Relaxed),
        })
    };
    scan.act(params.str(0)?, status, || start(context, params))
}

/// Scripts that a scan looks for.
pub(super) fn scripts_of(context: &Context, objects: &[Value]) -> RpcResult<HashSet<ScriptBuf>> {
    let mut scripts = HashSet::new();
    for object in objects {
        scripts.extend(scripts_of_scan_object(context, object)?.into_iter().map(|(script, _)| script));
    }
    Ok(scripts)
}

fn start(context: &Context, params: &Params) -> RpcResult<Value> {
    let index = filter_index(context, params.opt_str(4)?)?;
    let exact = match params.opt_object(5)?.and_then(|options| options.get("filter_false_positives")) {
        Some(value) => as_bool(value)?,
        None => false,
    };
    let (first, last) = range(context, params)?;
    let scripts = scripts_of(context, params.array(1)?)?;
    let scan = &context.block_scan;
    scan.height.store(first, Ordering::Relaxed);

    let mut relevant = Vec::new();
    let (mut done, mut completed) = (first, true);
    let mut next = first;
    while next <= last {
        if scan.is_aborted() || context.chain.is_interrupted() {
            completed = false;
            break;
        }
        let end = last.min(next + CHUNK);
        for (height, hash) in blocks(context, next, end) {
            if matches(context, index, &scripts, height, hash, exact)? {
                relevant.push(hash.to_string());
            }
        }
        done = end;
        next = end + 1;
        let percent = if last == first { 100 } else { i64::from(end - first) * 100 / i64::from(last - first) };
        scan.percent.store(percent as u32, Ordering::Relaxed); // 0 to 100
        scan.height.store(end, Ordering::Relaxed);
    }
    Ok(json!({"from_height": first, "to_height": done, "relevant_blocks": relevant, "completed": completed}))
}

/// Heights of the first and the last block to scan.
fn range(context: &Context, params: &Params) -> RpcResult<(i32, i32)> {
    let state = context.state();
    let known = |height: i32| state.active_at(height).map(|node| node.height);
    let first = match params.opt_int(2)? {
        Some(height) => known(height).ok_or_else(|| RpcError::new(MISC_ERROR, "Invalid start_height"))?,
        None => 0,
    };
    let last = match params.opt_int(3)? {
        Some(height) => {
            let last = known(height).filter(|last| *last >= first);
            last.ok_or_else(|| RpcError::new(MISC_ERROR, "Invalid stop_height"))?
        }
        None => state.node(tip(&state)?).height,
    };
    Ok((first, last))
}

/// Blocks of the active chain from `from` to `to`; fewer if the chain has become shorter.
fn blocks(context: &Context, from: i32, to: i32) -> Vec<(i32, BlockHash)> {
    let state = context.state();
    (from..=to).filter_map(|height| state.active_at(height).map(|node| (height, node.hash))).collect()
}

/// Whether a block is relevant; one whose filter is not there yet is not.
fn matches(
    context: &Context,
    index: &Index,
    scripts: &HashSet<ScriptBuf>,
    height: i32,
    hash: BlockHash,
    exact: bool,
) -> RpcResult<bool> {
    let Some((filter, _)) = find_filter(index.store(), height, hash).map_err(storage_error)? else { return Ok(false) };
    let found = filter.match_any(&hash, scripts.iter().map(|script| script.as_bytes()));
    let found = found.map_err(|error| RpcError::internal(error.to_string()))?;
    if !found || !exact {
        return Ok(found);
    }
    let (block, undo) = {
        let state = context.state();
        let id = state.lookup(&hash).ok_or_else(|| RpcError::internal("a block of the chain is unknown"))?;
        (read_block(&state, id)?, read_undo(&state, id)?)
    };
    let mut outputs = block.txdata.iter().flat_map(|tx| &tx.output);
    let mut spent = undo.transactions.iter().flatten().map(|coin| &coin.output);
    Ok(outputs.any(|output| scripts.contains(&output.script_pubkey))
        || spent.any(|output| scripts.contains(&output.script_pubkey)))
}
