//! Removing old block files (`-prune`, `pruneblockchain`; Core: `FindFilesToPrune`, `FindFilesToPruneManual`).

use super::flush::FlushMode;
use super::{ChainManager, EngineError, NodeId, State};

/// Blocks that are kept below the tip whatever is asked for.
pub const MIN_BLOCKS_TO_KEEP: i32 = 288;
/// Least room for block files, in bytes (Core: `MIN_DISK_SPACE_FOR_BLOCK_FILES`).
const MIN_DISK_SPACE: u64 = 550 << 20;
/// Size of a block as Core guesses it while it catches up, in bytes.
const GUESSED_BLOCK: u64 = 1_000_000;
/// Room for the next chunk of a block and of an undo file, in bytes.
const CHUNKS: u64 = 0x0100_0000 + 0x0010_0000;
/// What the log calls the chains (Core: `ChainstateRole`).
const NORMAL: &str = "normal";
const ASSUMED: &str = "assumedvalid";
const BACKGROUND: &str = "background";

impl ChainManager {
    /// Removes files whose blocks all lie at or below `height`.
    pub fn prune_to_height(&self, height: i32) -> Result<(), EngineError> {
        let mut state = self.lock();
        if state.height() < 0 {
            return Ok(());
        }
        let last = height.min(state.prune_locks.limit(state.height())).min(state.height() - MIN_BLOCKS_TO_KEEP);
        let files: Vec<u32> = prunable(&state, state.prune_start(), last).map(|(file, _)| file).collect();
        self.prune_files(&mut state, &files)?;
        let role = if state.historical_range().is_some() { ASSUMED } else { NORMAL };
        tracing::info!("[{role}] Prune (Manual): prune_height={last} removed {} blk/rev pairs", files.len());
        Ok(())
    }

    /// Prunes what `-prune` no longer leaves room for, before anything else happens: the option may be new.
    ///
    /// # Errors
    /// Block files or databases that cannot be written.
    pub fn prune_at_start(&self) -> Result<(), EngineError> {
        let mut state = self.lock();
        if self.options().prune.is_none() || !state.blockfiles_indexed {
            return Ok(());
        }
        self.notifier.init_message("Pruning blockstore…");
        self.prune_to_target(&mut state)
    }

    /// Removes the oldest files while all take more than the target of `-prune`.
    pub(super) fn prune_to_target(&self, state: &mut State) -> Result<(), EngineError> {
        let Some(target) = self.options().prune.filter(|target| *target != u64::MAX) else { return Ok(()) };
        let (height, start) = (state.height(), state.prune_start());
        let Some((tip, _)) = state.historical_range() else { return self.prune_chain(state, target, NORMAL, height, start) };
        // Each of the two chains gets half of the room.
        let target = (target / 2).max(MIN_DISK_SPACE);
        let background_height = state.node(tip).height;
        self.prune_chain(state, target, ASSUMED, height, start)?;
        self.prune_chain(state, target, BACKGROUND, background_height, 0)
    }

    /// Removes the oldest files of a chain of `height` whose blocks lie at or above `start`.
    fn prune_chain(&self, state: &mut State, target: u64, role: &str, height: i32, start: i32) -> Result<(), EngineError> {
        if height <= self.params().prune_after_height || !state.blockfiles_indexed {
            return Ok(());
        }
        let mut usage = state.files.disk_usage();
        let mut room = CHUNKS;
        if usage + room < target {
            return Ok(());
        }
        if state.initial_download {
            // Make room for more at once: pruning empties the cache of coins.
            let remaining = state.best_header().map_or(0, |best| best.height - height);
            room += GUESSED_BLOCK * u64::try_from(remaining).unwrap_or(0);
        }
        let mut files = Vec::new();
        let last = state.prune_locks.limit(height).min(height - MIN_BLOCKS_TO_KEEP);
        for (file, bytes) in prunable(state, start, last) {
            if usage + room < target {
                break;
            }
            usage -= bytes;
            files.push(file);
        }
        let removed = files.len();
        self.prune_files(state, &files)?;
        tracing::debug!(
            target: "prune",
            "[{role}] target={}MiB actual={}MiB diff={}MiB min_height={start} max_prune_height={last} removed {removed} blk/rev pairs",
            target >> 20,
            usage >> 20,
            (target as i64 - usage as i64) >> 20
        );
        Ok(())
    }

    /// Marks the blocks of the files as gone, writes that, and only then removes the files.
    fn prune_files(&self, state: &mut State, files: &[u32]) -> Result<(), EngineError> {
        if files.is_empty() {
            return Ok(());
        }
        let gone: Vec<NodeId> =
            state.index.ids().filter(|id| state.node(*id).have_data() && files.contains(&state.node(*id).file)).collect();
        for id in gone {
            let node = state.index.get_mut(id);
            let witness = node.status.has_witness();
            node.status = node.status.with_data(false, witness).with_undo(false);
            (node.file, node.data_pos, node.undo_pos) = (0, 0, 0);
            if let Some(prev) = node.prev
                && let Some(children) = state.unlinked.get_mut(&prev)
            {
                children.remove(&id);
            }
        }
        if !state.pruned {
            state.index_db.set_pruned()?;
            state.pruned = true;
        }
        for file in files {
            state.files.forget(*file);
        }
        self.flush_state(state, FlushMode::Sync)?;
        for file in files {
            state.files.remove(*file)?;
        }
        Ok(())
    }
}

/// Files with data whose blocks all lie from `first` to `last`, oldest first, with their size in bytes.
fn prunable(state: &State, first: i32, last: i32) -> impl Iterator<Item = (u32, u64)> + use<> {
    let infos = state.files.infos().to_vec();
    (0u32..).zip(infos).filter_map(move |(file, info)| {
        let old = i32::try_from(info.height_last).is_ok_and(|highest| highest <= last);
        let in_chain = i32::try_from(info.height_first).is_ok_and(|lowest| lowest >= first);
        (info.size > 0 && old && in_chain).then_some((file, u64::from(info.size) + u64::from(info.undo_size)))
    })
}

impl State {
    /// First block that pruning for the active chain may remove: those below a snapshot are needed to validate it.
    fn prune_start(&self) -> i32 {
        let open = self.snapshot().filter(|snapshot| !snapshot.validated);
        open.map_or(0, |snapshot| self.node(snapshot.base).height + 1)
    }

    /// Height of the last block of the active chain whose data or undo data is gone; `None` when nothing is (Core:
    /// `GetPruneHeight`).
    pub fn prune_height(&self) -> Option<i32> {
        let tip = self.tip().filter(|_| self.pruned)?;
        self.active.at(1)?;
        let has_both = |id: NodeId| self.node(id).have_data() && self.node(id).have_undo();
        (1..=tip.height).rev().find(|height| !self.active.at(*height).is_some_and(has_both))
    }

    /// Removes files that an earlier run pruned from the index but not from the disk.
    pub(super) fn remove_pruned_files(&self) -> Result<(), bulkhead_store::StoreError> {
        if !self.pruned {
            return Ok(());
        }
        for (file, info) in (0u32..).zip(self.files.infos()) {
            if info.size == 0 && info.blocks == 0 {
                self.files.remove(file)?;
            }
        }
        Ok(())
    }
}
