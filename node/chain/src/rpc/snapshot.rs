//! Files with the set of unspent outputs.

use std::fs::File;
use std::io::Read;

use bulkhead_consensus::networks;
use bulkhead_control::Request;
use bulkhead_rpc_util::error::{DESERIALIZATION_ERROR, MISC_ERROR};
use bulkhead_rpc_util::params::as_bool;
use bulkhead_rpc_util::{Params, RpcError, RpcResult};
use bulkhead_store::snapshot::{HEADER, Metadata, MetadataError};
use serde_json::{Map, Value, json};

use super::lookup::{block_by_hash_or_height, tip};
use super::{Context, Handler};
use crate::engine::NodeId;
use crate::engine::dump::DumpError;

pub(super) const METHODS: &[(&str, Handler)] = &[("dumptxoutset", dumptxoutset), ("loadtxoutset", loadtxoutset)];

/// The block whose set is asked for; `None`: the tip.
fn target(context: &Context, params: &Params) -> RpcResult<Option<NodeId>> {
    let kind = params.opt_str(1)?.unwrap_or("");
    let none = Map::new();
    let options = params.opt_object(2)?.unwrap_or(&none);
    let state = context.state();
    match (options.get("rollback"), kind) {
        (Some(block), "" | "rollback") => block_by_hash_or_height(&state, block).map(Some),
        (Some(_), _) => Err(RpcError::parameter(format!("Invalid snapshot type \"{kind}\" specified with rollback option"))),
        (None, "rollback") => {
            let height = context.chain.params().assume_utxo.iter().map(|snapshot| snapshot.height).max();
            let height = height.ok_or_else(|| RpcError::internal("this network has no snapshots"))?;
            block_by_hash_or_height(&state, &height.into()).map(Some)
        }
        (None, "latest") => Ok(None),
        (None, _) => Err(RpcError::parameter(format!(
            "Invalid snapshot type \"{kind}\" specified. Please specify \"rollback\" or \"latest\""
        ))),
    }
}

fn loadtxoutset(context: &Context, params: &Params) -> RpcResult<Value> {
    let (path, descriptor) = context.ask_for_file("loadTxOutSet", params.str(0)?)?;
    let mut file = File::from(descriptor.ok_or_else(|| RpcError::internal("the supervisor sent no file"))?);
    let metadata = read_metadata(context, &mut file)
        .map_err(|error| RpcError::new(DESERIALIZATION_ERROR, format!("Unable to parse metadata: {error}")))?;
    let place = || context.ask(Request::ActivateSnapshot).map(|_| ()).map_err(|error| error.message);
    let mempool_is_empty = || context.pool.lock().iter().next().is_none();
    let base = context
        .chain
        .load_snapshot(&metadata, file, mempool_is_empty, place)
        .map_err(|error| RpcError::internal(format!("Unable to load UTXO snapshot: {error}. ({path})")))?;
    if let Some(relay) = &context.relay {
        relay.tell_state_changed();
    }
    let state = context.state();
    let node = state.node(base);
    Ok(json!({
        "coins_loaded": metadata.coins,
        "tip_hash": node.hash.to_string(),
        "base_height": node.height,
        "path": path,
    }))
}

fn read_metadata(context: &Context, file: &mut File) -> Result<Metadata, MetadataError> {
    let mut header = Vec::new();
    file.take(HEADER as u64).read_to_end(&mut header).map_err(|_| MetadataError::Truncated)?;
    let rules = context.chain.params();
    // A signet's magic follows from its challenge, so that only the default one is known by name.
    let networks = ["main", "test", "testnet4", "signet", "regtest"].into_iter().filter_map(networks::by_name);
    let name_of = |magic| networks.into_iter().find(|network| network.magic == magic).map(|network| network.name);
    Metadata::decode(&header, (rules.magic, rules.name), name_of)
}

fn dumptxoutset(context: &Context, params: &Params) -> RpcResult<Value> {
    let name = params.str(0)?;
    let target = target(context, params)?;
    let in_memory = params.opt_object(2)?.and_then(|options| options.get("in_memory")).map(as_bool).transpose()?;
    let (path, descriptor) = context.ask_for_file("dumpTxOutSet", name)?;
    let file = File::from(descriptor.ok_or_else(|| RpcError::internal("the supervisor sent no file"))?);
    if let Some(target) = target {
        let state = context.state();
        let pruned = state.prune_height().is_some_and(|height| height >= state.node(target).height);
        if pruned && target != tip(&state)? {
            let text = "Could not roll back to requested height since necessary block data is already pruned.";
            return Err(RpcError::new(MISC_ERROR, text));
        }
    }
    let dumped = context.chain.dump_utxo_set(target, in_memory.unwrap_or(false), &file).map_err(|error| match error {
        DumpError::Output(error) => RpcError::new(MISC_ERROR, format!("Error writing {path}.incomplete: {error}")),
        other => RpcError::internal(other.to_string()),
    })?;
    file.sync_all().map_err(|error| RpcError::new(MISC_ERROR, format!("Error closing {path}.incomplete: {error}")))?;
    context.ask_for_file("finishTxOutSet", name)?;
    let mut hash = dumped.stats.hash.unwrap_or_default();
    hash.reverse();
    Ok(json!({
        "coins_written": dumped.stats.outputs,
        "base_hash": dumped.stats.best_block.to_string(),
        "base_height": dumped.stats.height,
        "path": path,
        "txoutset_hash": hex::encode(hash),
        "nchaintx": dumped.chain_tx,
    }))
}
