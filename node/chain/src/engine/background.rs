//! The second chain of a node that started from a snapshot of the coins (Core: the historical `Chainstate`).
//!
//! The active chain rests on the snapshot. This one, with coins of its own, is validated from genesis up to the snapshot's base
//! block; then the coins of both are compared by their hash.

use std::sync::Arc;

use bitcoin::BlockHash;
use bulkhead_consensus::{PreparedBlock, RejectKind};
use bulkhead_store::coins_cache::CoinsCache;
use bulkhead_store::snapshot_dir::{self, Verdict};

use super::connect::{Disconnected, disconnect_block};
use super::flush::FlushMode;
use super::utxo_stats::{HashKind, Tally};
use super::{ActiveChain, ChainManager, EngineError, NodeId, State};

/// The snapshot that the active chain rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Block that its coins belong to.
    pub base: NodeId,
    /// A chain from genesis on was found to have the same coins there.
    pub validated: bool,
}

/// The chain below the snapshot.
#[derive(Debug)]
pub struct Background {
    pub(super) active: ActiveChain,
    pub(super) coins: CoinsCache,
    /// Base of the snapshot, where this chain ends.
    pub(super) target: NodeId,
}

/// What is to be done with the chain below the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connect(NodeId),
    Disconnect(NodeId),
    Complete,
}

impl State {
    /// The snapshot that the active chain rests on; none once its coins have become the only ones.
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.snapshot
    }

    /// Tip of the chain below a snapshot and the block where it ends, while it is on its way (Core:
    /// `GetHistoricalBlockRange`).
    pub fn historical_range(&self) -> Option<(NodeId, NodeId)> {
        let background = self.background.as_ref()?;
        Some((background.active.tip()?, background.target))
    }

    /// The chain all of whose blocks were validated (Core: `ValidatedChainstate`).
    pub fn validated_chain(&self) -> &ActiveChain {
        self.background.as_ref().map_or(&self.active, |background| &background.active)
    }

    /// Block that the coins of that chain belong to.
    pub fn validated_best_block(&self) -> Option<BlockHash> {
        self.background.as_ref().map_or(&self.coins, |background| &background.coins).best_block()
    }

    /// Whether a chain contains the base of the snapshot, as it must until the snapshot is validated.
    pub fn leads_through_snapshot(&self, id: NodeId) -> bool {
        let open = self.snapshot.filter(|snapshot| !snapshot.validated);
        open.is_none_or(|snapshot| self.index.ancestor(id, self.node(snapshot.base).height) == Some(snapshot.base))
    }

    /// Puts the chain below the snapshot in the place of the active one, for as long as `work` takes.
    pub(super) fn with_background<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let mut background = self.background.take()?;
        self.swap(&mut background);
        let result = work(self);
        self.swap(&mut background);
        self.background = Some(background);
        Some(result)
    }

    fn swap(&mut self, background: &mut Background) {
        std::mem::swap(&mut self.active, &mut background.active);
        std::mem::swap(&mut self.coins, &mut background.coins);
    }

    fn next_background_step(&self) -> Option<Step> {
        let background = self.background.as_ref()?;
        let (active, target) = (&background.active, background.target);
        let Some(tip) = active.tip() else { return self.index.ancestor(target, 0).map(Step::Connect) };
        if tip == target {
            return Some(Step::Complete);
        }
        let usable = |id: &NodeId| self.node(*id).have_data() && !self.node(*id).status.is_failed();
        let height = self.node(tip).height;
        if self.index.ancestor(target, height) == Some(tip) {
            return self.index.ancestor(target, height + 1).filter(usable).map(Step::Connect);
        }
        // On a branch: leave it for one towards the target that is better.
        let fork = active.find_fork(&self.index, target)?;
        let above = (self.node(fork).height + 1..=self.node(target).height).map_while(|at| self.index.ancestor(target, at));
        let best = above.take_while(usable).last()?;
        (self.index.rank(best) > self.index.rank(tip)).then_some(Step::Disconnect(tip))
    }
}

impl ChainManager {
    /// Goes on with the chain below a snapshot as far as there is data. `block`: one that is at hand. The caller holds the lock
    /// that serialises changes of chains.
    pub(super) fn advance_background(&self, block: Option<&Arc<PreparedBlock>>) -> Result<(), EngineError> {
        loop {
            let mut state = self.lock();
            let Some(step) = state.next_background_step() else { return Ok(()) };
            match step {
                Step::Connect(id) => {
                    let at_hand = block.filter(|block| block.hash() == state.node(id).hash);
                    self.connect_background(&mut state, id, at_hand.cloned())?;
                }
                Step::Disconnect(id) => self.disconnect_background(&mut state, id)?,
                Step::Complete => {
                    let validated = self.validate_snapshot(&mut state);
                    drop(state);
                    self.each_listener(|listener| listener.background_advanced());
                    // The next start finds the same and validates again.
                    return if matches!(validated, Err(EngineError::Interrupted)) { Ok(()) } else { validated };
                }
            }
            self.prune_to_target(&mut state)?;
            self.flush_state(&mut state, FlushMode::Periodic)?;
            drop(state);
            self.each_listener(|listener| listener.background_advanced());
            if self.is_interrupted() {
                return Ok(());
            }
        }
    }

    fn connect_background(&self, state: &mut State, id: NodeId, at_hand: Option<Arc<PreparedBlock>>) -> Result<(), EngineError> {
        let prepared = match at_hand {
            Some(prepared) => prepared,
            None => self.read_for_connect(state, id)?,
        };
        let hash = prepared.hash();
        if hash != self.params().genesis_hash {
            match state.with_background(|state| self.connect_coins(state, id, &prepared, None)) {
                Some(Err(EngineError::Invalid(reject))) => {
                    tracing::error!("[background validation] ConnectBlock {hash} failed, {reject}");
                    self.each_listener(|listener| listener.block_checked(hash, Err(&reject)));
                    if reject.kind != RejectKind::Mutated {
                        self.invalid_block_found(state, id);
                    }
                    return Err(reject.into());
                }
                Some(Err(EngineError::Store(error))) => {
                    self.fatal_with("", &error);
                    return Err(error.into());
                }
                Some(other) => other?,
                None => return Ok(()),
            }
        }
        self.move_background(state, id);
        let node = state.node(id);
        if node.height % 2000 == 0 {
            tracing::info!("[background validation] UpdateTip: new best={hash} height={} tx={}", node.height, node.chain_tx);
        }
        self.each_listener(|listener| listener.block_checked(hash, Ok(())));
        self.flush_state(state, FlushMode::IfNeeded)
    }

    fn disconnect_background(&self, state: &mut State, id: NodeId) -> Result<(), EngineError> {
        let failed = |text: String| {
            tracing::error!("[background validation] DisconnectTip(): {text}");
            self.fatal("Failed to disconnect block.");
            EngineError::Fatal("Failed to disconnect block.")
        };
        let Some(prev) = state.node(id).prev else { return Ok(()) };
        let prepared = PreparedBlock::new(state.read_block(id).map_err(|error| failed(error.to_string()))?);
        let undo = state.read_undo(id).map_err(|error| failed(error.to_string()))?;
        let height = state.node(id).height;
        let params = self.params();
        let undone = state.with_background(|state| {
            let mut view = state.coins.stage();
            let outcome = disconnect_block(&prepared, undo, height, params, &mut view)?;
            if outcome == Disconnected::Clean {
                view.keep();
            }
            Ok::<_, bulkhead_store::StoreError>(outcome)
        });
        match undone {
            Some(Ok(Disconnected::Clean)) => {}
            Some(Ok(_)) => return Err(failed(format!("DisconnectBlock {} failed", prepared.hash()))),
            Some(Err(error)) => return Err(failed(error.to_string())),
            None => return Ok(()),
        }
        self.move_background(state, prev);
        Ok(())
    }

    fn move_background(&self, state: &mut State, id: NodeId) {
        let State { index, background, .. } = state;
        if let Some(background) = background {
            background.coins.set_best_block(index.get(id).hash);
            background.active.set_tip(index, Some(id));
        }
    }

    /// Compares the coins at the base of the snapshot with what is known of them (Core: `MaybeValidateSnapshot`). The node stops
    /// when they differ.
    pub(super) fn validate_snapshot(&self, state: &mut State) -> Result<(), EngineError> {
        let Some(background) = &state.background else { return Ok(()) };
        let target = background.target;
        let database = background.coins.shared_database();
        let (hash, height) = (state.node(target).hash, state.node(target).height);
        self.flush_state(state, FlushMode::Always)?;
        let expected = self
            .params()
            .snapshot_of(hash)
            .ok_or(EngineError::Fatal("Assumeutxo data not found for the base of the snapshot."))?;
        tracing::info!(
            "[snapshot] computing UTXO stats for background chainstate to validate snapshot - this could take a few minutes"
        );
        let stats = self.tally(database.iter()?, Tally::new(HashKind::Serialized, height, hash))?;
        let actual = shown(stats.hash.unwrap_or_default());
        let data_dir = &self.options().data_dir;
        if actual != expected.hash_serialized {
            tracing::warn!("[snapshot] hash mismatch: actual={actual}, expected={}", expected.hash_serialized);
            snapshot_dir::write_verdict(data_dir, Verdict::Invalid)?;
            let text = invalid_text(state.height(), height);
            tracing::error!("[snapshot] !!! {text}");
            tracing::error!("[snapshot] deleting snapshot, reverting to validated chain, and stopping node");
            self.fatal(&text);
            return Err(EngineError::Fatal("UTXO snapshot failed to validate."));
        }
        snapshot_dir::write_verdict(data_dir, Verdict::Validated)?;
        tracing::info!("[snapshot] snapshot beginning at {hash} has been fully validated");
        state.snapshot = Some(Snapshot { base: target, validated: true });
        state.background = None;
        tracing::info!("[snapshot] allocating all cache to the snapshot chainstate");
        Ok(())
    }
}

/// A hash of a set as Core shows it.
pub(super) fn shown(mut hash: [u8; 32]) -> String {
    hash.reverse();
    hex::encode(hash)
}

/// Core's text.
fn invalid_text(from: i32, to: i32) -> String {
    format!(
        "Bulkhead failed to validate the -assumeutxo snapshot state. This indicates a hardware problem, or a bug in the software, or a \
         bad software modification that allowed an invalid snapshot to be loaded. As a result of this, the node will shut down and \
         stop using any state that was built on the snapshot, resetting the chain height from {from} to {to}. On the next restart, \
         the node will resume syncing from {to} without using any snapshot data. Please report this incident, including how you \
         obtained the snapshot. The invalid snapshot chainstate will be left on disk in case it is helpful in diagnosing the issue \
         that caused this error."
    )
}
