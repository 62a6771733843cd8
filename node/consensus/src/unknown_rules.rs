//! Watches for rules that miners activate and this release does not know (Core: `WarningBitsConditionChecker`).

use crate::params::Params;
use crate::versionbits::{ThresholdState, compute_block_version_after, signalled_bits};
use crate::{HeaderFacts, HeaderView};

/// Bits of a version that can signal; miners may set the others as they like (BIP323).
pub const BITS: usize = 5;

/// Blocks per period and the unexplained signals that lock a bit in.
fn period_and_threshold(params: &Params) -> (i32, i32) {
    if params.is_test_chain() {
        let period = params.difficulty_interval();
        return (period, period * 3 / 4);
    }
    (2016, 1815)
}

/// State of every bit after some whole periods of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownRules {
    states: [ThresholdState; BITS],
}

impl Default for UnknownRules {
    fn default() -> Self {
        Self { states: [ThresholdState::Defined; BITS] }
    }
}

impl UnknownRules {
    /// Blocks per period.
    pub fn period(params: &Params) -> i32 {
        period_and_threshold(params).0
    }

    /// Goes on by the period whose last block stands at height `end` of `chain`.
    pub fn advance(&mut self, params: &Params, chain: &impl HeaderView, end: i32) {
        let (period, threshold) = period_and_threshold(params);
        let first = end - period + 1;
        // Deployments have the same period, so what they signal does not change within it.
        let known = signalled_bits(compute_block_version_after(params, chain, first - 1));
        let mut counts = [0i32; BITS];
        for height in first.max(params.min_bip9_warning_height)..=end {
            let Some(HeaderFacts { version, .. }) = chain.header_at(height) else { continue };
            let unknown = signalled_bits(version) & !known;
            for (bit, count) in counts.iter_mut().enumerate() {
                *count += (unknown >> bit & 1) as i32; // 0 or 1
            }
        }
        for (state, count) in self.states.iter_mut().zip(counts) {
            *state = match *state {
                // Watching begins at time 0 and never ends.
                ThresholdState::Defined => ThresholdState::Started,
                ThresholdState::Started if count >= threshold => ThresholdState::LockedIn,
                ThresholdState::LockedIn => ThresholdState::Active,
                other => other,
            };
        }
    }

    /// Bits that are locked in (false) or active (true), lowest first.
    pub fn found(&self) -> impl Iterator<Item = (usize, bool)> + '_ {
        self.states.iter().enumerate().filter_map(|(bit, state)| match state {
            ThresholdState::LockedIn => Some((bit, false)),
            ThresholdState::Active => Some((bit, true)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks;

    /// Every block up to `until` has `version`, those after it signal nothing.
    struct Chain {
        version: i32,
        from: i32,
        until: i32,
    }

    impl HeaderView for Chain {
        fn height(&self) -> i32 {
            100_000
        }
        fn header_at(&self, height: i32) -> Option<HeaderFacts> {
            let version = if (self.from..=self.until).contains(&height) { self.version } else { 0x2000_0000 };
            (height >= 0).then_some(HeaderFacts { version, time: height.unsigned_abs(), bits: 0 })
        }
    }

    fn after(params: &Params, chain: &Chain, periods: i32) -> Vec<(usize, bool)> {
        let mut rules = UnknownRules::default();
        for number in 1..=periods {
            rules.advance(params, chain, number * UnknownRules::period(params) - 1);
        }
        rules.found().collect()
    }

    #[test]
    fn unexplained_signals_lock_in_and_activate() {
        let regtest = networks::regtest();
        let chain = Chain { version: 0x2000_0008, from: 144, until: 144 + 107 };
        assert_eq!(after(&regtest, &chain, 1), []);
        assert_eq!(after(&regtest, &chain, 2), [(3, false)]);
        assert_eq!(after(&regtest, &chain, 3), [(3, true)]);
        let too_few = Chain { until: 144 + 106, ..chain };
        assert_eq!(after(&regtest, &too_few, 3), []);
        let rolled = Chain { version: 0x3fff_ffe0, ..chain };
        assert_eq!(after(&regtest, &rolled, 3), [], "miners may set these bits as they like");
    }

    #[test]
    fn signals_of_known_deployments_and_old_blocks_do_not_count() {
        let mut regtest = networks::regtest();
        let signals = Chain { version: 0x2000_0008, from: 144, until: 600 };
        assert_eq!(after(&regtest, &signals, 2), [(3, false)]);
        for deployment in &mut regtest.deployments {
            deployment.bit = 3;
        }
        assert_eq!(after(&regtest, &signals, 2), [], "a deployment that is started signals");
        let early = Chain { version: 0x2000_0001, from: 0, until: 20_000 };
        assert_eq!(after(&networks::main(), &early, 5), [], "before the first height that counts");
    }

    #[test]
    fn deployments_have_the_period_of_the_watch() {
        for name in ["main", "test", "testnet4", "signet", "regtest"] {
            let params = networks::by_name(name).expect("known name");
            assert!(params.deployments.iter().all(|deployment| deployment.period == UnknownRules::period(&params)));
        }
    }
}
