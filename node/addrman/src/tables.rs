//! The two tables: addresses that we heard of, and addresses that we reached.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU64;

use bitcoin::secp256k1::rand::rngs::StdRng;
use bitcoin::secp256k1::rand::{Rng, SeedableRng};
use bulkhead_wire::{Endpoint, NetAddr, Network, PeerAddress};

use crate::asmap::AsMap;
use crate::entry::{BUCKET_SIZE, Entry, NEW_BUCKETS, TRIED_BUCKETS};

/// Places that one address may take in the new table.
pub(crate) const MAX_REFERENCES: usize = 8;
/// Collisions in the tried table that wait for a test.
const MAX_COLLISIONS: usize = 10;
const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;

/// Never zero: an empty table is memory that nobody has touched.
pub(crate) type Id = NonZeroU64;

/// Bucket and place inside of it.
pub type Position = (usize, usize);

/// Entries of one network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) new: usize,
    pub(crate) tried: usize,
}

impl Counts {
    pub(crate) fn of(&mut self, tried: bool) -> &mut usize {
        if tried { &mut self.tried } else { &mut self.new }
    }
}

/// The address manager.
#[derive(Debug)]
pub struct AddrMan {
    pub(crate) key: [u8; 32],
    pub(crate) rng: StdRng,
    pub(crate) entries: HashMap<Id, Entry>,
    pub(crate) by_endpoint: HashMap<Endpoint, Id>,
    pub(crate) random: Vec<Id>,
    pub(crate) new: Vec<Option<Id>>,
    pub(crate) tried: Vec<Option<Id>>,
    pub(crate) next_id: Id,
    pub(crate) counts: HashMap<Network, Counts>,
    collisions: BTreeSet<Id>,
    last_good: i64,
    pub(crate) map: AsMap,
    pub(crate) check_ratio: u32,
}

pub(crate) fn slot((bucket, place): Position) -> usize {
    bucket * BUCKET_SIZE + place
}

impl AddrMan {
    /// An empty one with a secret drawn from `seed`.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        let mut rng = StdRng::from_seed(seed);
        let key = rng.r#gen();
        Self::with_key(key, rng)
    }

    /// An empty one with Core's fixed secret (`-test=addrman`).
    #[must_use]
    pub fn deterministic() -> Self {
        let mut key = [0; 32];
        key[0] = 1;
        Self::with_key(key, StdRng::from_seed([0; 32]))
    }

    fn with_key(key: [u8; 32], rng: StdRng) -> Self {
        Self {
            key,
            rng,
            entries: HashMap::new(),
            by_endpoint: HashMap::new(),
            random: Vec::new(),
            new: vec![None; NEW_BUCKETS * BUCKET_SIZE],
            tried: vec![None; TRIED_BUCKETS * BUCKET_SIZE],
            next_id: Id::MIN,
            counts: HashMap::new(),
            collisions: BTreeSet::new(),
            last_good: 1,
            map: AsMap::default(),
            check_ratio: 0,
        }
    }

    /// The secret that decides the buckets.
    #[must_use]
    pub fn key(&self) -> [u8; 32] {
        self.key
    }

    /// Spreads addresses by autonomous systems. Only while there are none.
    #[must_use]
    pub fn with_map(self, map: AsMap) -> Self {
        Self { map, ..self }
    }

    /// The map of autonomous systems.
    #[must_use]
    pub fn map(&self) -> &AsMap {
        &self.map
    }

    /// The group of an address: who controls one address of a group easily controls others.
    #[must_use]
    pub fn group(&self, addr: &NetAddr) -> Vec<u8> {
        self.map.group(addr)
    }

    /// Addresses of a network in the new table, the tried table or both (`None`).
    #[must_use]
    pub fn size(&self, network: Option<Network>, in_new: Option<bool>) -> usize {
        let counts = self.count(|found| network.is_none_or(|network| found == network));
        match in_new {
            None => counts.new + counts.tried,
            Some(true) => counts.new,
            Some(false) => counts.tried,
        }
    }

    /// Entries of the networks that `wanted` picks.
    pub(crate) fn count(&self, wanted: impl Fn(Network) -> bool) -> Counts {
        let picked = self.counts.iter().filter(|(network, _)| wanted(**network));
        picked.fold(Counts::default(), |sum, (_, counts)| Counts { new: sum.new + counts.new, tried: sum.tried + counts.tried })
    }

    /// How many entries there are of the entry's kind.
    fn count_like(&mut self, entry: &Entry) -> &mut usize {
        self.counts.entry(entry.network()).or_default().of(entry.tried)
    }

    pub(crate) fn find(&self, endpoint: &Endpoint) -> Option<Id> {
        self.by_endpoint.get(endpoint).copied()
    }

    pub(crate) fn create(&mut self, entry: Entry) -> Id {
        let id = self.next_id;
        self.next_id = id.saturating_add(1);
        self.by_endpoint.insert(entry.address.endpoint, id);
        self.entries.insert(id, Entry { random_position: self.random.len(), ..entry });
        self.random.push(id);
        *self.count_like(&entry) += 1;
        id
    }

    pub(crate) fn swap_random(&mut self, first: usize, second: usize) {
        self.random.swap(first, second);
        for at in [first, second] {
            if let Some(entry) = self.random.get(at).and_then(|id| self.entries.get_mut(id)) {
                entry.random_position = at;
            }
        }
    }

    pub(crate) fn delete(&mut self, id: Id) {
        let Some(entry) = self.entries.get(&id).copied() else { return };
        self.swap_random(entry.random_position, self.random.len() - 1);
        self.random.pop();
        self.by_endpoint.remove(&entry.address.endpoint);
        self.entries.remove(&id);
        *self.count_like(&entry) -= 1;
    }

    fn clear_new(&mut self, at: Position) {
        let Some(id) = self.new[slot(at)].take() else { return };
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.references -= 1;
        tracing::debug!(target: "addrman", "Removed {} from new[{}][{}]", entry.address.endpoint, at.0, at.1);
        if entry.references == 0 {
            self.delete(id);
        }
    }

    /// Takes in addresses that `source` told; `penalty` seconds are taken off their age claims.
    pub fn add(&mut self, addresses: &[PeerAddress], source: &NetAddr, penalty: i64, now: i64) -> bool {
        self.maybe_check();
        let added = addresses.iter().filter(|address| self.add_one(address, source, penalty, now)).count();
        if added > 0 {
            let Counts { new, tried } = self.count(|_| true);
            tracing::debug!(
                target: "addrman",
                "Added {added} addresses (of {}) from {source}: {tried} tried, {new} new", addresses.len()
            );
        }
        self.maybe_check();
        added > 0
    }

    fn add_one(&mut self, address: &PeerAddress, source: &NetAddr, penalty: i64, now: i64) -> bool {
        if !address.endpoint.addr.is_routable() {
            return false;
        }
        // A node's announcement of itself is taken at its word.
        let penalty = if address.endpoint.addr == *source { 0 } else { penalty };
        let seconds = |time: i64| u32::try_from(time.max(0)).unwrap_or(u32::MAX);
        let id = match self.find(&address.endpoint) {
            Some(id) => {
                if !self.refresh(id, address, penalty, now) {
                    return false;
                }
                id
            }
            None => {
                let time = seconds(i64::from(address.time) - penalty);
                self.create(Entry::new(PeerAddress { time, ..*address }, *source))
            }
        };
        self.place_new(id, source, now)
    }

    /// Updates a known address; whether it may take another place in the new table.
    fn refresh(&mut self, id: Id, address: &PeerAddress, penalty: i64, now: i64) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        let heard = i64::from(address.time);
        let online = now - heard < DAY;
        let interval = if online { HOUR } else { DAY };
        if i64::from(entry.address.time) < heard - interval - penalty {
            entry.address.time = u32::try_from((heard - penalty).max(0)).unwrap_or(u32::MAX);
        }
        entry.address.services |= address.services;
        if address.time <= entry.address.time || entry.tried || entry.references == MAX_REFERENCES {
            return false;
        }
        // Each place already taken makes the next one half as likely.
        let references = entry.references;
        references == 0 || self.rng.gen_range(0..1u32 << references) == 0
    }

    fn place_new(&mut self, id: Id, source: &NetAddr, now: i64) -> bool {
        let Some(entry) = self.entries.get(&id) else { return false };
        let bucket = entry.new_bucket(&self.key, &self.map, source);
        let at = (bucket, entry.position(&self.key, true, bucket));
        let (references, endpoint) = (entry.references, entry.address.endpoint);
        let mut insert = true;
        match self.new[slot(at)] {
            Some(holder) if holder == id => return false,
            Some(holder) => {
                insert = self
                    .entries
                    .get(&holder)
                    .is_none_or(|existing| existing.is_terrible(now) || (existing.references > 1 && references == 0));
            }
            None => {}
        }
        if insert {
            self.clear_new(at);
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.references += 1;
            }
            self.new[slot(at)] = Some(id);
            tracing::debug!(target: "addrman", "Added {endpoint} to new[{}][{}]", at.0, at.1);
        } else if references == 0 {
            self.delete(id);
        }
        insert
    }

    /// We reached the address: it belongs into the tried table. Whether it moved there.
    pub fn good(&mut self, endpoint: &Endpoint, now: i64, test_before_evict: bool) -> bool {
        self.maybe_check();
        let moved = self.try_good(endpoint, now, test_before_evict);
        self.maybe_check();
        moved
    }

    fn try_good(&mut self, endpoint: &Endpoint, now: i64, test_before_evict: bool) -> bool {
        self.last_good = now;
        let Some(id) = self.find(endpoint) else { return false };
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        entry.last_success = now;
        entry.last_try = now;
        entry.attempts = 0;
        if entry.tried || entry.references == 0 {
            return false;
        }
        let bucket = entry.tried_bucket(&self.key, &self.map);
        let at = (bucket, entry.position(&self.key, false, bucket));
        if test_before_evict && let Some(holder) = self.tried[slot(at)] {
            if self.collisions.len() < MAX_COLLISIONS {
                self.collisions.insert(id);
            }
            let other = self.entries.get(&holder).map_or_else(|| "<unknown-addr>".to_owned(), |e| e.address.endpoint.to_string());
            tracing::debug!(
                target: "addrman",
                "Collision with {other} while attempting to move {endpoint} to tried table. Collisions={}",
                self.collisions.len()
            );
            return false;
        }
        self.make_tried(id, at);
        tracing::debug!(target: "addrman", "Moved {endpoint} to tried[{}][{}]", at.0, at.1);
        true
    }

    fn make_tried(&mut self, id: Id, at: Position) {
        for place in self.new.iter_mut().filter(|place| **place == Some(id)) {
            *place = None;
        }
        if let Some(old) = self.tried[slot(at)].take() {
            self.move_back(old, at);
        }
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.references = 0;
            entry.tried = true;
            let counts = self.counts.entry(entry.network()).or_default();
            counts.new -= 1;
            counts.tried += 1;
        }
        self.tried[slot(at)] = Some(id);
    }

    fn move_back(&mut self, id: Id, from: Position) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.tried = false;
        entry.references = 1;
        let (entry, source) = (*entry, entry.source);
        let bucket = entry.new_bucket(&self.key, &self.map, &source);
        let at = (bucket, entry.position(&self.key, true, bucket));
        let counts = self.counts.entry(entry.network()).or_default();
        counts.tried -= 1;
        counts.new += 1;
        self.clear_new(at);
        self.new[slot(at)] = Some(id);
        tracing::debug!(
            target: "addrman",
            "Moved {} from tried[{}][{}] to new[{}][{}] to make space", entry.address.endpoint, from.0, from.1, at.0, at.1
        );
    }

    /// We tried to connect.
    pub fn attempt(&mut self, endpoint: &Endpoint, count_failure: bool, now: i64) {
        let last_good = self.last_good;
        if let Some(entry) = self.find(endpoint).and_then(|id| self.entries.get_mut(&id)) {
            entry.last_try = now;
            if count_failure && entry.last_count_attempt < last_good {
                entry.last_count_attempt = now;
                entry.attempts += 1;
            }
        }
    }

    /// A connection to the address ended well.
    pub fn connected(&mut self, endpoint: &Endpoint, now: i64) {
        if let Some(entry) = self.find(endpoint).and_then(|id| self.entries.get_mut(&id))
            && now - i64::from(entry.address.time) > 20 * 60
        {
            entry.address.time = u32::try_from(now.max(0)).unwrap_or(u32::MAX);
        }
    }

    /// The node itself told its services.
    pub fn set_services(&mut self, endpoint: &Endpoint, services: u64) {
        if let Some(entry) = self.find(endpoint).and_then(|id| self.entries.get_mut(&id)) {
            entry.address.services = services;
        }
    }

    pub(crate) fn collisions(&mut self) -> &mut BTreeSet<Id> {
        &mut self.collisions
    }
}
