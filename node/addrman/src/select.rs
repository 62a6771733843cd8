//! Choosing: whom to connect to, whom to tell about, and which old entry to test before a newcomer replaces it.

use bitcoin::secp256k1::rand::Rng;
use bulkhead_wire::{Network, PeerAddress};

use crate::entry::{BUCKET_SIZE, Entry, NEW_BUCKETS, TRIED_BUCKETS};
use crate::tables::{AddrMan, Counts, Position, slot};

const REPLACEMENT: i64 = 4 * 60 * 60;
const TEST_WINDOW: i64 = 40 * 60;

impl AddrMan {
    /// A random address to connect to, and when it was tried last. Reached addresses and new ones are equally likely
    /// as groups; recent failures make an address less likely.
    pub fn select(&mut self, new_only: bool, networks: &[Network], now: i64) -> Option<(PeerAddress, i64)> {
        self.maybe_check();
        let wanted = |network| networks.is_empty() || networks.contains(&network);
        let Counts { new, tried } = self.count(wanted);
        if new + tried == 0 || (new_only && new == 0) {
            return None;
        }
        let search_tried = match (new_only || tried == 0, new == 0) {
            (true, _) => false,
            (_, true) => true,
            _ => self.rng.r#gen(),
        };
        let buckets = if search_tried { TRIED_BUCKETS } else { NEW_BUCKETS };
        let mut factor = 1.0;
        // At least one entry fits, so a bucket with one is found sooner or later and the factor grows with each miss.
        loop {
            let bucket = self.rng.gen_range(0..buckets);
            let start = self.rng.gen_range(0..BUCKET_SIZE);
            let table = if search_tried { &self.tried } else { &self.new };
            let found = (0..BUCKET_SIZE)
                .filter_map(|step| table[slot((bucket, (start + step) % BUCKET_SIZE))])
                .filter_map(|id| self.entries.get(&id))
                .find(|entry| wanted(entry.network()))
                .copied();
            let Some(entry) = found else { continue };
            if self.rng.r#gen::<f64>() < factor * entry.chance(now) {
                tracing::debug!(
                    target: "addrman",
                    "Selected {} from {}", entry.address.endpoint, if search_tried { "tried" } else { "new" }
                );
                return Some((entry.address, entry.last_try));
            }
            factor *= 1.2;
        }
    }

    /// A random sample without worthless entries: at most `most` (0: no limit), at most `percent` of all (0: no limit).
    pub fn sample(&mut self, most: usize, percent: usize, network: Option<Network>, now: i64) -> Vec<PeerAddress> {
        self.maybe_check();
        let mut count = self.random.len();
        if percent != 0 {
            count = percent.min(100) * count / 100;
        }
        if most != 0 {
            count = count.min(most);
        }
        let mut out = Vec::new();
        for at in 0..self.random.len() {
            if out.len() >= count {
                break;
            }
            let other = self.rng.gen_range(at..self.random.len());
            self.swap_random(at, other);
            let Some(entry) = self.entries.get(&self.random[at]) else { continue };
            let fits = network.is_none_or(|network| entry.address.endpoint.addr.class() == network);
            if fits && !entry.is_terrible(now) {
                out.push(entry.address);
            }
        }
        tracing::debug!(target: "addrman", "GetAddr returned {} random addresses", out.len());
        self.maybe_check();
        out
    }

    /// All entries of a table with their places, in order.
    #[must_use]
    pub fn table(&self, tried: bool) -> Vec<(Entry, Position)> {
        let table = if tried { &self.tried } else { &self.new };
        table
            .iter()
            .enumerate()
            .filter_map(|(at, id)| Some((*self.entries.get(id.as_ref()?)?, (at / BUCKET_SIZE, at % BUCKET_SIZE))))
            .collect()
    }

    /// Decides collisions in the tried table whose test is over.
    pub fn resolve_collisions(&mut self, now: i64) {
        for id in self.collisions().clone() {
            let Some(new) = self.entries.get(&id).copied() else {
                self.collisions().remove(&id);
                continue;
            };
            let bucket = new.tried_bucket(&self.key, &self.map);
            let holder = self.tried[slot((bucket, new.position(&self.key, false, bucket)))];
            let old = holder.and_then(|holder| self.entries.get(&holder)).copied();
            let replace = match old {
                None => Some(true),
                Some(old) if now - old.last_success < REPLACEMENT => Some(false),
                Some(old) if now - old.last_try < REPLACEMENT => (now - old.last_try > 60).then_some(true),
                Some(_) => (now - new.last_success > TEST_WINDOW).then_some(true),
            };
            if replace == Some(true) {
                self.good(&new.address.endpoint, now, false);
            }
            if replace.is_some() {
                self.collisions().remove(&id);
            }
        }
    }

    /// An entry of the tried table that a newcomer would replace, to be tested with a feeler.
    pub fn select_tried_collision(&mut self) -> Option<(PeerAddress, i64)> {
        let count = self.collisions().len();
        if count == 0 {
            return None;
        }
        let index = self.rng.gen_range(0..count);
        let id = self.collisions().iter().nth(index).copied()?;
        let Some(new) = self.entries.get(&id).copied() else {
            self.collisions().remove(&id);
            return None;
        };
        let bucket = new.tried_bucket(&self.key, &self.map);
        let holder = self.tried[slot((bucket, new.position(&self.key, false, bucket)))]?;
        self.entries.get(&holder).map(|old| (old.address, old.last_try))
    }
}
