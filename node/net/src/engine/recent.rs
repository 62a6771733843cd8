//! A set that forgets: at most a fixed number of entries, the oldest leave first.

use std::collections::{HashSet, VecDeque};

/// A bounded set of 32-byte keys.
#[derive(Debug)]
pub struct RecentSet {
    capacity: usize,
    entries: HashSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

impl RecentSet {
    /// An empty set that keeps `capacity` entries.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, entries: HashSet::new(), order: VecDeque::new() }
    }

    /// Adds a key; whether it is new.
    pub fn insert(&mut self, key: [u8; 32]) -> bool {
        if !self.entries.insert(key) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
        true
    }

    /// Whether the key is there.
    #[must_use]
    pub fn contains(&self, key: &[u8; 32]) -> bool {
        self.entries.contains(key)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn oldest_key_leaves() {
        let mut set = RecentSet::new(2);
        assert!(set.insert([1; 32]) && set.insert([2; 32]) && !set.insert([1; 32]));
        set.insert([3; 32]);
        assert!(!set.contains(&[1; 32]) && set.contains(&[2; 32]) && set.contains(&[3; 32]));
    }
}
