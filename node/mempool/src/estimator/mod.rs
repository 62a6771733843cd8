//! Estimates fee rates from how long transactions took to confirm (Core: src/policy/fees/block_policy_estimator.cpp).
//!
//! Transactions are lumped into buckets of fee rates, and followed over three horizons: short, medium and long, each with its
//! own resolution and its own decay of old blocks.

mod file;
mod stats;

pub use file::Malformed;
pub use stats::{Range, Reasons};

use crate::pool::Event;
use bitcoin::Txid;
use stats::Stats;
use std::collections::BTreeMap;

const MIN_BUCKET: f64 = 100.0;
const MAX_BUCKET: f64 = 1e7;
const SPACING: f64 = 1.05;
const LAST_BUCKET: f64 = 1e99;
const SUFFICIENT: f64 = 0.1;
const SUFFICIENT_SHORT: f64 = 0.5;
const HALF_THRESHOLD: f64 = 0.6;
const THRESHOLD: f64 = 0.85;
const DOUBLE_THRESHOLD: f64 = 0.95;
/// Blocks after which the history that a file brought no longer counts.
const OLDEST_HISTORY: u32 = 6 * 1008;

/// How far an estimate looks ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Horizon {
    /// Up to 12 blocks.
    Short,
    /// Up to 48 blocks.
    Medium,
    /// Up to 1008 blocks.
    Long,
}

impl Horizon {
    /// All, shortest first.
    pub const ALL: [Horizon; 3] = [Horizon::Short, Horizon::Medium, Horizon::Long];

    /// Core's word.
    pub fn name(self) -> &'static str {
        match self {
            Horizon::Short => "short",
            Horizon::Medium => "medium",
            Horizon::Long => "long",
        }
    }
}

/// An answer of [`Estimator::smart`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmartFee {
    /// Satoshi per 1000 virtual bytes; `None` without enough data.
    pub rate: Option<i64>,
    /// Target that the answer is for, blocks.
    pub target: u32,
}

/// A transaction that is followed.
#[derive(Debug, Clone, Copy)]
struct Followed {
    height: u32,
    bucket: usize,
    rate: f64,
}

/// Follows transactions through mempool and blocks. Not synchronised.
#[derive(Debug)]
pub struct Estimator {
    best: u32,
    first_recorded: u32,
    historical_first: u32,
    historical_best: u32,
    /// Upper ends, ascending, inclusive.
    buckets: Vec<f64>,
    short: Stats,
    medium: Stats,
    long: Stats,
    followed: BTreeMap<Txid, Followed>,
    tracked: u32,
    untracked: u32,
}

impl Default for Estimator {
    fn default() -> Self {
        let mut buckets = Vec::new();
        let mut bound = MIN_BUCKET;
        while bound <= MAX_BUCKET {
            buckets.push(bound);
            bound *= SPACING;
        }
        buckets.push(LAST_BUCKET);
        let stats = |periods, decay, scale| Stats::new(buckets.len(), periods, decay, scale);
        Self {
            best: 0,
            first_recorded: 0,
            historical_first: 0,
            historical_best: 0,
            short: stats(12, 0.962, 1),
            medium: stats(24, 0.9952, 2),
            long: stats(42, 0.99931, 24),
            buckets,
            followed: BTreeMap::new(),
            tracked: 0,
            untracked: 0,
        }
    }
}

impl Estimator {
    fn stats(&self, horizon: Horizon) -> (&Stats, f64) {
        match horizon {
            Horizon::Short => (&self.short, SUFFICIENT_SHORT),
            Horizon::Medium => (&self.medium, SUFFICIENT),
            Horizon::Long => (&self.long, SUFFICIENT),
        }
    }

    fn all_stats(&mut self) -> [&mut Stats; 3] {
        [&mut self.medium, &mut self.short, &mut self.long]
    }

    /// Hears of a change of the mempool.
    pub fn hear(&mut self, event: &Event) {
        match event {
            Event::Added { tx, fee, vsize, height, counts_for_fees, .. } => {
                self.enter(tx.compute_txid(), *fee, *vsize, *height, *counts_for_fees);
            }
            Event::Removed { tx, .. } => self.leave(&tx.compute_txid(), false),
        }
    }

    fn enter(&mut self, txid: Txid, fee: i64, vsize: i64, height: i32, counts: bool) {
        // Not in step with the chain: side chains and what came before the first block after start do not count.
        let Some(height) = u32::try_from(height).ok().filter(|height| *height == self.best) else { return };
        if self.followed.contains_key(&txid) {
            return;
        }
        if !counts {
            self.untracked += 1;
            return;
        }
        self.tracked += 1;
        let rate = crate::FeeFrac::new(fee, vsize).per_kilo() as f64;
        let bucket = self.buckets.partition_point(|bound| *bound < rate).min(self.buckets.len() - 1);
        self.followed.insert(txid, Followed { height, bucket, rate });
        for stats in self.all_stats() {
            stats.enter(height, bucket);
        }
    }

    fn leave(&mut self, txid: &Txid, in_block: bool) {
        self.take(txid, in_block);
    }

    fn take(&mut self, txid: &Txid, in_block: bool) -> Option<Followed> {
        let followed = self.followed.remove(txid)?;
        let best = self.best;
        for stats in self.all_stats() {
            stats.leave(followed.height, best, followed.bucket, in_block);
        }
        Some(followed)
    }

    /// A block took these out of the mempool.
    pub fn block(&mut self, height: i32, txids: &[Txid]) {
        let Some(height) = u32::try_from(height).ok().filter(|height| *height > self.best) else { return };
        self.best = height;
        for stats in self.all_stats() {
            stats.begin_block(height);
        }
        let mut counted = 0;
        for txid in txids {
            let Some(followed) = self.take(txid, true) else { continue };
            let blocks = height.saturating_sub(followed.height);
            if blocks == 0 {
                continue;
            }
            counted += 1;
            for stats in self.all_stats() {
                stats.record(blocks, followed.bucket, followed.rate);
            }
        }
        if self.first_recorded == 0 && counted > 0 {
            self.first_recorded = height;
            tracing::debug!(target: "estimatefee", "Blockpolicy first recorded height {height}");
        }
        tracing::debug!(
            target: "estimatefee",
            "Blockpolicy estimates updated by {counted} of {} block txs, since last block {} of {} tracked, mempool map size {}, max target {} from {}",
            txids.len(),
            self.tracked,
            self.tracked + self.untracked,
            self.followed.len(),
            self.max_usable(),
            if self.historical_span() > self.span() { "historical" } else { "current" }
        );
        (self.tracked, self.untracked) = (0, 0);
    }

    /// Counts all that is still followed as having left unconfirmed, before the statistics are kept at the end. Gives their
    /// number.
    pub fn end(&mut self) -> usize {
        let txids: Vec<Txid> = self.followed.keys().copied().collect();
        for txid in &txids {
            self.leave(txid, false);
        }
        txids.len()
    }

    fn span(&self) -> u32 {
        if self.first_recorded == 0 { 0 } else { self.best.saturating_sub(self.first_recorded) }
    }

    fn historical_span(&self) -> u32 {
        if self.historical_first == 0 || self.best.saturating_sub(self.historical_best) > OLDEST_HISTORY {
            return 0;
        }
        self.historical_best - self.historical_first
    }

    /// Half of what was seen, so that failures could show.
    fn max_usable(&self) -> u32 {
        self.long.max_target().min(self.span().max(self.historical_span()) / 2)
    }

    /// Highest target that a horizon tracks, blocks.
    pub fn max_target(&self, horizon: Horizon) -> u32 {
        self.stats(horizon).0.max_target()
    }

    fn median(&self, horizon: Horizon, target: u32, threshold: f64) -> (Option<f64>, Reasons) {
        let (stats, needed) = self.stats(horizon);
        stats.median(&self.buckets, target, needed, threshold, self.best)
    }

    /// Estimate of one horizon at a threshold from 0 to 1, with the reasons; a target out of its range gives `None`.
    pub fn raw(&self, horizon: Horizon, target: u32, threshold: f64) -> (Option<i64>, Reasons) {
        if !(1..=self.max_target(horizon)).contains(&target) {
            return (None, Reasons::default());
        }
        let (median, reasons) = self.median(horizon, target, threshold);
        (median.and_then(rounded), reasons)
    }

    /// From the shortest horizon that tracks the target; with `check_shorter` the lower answer of shorter ones is taken.
    fn combined(&self, target: u32, threshold: f64, check_shorter: bool) -> Option<f64> {
        let horizon = *Horizon::ALL.iter().find(|horizon| target <= self.max_target(**horizon))?;
        let mut estimate = self.median(horizon, target, threshold).0;
        for shorter in [Horizon::Medium, Horizon::Short] {
            let highest = self.max_target(shorter);
            if check_shorter
                && target > highest
                && let Some(median) = self.median(shorter, highest, threshold).0.filter(|median| *median > 0.0)
            {
                estimate = Some(estimate.map_or(median, |estimate| estimate.min(median)));
            }
        }
        estimate
    }

    /// The strictest threshold must hold for longer horizons too.
    fn conservative(&self, double_target: u32) -> Option<f64> {
        let mut estimate = None;
        if double_target <= self.short.max_target() {
            estimate = self.median(Horizon::Medium, double_target, DOUBLE_THRESHOLD).0;
        }
        if double_target <= self.medium.max_target() {
            estimate = larger(estimate, self.median(Horizon::Long, double_target, DOUBLE_THRESHOLD).0);
        }
        estimate
    }

    /// The largest of: 60 % confirm within half the target, 85 % within the target, 95 % within twice the target.
    pub fn smart(&self, target: u32, conservative: bool) -> SmartFee {
        if !(1..=self.long.max_target()).contains(&target) {
            return SmartFee { rate: None, target };
        }
        // Nothing can be said about the very next block.
        let target = target.max(2).min(self.max_usable());
        if target <= 1 {
            return SmartFee { rate: None, target };
        }
        let mut median = self.combined(target / 2, HALF_THRESHOLD, true);
        median = larger(median, self.combined(target, THRESHOLD, true));
        median = larger(median, self.combined(2 * target, DOUBLE_THRESHOLD, !conservative));
        if conservative || median.is_none() {
            median = larger(median, self.conservative(2 * target));
        }
        SmartFee { rate: median.and_then(rounded), target }
    }
}

fn larger(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

/// Whole satoshi; a rate of zero is no answer.
fn rounded(rate: f64) -> Option<i64> {
    Some(rate.round() as i64).filter(|rate| *rate != 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bitcoin::hashes::Hash;

    fn txid(n: u32) -> Txid {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_le_bytes());
        Txid::from_byte_array(bytes)
    }

    /// Blocks that each confirm four transactions of a high rate at once and four of a low rate after `delay` blocks.
    fn trained(blocks: i32, delay: i32) -> Estimator {
        let mut estimator = Estimator::default();
        let mut next = 0;
        let mut low: Vec<(i32, Txid)> = Vec::new();
        estimator.block(1, &[]);
        for height in 1..=blocks {
            let mut confirmed = Vec::new();
            for _ in 0..4 {
                estimator.enter(txid(next), 50_000, 1000, height, true);
                confirmed.push(txid(next));
                estimator.enter(txid(next + 1), 2_000, 1000, height, true);
                low.push((height, txid(next + 1)));
                next += 2;
            }
            confirmed.extend(low.iter().filter(|(entered, _)| height - entered >= delay).map(|(_, txid)| *txid));
            low.retain(|(entered, _)| height - entered < delay);
            estimator.block(height + 1, &confirmed);
        }
        estimator
    }

    #[test]
    fn nothing_seen_gives_no_answer() {
        let estimator = Estimator::default();
        assert_eq!(estimator.smart(6, true), SmartFee { rate: None, target: 0 });
        let (rate, reasons) = estimator.raw(Horizon::Short, 2, 0.95);
        assert_eq!((rate, reasons.fail.start, reasons.fail.end), (None, 0.0, 1e99));
        assert_eq!(Horizon::ALL.map(|horizon| estimator.max_target(horizon)), [12, 48, 1008]);
        assert_eq!(estimator.raw(Horizon::Short, 13, 0.95), (None, Reasons::default()));
    }

    #[test]
    fn short_targets_pay_more_when_low_rates_wait() {
        let estimator = trained(200, 10);
        assert_eq!(estimator.smart(2, false).rate, Some(50_000));
        assert_eq!(estimator.smart(1, false), estimator.smart(2, false));
        assert_eq!(estimator.smart(30, false), SmartFee { rate: Some(2_000), target: 30 });
        // No further than half of what was seen.
        assert_eq!(estimator.smart(500, false).target, 99);
        let (rate, reasons) = estimator.raw(Horizon::Short, 2, 0.95);
        assert_eq!(rate, Some(50_000));
        assert!(reasons.pass.start < 50_000.0 && 50_000.0 <= reasons.pass.end && reasons.fail.start >= 0.0);
    }

    #[test]
    fn dependent_and_late_transactions_do_not_count() {
        let mut estimator = Estimator::default();
        estimator.block(5, &[]);
        estimator.enter(txid(1), 1000, 100, 5, false);
        estimator.enter(txid(2), 1000, 100, 4, true);
        assert!(estimator.followed.is_empty());
        estimator.enter(txid(3), 1000, 100, 5, true);
        assert_eq!(estimator.end(), 1);
        assert_eq!(estimator.end(), 0);
    }

    #[test]
    fn file_brings_statistics_back() {
        let before = trained(200, 10);
        let bytes = before.encode();
        let after = Estimator::decode(&bytes).unwrap();
        assert_eq!((after.best, after.historical_span()), (before.best, before.span()));
        for horizon in Horizon::ALL {
            let (stats, counts) = (after.stats(horizon).0, before.stats(horizon).0);
            assert_eq!((&stats.counts, &stats.confirmed), (&counts.counts, &counts.confirmed));
        }
        assert_eq!(after.smart(30, false).rate, Some(2_000));
        for cut in (0..bytes.len()).step_by(997) {
            assert!(Estimator::decode(&bytes[..cut]).is_err(), "{cut}");
        }
    }
}
