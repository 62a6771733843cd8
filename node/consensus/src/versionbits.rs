//! Deployments by version bits (BIP9; Core: `versionbits.cpp`).

use crate::params::{Bip9, Params};
use crate::{HeaderFacts, HeaderView};

const TOP_MASK: u32 = 0xe000_0000;
const TOP_BITS: u32 = 0x2000_0000;

/// State of a deployment for the block after a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ThresholdState {
    /// Signalling has not started.
    Defined,
    /// Blocks may signal.
    Started,
    /// Enough blocks signalled; waits for activation.
    LockedIn,
    /// Rules apply.
    Active,
    /// Time-out.
    Failed,
}

impl ThresholdState {
    /// Name in RPC answers.
    pub fn name(self) -> &'static str {
        match self {
            ThresholdState::Defined => "defined",
            ThresholdState::Started => "started",
            ThresholdState::LockedIn => "locked_in",
            ThresholdState::Active => "active",
            ThresholdState::Failed => "failed",
        }
    }
}

/// Whether a block of this version signals for `bit`.
pub fn signals(version: i32, bit: u8) -> bool {
    let version = version as u32; // same bits
    version & TOP_MASK == TOP_BITS && version >> bit & 1 == 1
}

/// Bits that a version signals; none if its top bits are not those of BIP9.
pub fn signalled_bits(version: i32) -> u32 {
    let version = version as u32; // same bits
    if version & TOP_MASK == TOP_BITS { version & !TOP_MASK } else { 0 }
}

/// State for the block that follows height `last` of `chain` (-1: for genesis), and the height since which it holds.
pub fn state_after(deployment: &Bip9, chain: &impl HeaderView, last: i32) -> (ThresholdState, i32) {
    match deployment.start_time {
        Bip9::ALWAYS_ACTIVE => return (ThresholdState::Active, 0),
        Bip9::NEVER_ACTIVE => return (ThresholdState::Failed, 0),
        _ => {}
    }
    let period = deployment.period.max(1);
    let mut state = ThresholdState::Defined;
    let mut since = 0;
    // The state changes only for the first block of a period; `end` is the last block of the period before it.
    let mut end = period - 1;
    while end <= last {
        let next = advance(deployment, chain, end, state);
        if next != state {
            since = end + 1;
            state = next;
        }
        end += period;
    }
    (state, since)
}

fn advance(deployment: &Bip9, chain: &impl HeaderView, end: i32, state: ThresholdState) -> ThresholdState {
    match state {
        ThresholdState::Defined if chain.median_time_past(end) >= deployment.start_time => ThresholdState::Started,
        ThresholdState::Started => {
            let first = end - deployment.period + 1;
            let count = (first..=end).filter(|height| is_signalling(deployment, chain.header_at(*height))).count();
            if count >= usize::try_from(deployment.threshold).unwrap_or(usize::MAX) {
                ThresholdState::LockedIn
            } else if chain.median_time_past(end) >= deployment.timeout {
                ThresholdState::Failed
            } else {
                ThresholdState::Started
            }
        }
        ThresholdState::LockedIn if end + 1 >= deployment.min_activation_height => ThresholdState::Active,
        other => other,
    }
}

fn is_signalling(deployment: &Bip9, header: Option<HeaderFacts>) -> bool {
    header.is_some_and(|facts| signals(facts.version, deployment.bit))
}

/// Signalling within the period that `last` belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// Blocks per period.
    pub period: i32,
    /// Signals that a period needs.
    pub threshold: i32,
    /// Blocks of the period so far.
    pub elapsed: i32,
    /// Those that signal.
    pub count: i32,
    /// Whether the threshold can still be met.
    pub possible: bool,
    /// One entry per block of the period so far, oldest first.
    pub signalling: Vec<bool>,
}

/// Statistics of the period that contains height `last`.
pub fn statistics(deployment: &Bip9, chain: &impl HeaderView, last: i32) -> Statistics {
    let period = deployment.period.max(1);
    let first = last - last.rem_euclid(period);
    let signalling: Vec<bool> = (first..=last).map(|height| is_signalling(deployment, chain.header_at(height))).collect();
    let count = signalling.iter().filter(|signals| **signals).count() as i32; // at most a period
    let elapsed = signalling.len() as i32; // at most a period
    let possible = period - deployment.threshold >= elapsed - count;
    Statistics { period, threshold: deployment.threshold, elapsed, count, possible, signalling }
}

/// Version of the block that follows `chain`: signals for what is started or locked in.
pub fn compute_block_version(params: &Params, chain: &impl HeaderView) -> i32 {
    compute_block_version_after(params, chain, chain.height())
}

/// Version of the block that follows height `last` of `chain`.
pub fn compute_block_version_after(params: &Params, chain: &impl HeaderView, last: i32) -> i32 {
    let mut version = TOP_BITS;
    for deployment in &params.deployments {
        let (state, _) = state_after(deployment, chain, last);
        if matches!(state, ThresholdState::Started | ThresholdState::LockedIn) {
            version |= 1 << deployment.bit;
        }
    }
    version as i32 // top bit is clear
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Signalling {
        height: i32,
        from: i32,
    }

    impl HeaderView for Signalling {
        fn height(&self) -> i32 {
            self.height
        }
        fn header_at(&self, height: i32) -> Option<HeaderFacts> {
            let version = if height >= self.from { 0x3000_0000 } else { 0x2000_0000 };
            (0..=self.height).contains(&height).then_some(HeaderFacts { version, time: 1_000 + height as u32, bits: 0 })
        }
    }

    const DUMMY: Bip9 = Bip9 {
        name: "testdummy",
        bit: 28,
        start_time: 0,
        timeout: Bip9::NO_TIMEOUT,
        min_activation_height: 0,
        period: 144,
        threshold: 108,
    };

    #[test]
    fn states_follow_each_other_period_by_period() {
        let chain = Signalling { height: 1000, from: 144 };
        assert_eq!(state_after(&DUMMY, &chain, 142), (ThresholdState::Defined, 0));
        assert_eq!(state_after(&DUMMY, &chain, 143), (ThresholdState::Started, 144));
        assert_eq!(state_after(&DUMMY, &chain, 287), (ThresholdState::LockedIn, 288));
        assert_eq!(state_after(&DUMMY, &chain, 431), (ThresholdState::Active, 432));
    }

    #[test]
    fn too_few_signals_keep_it_started() {
        let chain = Signalling { height: 1000, from: 288 - 107 };
        assert_eq!(state_after(&DUMMY, &chain, 287).0, ThresholdState::Started);
        let statistics = statistics(&DUMMY, &chain, 287);
        assert_eq!((statistics.elapsed, statistics.count, statistics.possible), (144, 107, false));
    }
}
