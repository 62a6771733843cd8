//! What readers see of an index: its database and how far it is.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use bitcoin::BlockHash;
use bulkhead_store::chain_index::ChainIndexDb;

use super::contents::Kind;
use crate::engine::{ChainManager, NodeId, State};

/// How far an index is.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// Block that all readers find indexed.
    best: Option<(NodeId, i32)>,
    /// Latched: it has caught up once, and follows the chain since then.
    synced: bool,
    /// Its thread has ended.
    ended: bool,
}

/// One index.
#[derive(Debug)]
pub struct Index {
    kind: &'static Kind,
    store: ChainIndexDb,
    progress: Mutex<Progress>,
    changed: Condvar,
}

/// What `getindexinfo` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Whether it has caught up.
    pub synced: bool,
    /// Height that it has reached; 0 before genesis.
    pub height: i32,
}

impl Index {
    pub(super) fn new(kind: &'static Kind, store: ChainIndexDb, best: Option<(NodeId, i32)>, synced: bool) -> Self {
        let progress = Progress { best, synced, ended: false };
        Self { kind, store, progress: Mutex::new(progress), changed: Condvar::new() }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What kind of index this is.
    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// Its database.
    pub fn store(&self) -> &ChainIndexDb {
        &self.store
    }

    /// How far it is.
    pub fn summary(&self) -> Summary {
        let progress = self.progress();
        Summary { synced: progress.synced, height: progress.best.map_or(0, |(_, height)| height) }
    }

    /// Block that it has reached.
    pub(super) fn best(&self) -> Option<NodeId> {
        self.progress().best.map(|(id, _)| id)
    }

    /// Whether a block is part of the chain that it has reached.
    pub fn covers(&self, state: &State, hash: &BlockHash) -> bool {
        let (Some(best), Some(id)) = (self.best(), state.lookup(hash)) else { return false };
        state.index().ancestor(best, state.node(id).height) == Some(id)
    }

    pub(super) fn is_synced(&self) -> bool {
        self.progress().synced
    }

    /// Readers may use what was written up to this block; pruning may go on up to it.
    pub(super) fn publish(&self, state: &mut State, best: Option<NodeId>) {
        let best = best.map(|id| (id, state.node(id).height));
        if self.kind.may_prune {
            state.set_prune_lock(self.kind.name, best.map_or(0, |(_, height)| height));
        }
        self.progress().best = best;
        self.changed.notify_all();
    }

    pub(super) fn set_synced(&self) {
        self.progress().synced = true;
    }

    pub(super) fn set_ended(&self) {
        self.progress().ended = true;
        self.changed.notify_all();
    }

    /// Waits until blocks up to the present tip are indexed. Gives false at once if the index has never caught up (Core:
    /// `BlockUntilSyncedToCurrentChain`). Call without any lock.
    pub fn wait_for_tip(&self, chain: &ChainManager) -> bool {
        if !self.is_synced() {
            return false;
        }
        let tip = chain.lock().validated_chain().tip();
        let Some(tip) = tip else { return true };
        loop {
            let before = *self.progress();
            let reached = {
                let state = chain.lock();
                let height = state.node(tip).height;
                // Another branch may have become active meanwhile; then its tip is what the caller sees.
                !state.validated_chain().contains(state.index(), tip)
                    || before.best.is_some_and(|(best, _)| state.index().ancestor(best, height) == Some(tip))
            };
            if reached || before.ended || chain.is_interrupted() {
                return reached;
            }
            let progress = self.progress();
            if progress.best == before.best && !progress.ended {
                drop(self.changed.wait(progress).unwrap_or_else(PoisonError::into_inner));
            }
        }
    }
}
