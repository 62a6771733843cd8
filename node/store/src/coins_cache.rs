//! Coins in memory over the database (Core: `CCoinsViewCache`). A coin that is created and spent between two flushes never
//! reaches the database.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use bitcoin::{BlockHash, OutPoint};

use crate::StoreError;
use crate::coin::Coin;
use crate::coins_db::CoinsDb;

/// Memory per entry besides the script, in bytes: key, value, and the table's overhead at its usual load.
const ENTRY_MEMORY: usize = 150;

#[derive(Debug)]
struct Slot {
    /// `None`: spent.
    coin: Option<Coin>,
    /// Differs from the database.
    dirty: bool,
    /// The database has no unspent coin of this key.
    fresh: bool,
}

/// Coins of the active chain's tip.
#[derive(Debug)]
pub struct CoinsCache {
    database: Arc<CoinsDb>,
    slots: HashMap<OutPoint, Slot>,
    script_memory: usize,
    best_block: Option<BlockHash>,
    dirty: usize,
}

impl CoinsCache {
    /// An empty cache over `database`.
    pub fn new(database: CoinsDb) -> Result<Self, StoreError> {
        let best_block = database.best_block()?;
        Ok(Self { database: Arc::new(database), slots: HashMap::new(), script_memory: 0, best_block, dirty: 0 })
    }

    /// The database below; it lacks what was not flushed.
    pub fn database(&self) -> &CoinsDb {
        &self.database
    }

    /// The database, to be read without borrowing the cache.
    pub fn shared_database(&self) -> Arc<CoinsDb> {
        Arc::clone(&self.database)
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
        match self.slots.get(outpoint) {
            Some(slot) => Ok(slot.coin.clone()),
            None => self.database.get(outpoint),
        }
    }

    /// A coin that [`CoinsCache::prefetch`] or a change has brought into the cache.
    pub fn cached(&self, outpoint: &OutPoint) -> Option<&Coin> {
        self.slots.get(outpoint)?.coin.as_ref()
    }

    /// Brings those of `outpoints` that exist into the cache, with one sorted read.
    pub fn prefetch(&mut self, outpoints: impl Iterator<Item = OutPoint>) -> Result<(), StoreError> {
        let missing: Vec<OutPoint> = outpoints.filter(|outpoint| !self.slots.contains_key(outpoint)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let Self { database, slots, script_memory, .. } = self;
        database.get_many(&missing, |outpoint, coin| {
            *script_memory += coin.memory();
            slots.insert(outpoint, Slot { coin: Some(coin), dirty: false, fresh: false });
        })
    }

    /// Adds a coin. `may_overwrite`: an unspent one of the same key may exist (a coinbase before BIP34, or a reorganisation).
    pub fn add(&mut self, outpoint: OutPoint, coin: Coin, may_overwrite: bool) {
        self.script_memory += coin.memory();
        match self.slots.entry(outpoint) {
            Entry::Vacant(vacant) => {
                self.dirty += 1;
                vacant.insert(Slot { coin: Some(coin), dirty: true, fresh: !may_overwrite });
            }
            Entry::Occupied(mut occupied) => {
                let slot = occupied.get_mut();
                // A spent coin that is not written yet must still be deleted or replaced in the database.
                if slot.coin.is_none() && !slot.dirty && !may_overwrite {
                    slot.fresh = true;
                }
                if let Some(old) = &slot.coin {
                    self.script_memory -= old.memory();
                }
                self.dirty += usize::from(!slot.dirty);
                slot.dirty = true;
                slot.coin = Some(coin);
            }
        }
    }

    /// Spends a coin; gives it, or `None` when there is none.
    pub fn spend(&mut self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        if !self.slots.contains_key(outpoint) {
            match self.database.get(outpoint)? {
                Some(coin) => {
                    self.script_memory += coin.memory();
                    self.slots.insert(*outpoint, Slot { coin: Some(coin), dirty: false, fresh: false });
                }
                None => return Ok(None),
            }
        }
        let Entry::Occupied(mut occupied) = self.slots.entry(*outpoint) else { return Ok(None) };
        let slot = occupied.get_mut();
        let Some(coin) = slot.coin.take() else { return Ok(None) };
        self.script_memory -= coin.memory();
        if slot.fresh {
            self.dirty -= usize::from(slot.dirty);
            occupied.remove();
        } else {
            self.dirty += usize::from(!slot.dirty);
            slot.dirty = true;
        }
        Ok(Some(coin))
    }

    /// Entries in memory.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing is in memory.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Entries that differ from the database.
    pub fn dirty(&self) -> usize {
        self.dirty
    }

    /// Estimated memory, in bytes.
    pub fn memory(&self) -> usize {
        self.slots.len() * ENTRY_MEMORY + self.script_memory
    }

    /// Writes all changes in one atomic batch. With `empty` the cache is emptied, otherwise unspent coins stay in it.
    pub fn flush(&mut self, empty: bool) -> Result<(), StoreError> {
        let Some(best_block) = self.best_block else { return Ok(()) };
        let changes = self.slots.iter().filter(|(_, slot)| slot.dirty).map(|(outpoint, slot)| (outpoint, slot.coin.as_ref()));
        self.database.write(changes, best_block)?;
        self.dirty = 0;
        if empty {
            self.slots = HashMap::new();
            self.script_memory = 0;
            return Ok(());
        }
        self.slots.retain(|_, slot| {
            slot.dirty = false;
            slot.fresh = false;
            slot.coin.is_some()
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bitcoin::hashes::Hash;
    use bitcoin::{Amount, ScriptBuf, TxOut, Txid};

    fn coin(value: u64) -> Coin {
        Coin {
            output: TxOut { value: Amount::from_sat(value), script_pubkey: ScriptBuf::from_bytes(vec![0x51]) },
            height: 1,
            coinbase: false,
        }
    }

    fn point(vout: u32) -> OutPoint {
        OutPoint { txid: Txid::from_byte_array([7; 32]), vout }
    }

    fn block(byte: u8) -> BlockHash {
        BlockHash::from_byte_array([byte; 32])
    }

    #[test]
    fn only_surviving_coins_reach_the_database() {
        let directory = tempfile::tempdir().unwrap();
        let mut cache = CoinsCache::new(CoinsDb::open(directory.path(), 1 << 20, false).unwrap()).unwrap();
        cache.add(point(0), coin(1), false);
        cache.add(point(1), coin(2), false);
        assert_eq!(cache.spend(&point(0)).unwrap(), Some(coin(1)));
        assert_eq!(cache.dirty(), 1, "a coin that was born and died here leaves no trace");
        cache.set_best_block(block(1));
        cache.flush(false).unwrap();
        assert_eq!(cache.database().get(&point(0)).unwrap(), None);
        assert_eq!(cache.database().get(&point(1)).unwrap(), Some(coin(2)));
        assert_eq!(cache.spend(&point(1)).unwrap(), Some(coin(2)));
        assert_eq!(cache.spend(&point(1)).unwrap(), None);
        cache.set_best_block(block(2));
        drop(cache);
        let mut reopened = CoinsCache::new(CoinsDb::open(directory.path(), 1 << 20, false).unwrap()).unwrap();
        assert_eq!(reopened.best_block(), Some(block(1)), "what was not flushed is gone as a whole");
        assert_eq!(reopened.peek(&point(1)).unwrap(), Some(coin(2)));
        assert!(reopened.spend(&point(1)).unwrap().is_some());
        reopened.set_best_block(block(2));
        reopened.flush(true).unwrap();
        assert_eq!(reopened.database().get(&point(1)).unwrap(), None);
        assert!(reopened.is_empty());
    }

    #[test]
    fn a_respent_coin_that_is_spent_again_is_deleted_from_the_database() {
        let directory = tempfile::tempdir().unwrap();
        let mut cache = CoinsCache::new(CoinsDb::open(directory.path(), 1 << 20, false).unwrap()).unwrap();
        cache.add(point(0), coin(1), false);
        cache.set_best_block(block(1));
        cache.flush(true).unwrap();
        cache.spend(&point(0)).unwrap().unwrap();
        cache.add(point(0), coin(1), true); // undone by a reorganisation
        cache.spend(&point(0)).unwrap().unwrap();
        cache.set_best_block(block(2));
        cache.flush(true).unwrap();
        assert_eq!(cache.database().get(&point(0)).unwrap(), None);
    }

    #[test]
    fn a_leveldb_directory_is_left_untouched_unless_asked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chainstate");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("CURRENT"), "MANIFEST-000001\n").unwrap();
        std::fs::write(path.join("000005.ldb"), "x").unwrap();
        assert!(matches!(CoinsDb::open(&path, 1 << 20, false), Err(StoreError::LevelDb { .. })));
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 2);
        CoinsDb::open(&path, 1 << 20, true).unwrap();
        assert!(directory.path().join("chainstate.leveldb/000005.ldb").exists());
    }
}
