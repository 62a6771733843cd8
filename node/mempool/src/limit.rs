//! Size limit, and the rolling minimum fee that follows eviction.

use crate::feerate::{FeeFrac, FeeRate};
use crate::pool::{Mempool, RemovalReason};
use bitcoin::Txid;
use std::collections::BTreeSet;

const HALF_LIFE: f64 = (60 * 60 * 12) as f64;

/// Minimum rate that rises with eviction and halves over time once a block has come.
#[derive(Debug, Clone, Default)]
pub(crate) struct RollingFee {
    rate: f64,
    updated: i64,
    block_since_bump: bool,
}

impl RollingFee {
    pub(crate) fn block_seen(&mut self, now: i64) {
        self.updated = now;
        self.block_since_bump = true;
    }

    fn bump(&mut self, rate: f64) {
        if rate > self.rate {
            self.rate = rate;
            self.block_since_bump = false;
        }
    }

    pub(crate) fn min_fee(&mut self, now: i64, memory: u64, max: u64, incremental: FeeRate) -> FeeRate {
        if !self.block_since_bump || self.rate == 0.0 {
            return FeeRate(self.rate.round() as i64);
        }
        if now > self.updated + 10 {
            let half_life = if memory < max / 4 {
                HALF_LIFE / 4.0
            } else if memory < max / 2 {
                HALF_LIFE / 2.0
            } else {
                HALF_LIFE
            };
            self.rate /= ((now - self.updated) as f64 / half_life).exp2();
            self.updated = now;
            if self.rate < incremental.0 as f64 / 2.0 {
                self.rate = 0.0;
                return FeeRate(0);
            }
        }
        FeeRate(self.rate.round() as i64).max(incremental)
    }
}

impl Mempool {
    /// Drops the worst chunks until the memory limit holds. Gives the number dropped.
    pub fn trim(&mut self) -> usize {
        let mut removed = 0;
        while self.memory() > self.options.max_bytes {
            let Some(worst) = self.mining_order().next_back() else { break };
            let (members, frac): (BTreeSet<Txid>, FeeFrac) = (worst.members.iter().copied().collect(), worst.frac);
            let vsize = FeeFrac::new(frac.fee, (frac.size + 3) / 4);
            self.rolling.bump((vsize.per_kilo() + self.options.incremental.0) as f64);
            removed += members.len();
            self.remove_all(&members, RemovalReason::SizeLimit);
        }
        removed
    }
}
