//! `getblock`, `getblockheader`, `getblockhash`.

use bitcoin::Block;
use bitcoin::consensus::encode::serialize_hex;
use bulkhead_rpc_util::codec::encode_tx;
use bulkhead_rpc_util::{Params, RpcError, RpcResult, TxContext, header_to_json, tx_to_json};
use serde_json::{Map, Value};

use super::lookup::{block_by_hash, header_context, prevouts_at, read_block, read_undo};
use super::{Context, Handler};
use crate::engine::{NodeId, State};

pub(super) const METHODS: &[(&str, Handler)] =
    &[("getblock", getblock), ("getblockhash", getblockhash), ("getblockheader", getblockheader)];

fn getblockhash(context: &Context, params: &Params) -> RpcResult<Value> {
    let height: i32 = params.int(0)?;
    let state = context.state();
    let node = state.active_at(height).ok_or_else(|| RpcError::parameter("Block height out of range"))?;
    Ok(node.hash.to_string().into())
}

fn getblockheader(context: &Context, params: &Params) -> RpcResult<Value> {
    let verbose = params.opt_bool(1)?.unwrap_or(true);
    let state = context.state();
    let id = block_by_hash(&state, params.get(0), "hash")?;
    if !verbose {
        return Ok(serialize_hex(&state.node(id).header).into());
    }
    Ok(Value::Object(header_json(context, &state, id)))
}

pub(super) fn header_json(context: &Context, state: &State, id: NodeId) -> Map<String, Value> {
    let limit = context.chain.params().pow_limit.to_compact_lossy().to_consensus();
    header_to_json(&state.node(id).header, &header_context(state, id, limit))
}

fn getblock(context: &Context, params: &Params) -> RpcResult<Value> {
    bulkhead_rpc_util::codec::parse_block_hash(params.get(0), "blockhash")?;
    let verbosity = params.verbosity(1, 1, true)?;
    let state = context.state();
    let id = block_by_hash(&state, params.get(0), "blockhash")?;
    let block = read_block(&state, id)?;
    if verbosity <= 0 {
        return Ok(serialize_hex(&block).into());
    }
    let has_undo = verbosity >= 2 && state.node(id).have_undo();
    let undo = if has_undo { read_undo(&state, id).map_err(|_| undo_is_gone())? } else { Default::default() };
    let header = header_json(context, &state, id);
    drop(state);

    let mut out = header;
    let (base, total) = block_sizes(&block);
    out.insert("strippedsize".into(), base.into());
    out.insert("size".into(), total.into());
    out.insert("weight".into(), (base * 3 + total).into());
    out.insert("coinbase_tx".into(), coinbase_json(&block));
    let transactions = block.txdata.iter().enumerate().map(|(i, tx)| {
        if verbosity == 1 {
            return Value::from(tx.compute_txid().to_string());
        }
        let prevouts = prevouts_at(&undo, i, tx);
        let context_of_tx =
            TxContext { include_hex: true, prevouts: prevouts.as_deref(), show_prevouts: verbosity >= 3, ..TxContext::default() };
        Value::Object(tx_to_json(tx, context.network, context_of_tx))
    });
    out.insert("tx".into(), transactions.collect());
    Ok(Value::Object(out))
}

/// Undo data that the index promises cannot be read.
pub(super) fn undo_is_gone() -> RpcError {
    RpcError::internal(
        "Undo data expected but can't be read. This could be due to disk corruption or a conflict with a pruning event.",
    )
}

/// Bytes without and with witness.
fn block_sizes(block: &Block) -> (usize, usize) {
    let header = 80 + bitcoin::consensus::encode::VarInt::from(block.txdata.len()).size();
    block
        .txdata
        .iter()
        .fold((header, header), |(base, total), tx| (base + encode_tx(tx, false).len(), total + encode_tx(tx, true).len()))
}

fn coinbase_json(block: &Block) -> Value {
    let mut out = Map::new();
    if let Some(tx) = block.txdata.first()
        && let Some(input) = tx.input.first()
    {
        out.insert("version".into(), (tx.version.0 as u32).into()); // unsigned on the wire
        out.insert("locktime".into(), tx.lock_time.to_consensus_u32().into());
        out.insert("sequence".into(), input.sequence.0.into());
        out.insert("coinbase".into(), hex::encode(&input.script_sig).into());
        if let Some(witness) = input.witness.nth(0) {
            out.insert("witness".into(), hex::encode(witness).into());
        }
    }
    Value::Object(out)
}
