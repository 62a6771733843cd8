//! `fee_estimates.dat`, in Core's format.

use super::stats::Stats;
use super::{Estimator, MAX_BUCKET};
use bitcoin::consensus::encode::{Decodable, Encodable, VarInt};
use std::collections::BTreeMap;

/// Version that is written, and the only one that is read.
const VERSION: i32 = 309_900;
const MAX_BUCKETS: usize = 1000;
/// One week of blocks.
const MAX_TARGET: u64 = 6 * 24 * 7;

/// Bytes that are not the statistics of an estimator; Core's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Of a later version.
    #[error("File version ({0}) too high to be read.")]
    TooNew(i32),
    /// Of an earlier version, which has other buckets.
    #[error("Incompatible old fee estimation data (non-fatal). Version: {0}")]
    TooOld(i32),
    /// The file ends too early.
    #[error("end of file")]
    Short,
    /// A value that no estimator writes.
    #[error("Corrupt estimates file. {0}")]
    Corrupt(&'static str),
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn read<T: Decodable>(&mut self) -> Result<T, Malformed> {
        T::consensus_decode_from_finite_reader(&mut self.0).map_err(|_| Malformed::Short)
    }

    fn double(&mut self) -> Result<f64, Malformed> {
        Ok(f64::from_bits(self.read()?))
    }

    /// A length that the bytes left can hold, at 8 bytes an item.
    fn length(&mut self) -> Result<usize, Malformed> {
        let length: VarInt = self.read()?;
        usize::try_from(length.0).ok().filter(|length| *length <= self.0.len() / 8 + 1).ok_or(Malformed::Short)
    }

    fn doubles(&mut self) -> Result<Vec<f64>, Malformed> {
        let length = self.length()?;
        (0..length).map(|_| self.double()).collect()
    }

    fn row(&mut self, buckets: usize, what: &'static str) -> Result<Vec<f64>, Malformed> {
        let row = self.doubles()?;
        if row.len() == buckets { Ok(row) } else { Err(Malformed::Corrupt(what)) }
    }

    fn stats(&mut self, buckets: usize) -> Result<Stats, Malformed> {
        let decay = self.double()?;
        if !(decay > 0.0 && decay < 1.0) {
            return Err(Malformed::Corrupt("Decay must be between 0 and 1 (non-inclusive)"));
        }
        let scale: u32 = self.read()?;
        if scale == 0 {
            return Err(Malformed::Corrupt("Scale must be non-zero"));
        }
        let rate_sums = self.row(buckets, "Mismatch in feerate average bucket count")?;
        let counts = self.row(buckets, "Mismatch in tx count bucket count")?;
        let periods = self.length()?;
        if !(1..=MAX_TARGET).contains(&(u64::from(scale).saturating_mul(periods as u64))) {
            return Err(Malformed::Corrupt("Must maintain estimates for between 1 and 1008 (one week) confirms"));
        }
        let mut stats = Stats::new(0, 0, decay, scale);
        let rows = |reader: &mut Self, what| (0..periods).map(|_| reader.row(buckets, what)).collect::<Result<Vec<_>, _>>();
        stats.confirmed = rows(self, "Mismatch in feerate conf average bucket count")?;
        if self.length()? != periods {
            return Err(Malformed::Corrupt("Mismatch in confirms tracked for failures"));
        }
        stats.failed = rows(self, "Mismatch in one of failure average bucket counts")?;
        (stats.rate_sums, stats.counts) = (rate_sums, counts);
        stats.forget_waiting();
        tracing::debug!(
            target: "estimatefee",
            "Reading estimates: {buckets} buckets counting confirms up to {} blocks",
            stats.max_target()
        );
        Ok(stats)
    }
}

fn put(out: &mut Vec<u8>, item: &impl Encodable) {
    item.consensus_encode(out).expect("writing to a vector cannot fail");
}

fn put_doubles(out: &mut Vec<u8>, values: &[f64]) {
    put(out, &VarInt::from(values.len()));
    for value in values {
        put(out, &value.to_bits());
    }
}

fn put_rows(out: &mut Vec<u8>, rows: &[Vec<f64>]) {
    put(out, &VarInt::from(rows.len()));
    for row in rows {
        put_doubles(out, row);
    }
}

impl Estimator {
    /// Bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, &VERSION);
        put(&mut out, &self.best);
        let history = if self.span() > self.historical_span() / 2 {
            (self.first_recorded, self.best)
        } else {
            (self.historical_first, self.historical_best)
        };
        put(&mut out, &history.0);
        put(&mut out, &history.1);
        put_doubles(&mut out, &self.buckets);
        for stats in [&self.medium, &self.short, &self.long] {
            put(&mut out, &stats.decay.to_bits());
            put(&mut out, &stats.scale);
            put_doubles(&mut out, &stats.rate_sums);
            put_doubles(&mut out, &stats.counts);
            put_rows(&mut out, &stats.confirmed);
            put_rows(&mut out, &stats.failed);
        }
        out
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// Another version, an early end, or values that no estimator writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let version: i32 = reader.read()?;
        if version > VERSION {
            return Err(Malformed::TooNew(version));
        }
        let best: u32 = reader.read()?;
        if version < VERSION {
            return Err(Malformed::TooOld(version));
        }
        let (historical_first, historical_best): (u32, u32) = (reader.read()?, reader.read()?);
        if historical_first > historical_best || historical_best > best {
            return Err(Malformed::Corrupt("Historical block range for estimates is invalid"));
        }
        let buckets = reader.doubles()?;
        if !(2..=MAX_BUCKETS).contains(&buckets.len()) {
            return Err(Malformed::Corrupt("Must have between 2 and 1000 feerate buckets"));
        }
        let is_ascending = buckets.windows(2).all(|pair| pair[0] < pair[1]);
        if !is_ascending || buckets.last().is_none_or(|last| *last < MAX_BUCKET) {
            return Err(Malformed::Corrupt("Feerate buckets are not in order"));
        }
        let medium = reader.stats(buckets.len())?;
        let short = reader.stats(buckets.len())?;
        let long = reader.stats(buckets.len())?;
        Ok(Self {
            best,
            first_recorded: 0,
            historical_first,
            historical_best,
            buckets,
            short,
            medium,
            long,
            followed: BTreeMap::new(),
            tracked: 0,
            untracked: 0,
        })
    }
}
