//! Finding blocks and coins, with the errors that all methods share.

use bitcoin::{Block, Transaction};
use bulkhead_rpc_util::codec::parse_block_hash;
use bulkhead_rpc_util::error::{DATABASE_ERROR, INTERNAL_ERROR, MISC_ERROR};
use bulkhead_rpc_util::{HeaderContext, Prevout, RpcError, RpcResult, params};
use bulkhead_store::undo::BlockUndo;
use bulkhead_store::{Coin, StoreError};
use serde_json::Value;

use crate::engine::{EngineError, NodeId, State};

/// A known block by its hash parameter.
pub fn block_by_hash(state: &State, value: &Value, name: &str) -> RpcResult<NodeId> {
    let hash = parse_block_hash(value, name)?;
    state.lookup(&hash).ok_or_else(|| RpcError::address_or_key("Block not found"))
}

/// A block by hash, or one of the active chain by height.
pub fn block_by_hash_or_height(state: &State, value: &Value) -> RpcResult<NodeId> {
    if !value.is_number() {
        return block_by_hash(state, value, "hash_or_height");
    }
    let height: i32 = params::as_int(value)?;
    if height < 0 {
        return Err(RpcError::parameter(format!("Target block height {height} is negative")));
    }
    state
        .active()
        .at(height)
        .ok_or_else(|| RpcError::parameter(format!("Target block height {height} after current tip {}", state.height())))
}

/// The tip of the active chain.
pub fn tip(state: &State) -> RpcResult<NodeId> {
    state.active().tip().ok_or_else(|| RpcError::internal("there is no tip yet"))
}

/// Refuses if data or undo data of a block is not on disk.
pub fn check_available(state: &State, id: NodeId, undo: bool) -> RpcResult<()> {
    let node = state.node(id);
    if if undo { node.have_undo() } else { node.have_data() } {
        return Ok(());
    }
    if state.is_pruned() && !node.have_data() && node.n_tx > 0 {
        let what = if undo { "Undo data" } else { "Block" };
        return Err(RpcError::new(MISC_ERROR, format!("{what} not available (pruned data)")));
    }
    let text = if undo { "Undo data not available" } else { "Block not available (not fully downloaded)" };
    Err(RpcError::new(MISC_ERROR, text))
}

/// Reads a block.
pub fn read_block(state: &State, id: NodeId) -> RpcResult<Block> {
    check_available(state, id, false)?;
    state.read_block(id).map_err(|_| RpcError::new(MISC_ERROR, "Block not found on disk"))
}

/// Reads what a block spent. Genesis has spent nothing.
pub fn read_undo(state: &State, id: NodeId) -> RpcResult<BlockUndo> {
    if state.node(id).height == 0 {
        return Ok(BlockUndo::default());
    }
    check_available(state, id, true)?;
    state.read_undo(id).map_err(|_| RpcError::new(MISC_ERROR, "Can't read undo data from disk"))
}

/// Blocks from `id` to the tip with both counted, -1 off the active chain.
pub fn confirmations(state: &State, id: NodeId) -> i64 {
    if state.is_active(id) { i64::from(state.height() - state.node(id).height) + 1 } else { -1 }
}

/// What the JSON of a header needs besides the header.
pub fn header_context(state: &State, id: NodeId, pow_limit_bits: u32) -> HeaderContext {
    let node = state.node(id);
    HeaderContext {
        confirmations: confirmations(state, id),
        height: node.height.unsigned_abs(),
        median_time: state.index().median_time_past(id) as u32, // from 32-bit times
        chainwork: format!("{:064x}", node.chain_work),
        n_tx: node.n_tx,
        next: state.active().next(state.index(), id).map(|next| state.node(next).hash),
        pow_limit_bits,
    }
}

/// A spent coin as the JSON of transactions shows it.
pub fn prevout_of(coin: &Coin) -> Prevout {
    Prevout { output: coin.output.clone(), height: coin.height, coinbase: coin.coinbase }
}

/// The coins that the transaction at `position` of a block spent; `None` for the coinbase.
pub fn prevouts_at(undo: &BlockUndo, position: usize, tx: &Transaction) -> Option<Vec<Prevout>> {
    let coins = undo.transactions.get(position.checked_sub(1)?)?;
    (coins.len() == tx.input.len()).then(|| coins.iter().map(prevout_of).collect())
}

/// A failure of disk or database.
pub fn storage_error(error: StoreError) -> RpcError {
    RpcError::new(INTERNAL_ERROR, error.to_string())
}

/// A failure of an operation on the chain.
pub fn engine_error(error: EngineError) -> RpcError {
    RpcError::new(DATABASE_ERROR, error.into_reject().to_string())
}
