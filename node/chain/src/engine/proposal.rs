//! Judging a block on top of the tip without taking it in (Core: `TestBlockValidity`).

use std::sync::Arc;

use bulkhead_consensus::block::{self, Checks};
use bulkhead_consensus::{PreparedBlock, Reject, header};

use super::connect::connect_block;
use super::{ChainManager, Overlay, State};

impl ChainManager {
    /// Checks everything about a block that would be the next, coins and scripts included; changes nothing.
    ///
    /// # Errors
    /// What is wrong with it; `inconclusive-not-best-prevblk` if it does not build on the tip.
    pub fn test_block_validity(&self, state: &State, prepared: &Arc<PreparedBlock>, checks: Checks) -> Result<(), Reject> {
        let block = prepared.block();
        let tip = state.active.tip();
        if tip.map(|tip| state.node(tip).hash) != Some(block.header.prev_blockhash) {
            return Err(Reject::consensus("inconclusive-not-best-prevblk", ""));
        }
        self.check_block(prepared, checks)?;
        let chain = state.index.view(tip);
        header::check_contextual(&block.header, &chain, self.params(), self.now())?;
        block::check_contextual(prepared, &chain, self.params())?;
        let mut view = Overlay::new(&state.coins);
        let mut scripts = self.scripts_of_block();
        connect_block(prepared, tip, &state.index, self.params(), &mut view, Some(&mut scripts))
            .and_then(|_| scripts.finish())
            .map_err(|error| error.into_reject())
    }
}
