//! simulaterawtransaction.

use bitcoin::OutPoint;
use bulkhead_rpc_util::codec::decode_hex_tx;
use bulkhead_rpc_util::params::as_str;
use bulkhead_rpc_util::{RpcError, RpcResult};
use serde_json::json;
use std::collections::{HashMap, HashSet};

use super::Call;
use super::util::{amount, wallet_of};
use crate::wallets::chain_error;

pub(super) async fn simulate(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    let mut change = 0i64;
    let mut fresh: HashMap<OutPoint, i64> = HashMap::new();
    let mut spent: HashSet<OutPoint> = HashSet::new();
    for entry in call.params.array(0)? {
        let tx = decode_hex_tx(as_str(entry)?, true, true)
            .ok_or_else(|| RpcError::deserialization("Transaction hex string decoding failure."))?;
        let outpoints: Vec<OutPoint> = tx.input.iter().map(|input| input.previous_output).collect();
        let coins = call.app.chain.coins(&outpoints).await.map_err(|error| chain_error(&error))?;
        let wallet = loaded.wallet.borrow();
        for (outpoint, coin) in outpoints.iter().zip(coins) {
            if spent.contains(outpoint) {
                return Err(RpcError::parameter("Transaction(s) are spending the same output more than once"));
            }
            if let Some(value) = fresh.remove(outpoint) {
                change -= value;
            } else if coin.is_none() {
                return Err(RpcError::parameter("One or more transaction inputs are missing or have been spent already"));
            } else {
                change -= wallet.my_output(outpoint).map_or(0, |output| output.value.to_sat() as i64);
            }
            spent.insert(*outpoint);
        }
        let txid = tx.compute_txid();
        for (vout, output) in (0u32..).zip(&tx.output) {
            let value = if wallet.is_mine(&output.script_pubkey) { output.value.to_sat() as i64 } else { 0 };
            fresh.insert(OutPoint { txid, vout }, value);
            change += value;
        }
    }
    Ok(json!({ "balance_change": amount(change) }))
}
