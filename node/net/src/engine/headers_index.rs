//! The headers that net has met lately: enough to tell who knows which block, without a block index of its own.
//!
//! Bounded: the oldest entries leave. An answer about a header that has left is "unknown", never a guess in the
//! direction that would keep a block from being announced.

use std::collections::{HashMap, VecDeque};

use bitcoin::block::Header;
use bitcoin::consensus::deserialize;
use bitcoin::pow::Work;

/// Entries kept; one takes about 200 bytes.
const CAPACITY: usize = 20_000;

/// Block hash in internal order.
pub type Hash = [u8; 32];

/// A header by name, place and work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderRef {
    /// Hash, internal order.
    pub hash: Hash,
    /// Height.
    pub height: i32,
    /// Work of its chain, big endian, so that it compares as bytes.
    pub work: [u8; 32],
}

#[derive(Debug, Clone)]
struct Entry {
    at: HeaderRef,
    raw: Option<[u8; 80]>,
    prev: Option<Hash>,
}

/// The bounded index.
#[derive(Debug, Default)]
pub struct HeaderIndex {
    entries: HashMap<Hash, Entry>,
    order: VecDeque<Hash>,
}

impl HeaderIndex {
    /// The header, if it is here.
    #[must_use]
    pub fn get(&self, hash: &Hash) -> Option<HeaderRef> {
        self.entries.get(hash).map(|entry| entry.at)
    }

    /// Its 80 bytes.
    #[must_use]
    pub fn raw(&self, hash: &Hash) -> Option<[u8; 80]> {
        self.entries.get(hash).and_then(|entry| entry.raw)
    }

    /// Its parent's hash.
    #[must_use]
    pub fn prev(&self, hash: &Hash) -> Option<Hash> {
        self.entries.get(hash).and_then(|entry| entry.prev)
    }

    /// Remembers a header whose bytes are not known.
    pub fn insert_bare(&mut self, at: HeaderRef) {
        self.insert(Entry { at, raw: None, prev: None });
    }

    /// Remembers a run of connected headers that ends at `last`. Heights and work are counted back from there.
    pub fn insert_run(&mut self, headers: &[[u8; 80]], last: HeaderRef) {
        let mut work = Work::from_be_bytes(last.work);
        let mut height = last.height;
        for raw in headers.iter().rev() {
            let Ok(header) = deserialize::<Header>(raw) else { return };
            let hash = bulkhead_wire::skim::header_hash(raw);
            let mut prev = [0; 32];
            prev.copy_from_slice(&raw[4..36]);
            let at = HeaderRef { hash, height, work: work.to_be_bytes() };
            self.insert(Entry { at, raw: Some(*raw), prev: Some(prev) });
            let own = header.work();
            if own > work || height == 0 {
                return;
            }
            work = work - own;
            height -= 1;
        }
    }

    fn insert(&mut self, entry: Entry) {
        let hash = entry.at.hash;
        match self.entries.get_mut(&hash) {
            Some(known) if known.raw.is_some() && entry.raw.is_none() => {}
            Some(known) => *known = entry,
            None => {
                self.entries.insert(hash, entry);
                self.order.push_back(hash);
                if self.order.len() > CAPACITY
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.entries.remove(&oldest);
                }
            }
        }
    }

    /// Whether `ancestor` is `of` or lies below it. Unknown counts as no.
    #[must_use]
    pub fn is_ancestor(&self, ancestor: &HeaderRef, of: &HeaderRef) -> bool {
        let mut cursor = of.hash;
        let mut height = of.height;
        while height > ancestor.height {
            let Some(prev) = self.prev(&cursor) else { return false };
            cursor = prev;
            height -= 1;
        }
        cursor == ancestor.hash
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn chain(length: usize) -> Vec<[u8; 80]> {
        let mut prev = [0; 32];
        (0..length)
            .map(|index| {
                let mut raw = [0u8; 80];
                raw[4..36].copy_from_slice(&prev);
                raw[72..76].copy_from_slice(&0x207f_ffffu32.to_le_bytes());
                raw[76] = u8::try_from(index).unwrap();
                prev = bulkhead_wire::skim::header_hash(&raw);
                raw
            })
            .collect()
    }

    #[test]
    fn ancestry_and_work_are_counted_back_from_the_last() {
        let run = chain(5);
        let hash = |index: usize| bulkhead_wire::skim::header_hash(&run[index]);
        let mut work = [0; 32];
        work[31] = 10;
        let mut index = HeaderIndex::default();
        index.insert_run(&run, HeaderRef { hash: hash(4), height: 4, work });
        let first = index.get(&hash(0)).unwrap();
        let last = index.get(&hash(4)).unwrap();
        assert_eq!((first.height, first.work[31]), (0, 2));
        assert!(index.is_ancestor(&first, &last));
        assert!(!index.is_ancestor(&last, &first));
        assert!(!index.is_ancestor(&HeaderRef { hash: [9; 32], ..first }, &last));
    }
}
