//! A part of the cache with a lock of its own.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bitcoin::OutPoint;
use bitcoin::hashes::Hash;

use crate::packed::PackedCoin;

/// A power of two. More make the steps smaller in which tables grow.
const SHARDS: usize = 64;
/// Bytes per bucket of a table: key, value, and the table's own byte.
const BUCKET: usize = size_of::<(OutPoint, Slot)>() + 1;

#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// `None`: spent.
    pub coin: Option<PackedCoin>,
    /// Differs from the database.
    pub dirty: bool,
    /// The database has no unspent coin of this key.
    pub fresh: bool,
}

#[derive(Debug, Default)]
pub(super) struct Shard {
    slots: HashMap<OutPoint, Slot>,
    heap: usize,
    dirty: usize,
}

/// All parts.
#[derive(Debug)]
pub(super) struct Shards(Vec<Mutex<Shard>>);

impl Default for Shards {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl Shards {
    /// The part that holds a key, locked.
    pub fn of(&self, outpoint: &OutPoint) -> MutexGuard<'_, Shard> {
        let number = usize::from(outpoint.txid.as_byte_array()[0]) % SHARDS;
        lock(&self.0[number])
    }

    /// Each part in turn, locked.
    pub fn all(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.0.iter().map(lock)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    pub fn get(&self, outpoint: &OutPoint) -> Option<&Slot> {
        self.slots.get(outpoint)
    }

    pub fn contains(&self, outpoint: &OutPoint) -> bool {
        self.slots.contains_key(outpoint)
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn dirty(&self) -> usize {
        self.dirty
    }

    pub fn memory(&self) -> usize {
        let room = self.slots.capacity();
        // A table doubles when it is full, and a block may add much.
        let soon = if self.slots.len() + room / 16 >= room { 2 } else { 1 };
        room / 7 * 8 * BUCKET * soon + self.heap
    }

    /// Takes in what the database holds, unless the key has an entry.
    pub fn insert_clean(&mut self, outpoint: OutPoint, coin: PackedCoin) {
        if let Entry::Vacant(vacant) = self.slots.entry(outpoint) {
            self.heap += coin.heap();
            vacant.insert(Slot { coin: Some(coin), dirty: false, fresh: false });
        }
    }

    /// Adds a coin; gives the entry that was there before.
    pub fn add(&mut self, outpoint: OutPoint, coin: PackedCoin, may_overwrite: bool) -> Option<Slot> {
        self.heap += coin.heap();
        match self.slots.entry(outpoint) {
            Entry::Vacant(vacant) => {
                self.dirty += 1;
                vacant.insert(Slot { coin: Some(coin), dirty: true, fresh: !may_overwrite });
                None
            }
            Entry::Occupied(mut occupied) => {
                let slot = occupied.get_mut();
                // A spent coin that is not written yet must still be deleted or replaced in the database.
                let fresh = slot.fresh || (slot.coin.is_none() && !slot.dirty && !may_overwrite);
                self.dirty += usize::from(!slot.dirty);
                let old = std::mem::replace(slot, Slot { coin: Some(coin), dirty: true, fresh });
                self.heap -= old.coin.as_ref().map_or(0, PackedCoin::heap);
                Some(old)
            }
        }
    }

    /// Spends a coin that is in memory; gives it and the marks `dirty` and `fresh` of its entry.
    pub fn spend(&mut self, outpoint: &OutPoint) -> Option<(PackedCoin, (bool, bool))> {
        let Entry::Occupied(mut occupied) = self.slots.entry(*outpoint) else { return None };
        let slot = occupied.get_mut();
        let coin = slot.coin.take()?;
        let marks = (slot.dirty, slot.fresh);
        self.heap -= coin.heap();
        if slot.fresh {
            self.dirty -= usize::from(slot.dirty);
            occupied.remove();
        } else {
            self.dirty += usize::from(!slot.dirty);
            slot.dirty = true;
        }
        Some((coin, marks))
    }

    /// Puts an entry back to what it was.
    pub fn restore(&mut self, outpoint: OutPoint, slot: Option<Slot>) {
        if let Some(slot) = &slot {
            self.heap += slot.coin.as_ref().map_or(0, PackedCoin::heap);
            self.dirty += usize::from(slot.dirty);
        }
        let now = match slot {
            Some(slot) => self.slots.insert(outpoint, slot),
            None => self.slots.remove(&outpoint),
        };
        if let Some(now) = now {
            self.heap -= now.coin.as_ref().map_or(0, PackedCoin::heap);
            self.dirty -= usize::from(now.dirty);
        }
    }

    /// Entries that differ from the database.
    pub fn changed(&self) -> impl Iterator<Item = (&OutPoint, &Slot)> {
        self.slots.iter().filter(|(_, slot)| slot.dirty)
    }

    /// After a write: nothing differs any more.
    pub fn settle(&mut self, empty: bool) {
        self.dirty = 0;
        if empty {
            (self.slots, self.heap) = (HashMap::new(), 0);
            return;
        }
        self.slots.retain(|_, slot| {
            (slot.dirty, slot.fresh) = (false, false);
            slot.coin.is_some()
        });
    }
}
