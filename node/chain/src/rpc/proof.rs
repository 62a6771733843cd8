//! Proofs that a block contains transactions.

use std::collections::BTreeSet;

use bitcoin::consensus::encode::{deserialize_partial, serialize_hex};
use bitcoin::{BlockHash, MerkleBlock, OutPoint, Txid};
use bulkhead_rpc_util::codec::{parse_block_hash, parse_hex_value, parse_txid};
use bulkhead_rpc_util::error::MISC_ERROR;
use bulkhead_rpc_util::{Params, RpcError, RpcResult};
use serde_json::Value;

use super::lookup::{check_available, read_block, storage_error};
use super::{Context, Handler};
use crate::engine::{NodeId, State};
use crate::indexes::transactions::find_transaction;

pub(super) const METHODS: &[(&str, Handler)] = &[("gettxoutproof", gettxoutproof), ("verifytxoutproof", verifytxoutproof)];

/// More outputs than a transaction of a valid block can have.
const MAX_OUTPUTS: u32 = 4_000_000 / (9 * 4);

fn gettxoutproof(context: &Context, params: &Params) -> RpcResult<Value> {
    let texts = params.array(0)?;
    if texts.is_empty() {
        return Err(RpcError::parameter("Parameter 'txids' cannot be empty"));
    }
    let mut txids = BTreeSet::new();
    for text in texts {
        let txid = parse_txid(text, "txid")?;
        if !txids.insert(txid) {
            return Err(RpcError::parameter(format!("Invalid parameter, duplicated txid: {txid}")));
        }
    }
    let mut state = context.state();
    let id = if params.is_null(1) {
        match find_block(&state, &txids)? {
            Some(id) => id,
            None => {
                drop(state);
                let found = find_indexed_block(context, &txids)?;
                state = context.state();
                state.lookup(&found).ok_or_else(|| RpcError::internal("Transaction index corrupt"))?
            }
        }
    } else {
        let hash = parse_block_hash(params.get(1), "blockhash")?;
        state.lookup(&hash).ok_or_else(|| RpcError::address_or_key("Block not found"))?
    };
    check_available(&state, id, false)?;
    let block = read_block(&state, id)?;
    let found = block.txdata.iter().filter(|tx| txids.contains(&tx.compute_txid())).count();
    if found != txids.len() {
        return Err(RpcError::address_or_key("Not all transactions found in specified or retrieved block"));
    }
    let proof = MerkleBlock::from_block_with_predicate(&block, |txid| txids.contains(txid));
    Ok(serialize_hex(&proof).into())
}

/// The block of the first transaction that still has an unspent output.
fn find_block(state: &State, txids: &BTreeSet<Txid>) -> RpcResult<Option<NodeId>> {
    for txid in txids {
        for vout in 0..MAX_OUTPUTS {
            let coin = state.coin(&OutPoint { txid: *txid, vout }).map_err(storage_error)?;
            if let Some(coin) = coin {
                return Ok(state.active().at(coin.height as i32)); // heights are below 2^31
            }
        }
    }
    Ok(None)
}

/// The block of the first transaction, by the index.
fn find_indexed_block(context: &Context, txids: &BTreeSet<Txid>) -> RpcResult<BlockHash> {
    let mut found = None;
    if let (Some(index), Some(first)) = (&context.indexes.tx, txids.first()) {
        index.wait_for_tip(&context.chain);
        found = find_transaction(index, &context.chain, first).map_err(storage_error)?;
    }
    found.map(|found| found.block).ok_or_else(|| RpcError::address_or_key("Transaction not yet in block"))
}

fn verifytxoutproof(context: &Context, params: &Params) -> RpcResult<Value> {
    let bytes = parse_hex_value(params.get(0), "proof")?;
    // Core tolerates bytes behind the proof.
    let (proof, _): (MerkleBlock, usize) =
        deserialize_partial(&bytes).map_err(|_| RpcError::new(MISC_ERROR, "SpanReader::read(): end of data: iostream error"))?;
    let (mut matches, mut indexes) = (Vec::new(), Vec::new());
    if proof.extract_matches(&mut matches, &mut indexes).is_err() {
        return Ok(Value::Array(Vec::new()));
    }
    let state = context.state();
    let node = state
        .lookup(&proof.header.block_hash())
        .filter(|id| state.is_active(*id))
        .map(|id| state.node(id))
        .filter(|node| node.n_tx != 0)
        .ok_or_else(|| RpcError::address_or_key("Block not found in chain"))?;
    if node.n_tx != proof.txn.num_transactions() {
        return Ok(Value::Array(Vec::new()));
    }
    Ok(matches.iter().map(|txid| Value::from(txid.to_string())).collect())
}
