//! Bounded memory of what was found valid, so that a transaction of the mempool is not verified again (Core:
//! `script/sigcache.cpp` and the script execution cache of `validation.cpp`).

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, PoisonError};

use bitcoin::hashes::{Hash, HashEngine, sha256};

/// Memory per entry of a table, in bytes, at its usual load.
const ENTRY_MEMORY: usize = 48;

/// Entries are hashes with a secret salt already.
#[derive(Debug, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // The last eight bytes win: a length may be written before them.
        self.0 = bytes.iter().rev().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    }
}

type Table = HashSet<[u8; 32], BuildHasherDefault<Identity>>;

/// A set of hashes in two generations: when the younger one is full, the older one is forgotten.
pub struct ValidCache {
    salted: sha256::HashEngine,
    generations: Mutex<[Table; 2]>,
    limit: usize,
}

impl std::fmt::Debug for ValidCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The salt stays secret.
        f.debug_struct("ValidCache").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl ValidCache {
    /// Takes at most about `memory` bytes. `salt` is secret and random, so that nobody can aim at a place of the table.
    pub fn new(memory: usize, salt: [u8; 32]) -> Self {
        let mut salted = sha256::Hash::engine();
        salted.input(&salt);
        salted.input(&salt);
        Self { salted, generations: Mutex::new([Table::default(), Table::default()]), limit: memory / ENTRY_MEMORY / 2 }
    }

    /// Key of an entry: the salted hash of `parts`, each with its length.
    pub fn key(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut engine = self.salted.clone();
        for part in parts {
            engine.input(&(part.len() as u64).to_le_bytes());
            engine.input(part);
        }
        sha256::Hash::from_engine(engine).to_byte_array()
    }

    /// Whether an entry is known.
    pub fn contains(&self, key: &[u8; 32]) -> bool {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|table| table.contains(key))
    }

    /// Remembers an entry.
    pub fn insert(&self, key: [u8; 32]) {
        if self.limit == 0 {
            return;
        }
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let [young, old] = &mut *generations;
        if young.len() >= self.limit {
            std::mem::swap(young, old);
            young.clear();
        }
        young.insert(key);
    }
}

/// Signatures that are known to be valid.
#[derive(Debug)]
pub struct SignatureCache(ValidCache);

impl SignatureCache {
    /// Takes at most about `memory` bytes; `salt` is secret and random.
    pub fn new(memory: usize, salt: [u8; 32]) -> Self {
        Self(ValidCache::new(memory, salt))
    }

    /// Looks a signature up, or verifies it and remembers it if it is valid.
    pub fn get_or_verify(&self, kind: u8, hash: &[u8; 32], key: &[u8], signature: &[u8], verify: impl FnOnce() -> bool) -> bool {
        let entry = self.0.key(&[&[kind], hash, key, signature]);
        if self.0.contains(&entry) {
            return true;
        }
        let valid = verify();
        if valid {
            self.0.insert(entry);
        }
        valid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_signatures_are_remembered_and_memory_is_bounded() {
        let cache = SignatureCache::new(100 * ENTRY_MEMORY, [1; 32]);
        assert!(!cache.get_or_verify(b'E', &[0; 32], b"key", b"bad", || false));
        assert!(cache.get_or_verify(b'E', &[0; 32], b"key", b"bad", || true), "a failure is not remembered");
        assert!(cache.get_or_verify(b'E', &[0; 32], b"key", b"bad", || false), "a success is");
        assert!(!cache.get_or_verify(b'S', &[0; 32], b"key", b"bad", || false));
        for number in 0..10_000u64 {
            cache.get_or_verify(b'E', &[2; 32], &number.to_le_bytes(), b"", || true);
        }
        let generations = cache.0.generations.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(generations.iter().map(HashSet::len).sum::<usize>() <= 100);
    }
}
