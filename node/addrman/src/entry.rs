//! One known address, and where the tables put it.

use bitcoin::hashes::{Hash, HashEngine, sha256, sha256d};
use bulkhead_wire::reader::put_length;
use bulkhead_wire::{NetAddr, Network, PeerAddress};

use crate::asmap::AsMap;

/// Buckets of the table of addresses that we never reached.
pub(crate) const NEW_BUCKETS: usize = 1024;
/// Buckets of the table of addresses that we did reach.
pub(crate) const TRIED_BUCKETS: usize = 256;
/// Places of a bucket.
pub(crate) const BUCKET_SIZE: usize = 64;
const TRIED_PER_GROUP: u64 = 8;
const NEW_PER_SOURCE_GROUP: u64 = 64;
const DAY: i64 = 24 * 60 * 60;
/// Not seen for so long: worthless.
const HORIZON: i64 = 30 * DAY;
/// Attempts without any success.
const RETRIES: i32 = 3;
/// Attempts in a row without success, in [`MIN_FAIL`].
const MAX_FAILURES: i32 = 10;
const MIN_FAIL: i64 = 7 * DAY;

/// An address with its history. Times are seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The address as gossip had it last.
    pub address: PeerAddress,
    /// Who told us first.
    pub source: NetAddr,
    /// Last success.
    pub last_success: i64,
    /// Attempts since then.
    pub attempts: i32,
    /// Last attempt. Not on disk.
    pub last_try: i64,
    /// Last attempt that counted. Not on disk.
    pub(crate) last_count_attempt: i64,
    /// Places in the new table.
    pub(crate) references: usize,
    /// It is in the tried table.
    pub(crate) tried: bool,
    /// Its place in the list that samples are drawn from.
    pub(crate) random_position: usize,
}

struct Hasher(sha256::HashEngine);

impl Hasher {
    fn new(key: &[u8; 32]) -> Self {
        let mut engine = sha256d::Hash::engine();
        engine.input(key);
        Self(engine)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        let mut length = Vec::new();
        put_length(&mut length, bytes.len());
        self.0.input(&length);
        self.0.input(bytes);
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.input(bytes);
        self
    }

    fn finish(self) -> u64 {
        let hash = sha256d::Hash::from_engine(self.0).to_byte_array();
        let mut low = [0; 8];
        low.copy_from_slice(&hash[..8]);
        u64::from_le_bytes(low)
    }
}

fn reduce(hash: u64, size: usize) -> usize {
    let size = u64::try_from(size).unwrap_or(1);
    usize::try_from(hash % size).unwrap_or(0)
}

impl Entry {
    pub(crate) fn new(address: PeerAddress, source: NetAddr) -> Self {
        Self {
            address,
            source,
            last_success: 0,
            attempts: 0,
            last_try: 0,
            last_count_attempt: 0,
            references: 0,
            tried: false,
            random_position: 0,
        }
    }

    /// Where the address belongs.
    pub(crate) fn network(&self) -> Network {
        self.address.endpoint.addr.network()
    }

    pub(crate) fn tried_bucket(&self, key: &[u8; 32], map: &AsMap) -> usize {
        let endpoint = &self.address.endpoint;
        let first = Hasher::new(key).bytes(&endpoint.key()).finish() % TRIED_PER_GROUP;
        reduce(Hasher::new(key).bytes(&map.group(&endpoint.addr)).raw(&first.to_le_bytes()).finish(), TRIED_BUCKETS)
    }

    pub(crate) fn new_bucket(&self, key: &[u8; 32], map: &AsMap, source: &NetAddr) -> usize {
        let source = map.group(source);
        let group = map.group(&self.address.endpoint.addr);
        let first = Hasher::new(key).bytes(&group).bytes(&source).finish() % NEW_PER_SOURCE_GROUP;
        reduce(Hasher::new(key).bytes(&source).raw(&first.to_le_bytes()).finish(), NEW_BUCKETS)
    }

    pub(crate) fn position(&self, key: &[u8; 32], new: bool, bucket: usize) -> usize {
        let table = if new { b"N" } else { b"K" };
        let bucket = u32::try_from(bucket).unwrap_or(0);
        let hash = Hasher::new(key).raw(table).raw(&bucket.to_le_bytes()).bytes(&self.address.endpoint.key()).finish();
        reduce(hash, BUCKET_SIZE)
    }

    /// Whether it may be thrown out.
    #[must_use]
    pub fn is_terrible(&self, now: i64) -> bool {
        if now - self.last_try <= 60 {
            return false;
        }
        let seen = i64::from(self.address.time);
        seen > now + 600
            || now - seen > HORIZON
            || (self.last_success == 0 && self.attempts >= RETRIES)
            || (now - self.last_success > MIN_FAIL && self.attempts >= MAX_FAILURES)
    }

    /// Relative chance to be chosen.
    pub(crate) fn chance(&self, now: i64) -> f64 {
        let recent = if now - self.last_try < 600 { 0.01 } else { 1.0 };
        recent * 0.66f64.powi(self.attempts.clamp(0, 8))
    }
}
