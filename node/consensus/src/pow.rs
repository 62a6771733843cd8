//! Difficulty adjustment (Core: `pow.cpp`).

use bitcoin::{CompactTarget, Target};

use crate::{HeaderView, Params, compact};

/// Bits that the block after `chain` with time stamp `time` (seconds) must have. `chain` must not be empty; an empty
/// one gives the limit.
pub fn next_work_required(chain: &impl HeaderView, time: u32, params: &Params) -> u32 {
    let limit = params.pow_limit.to_compact_lossy().to_consensus();
    let tip_height = chain.height();
    let Some(tip) = chain.header_at(tip_height) else { return limit };
    let interval = params.difficulty_interval();
    if (tip_height + 1) % interval != 0 {
        if !params.allow_min_difficulty {
            return tip.bits;
        }
        if i64::from(time) > i64::from(tip.time) + i64::from(params.target_spacing) * 2 {
            return limit;
        }
        return last_ordinary_bits(chain, limit, interval).unwrap_or(tip.bits);
    }
    let first_height = tip_height - (interval - 1);
    match chain.header_at(first_height) {
        Some(first) => {
            let base = if params.enforce_bip94 { first.bits } else { tip.bits };
            retarget(base, tip.bits, i64::from(tip.time) - i64::from(first.time), params)
        }
        None => tip.bits,
    }
}

/// Bits of the last block that did not use the minimum-difficulty exception of test networks.
fn last_ordinary_bits(chain: &impl HeaderView, limit: u32, interval: i32) -> Option<u32> {
    let mut height = chain.height();
    let mut facts = chain.header_at(height)?;
    while height > 0 && height % interval != 0 && facts.bits == limit {
        height -= 1;
        facts = chain.header_at(height)?;
    }
    Some(facts.bits)
}

/// New bits after a period that took `timespan` seconds.
fn retarget(base_bits: u32, tip_bits: u32, timespan: i64, params: &Params) -> u32 {
    if params.no_retargeting {
        return tip_bits;
    }
    let wanted = i64::from(params.target_timespan);
    let timespan = timespan.clamp(wanted / 4, wanted * 4) as u32; // at most eight weeks
    let target = compact::scale(target_of(base_bits), timespan, params.target_timespan);
    target.min(params.pow_limit).to_compact_lossy().to_consensus()
}

/// Whether a header at `height` may have `new_bits` after `old_bits`; used while headers are only sampled.
pub fn is_permitted_transition(params: &Params, height: i64, old_bits: u32, new_bits: u32) -> bool {
    if params.allow_min_difficulty {
        return true;
    }
    if height % i64::from(params.difficulty_interval()) != 0 {
        return old_bits == new_bits;
    }
    let observed = target_of(new_bits);
    let bound = |timespan: u32| {
        let target = compact::scale(target_of(old_bits), timespan, params.target_timespan).min(params.pow_limit);
        Target::from_compact(target.to_compact_lossy())
    };
    observed <= bound(params.target_timespan * 4) && observed >= bound(params.target_timespan / 4)
}

fn target_of(bits: u32) -> Target {
    compact::derive_target(bits, Target::from_be_bytes([0xff; 32]))
        .unwrap_or(Target::from_compact(CompactTarget::from_consensus(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HeaderFacts, networks};

    /// A chain of which only two headers matter.
    struct Period {
        height: i32,
        first: HeaderFacts,
        last: HeaderFacts,
    }

    impl HeaderView for Period {
        fn height(&self) -> i32 {
            self.height
        }
        fn header_at(&self, height: i32) -> Option<HeaderFacts> {
            if height == self.height {
                Some(self.last)
            } else if height == self.height - 2015 {
                Some(self.first)
            } else {
                None
            }
        }
    }

    fn next(first_time: u32, height: i32, last_time: u32, bits: u32) -> u32 {
        let facts = |time| HeaderFacts { version: 1, time, bits };
        let chain = Period { height, first: facts(first_time), last: facts(last_time) };
        next_work_required(&chain, last_time + 600, &networks::main())
    }

    #[test]
    fn retarget_gives_the_bits_of_main_chain_history() {
        assert_eq!(next(1261130161, 32255, 1262152739, 0x1d00ffff), 0x1d00d86a);
        assert_eq!(next(1231006505, 2015, 1233061996, 0x1d00ffff), 0x1d00ffff, "limit");
        assert_eq!(next(1279008237, 68543, 1279297671, 0x1c05a3f4), 0x1c0168fd, "lower bound of the step");
        assert_eq!(next(1263163443, 46367, 1269211443, 0x1c387f6f), 0x1d00e1fd, "upper bound of the step");
    }

    #[test]
    fn transitions_outside_the_step_are_refused() {
        let main = networks::main();
        assert!(is_permitted_transition(&main, 68544, 0x1c05a3f4, 0x1c0168fd));
        assert!(!is_permitted_transition(&main, 68544, 0x1c05a3f4, 0x1c0168fc));
        assert!(!is_permitted_transition(&main, 68545, 0x1c05a3f4, 0x1c0168fd));
    }
}
