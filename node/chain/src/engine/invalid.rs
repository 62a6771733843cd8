//! Blocks that broke a rule, and those that build on them (Core: `InvalidBlockFound`, `InvalidChainFound`).

use bulkhead_consensus::compact;

use super::dates::iso8601;
use super::{BlockNode, ChainManager, NodeId, State};

impl ChainManager {
    /// Marks a block that broke a rule.
    pub(super) fn invalid_block_found(&self, state: &mut State, id: NodeId) {
        state.remove_candidate(id);
        let node = state.index.get_mut(id);
        node.status = node.status.with_failed(true);
        self.invalid_chain_found(state, id);
    }

    pub(super) fn note_invalid(&self, state: &mut State, id: NodeId) {
        if state.best_invalid.is_none_or(|known| state.node(id).chain_work > state.node(known).chain_work) {
            state.best_invalid = Some(id);
        }
    }

    /// Marks all descendants of an invalid block and logs.
    pub(super) fn invalid_chain_found(&self, state: &mut State, id: NodeId) {
        self.note_invalid(state, id);
        let height = state.node(id).height;
        for other in state.index.ids() {
            if other != id && state.index.ancestor(other, height) == Some(id) && !state.node(other).status.is_failed() {
                state.remove_candidate(other);
                let node = state.index.get_mut(other);
                node.status = node.status.with_failed(true);
            }
        }
        if state.best_header.is_some_and(|best| state.index.ancestor(best, height) == Some(id)) {
            state.recalculate_best_header();
        }
        let describe = |what: &str, node: &BlockNode| {
            let work = compact::log2_work(node.chain_work);
            tracing::info!(
                "InvalidChainFound: {what}={} height={} log2_work={work:.6} date={}",
                node.hash,
                node.height,
                iso8601(i64::from(node.time()))
            );
        };
        describe("invalid block", state.node(id));
        if let Some(tip) = state.tip() {
            describe("current best", tip);
        }
        self.check_fork_warning(state);
    }
}
