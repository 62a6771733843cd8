//! Waiting for another tip or for better templates, as miners over `-ipcbind` do (Core: src/node/miner.cpp, src/node/interfaces.cpp).
//!
//! Everything here blocks; an interrupted wait gives `None` and forgets the interruption.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;

use super::options::{TemplateOptions, check_options};
use super::template::{BlockTemplate, build_template};
use crate::engine::{ChainManager, State, TipInfo, is_abandoned};
use crate::mempool_accept::Pool;

/// Fees are compared no more often than this.
const TICK: Duration = Duration::from_secs(1);
/// On chains with minimum difficulty a tip of this age makes the next block easy, seconds.
const EASY_AFTER: i64 = 20 * 60;
/// More than there is; a wait for so much more in fees is a wait for a tip.
const MAX_MONEY: i64 = 2_100_000_000_000_000;

/// What waits work on.
#[derive(Debug, Clone, Copy)]
pub struct Miner<'a> {
    /// The engine.
    pub chain: &'a ChainManager,
    /// The mempool.
    pub pool: &'a Pool,
    /// Ends the waits of one client.
    pub interrupted: &'a AtomicBool,
}

impl Miner<'_> {
    fn is_interrupted(&self) -> bool {
        self.is_over() || self.interrupted.load(Ordering::Acquire)
    }

    fn take_interruption(&self) -> bool {
        self.interrupted.swap(false, Ordering::AcqRel) || self.is_over()
    }

    /// The node stops, or nobody waits any more.
    fn is_over(&self) -> bool {
        self.chain.is_interrupted() || is_abandoned()
    }

    /// Waits for a tip other than `current`, at most until `deadline`; before there is any tip, for longer.
    pub fn wait_tip_changed(&self, current: BlockHash, deadline: Option<Instant>) -> Option<Arc<TipInfo>> {
        self.chain.wait_for_tip(None, |tip| tip.height >= 0 || self.is_interrupted());
        let tip = self.chain.wait_for_tip(deadline, |tip| tip.hash != current || self.is_interrupted());
        (!self.take_interruption()).then_some(tip)
    }

    /// A template on the tip. With `cooldown` it waits until the node has caught up.
    ///
    /// # Errors
    /// Options that make no sense; Core's text.
    pub fn create(&self, options: &TemplateOptions, cooldown: bool) -> Result<Option<BlockTemplate>, String> {
        let Some(mut tip) = self.wait_tip_changed(BlockHash::all_zeros(), None) else { return Ok(None) };
        if cooldown {
            while self.chain.tip().initial_download {
                match self.wait_tip_changed(tip.hash, Some(Instant::now() + TICK)) {
                    Some(next) => tip = next,
                    None => return Ok(None),
                }
            }
            if !self.cool_down(tip.hash) {
                return Ok(None);
            }
        }
        check_options(options)?;
        Ok(Some(self.build(options)))
    }

    /// Waits while headers ahead of the tip say that blocks are about to come, from 3 to 20 seconds for each.
    fn cool_down(&self, mut last: BlockHash) -> bool {
        loop {
            let Some(ahead) = blocks_ahead(&self.chain.lock()) else { return true };
            let deadline = Instant::now() + Duration::from_secs(ahead.clamp(3, 20).unsigned_abs().into());
            let tip = self.chain.wait_for_tip(Some(deadline), |tip| tip.hash != last || self.is_interrupted());
            if self.take_interruption() {
                return false;
            }
            if tip.hash == last {
                return true;
            }
            last = tip.hash;
        }
    }

    fn build(&self, options: &TemplateOptions) -> BlockTemplate {
        let state = self.chain.lock();
        let pool = options.use_mempool.then(|| self.pool.lock());
        build_template(&state, pool.as_deref(), self.chain.params(), options, self.chain.now())
    }

    /// Waits for a template on another tip than `previous`, or for one that pays at least `threshold` satoshi more than `fees`.
    pub fn wait_next(
        &self,
        previous: BlockHash,
        fees: i64,
        options: &TemplateOptions,
        deadline: Option<Instant>,
        threshold: i64,
    ) -> Option<BlockTemplate> {
        loop {
            let tick = Instant::now() + TICK;
            let until = deadline.map_or(tick, |deadline| tick.min(deadline));
            let tip = self.chain.wait_for_tip(Some(until), |tip| tip.hash != previous || self.is_interrupted());
            if self.take_interruption() {
                return None;
            }
            let is_easy = self.chain.params().allow_min_difficulty && self.chain.now() > i64::from(tip.time) + EASY_AFTER;
            let has_changed = tip.hash != previous || is_easy;
            if has_changed || threshold < MAX_MONEY {
                let next = self.build(options);
                if has_changed || next.fees.iter().sum::<i64>() >= fees.saturating_add(threshold) {
                    return Some(next);
                }
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return None;
            }
        }
    }
}

/// How far the best header is ahead of the tip that it builds on.
fn blocks_ahead(state: &State) -> Option<i32> {
    let (tip, best) = (state.active().tip()?, state.best_header_id()?);
    let (tip_node, best_node) = (state.node(tip), state.node(best));
    let builds_on_tip = state.index().ancestor(best, tip_node.height) == Some(tip);
    (builds_on_tip && best_node.chain_work > tip_node.chain_work).then_some(best_node.height - tip_node.height)
}
