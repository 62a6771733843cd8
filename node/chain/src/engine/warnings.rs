//! Warnings that follow from the chain (Core: `CheckUnknownActivations`, `CheckForkWarningConditions`).

use bulkhead_consensus::compact;
use bulkhead_consensus::unknown_rules::UnknownRules;

use super::{ChainManager, NodeId, State};
use crate::warnings::Warning;

/// Blocks by which an invalid chain may be better than ours without a warning.
const INVALID_LEAD: u32 = 6;
const INVALID_CHAIN: &str = "Found invalid chain more than 6 blocks longer than our best chain. This could be due to database corruption or consensus incompatibility with peers.";

/// What is known of unknown rules after each whole period of the active chain, with the last block of the period.
#[derive(Debug, Default)]
pub struct RuleWatch {
    periods: Vec<(NodeId, UnknownRules)>,
}

impl State {
    /// Rules after the last whole period up to `tip`. Periods of a chain that was left are judged anew.
    fn unknown_rules(&mut self, params: &bulkhead_consensus::Params, tip: NodeId) -> UnknownRules {
        let period = UnknownRules::period(params);
        let whole = usize::try_from((self.index.get(tip).height + 1) / period).unwrap_or(0);
        let State { index, rule_watch: RuleWatch { periods }, .. } = self;
        periods.truncate(whole);
        while periods.last().is_some_and(|(last, _)| index.ancestor(tip, index.get(*last).height) != Some(*last)) {
            periods.pop();
        }
        let view = index.view(Some(tip));
        let mut end = periods.len() as i32 * period + period - 1; // a height
        while periods.len() < whole {
            let mut rules = periods.last().map_or_else(UnknownRules::default, |(_, rules)| rules.clone());
            rules.advance(params, &view, end);
            let Some(last) = index.ancestor(tip, end) else { break };
            periods.push((last, rules));
            end += period;
        }
        periods.last().map_or_else(UnknownRules::default, |(_, rules)| rules.clone())
    }
}

impl ChainManager {
    /// Warns of unknown rules that are active at the tip; gives texts about those that will be.
    pub(super) fn check_unknown_rules(&self, state: &mut State) -> Vec<String> {
        let Some(tip) = state.active.tip().filter(|_| !state.initial_download) else { return Vec::new() };
        let mut coming = Vec::new();
        for (bit, is_active) in state.unknown_rules(self.params(), tip).found() {
            let text = format!("Unknown new rules activated (versionbit {bit})");
            if is_active {
                self.notifier.warning_set(Warning::UnknownRules, &text);
            } else {
                coming.push(text);
            }
        }
        coming
    }

    /// Warns while an invalid chain has much more work than ours.
    pub(super) fn check_fork_warning(&self, state: &State) {
        let Some(tip) = state.tip() else { return };
        let proof = compact::work_of(tip.header.bits.to_consensus());
        let limit = (0..INVALID_LEAD).fold(tip.chain_work, |work, _| work + proof);
        if state.best_invalid.is_some_and(|best| state.node(best).chain_work > limit) {
            tracing::warn!("{INVALID_CHAIN}");
            self.notifier.warning_set(Warning::LargeInvalidChain, &format!("Warning: {INVALID_CHAIN}"));
        } else {
            self.notifier.warning_unset(Warning::LargeInvalidChain);
        }
    }
}
