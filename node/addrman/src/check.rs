//! Whether the tables agree with each other (`-checkaddrman`; Core: `AddrManImpl::CheckAddrman`).

use std::collections::{HashMap, HashSet};

use bitcoin::secp256k1::rand::Rng;
use bulkhead_wire::Network;

use crate::entry::BUCKET_SIZE;
use crate::tables::{AddrMan, Counts, Id, MAX_REFERENCES};

impl AddrMan {
    /// Checks before and after one of `ratio` operations; 0: never.
    pub fn set_check_ratio(&mut self, ratio: u32) {
        self.check_ratio = ratio;
    }

    pub(crate) fn maybe_check(&mut self) {
        if self.check_ratio == 0 || self.rng.gen_range(0..self.check_ratio) > 0 {
            return;
        }
        if let Some(code) = self.check() {
            tracing::error!(target: "net", "ADDRMAN CONSISTENCY CHECK FAILED!!! err={code}");
        }
    }

    /// What is wrong, as Core numbers it; `None`: nothing.
    #[must_use]
    pub fn check(&self) -> Option<i32> {
        let counts = self.count(|_| true);
        tracing::debug!(
            target: "addrman",
            "CheckAddrman: new {}, tried {}, total {} started", counts.new, counts.tried, self.random.len()
        );
        let found = self.check_entries().and_then(|(tried, new)| self.check_tables(tried, new));
        tracing::debug!(target: "addrman", "CheckAddrman: completed");
        found.err()
    }

    /// The entries by themselves; the places that they must have.
    fn check_entries(&self) -> Result<(HashSet<Id>, HashMap<Id, usize>), i32> {
        let counts = self.count(|_| true);
        if self.random.len() != counts.tried + counts.new {
            return Err(-7);
        }
        let mut found: HashMap<Network, Counts> = HashMap::new();
        let (mut tried, mut new) = (HashSet::new(), HashMap::new());
        for (id, entry) in &self.entries {
            *found.entry(entry.network()).or_default().of(entry.tried) += 1;
            if entry.tried {
                if entry.last_success == 0 {
                    return Err(-1);
                }
                if entry.references != 0 {
                    return Err(-2);
                }
                tried.insert(*id);
            } else {
                match entry.references {
                    0 => return Err(-4),
                    1..=MAX_REFERENCES => new.insert(*id, entry.references),
                    _ => return Err(-3),
                };
            }
            if self.by_endpoint.get(&entry.address.endpoint) != Some(id) {
                return Err(-5);
            }
            if self.random.get(entry.random_position) != Some(id) {
                return Err(-14);
            }
            if entry.last_try < 0 {
                return Err(-6);
            }
            if entry.last_success < 0 {
                return Err(-8);
            }
        }
        if tried.len() != counts.tried {
            return Err(-9);
        }
        if new.len() != counts.new {
            return Err(-10);
        }
        if found.iter().any(|(network, found)| self.counts.get(network) != Some(found)) {
            return Err(-21);
        }
        Ok((tried, new))
    }

    fn check_tables(&self, mut tried: HashSet<Id>, mut new: HashMap<Id, usize>) -> Result<(), i32> {
        for (at, id) in self.tried.iter().enumerate().filter_map(|(at, id)| Some((at, (*id)?))) {
            let (bucket, place) = (at / BUCKET_SIZE, at % BUCKET_SIZE);
            let entry = self.entries.get(&id).filter(|_| tried.remove(&id)).ok_or(-11)?;
            if entry.tried_bucket(&self.key, &self.map) != bucket {
                return Err(-17);
            }
            if entry.position(&self.key, false, bucket) != place {
                return Err(-18);
            }
        }
        for (at, id) in self.new.iter().enumerate().filter_map(|(at, id)| Some((at, (*id)?))) {
            let (bucket, place) = (at / BUCKET_SIZE, at % BUCKET_SIZE);
            let entry = self.entries.get(&id).ok_or(-12)?;
            let left = new.get_mut(&id).ok_or(-12)?;
            if entry.position(&self.key, true, bucket) != place {
                return Err(-19);
            }
            *left -= 1;
            if *left == 0 {
                new.remove(&id);
            }
        }
        if !tried.is_empty() {
            return Err(-13);
        }
        if !new.is_empty() {
            return Err(-15);
        }
        if self.key == [0; 32] { Err(-16) } else { Ok(()) }
    }
}
