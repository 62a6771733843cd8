//! Whether scripts of a block must be checked (`-assumevalid`; Core: `ConnectBlock`).

use bitcoin::Work;
use bulkhead_consensus::compact;

use super::{ChainManager, NodeId, State};

const TWO_WEEKS: f64 = 60.0 * 60.0 * 24.0 * 14.0;

impl ChainManager {
    /// Decides, and logs when the decision or its reason changes.
    pub(super) fn wants_scripts(&self, state: &mut State, id: NodeId) -> bool {
        let reason = self.wants_scripts_of(state, id);
        // Core says nothing of it while two chains take turns.
        let speaks = state.snapshot.is_none_or(|snapshot| snapshot.validated);
        if speaks && state.script_reason != Some(reason) {
            let node = state.node(id);
            match reason {
                Some(reason) => {
                    tracing::info!("Enabling script verification at block #{} ({}): {reason}.", node.height, node.hash)
                }
                None => tracing::info!("Disabling script verification at block #{} ({}).", node.height, node.hash),
            }
            state.script_reason = Some(reason);
        }
        reason.is_some()
    }

    /// Core's reason for checking scripts; `None`: they are assumed valid.
    pub(super) fn wants_scripts_of(&self, state: &State, id: NodeId) -> Option<&'static str> {
        let Some(assumed) = self.options().assume_valid else { return Some("assumevalid=0 (always verify)") };
        let Some(assumed) = state.lookup(&assumed) else { return Some("assumevalid hash not in headers") };
        let height = state.node(id).height;
        if state.index.ancestor(assumed, height) != Some(id) {
            let above = height > state.node(assumed).height;
            return Some(if above { "block height above assumevalid height" } else { "block not in assumevalid chain" });
        }
        let Some(best) = state.best_header.filter(|best| state.index.ancestor(*best, height) == Some(id)) else {
            return Some("block not in best header chain");
        };
        let best = state.node(best);
        if best.chain_work < self.options().minimum_chain_work {
            return Some("best header chainwork below minimumchainwork");
        }
        // Time that the work above the block takes at the best header's difficulty.
        let distance = to_f64(best.chain_work) - to_f64(state.node(id).chain_work);
        let proof = to_f64(compact::work_of(best.header.bits.to_consensus()));
        if distance * f64::from(self.params().target_spacing) / proof <= TWO_WEEKS {
            return Some("block too recent relative to best header");
        }
        None
    }
}

fn to_f64(work: Work) -> f64 {
    work.to_be_bytes().iter().fold(0.0, |value, byte| value * 256.0 + f64::from(*byte))
}
