//! Transactions whose scripts were found good, so that a block need not run them again (Core: `ValidationCache`).

use std::collections::HashSet;
use std::hash::RandomState;
use std::sync::{Mutex, PoisonError};

use bitcoin::Wtxid;

use crate::Flags;

/// Memory of an entry in a table of usual load, in bytes.
const ENTRY: usize = 72;

/// Witness ids with the rules under which all inputs were good. The outputs that are spent follow from the id, so nothing
/// else matters. Two generations: when the younger is full, it becomes the older and what was the older is forgotten.
#[derive(Debug)]
pub struct ScriptCache {
    /// Entries per generation.
    capacity: usize,
    generations: Mutex<[HashSet<(Wtxid, Flags), RandomState>; 2]>,
}

impl ScriptCache {
    /// An empty cache that takes up to `bytes` of memory.
    pub fn new(bytes: usize) -> Self {
        Self { capacity: bytes / 2 / ENTRY, generations: Mutex::default() }
    }

    /// Notes that all inputs are good.
    pub fn insert(&self, wtxid: Wtxid, flags: Flags) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let [young, old] = &mut *generations;
        if young.len() >= self.capacity {
            std::mem::swap(young, old);
            young.clear();
        }
        if self.capacity > 0 {
            young.insert((wtxid, flags));
        }
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner).iter().all(HashSet::is_empty)
    }

    /// Whether all inputs were good.
    pub fn contains(&self, wtxid: Wtxid, flags: Flags) -> bool {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.iter().any(|generation| generation.contains(&(wtxid, flags)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::hashes::Hash;

    fn id(number: u32) -> Wtxid {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        Wtxid::from_byte_array(bytes)
    }

    #[test]
    fn an_entry_holds_for_its_flags_only_and_old_ones_are_forgotten() {
        let cache = ScriptCache::new(20 * ENTRY);
        cache.insert(id(0), Flags::CONSENSUS);
        assert!(cache.contains(id(0), Flags::CONSENSUS));
        assert!(!cache.contains(id(0), Flags::STANDARD) && !cache.contains(id(1), Flags::CONSENSUS));
        for number in 1..100 {
            cache.insert(id(number), Flags::CONSENSUS);
            assert!(cache.contains(id(number), Flags::CONSENSUS));
        }
        let kept = (0..100).filter(|number| cache.contains(id(*number), Flags::CONSENSUS)).count();
        assert!((10..=20).contains(&kept), "{kept}");
        let none = ScriptCache::new(0);
        none.insert(id(1), Flags::CONSENSUS);
        assert!(!none.contains(id(1), Flags::CONSENSUS));
    }
}
