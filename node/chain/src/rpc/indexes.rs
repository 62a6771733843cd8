//! `getindexinfo`, `getblockfilter`.

use bulkhead_rpc_util::codec::parse_block_hash;
use bulkhead_rpc_util::error::{INTERNAL_ERROR, MISC_ERROR};
use bulkhead_rpc_util::{Params, RpcError, RpcResult};
use serde_json::{Map, Value, json};

use super::lookup::storage_error;
use super::{Context, Handler};
use crate::indexes::Index;
use crate::indexes::filters::find_filter;

pub(super) const METHODS: &[(&str, Handler)] = &[("getblockfilter", getblockfilter), ("getindexinfo", getindexinfo)];

fn getindexinfo(context: &Context, params: &Params) -> RpcResult<Value> {
    let wanted = params.opt_str(0)?.filter(|name| !name.is_empty());
    let mut out = Map::new();
    for index in context.indexes.iter().filter(|index| wanted.is_none_or(|name| name == index.kind().name)) {
        let summary = index.summary();
        out.insert(index.kind().name.into(), json!({"synced": summary.synced, "best_block_height": summary.height}));
    }
    Ok(Value::Object(out))
}

/// The index of filters of the type that a parameter names.
pub(super) fn filter_index<'a>(context: &'a Context, name: Option<&str>) -> RpcResult<&'a Index> {
    let name = name.unwrap_or("basic");
    if name != "basic" {
        return Err(RpcError::address_or_key("Unknown filtertype"));
    }
    let disabled = || RpcError::new(MISC_ERROR, format!("Index is not enabled for filtertype {name}"));
    context.indexes.filter.as_deref().ok_or_else(disabled)
}

fn getblockfilter(context: &Context, params: &Params) -> RpcResult<Value> {
    let hash = parse_block_hash(params.get(0), "blockhash")?;
    let index = filter_index(context, params.opt_str(1)?)?;
    let (height, was_connected) = {
        let state = context.state();
        let id = state.lookup(&hash).ok_or_else(|| RpcError::address_or_key("Block not found"))?;
        let node = state.node(id);
        (node.height, node.status.is_valid_scripts() && !node.status.is_failed())
    };
    let ready = index.wait_for_tip(&context.chain);
    if let Some((filter, record)) = find_filter(index.store(), height, hash).map_err(storage_error)? {
        return Ok(json!({"filter": hex::encode(filter.content), "header": record.header.to_string()}));
    }
    Err(if !was_connected {
        RpcError::address_or_key("Filter not found. Block was not connected to active chain.")
    } else if !ready {
        RpcError::new(MISC_ERROR, "Filter not found. Block filters are still in the process of being indexed.")
    } else {
        RpcError::new(INTERNAL_ERROR, "Filter not found. This error is unexpected and indicates index corruption.")
    })
}
