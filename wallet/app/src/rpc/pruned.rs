//! importprunedfunds, removeprunedfunds: single transactions without a rescan (Core: `wallet/rpc/backup.cpp`).

use bitcoin::merkle_tree::MerkleBlock;
use bitcoin::{Txid, consensus};
use bulkhead_control::clock;
use bulkhead_rpc_util::codec::{decode_hex_tx, parse_txid};
use bulkhead_rpc_util::error as code;
use bulkhead_rpc_util::{RpcError, RpcResult, parse_hex};
use serde_json::Value;
use std::sync::Arc;

use super::Call;
use super::util::{persist, synced_wallet, wallet_of};
use crate::state::sync::When;
use crate::state::tx::TxState;
use crate::wallets::chain_error;

pub(super) async fn import(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let tx = decode_hex_tx(call.params.str(0)?, false, true)
        .ok_or_else(|| RpcError::deserialization("TX decode failed. Make sure the tx has at least one input."))?;
    let proof = call.params.str(1)?;
    let bytes =
        parse_hex(proof).ok_or_else(|| RpcError::parameter(format!("proof must be hexadecimal string (not '{proof}')")))?;
    let malformed = |_| RpcError::deserialization("Something wrong with merkleblock");
    // Bytes behind the proof are not looked at, as in Core.
    let (proof, _): (MerkleBlock, usize) = consensus::deserialize_partial(&bytes).map_err(malformed)?;
    let (mut txids, mut positions): (Vec<Txid>, Vec<u32>) = (Vec::new(), Vec::new());
    proof
        .extract_matches(&mut txids, &mut positions)
        .map_err(|_| RpcError::address_or_key("Something wrong with merkleblock"))?;
    let block = proof.header.block_hash();
    let found = app_block(call, &block).await?;
    let Some(height) = found else { return Err(RpcError::address_or_key("Block not found in chain")) };
    let txid = tx.compute_txid();
    let position = txids.iter().zip(positions).find(|(proven, _)| **proven == txid).map(|(_, position)| position);
    let position = position.ok_or_else(|| RpcError::address_or_key("Transaction given doesn't exist in proof"))?;
    {
        let mut wallet = loaded.wallet.borrow_mut();
        if !tx.output.iter().any(|output| wallet.is_mine(&output.script_pubkey)) {
            return Err(RpcError::address_or_key("No addresses in wallet correspond to included transaction"));
        }
        let index = i32::try_from(position).unwrap_or(i32::MAX);
        wallet.add_to_wallet(&Arc::new(tx), TxState::Confirmed { block, height, index }, When::now(clock::now()));
    }
    persist(&call.app, &loaded).await?;
    Ok(Value::Null)
}

/// Height of a block, if it is in the active chain.
async fn app_block(call: &Call, block: &bitcoin::BlockHash) -> RpcResult<Option<i32>> {
    let info = call.app.chain.block_by_hash(block).await.map_err(|error| chain_error(&error))?;
    Ok(info.filter(|info| info.active).map(|info| info.at.height))
}

pub(super) async fn remove(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    let txid = parse_txid(call.params.get(0), "txid")?;
    if !loaded.wallet.borrow_mut().remove_tx(&txid) {
        let text = format!("Transaction {txid} does not belong to this wallet");
        return Err(RpcError::new(code::WALLET_ERROR, text));
    }
    persist(&call.app, &loaded).await?;
    Ok(Value::Null)
}
