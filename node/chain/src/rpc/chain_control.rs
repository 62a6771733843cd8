//! Waiting for blocks, and moving the active chain by hand.

use std::time::{Duration, Instant};

use bulkhead_rpc_util::codec::parse_block_hash;
use bulkhead_rpc_util::error::MISC_ERROR;
use bulkhead_rpc_util::{Params, RpcError, RpcResult};
use serde_json::{Value, json};

use super::lookup::{block_by_hash, engine_error};
use super::{Context, Handler};
use crate::engine::TipInfo;

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("invalidateblock", invalidateblock),
    ("preciousblock", preciousblock),
    ("reconsiderblock", reconsiderblock),
    ("syncwithvalidationinterfacequeue", syncwithvalidationinterfacequeue),
    ("waitforblock", waitforblock),
    ("waitforblockheight", waitforblockheight),
    ("waitfornewblock", waitfornewblock),
];

/// Deadline from a parameter in milliseconds; 0 waits forever.
fn deadline(params: &Params, i: usize) -> RpcResult<Option<Instant>> {
    let timeout: i32 = params.opt_int(i)?.unwrap_or(0);
    let timeout = u64::try_from(timeout).map_err(|_| RpcError::new(MISC_ERROR, "Negative timeout"))?;
    Ok((timeout > 0).then(|| Instant::now() + Duration::from_millis(timeout)))
}

fn tip_json(tip: &TipInfo) -> Value {
    json!({"hash": tip.hash.to_string(), "height": tip.height})
}

fn waitfornewblock(context: &Context, params: &Params) -> RpcResult<Value> {
    let deadline = deadline(params, 0)?;
    let known = match params.is_null(1) {
        true => context.chain.tip().hash,
        false => parse_block_hash(params.get(1), "current_tip")?,
    };
    Ok(tip_json(&context.chain.wait_for_tip(deadline, |tip| tip.hash != known)))
}

fn waitforblock(context: &Context, params: &Params) -> RpcResult<Value> {
    let wanted = parse_block_hash(params.get(0), "blockhash")?;
    let deadline = deadline(params, 1)?;
    Ok(tip_json(&context.chain.wait_for_tip(deadline, |tip| tip.hash == wanted)))
}

fn waitforblockheight(context: &Context, params: &Params) -> RpcResult<Value> {
    let height: i32 = params.int(0)?;
    let deadline = deadline(params, 1)?;
    Ok(tip_json(&context.chain.wait_for_tip(deadline, |tip| tip.height >= height)))
}

/// Everything that happens with a block has happened when its call returns; only events may still be on their way.
fn syncwithvalidationinterfacequeue(context: &Context, _: &Params) -> RpcResult<Value> {
    context.pool.deliver();
    Ok(Value::Null)
}

fn invalidateblock(context: &Context, params: &Params) -> RpcResult<Value> {
    let id = block_by_hash(&context.state(), params.get(0), "blockhash")?;
    context.chain.invalidate_block(id).map_err(engine_error)?;
    Ok(Value::Null)
}

fn reconsiderblock(context: &Context, params: &Params) -> RpcResult<Value> {
    let id = block_by_hash(&context.state(), params.get(0), "blockhash")?;
    context.chain.reconsider_block(id).map_err(engine_error)?;
    Ok(Value::Null)
}

fn preciousblock(context: &Context, params: &Params) -> RpcResult<Value> {
    let id = block_by_hash(&context.state(), params.get(0), "blockhash")?;
    context.chain.precious_block(id).map_err(engine_error)?;
    Ok(Value::Null)
}
