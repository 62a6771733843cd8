//! A copy of the tip that readers get without waiting for validation.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Work};

use super::{BlockNode, ChainManager, is_abandoned};

/// What most callers want to know of the active chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TipInfo {
    /// Hash of the tip; zero before genesis is connected.
    pub hash: BlockHash,
    /// Height of the tip; -1 before genesis is connected.
    pub height: i32,
    /// Time stamp, in seconds.
    pub time: u32,
    /// Median time past, in seconds.
    pub median_time: i64,
    /// Work of the chain.
    pub chain_work: Work,
    /// Whether the node still catches up.
    pub initial_download: bool,
    /// Difficulty of the tip, compact form.
    pub bits: u32,
}

impl TipInfo {
    /// Before genesis.
    pub(crate) fn none() -> Self {
        Self {
            hash: BlockHash::all_zeros(),
            height: -1,
            time: 0,
            median_time: 0,
            chain_work: Work::from_be_bytes([0; 32]),
            initial_download: true,
            bits: 0,
        }
    }

    pub(crate) fn of(node: &BlockNode, median_time: i64, initial_download: bool) -> Self {
        Self {
            hash: node.hash,
            height: node.height,
            time: node.time(),
            median_time,
            chain_work: node.chain_work,
            initial_download,
            bits: node.header.bits.to_consensus(),
        }
    }
}

/// Wakes those that wait for another tip.
#[derive(Debug, Default)]
pub(crate) struct TipSignal {
    generation: Mutex<u64>,
    changed: Condvar,
    waiting: AtomicUsize,
}

impl TipSignal {
    /// How many threads wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Wakes all waiters.
    pub fn wake(&self) {
        *self.generation.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    pub fn wait(
        &self,
        manager: &ChainManager,
        deadline: Option<Instant>,
        mut done: impl FnMut(&TipInfo) -> bool,
    ) -> Arc<TipInfo> {
        loop {
            let guard = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
            let tip = manager.tip();
            if done(&tip) || manager.is_interrupted() || is_abandoned() {
                return tip;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return tip;
            }
            self.waiting.fetch_add(1, Ordering::AcqRel);
            match left {
                None => drop(self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner)),
                Some(left) => drop(self.changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner)),
            }
            self.waiting.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
