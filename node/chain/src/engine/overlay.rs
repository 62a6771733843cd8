//! Changes of coins that are not made yet: a block is connected or disconnected on an overlay first.

use std::collections::HashMap;

use bitcoin::OutPoint;
use bulkhead_store::coins_cache::CoinsCache;
use bulkhead_store::{Coin, StoreError};

#[derive(Debug)]
struct Change {
    /// `None`: spent.
    coin: Option<Coin>,
    /// No unspent coin of this key lies below.
    fresh: bool,
}

/// Changes over a cache of coins.
#[derive(Debug)]
pub struct Overlay<'a> {
    base: &'a CoinsCache,
    changes: HashMap<OutPoint, Change>,
}

/// The changes of an overlay, to be applied to its base.
#[derive(Debug)]
pub struct Changes(HashMap<OutPoint, Change>);

impl<'a> Overlay<'a> {
    /// No changes yet.
    pub fn new(base: &'a CoinsCache) -> Self {
        Self { base, changes: HashMap::new() }
    }

    /// Looks a coin up.
    pub fn get(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        match self.changes.get(outpoint) {
            Some(change) => Ok(change.coin.clone()),
            None => self.base.peek(outpoint),
        }
    }

    /// Whether a coin exists.
    pub fn have(&self, outpoint: &OutPoint) -> Result<bool, StoreError> {
        match self.changes.get(outpoint) {
            Some(change) => Ok(change.coin.is_some()),
            None if self.base.cached(outpoint).is_some() => Ok(true),
            None => Ok(self.base.peek(outpoint)?.is_some()),
        }
    }

    /// Spends a coin; gives it, or `None` when there is none.
    pub fn spend(&mut self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        if let Some(change) = self.changes.get_mut(outpoint) {
            let coin = change.coin.take();
            if change.fresh {
                self.changes.remove(outpoint);
            }
            return Ok(coin);
        }
        let coin = match self.base.cached(outpoint) {
            Some(coin) => Some(coin.clone()),
            None => self.base.peek(outpoint)?,
        };
        if coin.is_some() {
            self.changes.insert(*outpoint, Change { coin: None, fresh: false });
        }
        Ok(coin)
    }

    /// Adds a coin; `may_overwrite`: an unspent one of the same key may exist below.
    pub fn add(&mut self, outpoint: OutPoint, coin: Coin, may_overwrite: bool) {
        match self.changes.get_mut(&outpoint) {
            Some(change) => change.coin = Some(coin),
            None => {
                self.changes.insert(outpoint, Change { coin: Some(coin), fresh: !may_overwrite });
            }
        }
    }

    /// Gives the changes, so that the base can be borrowed mutably.
    pub fn into_changes(self) -> Changes {
        Changes(self.changes)
    }
}

impl Changes {
    /// Makes the changes in `cache`.
    pub fn apply(self, cache: &mut CoinsCache) -> Result<(), StoreError> {
        for (outpoint, change) in self.0 {
            match change.coin {
                Some(coin) => cache.add(outpoint, coin, !change.fresh),
                None => {
                    cache.spend(&outpoint)?;
                }
            }
        }
        Ok(())
    }
}
