//! How the threads of the indexes learn that something happened.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use bitcoin::BlockHash;
use bulkhead_consensus::PreparedBlock;

use crate::engine::{BlockNode, Listener, State};

#[derive(Debug, Default)]
struct Facts {
    /// Counts what happened.
    generation: u64,
    /// Block that the coins on disk belong to.
    flushed: Option<BlockHash>,
    started: bool,
    stopped: bool,
}

/// Wakes the threads of the indexes.
#[derive(Debug, Default)]
pub(super) struct Signal {
    facts: Mutex<Facts>,
    changed: Condvar,
}

impl Signal {
    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Facts)) {
        let mut facts = self.facts();
        facts.generation += 1;
        change(&mut facts);
        self.changed.notify_all();
    }

    /// Blocks that are on disk may be indexed now.
    pub fn start(&self) {
        self.change(|facts| facts.started = true);
    }

    /// The threads shall end: those that follow the chain when they have reached its tip, the others at once.
    pub fn stop(&self) {
        self.change(|facts| facts.stopped = true);
    }

    pub fn is_stopped(&self) -> bool {
        self.facts().stopped
    }

    /// The coins on disk belong to this block.
    pub fn set_flushed(&self, hash: Option<BlockHash>) {
        self.change(|facts| facts.flushed = hash);
    }

    pub fn flushed(&self) -> Option<BlockHash> {
        self.facts().flushed
    }

    /// Number of what has happened so far, for [`Signal::wait`].
    pub fn generation(&self) -> u64 {
        self.facts().generation
    }

    /// Waits until more has happened than `generation`, or the threads shall end.
    pub fn wait(&self, generation: u64) {
        let waiting = |facts: &mut Facts| facts.generation == generation && !facts.stopped;
        drop(self.changed.wait_while(self.facts(), waiting).unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until the threads may start; false if they shall end.
    pub fn wait_for_start(&self) -> bool {
        let waiting = |facts: &mut Facts| !facts.started && !facts.stopped;
        let facts = self.changed.wait_while(self.facts(), waiting).unwrap_or_else(PoisonError::into_inner);
        !facts.stopped
    }
}

impl Listener for Signal {
    fn block_connected(&self, _: &State, _: &std::sync::Arc<PreparedBlock>, _: &BlockNode) {
        self.change(|_| {});
    }

    fn flushed(&self, state: &State) {
        self.set_flushed(state.validated_best_block());
    }

    fn background_advanced(&self) {
        self.change(|_| {});
    }
}
