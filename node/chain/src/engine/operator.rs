//! What an operator may change by hand: `invalidateblock`, `reconsiderblock`, `preciousblock`.

use super::{ChainManager, EngineError, NodeId};

/// Blocks that the operator may take back without losing what was in them from the mempool (Core: `InvalidateBlock`).
const MAX_KEPT_BLOCKS: u32 = 10;

impl ChainManager {
    /// Marks a block and all that build on it invalid and leaves them. Genesis cannot be marked: nothing happens then.
    pub fn invalidate_block(&self, id: NodeId) -> Result<(), EngineError> {
        let is_genesis = self.lock().node(id).height == 0;
        if !is_genesis {
            let _activation = self.activation.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let mut moved: u32 = 0;
            loop {
                let mut state = self.lock();
                if self.is_interrupted() || !state.is_active(id) {
                    break;
                }
                let Some(tip) = state.active.tip() else { break };
                self.disconnect_tip(&mut state)?;
                moved = moved.saturating_add(1);
                if moved > MAX_KEPT_BLOCKS {
                    self.each_listener(|listener| listener.disconnected_given_up());
                }
                state.remove_candidate(tip);
                let node = state.index.get_mut(tip);
                node.status = node.status.with_failed(true);
                if let Some(new_tip) = state.active.tip() {
                    state.add_candidate(new_tip);
                    let node = state.node(new_tip);
                    self.each_listener(|listener| listener.tip_updated(&state, node, Some(node), state.initial_download));
                }
            }
            let mut state = self.lock();
            state.remove_candidate(id);
            let node = state.index.get_mut(id);
            node.status = node.status.with_failed(true);
            self.invalid_chain_found(&mut state, id);
            state.recalculate_best_header();
            let others: Vec<NodeId> = state.index.ids().filter(|other| state.is_connectable(*other)).collect();
            for other in others {
                state.try_candidate(other);
            }
            if moved > 0 {
                self.publish_tip(&state);
            }
            self.check_block_index(&state);
        }
        self.activate_best_chain(None, &mut None)
    }

    /// Takes back that a block, those below it and those that build on it are invalid.
    pub fn reconsider_block(&self, id: NodeId) -> Result<(), EngineError> {
        {
            let mut state = self.lock();
            let height = state.node(id).height;
            let related = |other: &NodeId| {
                let node = state.node(*other);
                node.status.is_failed()
                    && (state.index.ancestor(*other, height) == Some(id) || state.index.ancestor(id, node.height) == Some(*other))
            };
            let failed: Vec<NodeId> = state.index.ids().filter(related).collect();
            for other in failed {
                let node = state.index.get_mut(other);
                node.status = node.status.with_failed(false);
                if state.is_connectable(other) {
                    state.try_candidate(other);
                }
                if state.best_invalid == Some(other) {
                    state.best_invalid = None;
                }
            }
            state.recalculate_best_header();
        }
        self.activate_best_chain(None, &mut None)
    }

    /// Prefers a block over others with as much work, as if it had come first.
    pub fn precious_block(&self, id: NodeId) -> Result<(), EngineError> {
        {
            let mut state = self.lock();
            let Some(tip_work) = state.tip().map(|tip| tip.chain_work) else { return Ok(()) };
            if state.node(id).chain_work < tip_work {
                return Ok(());
            }
            if tip_work > state.precious_work {
                state.precious_sequence = -1;
            }
            state.precious_work = tip_work;
            state.remove_candidate(id);
            let sequence = state.precious_sequence;
            state.index.get_volatile(id).sequence = sequence;
            state.precious_sequence = sequence.saturating_sub(1);
            if state.is_connectable(id) {
                state.add_candidate(id);
                state.prune_candidates();
            }
        }
        self.activate_best_chain(None, &mut None)
    }
}
