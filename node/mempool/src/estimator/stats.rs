//! Moving averages of how long transactions of each fee rate took to confirm, over one horizon.

/// A range of fee rates and what became of its transactions; averages over blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Lower end, satoshi per 1000 virtual bytes; -1 if there is no such range.
    pub start: f64,
    /// Upper end.
    pub end: f64,
    /// Confirmed within the target.
    pub within_target: f64,
    /// Confirmed at all.
    pub confirmed: f64,
    /// Waiting for at least the target.
    pub in_mempool: f64,
    /// Left the mempool unconfirmed after the target.
    pub left: f64,
}

impl Default for Range {
    fn default() -> Self {
        Self { start: -1.0, end: -1.0, within_target: 0.0, confirmed: 0.0, in_mempool: 0.0, left: 0.0 }
    }
}

impl Range {
    fn share(&self) -> f64 {
        let all = self.confirmed + self.in_mempool + self.left;
        if all == 0.0 { 0.0 } else { 100.0 * self.within_target / all }
    }
}

/// How an estimate came about.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reasons {
    /// Lowest range that meets the threshold.
    pub pass: Range,
    /// Highest range that does not; none if all do.
    pub fail: Range,
    /// Decay per block.
    pub decay: f64,
    /// Blocks in one period.
    pub scale: u32,
}

/// Statistics over one horizon. All vectors have one place for each bucket of fee rates.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stats {
    pub decay: f64,
    /// Blocks in one period.
    pub scale: u32,
    pub rate_sums: Vec<f64>,
    pub counts: Vec<f64>,
    /// By period: confirmed within it.
    pub confirmed: Vec<Vec<f64>>,
    /// By period: left unconfirmed after it.
    pub failed: Vec<Vec<f64>>,
    /// By height of entry, in a ring: still waiting.
    waiting: Vec<Vec<u32>>,
    /// Waiting for longer than the ring.
    waiting_long: Vec<u32>,
}

impl Stats {
    pub fn new(buckets: usize, periods: usize, decay: f64, scale: u32) -> Self {
        let mut stats = Self {
            decay,
            scale,
            rate_sums: vec![0.0; buckets],
            counts: vec![0.0; buckets],
            confirmed: vec![vec![0.0; buckets]; periods],
            failed: vec![vec![0.0; buckets]; periods],
            waiting: Vec::new(),
            waiting_long: Vec::new(),
        };
        stats.forget_waiting();
        stats
    }

    /// Starts anew with what is not kept in the file.
    pub fn forget_waiting(&mut self) {
        let buckets = self.counts.len();
        self.waiting = vec![vec![0; buckets]; self.max_target() as usize];
        self.waiting_long = vec![0; buckets];
    }

    /// Highest target that is tracked, blocks.
    pub fn max_target(&self) -> u32 {
        self.scale * self.confirmed.len() as u32
    }

    fn place(&self, height: u32) -> usize {
        height as usize % self.waiting.len()
    }

    /// A block has come: averages fade, its place in the ring becomes free.
    pub fn begin_block(&mut self, height: u32) {
        let place = self.place(height);
        for (long, waiting) in self.waiting_long.iter_mut().zip(&mut self.waiting[place]) {
            *long += std::mem::take(waiting);
        }
        let rows = self.confirmed.iter_mut().chain(&mut self.failed).chain([&mut self.rate_sums, &mut self.counts]);
        for value in rows.flatten() {
            *value *= self.decay;
        }
    }

    /// A transaction was confirmed; `blocks` at least 1.
    pub fn record(&mut self, blocks: u32, bucket: usize, rate: f64) {
        let periods = blocks.div_ceil(self.scale).max(1) as usize;
        for row in self.confirmed.iter_mut().skip(periods - 1) {
            row[bucket] += 1.0;
        }
        self.counts[bucket] += 1.0;
        self.rate_sums[bucket] += rate;
    }

    pub fn enter(&mut self, height: u32, bucket: usize) {
        let place = self.place(height);
        self.waiting[place][bucket] += 1;
    }

    /// A transaction that entered at `entry` is no longer waiting.
    pub fn leave(&mut self, entry: u32, best: u32, bucket: usize, in_block: bool) {
        let age = if best == 0 { 0 } else { best.saturating_sub(entry) };
        let place = self.place(entry);
        let waiting =
            if age as usize >= self.waiting.len() { &mut self.waiting_long[bucket] } else { &mut self.waiting[place][bucket] };
        *waiting = waiting.saturating_sub(1);
        if !in_block {
            for row in self.failed.iter_mut().take((age / self.scale) as usize) {
                row[bucket] += 1.0;
            }
        }
    }

    /// Median rate of the lowest range of buckets from which enough transactions confirm within `target`; `None` if there is
    /// none. `needed`: transactions per block that make a range. `target` from 1 to [`Stats::max_target`].
    pub fn median(&self, buckets: &[f64], target: u32, needed: f64, threshold: f64, best: u32) -> (Option<f64>, Reasons) {
        let period = target.div_ceil(self.scale) as usize - 1;
        let range = |near: usize, far: usize, sums: Range| Range {
            start: if near.min(far) == 0 { 0.0 } else { buckets[near.min(far) - 1] },
            end: buckets[near.max(far)],
            ..sums
        };
        let (mut sums, mut partial) = (Range::default(), 0.0);
        let (mut near, mut far, mut is_new, mut passing) = (buckets.len() - 1, buckets.len() - 1, true, true);
        let mut found: Option<(usize, usize)> = None;
        let mut reasons = Reasons { decay: self.decay, scale: self.scale, ..Reasons::default() };
        for bucket in (0..buckets.len()).rev() {
            if std::mem::take(&mut is_new) {
                near = bucket;
            }
            far = bucket;
            sums.within_target += self.confirmed[period][bucket];
            sums.confirmed += self.counts[bucket];
            partial += self.counts[bucket];
            sums.left += self.failed[period][bucket];
            let ages = target..self.max_target();
            let waiting: u32 = ages.map(|age| self.waiting[self.place(best.wrapping_sub(age))][bucket]).sum();
            sums.in_mempool += f64::from(waiting + self.waiting_long[bucket]);
            if partial < needed / (1.0 - self.decay) {
                continue;
            }
            partial = 0.0;
            if sums.within_target / (sums.confirmed + sums.left + sums.in_mempool) < threshold {
                if std::mem::replace(&mut passing, false) {
                    reasons.fail = range(near, far, sums);
                }
                continue;
            }
            reasons.fail = Range::default();
            reasons.pass = Range { start: -1.0, end: -1.0, ..sums };
            (found, passing, is_new) = (Some((near, far)), true, true);
            sums = Range::default();
        }
        let median = found.and_then(|(near, far)| {
            let median = self.median_of(far..=near)?;
            reasons.pass = range(near, far, reasons.pass);
            Some(median)
        });
        if passing && !is_new {
            reasons.fail = range(near, far, sums);
        }
        log(target, threshold, median, &reasons);
        (median, reasons)
    }

    /// Average rate of the bucket that holds the median transaction.
    fn median_of(&self, buckets: std::ops::RangeInclusive<usize>) -> Option<f64> {
        let total: f64 = self.counts[buckets.clone()].iter().sum();
        let mut left = total / 2.0;
        if total == 0.0 {
            return None;
        }
        for bucket in buckets {
            if self.counts[bucket] >= left {
                return Some(self.rate_sums[bucket] / self.counts[bucket]);
            }
            left -= self.counts[bucket];
        }
        None
    }
}

fn log(target: u32, threshold: f64, median: Option<f64>, reasons: &Reasons) {
    let range = |range: &Range| {
        format!(
            "({} - {}) {:.2}% {:.1}/({:.1} {} mem {:.1} out)",
            range.start,
            range.end,
            range.share(),
            range.within_target,
            range.confirmed,
            range.in_mempool,
            range.left
        )
    };
    tracing::debug!(
        target: "estimatefee",
        "FeeEst: {target} > {:.0}% decay {:.5}: feerate: {} from {} Fail: {}",
        100.0 * threshold,
        reasons.decay,
        median.unwrap_or(-1.0),
        range(&reasons.pass),
        range(&reasons.fail)
    );
}
