//! Coins as the mempool sees them: outputs of unconfirmed transactions on top of the coins of the tip.

use std::collections::HashMap;

use bitcoin::{OutPoint, Transaction, TxOut};
use bulkhead_consensus::COINBASE_MATURITY;
use bulkhead_mempool::Mempool;
use bulkhead_store::{Coin, StoreError};

use crate::engine::State;

/// Height that stands for "not in a block yet".
pub const MEMPOOL_HEIGHT: u32 = 0x7fff_ffff;

/// Outputs of transactions that are being looked at together but are not in the pool.
#[derive(Debug, Default)]
pub struct PackageCoins {
    outputs: HashMap<OutPoint, TxOut>,
}

impl PackageCoins {
    /// Makes the outputs of a transaction spendable.
    pub fn add(&mut self, tx: &Transaction) {
        let txid = tx.compute_txid();
        for (vout, output) in (0u32..).zip(&tx.output) {
            self.outputs.insert(OutPoint { txid, vout }, output.clone());
        }
    }
}

/// The coin behind an outpoint; unconfirmed ones have [`MEMPOOL_HEIGHT`].
pub fn find_coin(state: &State, pool: &Mempool, package: &PackageCoins, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
    let unconfirmed = |output: &TxOut| Coin { output: output.clone(), height: MEMPOOL_HEIGHT, coinbase: false };
    if let Some(output) = package.outputs.get(outpoint) {
        return Ok(Some(unconfirmed(output)));
    }
    if let Some(entry) = pool.get(&outpoint.txid) {
        return Ok(entry.new.tx.output.get(outpoint.vout as usize).map(unconfirmed));
    }
    state.coin(outpoint)
}

/// Whether a block at height `next` may spend the coin: no output of a young coinbase.
pub(super) fn is_mature(coin: &Coin, next: i32) -> bool {
    !coin.coinbase || coin.height == MEMPOOL_HEIGHT || next - coin.height as i32 >= COINBASE_MATURITY
}
