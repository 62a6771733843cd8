//! Checking blocks near the tip against the databases (Core: `CVerifyDB`), at the start and for `verifychain`.

use std::sync::Arc;

use bulkhead_consensus::PreparedBlock;
use bulkhead_consensus::block::Checks;

use super::connect::{Disconnected, Scripts, connect_block, disconnect_block};
use super::{ChainManager, NodeId, Overlay, State};

/// How verification ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyOutcome {
    /// All is well.
    Verified,
    /// Blocks, undo data and coins do not fit each other.
    Corrupted,
    /// The engine is stopping.
    Interrupted,
    /// The cache was too small for level 3.
    SkippedChecks,
    /// Blocks are pruned.
    SkippedBlocks,
}

/// Percentage as log and progress report it.
#[derive(Debug, Clone, Copy)]
struct VerifyProgress {
    reported: i32,
}

impl VerifyProgress {
    fn report(&mut self, percent: i32) {
        let percent = percent.clamp(1, 99);
        if self.reported < percent / 10 {
            tracing::info!("Verification progress: {percent}%");
            self.reported = percent / 10;
        }
    }
}

impl ChainManager {
    /// Verifies the last `depth` blocks (0: all) at `level` 0 to 4.
    pub fn verify_chain(&self, level: i32, depth: i32) -> VerifyOutcome {
        self.verify_state(&self.lock(), level, depth)
    }

    /// As [`ChainManager::verify_chain`], with the state locked.
    pub(super) fn verify_state(&self, state: &State, level: i32, depth: i32) -> VerifyOutcome {
        let height = state.height();
        if height < 1 {
            return VerifyOutcome::Verified;
        }
        let depth = if depth <= 0 || depth > height { height } else { depth };
        let level = level.clamp(0, 4);
        tracing::info!("Verifying last {depth} blocks at level {level}");
        tracing::info!("Verification progress: 0%");
        self.verify_locked(state, level, depth)
    }

    fn verify_locked(&self, state: &State, level: i32, depth: i32) -> VerifyOutcome {
        let mut view = Overlay::new(&state.coins);
        let mut progress = VerifyProgress { reported: 0 };
        let tip_height = state.height();
        let mut good = 0usize;
        let mut failure = None;
        let mut lowest = tip_height + 1;
        let mut no_data = false;
        let share = if level >= 4 { 50 } else { 100 };
        for height in (tip_height - depth + 1..=tip_height).rev() {
            let Some(id) = state.active.at(height) else { break };
            progress.report((tip_height - height) * share / depth);
            if !state.node(id).have_data() {
                tracing::info!(
                    "Block verification stopping at height {height} (no data). This could be due to pruning or use of an assumeutxo snapshot."
                );
                no_data = true;
                break;
            }
            let Some(prepared) = self.verify_stored(state, id, level) else { return VerifyOutcome::Corrupted };
            if level >= 3 {
                match self.undo_in(state, id, &prepared, &mut view) {
                    Disconnected::Clean => good += prepared.txids().len(),
                    Disconnected::Unclean => {
                        good = 0;
                        failure = Some(height);
                    }
                    Disconnected::Failed => {
                        let hash = prepared.hash();
                        tracing::error!("Verification error: irrecoverable inconsistency in block data at {height}, hash={hash}");
                        return VerifyOutcome::Corrupted;
                    }
                }
            }
            lowest = height;
            if self.is_interrupted() {
                return VerifyOutcome::Interrupted;
            }
        }
        if let Some(failure) = failure {
            let last = tip_height - failure + 1;
            tracing::error!(
                "Verification error: coin database inconsistencies found (last {last} blocks, {good} good transactions before that)"
            );
            return VerifyOutcome::Corrupted;
        }
        if level >= 4 {
            for height in lowest..=tip_height {
                progress.report(100 - (tip_height - height) * 50 / depth);
                let Some(id) = state.active.at(height) else { break };
                if !self.reconnect_in(state, id, &mut view) {
                    return VerifyOutcome::Corrupted;
                }
                if self.is_interrupted() {
                    return VerifyOutcome::Interrupted;
                }
            }
        }
        tracing::info!("Verification: checked last {} blocks at level {level}", tip_height + 1 - lowest);
        if level >= 3 {
            tracing::info!("Verification: no coin database inconsistencies ({good} transactions)");
        }
        if no_data { VerifyOutcome::SkippedBlocks } else { VerifyOutcome::Verified }
    }

    /// Levels 0 to 2: the block can be read, is valid by itself, and has readable undo data.
    fn verify_stored(&self, state: &State, id: NodeId, level: i32) -> Option<PreparedBlock> {
        let node = state.node(id);
        let (height, hash) = (node.height, node.hash);
        let prepared = match state.read_block(id) {
            Ok(block) => PreparedBlock::new(block),
            Err(error) => {
                tracing::error!("{error} while reading block");
                tracing::error!("Verification error: ReadBlock failed at {height}, hash={hash}");
                return None;
            }
        };
        if level >= 1
            && let Err(reject) = self.check_block(&prepared, Checks::ALL)
        {
            tracing::error!("Verification error: found bad block at {height}, hash={hash} ({reject})");
            return None;
        }
        if level >= 2
            && node.have_undo()
            && let Err(error) = state.read_undo(id)
        {
            tracing::error!("{error} while reading block undo");
            tracing::error!("Verification error: found bad undo data at {height}, hash={hash}");
            return None;
        }
        Some(prepared)
    }

    fn undo_in(&self, state: &State, id: NodeId, prepared: &PreparedBlock, view: &mut Overlay<'_>) -> Disconnected {
        let outcome =
            state.read_undo(id).and_then(|undo| disconnect_block(prepared, undo, state.node(id).height, self.params(), view));
        outcome.unwrap_or_else(|error| {
            tracing::error!("{error} while verifying");
            Disconnected::Failed
        })
    }

    /// Level 4: the block connects again, scripts included.
    fn reconnect_in(&self, state: &State, id: NodeId, view: &mut Overlay<'_>) -> bool {
        let node = state.node(id);
        let prepared = match state.read_block(id) {
            Ok(block) => PreparedBlock::new(block),
            Err(_) => {
                tracing::error!("Verification error: ReadBlock failed at {}, hash={}", node.height, node.hash);
                return false;
            }
        };
        let prepared = Arc::new(prepared);
        let mut scripts = self.wants_scripts_of(state, id).map(|_| self.scripts_of_block());
        let connected = connect_block(&prepared, state.node(id).prev, &state.index, self.params(), view, scripts.as_mut());
        match connected.and_then(|_| scripts.map_or(Ok(()), Scripts::finish)) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!("Verification error: found unconnectable block at {}, hash={} ({error})", node.height, node.hash);
                false
            }
        }
    }
}
