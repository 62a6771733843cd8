//! `getrawtransaction`, `decoderawtransaction`.

use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Transaction, Txid};
use bulkhead_rpc_util::codec::{decode_hex_tx, is_coinbase, parse_block_hash, parse_txid, tx_to_hex};
use bulkhead_rpc_util::error::MISC_ERROR;
use bulkhead_rpc_util::{Params, RpcError, RpcResult, TxContext, tx_to_json};
use serde_json::{Map, Value};

use super::block_json::undo_is_gone;
use super::lookup::{prevouts_at, storage_error};
use super::{Context, Handler};
use crate::engine::{NodeId, State};
use crate::indexes::transactions::find_transaction;

pub(super) const METHODS: &[(&str, Handler)] =
    &[("decoderawtransaction", decoderawtransaction), ("getrawtransaction", getrawtransaction)];

fn decoderawtransaction(context: &Context, params: &Params) -> RpcResult<Value> {
    let text = params.str(0)?;
    let is_witness = params.opt_bool(1)?;
    let tx = decode_hex_tx(text, !is_witness.unwrap_or(false), is_witness.unwrap_or(true))
        .ok_or_else(|| RpcError::deserialization("TX decode failed"))?;
    Ok(Value::Object(tx_to_json(&tx, context.network, TxContext::default())))
}

fn getrawtransaction(context: &Context, params: &Params) -> RpcResult<Value> {
    let txid = parse_txid(params.get(0), "parameter 1")?;
    let genesis = &context.chain.params().genesis;
    if genesis.header.merkle_root.to_byte_array() == txid.to_byte_array() {
        let text = "The genesis block coinbase is not considered an ordinary transaction and cannot be retrieved";
        return Err(RpcError::address_or_key(text));
    }
    let verbosity = params.verbosity(1, 0, true)?;
    let block_hash = match params.is_null(2) {
        true => None,
        false => Some(parse_block_hash(params.get(2), "parameter 3")?),
    };
    let (tx, block) = match block_hash {
        Some(hash) => {
            let (tx, id) = from_block(&context.state(), &hash, &txid)?;
            (tx, Some(id))
        }
        None => from_anywhere(context, &txid)?,
    };
    if verbosity <= 0 {
        return Ok(tx_to_hex(&tx).into());
    }
    let state = context.state();
    let mut prevouts = None;
    if verbosity > 1
        && !is_coinbase(&tx)
        && let Some(id) = block.filter(|id| state.node(*id).have_data() || state.node(*id).have_undo())
    {
        let undo = state.read_undo(id).map_err(|_| undo_is_gone())?;
        let block = state.read_block(id).map_err(|_| block_is_gone())?;
        let position = block.txdata.iter().position(|other| *other == tx);
        prevouts = position.and_then(|position| prevouts_at(&undo, position, &tx));
    }
    let mut out = Map::new();
    if let Some(id) = block.filter(|_| block_hash.is_some()) {
        out.insert("in_active_chain".into(), state.is_active(id).into());
    }
    let context_of_tx = TxContext { block_hash: None, include_hex: true, prevouts: prevouts.as_deref(), show_prevouts: true };
    out.extend(tx_to_json(&tx, context.network, context_of_tx));
    if let Some(id) = block {
        let node = state.node(id);
        out.insert("blockhash".into(), node.hash.to_string().into());
        if state.is_active(id) {
            out.insert("confirmations".into(), (state.height() - node.height + 1).into());
            out.insert("time".into(), node.time().into());
            out.insert("blocktime".into(), node.time().into());
        } else {
            out.insert("confirmations".into(), 0.into());
        }
    }
    Ok(Value::Object(out))
}

/// A block that the index promises cannot be read.
fn block_is_gone() -> RpcError {
    RpcError::internal(
        "Block data expected but can't be read. This could be due to disk corruption or a conflict with a pruning event.",
    )
}

fn from_block(state: &State, hash: &BlockHash, txid: &Txid) -> RpcResult<(Transaction, NodeId)> {
    let id = state.lookup(hash).ok_or_else(|| RpcError::address_or_key("Block hash not found"))?;
    if !state.node(id).have_data() {
        return Err(RpcError::new(MISC_ERROR, "Block not available"));
    }
    let block = state.read_block(id).map_err(storage_error)?;
    let tx = block.txdata.into_iter().find(|tx| tx.compute_txid() == *txid);
    tx.map(|tx| (tx, id)).ok_or_else(|| not_found("No such transaction found in the provided block"))
}

fn not_found(text: &str) -> RpcError {
    RpcError::address_or_key(format!("{text}. Use gettransaction for wallet transactions."))
}

/// Looks in the mempool, then in the index. Gives the block of a confirmed transaction.
fn from_anywhere(context: &Context, txid: &Txid) -> RpcResult<(Transaction, Option<NodeId>)> {
    let ready = context.indexes.tx.as_ref().is_some_and(|index| index.wait_for_tip(&context.chain));
    if let Some(entry) = context.pool.lock().get(txid) {
        return Ok((entry.new.tx.as_ref().clone(), None));
    }
    let Some(index) = &context.indexes.tx else {
        let text = "No such mempool transaction. Use -txindex or provide a block hash to enable blockchain transaction queries";
        return Err(not_found(text));
    };
    if let Some(found) = find_transaction(index, &context.chain, txid).map_err(storage_error)? {
        return Ok((found.tx, context.state().lookup(&found.block)));
    }
    Err(not_found(if ready {
        "No such mempool or blockchain transaction"
    } else {
        "No such mempool transaction. Blockchain transactions are still in the process of being indexed"
    }))
}
