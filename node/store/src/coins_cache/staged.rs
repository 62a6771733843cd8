//! Changes that are made in the cache at once and taken back unless they are kept.

use bitcoin::{OutPoint, TxOut};

use super::CoinsCache;
use super::shard::Slot;
use crate::packed::PackedCoin;
use crate::{Coin, StoreError};

/// Changes of one block. Dropped without [`Staged::keep`], the cache is as it was.
#[derive(Debug)]
pub struct Staged<'a> {
    cache: &'a mut CoinsCache,
    /// Entries as they were, in the order of the changes.
    before: Vec<(OutPoint, Option<Slot>)>,
}

impl<'a> Staged<'a> {
    pub(super) fn new(cache: &'a mut CoinsCache) -> Self {
        Self { cache, before: Vec::new() }
    }

    /// Whether a coin exists.
    ///
    /// # Errors
    /// The database's.
    pub fn have(&self, outpoint: &OutPoint) -> Result<bool, StoreError> {
        let known = self.cache.shards.of(outpoint).get(outpoint).map(|slot| slot.coin.is_some());
        match known {
            Some(known) => Ok(known),
            None => Ok(self.cache.database.get(outpoint)?.is_some()),
        }
    }

    /// Spends a coin; gives it, or `None` when there is none.
    ///
    /// # Errors
    /// The database's.
    pub fn spend(&mut self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        let mut spent = self.cache.shards.of(outpoint).spend(outpoint);
        if spent.is_none() {
            self.cache.load(outpoint)?;
            spent = self.cache.shards.of(outpoint).spend(outpoint);
        }
        let Some((packed, (dirty, fresh))) = spent else { return Ok(None) };
        let coin = packed.unpack();
        self.before.push((*outpoint, Some(Slot { coin: Some(packed), dirty, fresh })));
        Ok(Some(coin))
    }

    /// Adds a coin; see [`CoinsCache::add`].
    pub fn add(&mut self, outpoint: OutPoint, output: &TxOut, height: u32, coinbase: bool, may_overwrite: bool) {
        let packed = PackedCoin::new(output, height, coinbase);
        let old = self.cache.shards.of(&outpoint).add(outpoint, packed, may_overwrite);
        self.before.push((outpoint, old));
    }

    /// Makes the changes stay.
    pub fn keep(mut self) {
        self.before.clear();
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        for (outpoint, slot) in std::mem::take(&mut self.before).into_iter().rev() {
            self.cache.restore(outpoint, slot);
        }
    }
}
