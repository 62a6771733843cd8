//! Changes of coins that are not made: a block is judged, or taken back for a look, on an overlay.

use std::collections::HashMap;

use bitcoin::{OutPoint, TxOut};
use bulkhead_store::coins_cache::{CoinsCache, Staged};
use bulkhead_store::{Coin, StoreError};

/// Coins that blocks are applied to.
pub trait CoinView {
    /// Whether a coin exists.
    fn have(&self, outpoint: &OutPoint) -> Result<bool, StoreError>;
    /// Spends a coin; gives it, or `None` when there is none.
    fn spend(&mut self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError>;
    /// Adds a coin; `may_overwrite`: an unspent one of the same key may exist.
    fn add(&mut self, outpoint: OutPoint, output: &TxOut, height: u32, coinbase: bool, may_overwrite: bool);
}

impl CoinView for Staged<'_> {
    fn have(&self, outpoint: &OutPoint) -> Result<bool, StoreError> {
        Staged::have(self, outpoint)
    }

    fn spend(&mut self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        Staged::spend(self, outpoint)
    }

    fn add(&mut self, outpoint: OutPoint, output: &TxOut, height: u32, coinbase: bool, may_overwrite: bool) {
        Staged::add(self, outpoint, output, height, coinbase, may_overwrite);
    }
}

/// Changes over a cache of coins that stays as it is.
#[derive(Debug)]
pub struct Overlay<'a> {
    base: &'a CoinsCache,
    /// `None`: spent.
    changes: HashMap<OutPoint, Option<Coin>>,
}

impl<'a> Overlay<'a> {
    /// No changes yet.
    pub fn new(base: &'a CoinsCache) -> Self {
        Self { base, changes: HashMap::new() }
    }
}

impl CoinView for Overlay<'_> {
    fn have(&self, outpoint: &OutPoint) -> Result<bool, StoreError> {
        match self.changes.get(outpoint) {
            Some(change) => Ok(change.is_some()),
            None => Ok(self.base.peek(outpoint)?.is_some()),
        }
    }

    fn spend(&mut self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        if let Some(change) = self.changes.get_mut(outpoint) {
            return Ok(change.take());
        }
        let coin = self.base.peek(outpoint)?;
        if coin.is_some() {
            self.changes.insert(*outpoint, None);
        }
        Ok(coin)
    }

    fn add(&mut self, outpoint: OutPoint, output: &TxOut, height: u32, coinbase: bool, _may_overwrite: bool) {
        self.changes.insert(outpoint, Some(Coin { output: output.clone(), height, coinbase }));
    }
}
