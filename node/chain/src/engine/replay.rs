//! Finishing a write of coins that an earlier run did not finish (Core: `Chainstate::ReplayBlocks`).

use bulkhead_consensus::PreparedBlock;
use bulkhead_store::StoreError;
use bulkhead_store::coins_db::Heads;

use super::connect::{Disconnected, disconnect_block, roll_forward};
use super::{ChainManager, NodeId, State};

/// Blocks between two lines in the log.
const REPORT: i32 = 10_000;

/// Why coins cannot be brought to a block.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The index lacks a block that the coins belong to in part.
    #[error("ReplayBlocks(): reorganization {0} unknown block requested")]
    UnknownBlock(&'static str),
    /// Block and undo data do not fit each other.
    #[error("RollbackBlock(): DisconnectBlock failed at {height}")]
    Inconsistent {
        /// Height of the block.
        height: i32,
    },
    /// Disk or database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ChainManager {
    /// Applies again what the unfinished write was to bring, and writes it.
    pub(super) fn replay(&self, state: &mut State, heads: Heads) -> Result<(), ReplayError> {
        self.notifier.init_message("Replaying blocks…");
        tracing::info!("Replaying blocks");
        let new = state.lookup(&heads.new).ok_or(ReplayError::UnknownBlock("to"))?;
        let old = match heads.old {
            Some(hash) => Some(state.lookup(&hash).ok_or(ReplayError::UnknownBlock("from"))?),
            None => None,
        };
        let fork = old.and_then(|old| state.index.last_common_ancestor(old, new));
        let fork_height = fork.map_or(0, |fork| state.node(fork).height);
        if let Some(old) = old {
            let mut at = old;
            while Some(at) != fork && state.node(at).height > 0 {
                self.report(state, "back", at);
                self.replay_back(state, at)?;
                self.spill_if_large(state, heads)?;
                let Some(below) = state.node(at).prev else { break };
                at = below;
            }
        }
        for height in fork_height + 1..=state.node(new).height {
            let Some(id) = state.index.ancestor(new, height) else { break };
            self.report(state, "forward", id);
            let prepared = PreparedBlock::new(state.read_block(id)?);
            let mut view = state.coins.stage();
            roll_forward(&prepared, height, &mut view)?;
            view.keep();
            self.spill_if_large(state, heads)?;
        }
        state.coins.set_best_block(heads.new);
        state.coins.flush(true)?;
        Ok(())
    }

    /// What was not applied needs not be undone, so a result that is not clean is fine: coins are set, or gone, either way.
    fn replay_back(&self, state: &mut State, id: NodeId) -> Result<(), ReplayError> {
        let prepared = PreparedBlock::new(state.read_block(id)?);
        let (height, undo) = (state.node(id).height, state.read_undo(id)?);
        let mut view = state.coins.stage();
        if disconnect_block(&prepared, undo, height, self.params(), &mut view)? == Disconnected::Failed {
            return Err(ReplayError::Inconsistent { height });
        }
        view.keep();
        Ok(())
    }

    fn spill_if_large(&self, state: &mut State, heads: Heads) -> Result<(), ReplayError> {
        if state.coins.memory() >= self.coins_limits(state).0 {
            state.coins.spill(heads.new)?;
        }
        Ok(())
    }

    fn report(&self, state: &State, direction: &str, id: NodeId) {
        let node = state.node(id);
        if node.height % REPORT == 0 {
            tracing::info!("Rolling {direction} {} ({})", node.hash, node.height);
        }
    }
}
