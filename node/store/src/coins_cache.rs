//! Coins in memory over the database (Core: `CCoinsViewCache`). A coin that is created and spent between two flushes never
//! reaches the database.
//!
//! # Correctness
//!
//! Entries lie in shards with a lock each, so that a thread that reads ahead can ask which coins are here while blocks are
//! connected. What it then reads from the database enters the cache with the [`Prefetched`] that it hands over: only if the
//! cache was not flushed since the read began, and only for keys that have no entry. An entry that differs from the database
//! stays until the next flush, so a key without one has, between two flushes, in the database what was read there.

mod shard;
mod staged;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bitcoin::{BlockHash, OutPoint, TxOut};

use crate::StoreError;
use crate::coin::Coin;
use crate::coins_db::{CoinsDb, CoinsWriter};
use crate::packed::PackedCoin;
use shard::{Shards, Slot};

pub use staged::Staged;

/// Coins of the active chain's tip.
#[derive(Debug)]
pub struct CoinsCache {
    database: Arc<CoinsDb>,
    shards: Arc<Shards>,
    /// Counts flushes.
    generation: Arc<AtomicU64>,
    best_block: Option<BlockHash>,
}

/// Reads coins ahead, on any thread.
#[derive(Debug, Clone)]
pub struct Prefetcher {
    database: Arc<CoinsDb>,
    shards: Arc<Shards>,
    generation: Arc<AtomicU64>,
}

/// Coins that were read ahead.
#[derive(Debug)]
pub struct Prefetched {
    generation: u64,
    coins: Vec<(OutPoint, PackedCoin)>,
}

impl Prefetcher {
    /// Reads those of `outpoints` that the cache lacks, with one sorted read.
    ///
    /// # Errors
    /// The database's.
    pub fn read(&self, outpoints: impl Iterator<Item = OutPoint>) -> Result<Prefetched, StoreError> {
        let generation = self.generation.load(Ordering::Acquire);
        let missing: Vec<OutPoint> = outpoints.filter(|outpoint| !self.shards.of(outpoint).contains(outpoint)).collect();
        let mut coins = Vec::new();
        if !missing.is_empty() {
            self.database.get_many(&missing, |outpoint, coin| coins.push((outpoint, PackedCoin::from(&coin))))?;
        }
        Ok(Prefetched { generation, coins })
    }
}

impl CoinsCache {
    /// An empty cache over `database`.
    pub fn new(database: CoinsDb) -> Result<Self, StoreError> {
        let best_block = database.best_block()?;
        Ok(Self { database: Arc::new(database), shards: Arc::default(), generation: Arc::default(), best_block })
    }

    /// The database below; it lacks what was not flushed.
    pub fn database(&self) -> &CoinsDb {
        &self.database
    }

    /// The database, to be read without borrowing the cache.
    pub fn shared_database(&self) -> Arc<CoinsDb> {
        Arc::clone(&self.database)
    }

    /// For reading ahead on another thread.
    pub fn prefetcher(&self) -> Prefetcher {
        Prefetcher {
            database: Arc::clone(&self.database),
            shards: Arc::clone(&self.shards),
            generation: Arc::clone(&self.generation),
        }
    }

    /// Block that the coins belong to.
    pub fn best_block(&self) -> Option<BlockHash> {
        self.best_block
    }

    /// Sets the block that the coins belong to, after its changes were made.
    pub fn set_best_block(&mut self, hash: BlockHash) {
        self.best_block = Some(hash);
    }

    /// Looks a coin up without keeping it in the cache.
    pub fn peek(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        if let Some(slot) = self.shards.of(outpoint).get(outpoint) {
            return Ok(slot.coin.as_ref().map(PackedCoin::unpack));
        }
        self.database.get(outpoint)
    }

    /// Whether an unspent coin is in memory.
    pub fn is_cached(&self, outpoint: &OutPoint) -> bool {
        self.shards.of(outpoint).get(outpoint).is_some_and(|slot| slot.coin.is_some())
    }

    /// As [`CoinsCache::stage`], with coins that were read ahead.
    pub fn stage_with(&mut self, prefetched: Prefetched) -> Staged<'_> {
        self.insert(prefetched);
        self.stage()
    }

    fn insert(&mut self, prefetched: Prefetched) {
        if prefetched.generation != self.generation.load(Ordering::Acquire) {
            return;
        }
        for (outpoint, coin) in prefetched.coins {
            self.shards.of(&outpoint).insert_clean(outpoint, coin);
        }
    }

    /// Adds a coin. `may_overwrite`: an unspent one of the same key may exist (a coinbase before BIP34, or a reorganisation).
    pub fn add(&mut self, outpoint: OutPoint, output: &TxOut, height: u32, coinbase: bool, may_overwrite: bool) {
        self.shards.of(&outpoint).add(outpoint, PackedCoin::new(output, height, coinbase), may_overwrite);
    }

    /// Spends a coin; gives it, or `None` when there is none.
    pub fn spend(&mut self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        self.load(outpoint)?;
        Ok(self.shards.of(outpoint).spend(outpoint).map(|(coin, _)| coin.unpack()))
    }

    /// Starts changes that are taken back unless they are kept.
    pub fn stage(&mut self) -> Staged<'_> {
        Staged::new(self)
    }

    /// Makes sure that the entry of an existing coin is in memory.
    fn load(&self, outpoint: &OutPoint) -> Result<(), StoreError> {
        if self.shards.of(outpoint).contains(outpoint) {
            return Ok(());
        }
        if let Some(coin) = self.database.get(outpoint)? {
            self.shards.of(outpoint).insert_clean(*outpoint, PackedCoin::from(&coin));
        }
        Ok(())
    }

    /// Entries in memory.
    pub fn len(&self) -> usize {
        self.shards.all().map(|shard| shard.len()).sum()
    }

    /// Whether nothing is in memory.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries that differ from the database.
    pub fn dirty(&self) -> usize {
        self.shards.all().map(|shard| shard.dirty()).sum()
    }

    /// Memory that the entries take, in bytes; of tables that are about to grow, what they will take then.
    pub fn memory(&self) -> usize {
        self.shards.all().map(|shard| shard.memory()).sum()
    }

    /// Writes all changes. With `empty` the cache is emptied, otherwise unspent coins stay in it.
    ///
    /// # Errors
    /// The database's.
    pub fn flush(&mut self, empty: bool) -> Result<(), StoreError> {
        let Some(best_block) = self.best_block else { return Ok(()) };
        self.write(best_block, |writer| writer.finish())?;
        self.settle(empty);
        Ok(())
    }

    /// Writes the changes made so far on the way to `goal` and empties the cache; the database says that it is under way.
    ///
    /// # Errors
    /// The database's.
    pub fn spill(&mut self, goal: BlockHash) -> Result<(), StoreError> {
        self.write(goal, |writer| writer.pause())?;
        self.settle(true);
        Ok(())
    }

    fn write(
        &self,
        best_block: BlockHash,
        end: impl FnOnce(CoinsWriter<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut writer = self.database.start_write(best_block)?;
        for shard in self.shards.all() {
            for (outpoint, slot) in shard.changed() {
                writer.note(outpoint, slot.coin.as_ref().map(PackedCoin::unpack).as_ref())?;
            }
        }
        end(writer)
    }

    fn settle(&mut self, empty: bool) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        for mut shard in self.shards.all() {
            shard.settle(empty);
        }
    }

    fn restore(&mut self, outpoint: OutPoint, slot: Option<Slot>) {
        self.shards.of(&outpoint).restore(outpoint, slot);
    }
}

#[cfg(test)]
mod tests;
