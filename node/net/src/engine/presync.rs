//! Headers of a chain whose work is not known to suffice yet (Core: `headerssync.h`).
//!
//! Nobody may fill our memory with headers that cost nothing. So the headers of a chain with little work are fetched
//! twice: the first time (*presync*) only one bit of every so-manieth header is kept; when the chain has shown enough
//! work, it is fetched again (*redownload*), compared with the bits, and handed on in order once enough bits have
//! matched. Memory is bounded by the number of bits that a valid chain can give, and by the redownload buffer.
//!
//! Pure: no clock, no I/O; what there is to log comes back to the caller.

use std::collections::VecDeque;

use bitcoin::block::Header;
use bitcoin::consensus::deserialize;
use bitcoin::hashes::siphash24;
use bitcoin::pow::Work;
use bulkhead_consensus::Params;
use bulkhead_consensus::pow::is_permitted_transition;
use bulkhead_wire::skim::header_hash;

use super::headers_index::{Hash, HeaderRef};

/// Blocks per second that a chain may have at most while its clock keeps to the rule of the median.
const FASTEST_BLOCKS: i64 = 6;
/// How far in the future a block may be, seconds.
const MAX_FUTURE: i64 = 2 * 60 * 60;

/// How densely headers are sampled, per network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// Headers per kept bit.
    pub period: i64,
    /// Headers that wait for later bits to match.
    pub buffer: usize,
}

impl Sampling {
    /// Core's choice for a network.
    #[must_use]
    pub fn of(network: &str) -> Self {
        let (period, buffer) = match network {
            "main" => (641, 15218),
            "test" => (673, 14460),
            "testnet4" => (606, 16092),
            "signet" => (620, 15724),
            _ => (275, 7017),
        };
        Self { period, buffer }
    }
}

/// Where the headers start: a block that we have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainStart {
    /// Its place.
    pub at: HeaderRef,
    /// Its difficulty.
    pub bits: u32,
    /// Median time of it and the blocks before, seconds.
    pub median_time: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Presync,
    Redownload,
    Over,
}

/// What to do after a batch.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The batch belonged to the sync. Otherwise it is to be treated as any headers.
    pub success: bool,
    /// More headers are to be asked for, from [`HeadersSync::locator_front`] on.
    pub request_more: bool,
    /// Headers whose chain has shown its work.
    pub ready: Vec<[u8; 80]>,
    /// What happened, for the log.
    pub text: Option<String>,
}

/// A header without the hash of its parent, which is known from the one before.
#[derive(Debug, Clone, Copy)]
struct Short {
    version: [u8; 4],
    rest: [u8; 44],
}

impl Short {
    fn of(raw: &[u8; 80]) -> Self {
        let (mut version, mut rest) = ([0; 4], [0; 44]);
        version.copy_from_slice(&raw[..4]);
        rest.copy_from_slice(&raw[36..]);
        Self { version, rest }
    }

    fn with_parent(&self, parent: &Hash) -> [u8; 80] {
        let mut raw = [0; 80];
        raw[..4].copy_from_slice(&self.version);
        raw[4..36].copy_from_slice(parent);
        raw[36..].copy_from_slice(&self.rest);
        raw
    }
}

fn parent(raw: &[u8; 80]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(&raw[4..36]);
    hash
}

fn bits(raw: &[u8; 80]) -> u32 {
    u32::from_le_bytes([raw[72], raw[73], raw[74], raw[75]])
}

fn time(raw: &[u8; 80]) -> u32 {
    u32::from_le_bytes([raw[68], raw[69], raw[70], raw[71]])
}

fn add_work(sum: Work, raw: &[u8; 80]) -> Work {
    // The proof of work was checked, so the header can be read and the sum does not wrap.
    deserialize::<Header>(raw).map_or(sum, |header| sum + header.work())
}

/// The sync of one peer.
#[derive(Debug)]
pub struct HeadersSync {
    sampling: Sampling,
    /// Which header of each period is sampled; random, so that nobody knows.
    offset: i64,
    /// Keys of the hash that gives the bits; random, so that nobody can aim at them.
    keys: (u64, u64),
    /// Locator of the start, newest first.
    locator: Vec<Hash>,
    wanted: Work,
    max_commitments: usize,
    phase: Phase,

    commitments: VecDeque<bool>,
    work: Work,
    last_hash: Hash,
    last_bits: u32,
    last_time: u32,
    height: i64,

    buffer: VecDeque<Short>,
    buffer_parent: Hash,
    buffer_last: Hash,
    buffer_bits: u32,
    buffer_height: i64,
    buffer_work: Work,
    release_all: bool,
}

impl HeadersSync {
    /// Begins above `start`. `wanted`: work that the chain must reach; `now`: seconds; `random`: three random numbers.
    #[must_use]
    pub fn new(sampling: Sampling, start: ChainStart, locator: Vec<Hash>, wanted: Work, now: i64, random: [u64; 3]) -> Self {
        let seconds = (now - start.median_time + MAX_FUTURE).max(0);
        let work = Work::from_be_bytes(start.at.work);
        let height = i64::from(start.at.height);
        Self {
            sampling,
            offset: i64::try_from(random[0] % sampling.period.unsigned_abs()).unwrap_or(0),
            keys: (random[1], random[2]),
            locator,
            wanted,
            max_commitments: usize::try_from(FASTEST_BLOCKS * seconds / sampling.period).unwrap_or(0),
            phase: Phase::Presync,
            commitments: VecDeque::new(),
            work,
            last_hash: start.at.hash,
            last_bits: start.bits,
            last_time: 0,
            height,
            buffer: VecDeque::new(),
            buffer_parent: start.at.hash,
            buffer_last: start.at.hash,
            buffer_bits: start.bits,
            buffer_height: height,
            buffer_work: work,
            release_all: false,
        }
    }

    /// What Core logs at the start.
    #[must_use]
    pub fn started_text(&self, peer: u64) -> String {
        format!(
            "Initial headers sync started with peer={peer}: height={}, max_commitments={}, min_work={}",
            self.height,
            self.max_commitments,
            work_hex(self.wanted)
        )
    }

    /// Whether there is nothing left to do.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Height, time and work reached in the first phase; `None` in the second.
    #[must_use]
    pub fn presynced(&self) -> Option<(i64, u32, Work)> {
        (self.phase == Phase::Presync).then_some((self.height, self.last_time, self.work))
    }

    /// Locator of the next request, newest first.
    #[must_use]
    pub fn next_locator(&self) -> Vec<Hash> {
        let front = if self.phase == Phase::Presync { self.last_hash } else { self.buffer_last };
        let mut hashes = Vec::with_capacity(self.locator.len() + 1);
        hashes.push(front);
        hashes.extend_from_slice(&self.locator);
        hashes
    }

    /// Looks at a batch of connected headers with valid proof of work. `full`: the peer may have more.
    pub fn process(&mut self, headers: &[[u8; 80]], full: bool, rules: &Params, peer: u64) -> Outcome {
        let mut outcome = Outcome::default();
        if headers.is_empty() || self.phase == Phase::Over {
            return outcome;
        }
        let result = match self.phase {
            Phase::Presync => self.presync(headers, full, rules, &mut outcome),
            _ => self.redownload(headers, full, rules, &mut outcome),
        };
        outcome.success = result.is_ok();
        if let Err(text) = result {
            outcome.text = Some(format!("aborted with peer={peer}: {text}"));
        } else if let Some(text) = &mut outcome.text {
            *text = text.replacen("{}", &format!("with peer={peer}"), 1);
        }
        if let Some(text) = &mut outcome.text {
            text.insert_str(0, "Initial headers sync ");
        }
        if !(outcome.success && outcome.request_more) {
            self.phase = Phase::Over;
            self.commitments = VecDeque::new();
            self.buffer = VecDeque::new();
        }
        outcome
    }

    fn presync(&mut self, headers: &[[u8; 80]], full: bool, rules: &Params, outcome: &mut Outcome) -> Result<(), String> {
        if parent(&headers[0]) != self.last_hash {
            return Err(format!("non-continuous headers at height={} (presync phase)", self.height));
        }
        for raw in headers {
            self.sample(raw, rules)?;
        }
        if self.work >= self.wanted {
            self.phase = Phase::Redownload;
            outcome.text = Some(format!(
                "transition {{}}: reached sufficient work at height={}, redownloading from height={}",
                self.height, self.buffer_height
            ));
        }
        outcome.request_more = full || self.phase == Phase::Redownload;
        if !outcome.request_more {
            outcome.text = Some(format!("aborted {{}}: incomplete headers message at height={} (presync phase)", self.height));
        }
        Ok(())
    }

    fn sample(&mut self, raw: &[u8; 80], rules: &Params) -> Result<(), String> {
        let height = self.height + 1;
        if !is_permitted_transition(rules, height, self.last_bits, bits(raw)) {
            return Err(format!("invalid difficulty transition at height={height} (presync phase)"));
        }
        let hash = header_hash(raw);
        if height % self.sampling.period == self.offset {
            self.commitments.push_back(self.bit(&hash));
            if self.commitments.len() > self.max_commitments {
                return Err(format!("exceeded max commitments at height={height} (presync phase)"));
            }
        }
        self.work = add_work(self.work, raw);
        (self.last_hash, self.last_bits, self.last_time, self.height) = (hash, bits(raw), time(raw), height);
        Ok(())
    }

    fn bit(&self, hash: &Hash) -> bool {
        siphash24::Hash::hash_to_u64_with_keys(self.keys.0, self.keys.1, hash) & 1 != 0
    }

    fn redownload(&mut self, headers: &[[u8; 80]], full: bool, rules: &Params, outcome: &mut Outcome) -> Result<(), String> {
        for raw in headers {
            self.compare(raw, rules)?;
        }
        while self.buffer.len() > self.sampling.buffer || self.release_all {
            let Some(short) = self.buffer.pop_front() else { break };
            let raw = short.with_parent(&self.buffer_parent);
            self.buffer_parent = header_hash(&raw);
            outcome.ready.push(raw);
        }
        let height = self.buffer_height;
        if self.buffer.is_empty() && self.release_all {
            outcome.text = Some(format!("complete {{}}: releasing all at height={height} (redownload phase)"));
        } else if full {
            outcome.request_more = true;
        } else {
            outcome.text = Some(format!("aborted {{}}: incomplete headers message at height={height} (redownload phase)"));
        }
        Ok(())
    }

    fn compare(&mut self, raw: &[u8; 80], rules: &Params) -> Result<(), String> {
        let height = self.buffer_height + 1;
        if parent(raw) != self.buffer_last {
            return Err(format!("non-continuous headers at height={height} (redownload phase)"));
        }
        if !is_permitted_transition(rules, height, self.buffer_bits, bits(raw)) {
            return Err(format!("invalid difficulty transition at height={height} (redownload phase)"));
        }
        self.buffer_work = add_work(self.buffer_work, raw);
        if self.buffer_work >= self.wanted {
            self.release_all = true;
        }
        let hash = header_hash(raw);
        // Behind the header that reached the work, the peer's chain may have grown since the first phase.
        if !self.release_all && height % self.sampling.period == self.offset {
            let Some(expected) = self.commitments.pop_front() else {
                return Err(format!("commitment overrun at height={height} (redownload phase)"));
            };
            if expected != self.bit(&hash) {
                return Err(format!("commitment mismatch at height={height} (redownload phase)"));
            }
        }
        self.buffer.push_back(Short::of(raw));
        (self.buffer_last, self.buffer_bits, self.buffer_height) = (hash, bits(raw), height);
        Ok(())
    }
}

/// Work as Core shows it.
fn work_hex(work: Work) -> String {
    work.to_be_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bulkhead_consensus::networks;

    const EASY: u32 = 0x207f_ffff;

    fn chain(from: Hash, length: usize, salt: u8) -> Vec<[u8; 80]> {
        let mut prev = from;
        (0..length)
            .map(|index| {
                let mut raw = [0u8; 80];
                raw[4..36].copy_from_slice(&prev);
                raw[36] = salt;
                raw[40..48].copy_from_slice(&u64::try_from(index).unwrap().to_le_bytes());
                raw[72..76].copy_from_slice(&EASY.to_le_bytes());
                prev = header_hash(&raw);
                raw
            })
            .collect()
    }

    fn sync(wanted_headers: u32, now: i64) -> HeadersSync {
        let work = |count: u32| {
            let mut bytes = [0; 32];
            // Two units of work per header at the easiest difficulty.
            bytes[28..].copy_from_slice(&(count * 2).to_be_bytes());
            bytes
        };
        let at = HeaderRef { hash: [1; 32], height: 0, work: work(1) };
        let start = ChainStart { at, bits: EASY, median_time: 0 };
        HeadersSync::new(
            Sampling { period: 5, buffer: 20 },
            start,
            vec![[1; 32]],
            Work::from_be_bytes(work(wanted_headers + 1)),
            now,
            [3, 4, 5],
        )
    }

    #[test]
    fn chain_with_enough_work_is_released_in_order() {
        let rules = networks::regtest();
        let headers = chain([1; 32], 100, 0);
        let mut sync = sync(100, 1000);
        for (number, part) in headers.chunks(40).enumerate() {
            let outcome = sync.process(part, part.len() == 40, &rules, 0);
            assert!(outcome.success && outcome.request_more && outcome.ready.is_empty(), "{number}");
        }
        assert!(sync.presynced().is_none());
        assert_eq!(sync.next_locator(), [[1; 32]; 2]);
        let mut released = Vec::new();
        for part in headers.chunks(40) {
            let outcome = sync.process(part, part.len() == 40, &rules, 0);
            assert!(outcome.success);
            released.extend(outcome.ready);
        }
        assert_eq!(released, headers);
        assert!(sync.is_over());
    }

    #[test]
    fn nothing_is_released_of_another_chain() {
        let rules = networks::regtest();
        let mut sync = sync(100, 1000);
        sync.process(&chain([1; 32], 100, 0), true, &rules, 0);
        let outcome = sync.process(&chain([1; 32], 99, 1), true, &rules, 7);
        assert!(!outcome.success && outcome.ready.is_empty() && sync.is_over());
        assert!(outcome.text.unwrap().starts_with("Initial headers sync aborted with peer=7: commitment mismatch"));
    }

    #[test]
    fn chain_that_ends_early_is_given_up() {
        let outcome = sync(100, 1000).process(&chain([1; 32], 99, 0), false, &networks::regtest(), 7);
        assert!(outcome.success && !outcome.request_more && outcome.ready.is_empty());
        assert_eq!(
            outcome.text.unwrap(),
            "Initial headers sync aborted with peer=7: incomplete headers message at height=99 (presync phase)"
        );
    }

    #[test]
    fn memory_is_bounded_by_the_age_of_the_chain() {
        // With the clock at the start of the chain only the two hours of the future rule count.
        let mut sync = sync(u32::MAX / 4, 0);
        let most = usize::try_from(FASTEST_BLOCKS * MAX_FUTURE / 5).unwrap();
        let headers = chain([1; 32], most * 5 + 10, 0);
        let outcomes: Vec<bool> =
            headers.chunks(2000).map(|part| sync.process(part, true, &networks::regtest(), 0).success).collect();
        assert!(outcomes[0] && !outcomes[outcomes.len() - 1]);
        assert_eq!(sync.commitments.len(), 0);
    }

    #[test]
    fn gap_ends_the_sync() {
        let mut sync = sync(100, 1000);
        assert!(!sync.process(&chain([2; 32], 10, 0), true, &networks::regtest(), 0).success);
        assert!(sync.is_over() && sync.presynced().is_none());
    }
}
