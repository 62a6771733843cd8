//! Making the best chain active (Core: `ActivateBestChain` and what it calls).

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::Arc;

use bitcoin::BlockHash;
use bulkhead_consensus::block::Checks;
use bulkhead_consensus::{PreparedBlock, Reject, RejectKind, compact};
use bulkhead_store::StoreError;
use bulkhead_store::coins_cache::Prefetched;

use super::ahead::{ReadAhead, inputs};
use super::connect::{Disconnected, Scripts, connect_block, disconnect_block};
use super::dates::iso8601;
use super::flush::FlushMode;
use super::stages::Stage;
use super::{BlockNode, ChainManager, EngineError, NodeId, State, TipInfo};

/// Result of connecting the block that the caller brought.
pub(super) type Checked = Option<Result<(), Reject>>;

/// A block that the caller brought: it need not be read from disk.
pub(super) struct AtHand {
    /// It passes the checks that need no coins.
    pub block: Arc<PreparedBlock>,
    /// Coins that it spends, until they are used.
    coins: Cell<Option<Prefetched>>,
}

impl AtHand {
    pub fn new(block: Arc<PreparedBlock>, coins: Option<Prefetched>) -> Self {
        Self { block, coins: Cell::new(coins) }
    }
}

impl ChainManager {
    /// Connects blocks until no better candidate is left. What came of connecting `block` goes to `checked`.
    pub(super) fn activate_best_chain(&self, block: Option<AtHand>, checked: &mut Checked) -> Result<(), EngineError> {
        let _activation = self.activation.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.advance_active(block.as_ref(), checked)?;
        self.advance_background(block.as_ref().map(|block| &block.block))
    }

    fn advance_active(&self, block: Option<&AtHand>, checked: &mut Checked) -> Result<(), EngineError> {
        std::thread::scope(|scope| self.advance_reading_ahead(ReadAhead::new(scope, self), block, checked))
    }

    fn advance_reading_ahead(
        &self,
        mut ahead: ReadAhead<'_, '_>,
        block: Option<&AtHand>,
        checked: &mut Checked,
    ) -> Result<(), EngineError> {
        let mut most_work = None;
        loop {
            let new_tip = {
                let mut state = self.lock();
                match self.advance(&mut state, &mut most_work, &mut ahead, block, checked)? {
                    Some(tip) => tip,
                    None => return Ok(()),
                }
            };
            {
                let mut state = self.lock();
                self.prune_to_target(&mut state)?;
                self.flush_state(&mut state, FlushMode::Periodic)?;
                self.check_block_index(&state);
            }
            self.each_listener(|listener| listener.step_over());
            if self.options().stop_at_height != 0 && self.tip().height >= self.options().stop_at_height {
                self.notifier.stop_requested();
                self.interrupt();
            }
            if self.is_interrupted() || most_work == Some(new_tip) {
                return Ok(());
            }
        }
    }

    /// Moves until the tip is better than at the start, then tells listeners. `None`: nothing was to be done.
    fn advance(
        &self,
        state: &mut State,
        most_work: &mut Option<NodeId>,
        ahead: &mut ReadAhead<'_, '_>,
        block: Option<&AtHand>,
        checked: &mut Checked,
    ) -> Result<Option<NodeId>, EngineError> {
        let starting_tip = state.active.tip();
        let mut moved = false;
        loop {
            if most_work.is_none() {
                *most_work = self.find_most_work(state);
            }
            let Some(target) = most_work.filter(|target| state.active.tip() != Some(*target)) else { break };
            let invalid_found = self.step(state, target, ahead, block, checked)?;
            self.check_fork_warning(state);
            moved = true;
            if invalid_found {
                *most_work = None;
            }
            let settled = match (starting_tip, state.active.tip()) {
                (Some(start), Some(tip)) => state.index.rank(tip) >= state.index.rank(start),
                (None, tip) => tip.is_some(),
                (Some(_), None) => false,
            };
            if settled {
                break;
            }
        }
        let Some(tip) = state.active.tip().filter(|_| moved) else { return Ok(None) };
        let fork = starting_tip.and_then(|start| state.active.find_fork(&state.index, start));
        let (tip_node, fork_node) = (state.node(tip), fork.map(|fork| state.node(fork)));
        self.each_listener(|listener| listener.tip_updated(state, tip_node, fork_node, state.initial_download));
        Ok(Some(tip))
    }

    /// The best candidate whose whole chain has data and is not known to be invalid.
    fn find_most_work(&self, state: &mut State) -> Option<NodeId> {
        loop {
            let best = state.candidates.last_key_value().map(|(_, id)| *id)?;
            let mut at = Some(best);
            let mut broken = None;
            while let Some(id) = at.filter(|id| !state.is_active(*id)) {
                let node = state.node(id);
                if node.status.is_failed() || !node.have_data() {
                    broken = Some((id, node.status.is_failed()));
                    break;
                }
                at = node.prev;
            }
            let Some((broken, failed)) = broken else { return Some(best) };
            if failed {
                self.note_invalid(state, best);
            }
            let mut at = best;
            while at != broken {
                state.remove_candidate(at);
                let Some(prev) = state.node(at).prev else { break };
                if !failed {
                    state.unlinked.entry(prev).or_default().insert(at);
                }
                at = prev;
            }
            state.remove_candidate(broken);
        }
    }

    /// Goes one step towards `target`: back to the fork, then forward until the tip is better than before. Gives whether an
    /// invalid block was met.
    fn step(
        &self,
        state: &mut State,
        target: NodeId,
        ahead: &mut ReadAhead<'_, '_>,
        block: Option<&AtHand>,
        checked: &mut Checked,
    ) -> Result<bool, EngineError> {
        let old_work = state.tip().map(|tip| tip.chain_work);
        let fork = state.active.find_fork(&state.index, target);
        while state.active.tip().is_some() && state.active.tip() != fork {
            if let Err(error) = self.disconnect_tip(state) {
                tracing::error!("DisconnectTip(): {error}");
                self.fatal("Failed to disconnect block.");
                return Err(EngineError::Fatal("Failed to disconnect block."));
            }
        }
        let target_height = state.node(target).height;
        let mut height = state.height();
        while height < target_height {
            height += 1;
            let Some(next) = state.index.ancestor(target, height) else { break };
            let at_hand = block.filter(|at_hand| at_hand.block.hash() == state.node(next).hash);
            let is_callers = at_hand.is_some();
            let ready = match at_hand {
                Some(at_hand) => Some((Arc::clone(&at_hand.block), at_hand.coins.take())),
                None => self.stages.time(Stage::Wait, || ahead.take(state, next, target)).map(|ready| (ready.block, ready.coins)),
            };
            match self.connect_tip(state, next, ready) {
                Ok(()) => {
                    if is_callers {
                        *checked = Some(Ok(()));
                    }
                    state.prune_candidates();
                    let better = old_work.is_none_or(|old| state.tip().is_some_and(|tip| tip.chain_work > old));
                    if better {
                        return Ok(false);
                    }
                }
                Err(EngineError::Invalid(reject)) => {
                    if reject.kind != RejectKind::Mutated {
                        self.invalid_chain_found(state, target);
                    }
                    if is_callers {
                        *checked = Some(Err(reject));
                    }
                    return Ok(true);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Makes `id`, a child of the tip, the tip. `ready`: the block and the coins that it spends, as far as they are at hand.
    fn connect_tip(
        &self,
        state: &mut State,
        id: NodeId,
        ready: Option<(Arc<PreparedBlock>, Option<Prefetched>)>,
    ) -> Result<(), EngineError> {
        let (prepared, coins) = match ready {
            Some(ready) => ready,
            None => (self.read_for_connect(state, id)?, None),
        };
        let hash = prepared.hash();
        let genesis = hash == self.params().genesis_hash;
        if !genesis {
            match self.connect_coins(state, id, &prepared, coins) {
                Err(EngineError::Invalid(reject)) => {
                    tracing::info!("Block validation error: {reject}");
                    self.each_listener(|listener| listener.block_checked(hash, Err(&reject)));
                    if reject.kind != RejectKind::Mutated {
                        self.invalid_block_found(state, id);
                    }
                    tracing::error!("ConnectTip: ConnectBlock {hash} failed, {reject}");
                    return Err(reject.into());
                }
                Err(EngineError::Store(error @ (StoreError::Database { .. } | StoreError::Corrupt { .. }))) => {
                    tracing::error!("Error reading from database: {error}");
                    self.fatal("Error reading from database, shutting down.");
                    return Err(error.into());
                }
                Err(EngineError::Store(error)) => {
                    self.fatal_with("System error while saving block to disk: ", &error);
                    return Err(error.into());
                }
                other => other?,
            }
        }
        state.coins.set_best_block(hash);
        self.each_listener(|listener| listener.block_checked(hash, Ok(())));
        self.flush_state(state, FlushMode::IfNeeded)?;
        self.set_tip(state, Some(id));
        let node = state.node(id);
        self.each_listener(|listener| listener.block_connected(state, &prepared, node));
        tracing::debug!(target: "bench", "Stages until block {}: {}", node.height, self.stages);
        Ok(())
    }

    pub(super) fn read_for_connect(&self, state: &State, id: NodeId) -> Result<Arc<PreparedBlock>, EngineError> {
        let read = self.stages.time(Stage::Read, || state.read_block(id).map(PreparedBlock::new));
        let prepared = read.map_err(|error| {
            tracing::error!("{error} while reading block");
            self.fatal("Failed to read block.");
            EngineError::Fatal("Failed to read block.")
        })?;
        // It may have changed on disk since it was checked.
        if let Err(reject) = self.stages.time(Stage::Check, || self.check_block(&prepared, Checks::ALL)) {
            if reject.kind == RejectKind::Mutated {
                self.fatal("Corrupt block found indicating potential hardware failure.");
                return Err(EngineError::Fatal("Corrupt block found indicating potential hardware failure."));
            }
            tracing::error!("ConnectBlock: Consensus::CheckBlock: {reject}");
            return Err(reject.into());
        }
        Ok(Arc::new(prepared))
    }

    /// Checks a block against the coins, makes its changes, writes undo data.
    pub(super) fn connect_coins(
        &self,
        state: &mut State,
        id: NodeId,
        prepared: &Arc<PreparedBlock>,
        coins: Option<Prefetched>,
    ) -> Result<(), EngineError> {
        let stages = &self.stages;
        let coins = match coins {
            Some(coins) => coins,
            None => stages.time(Stage::Prefetch, || {
                let created: HashSet<_> = prepared.txids().iter().collect();
                state.coins.prefetcher().read(inputs(prepared).filter(|outpoint| !created.contains(&outpoint.txid)))
            })?,
        };
        let mut scripts = self.wants_scripts(state, id).then(|| self.scripts_of_block());
        let State { index, files, coins: cache, .. } = state;
        let (prev, mut view) = (index.get(id).prev, cache.stage_with(coins));
        let undo =
            stages.time(Stage::Connect, || connect_block(prepared, prev, index, self.params(), &mut view, scripts.as_mut()))?;
        stages.time(Stage::Scripts, || scripts.map_or(Ok(()), Scripts::finish))?;
        if !index.get(id).have_undo() {
            let node = index.get(id);
            let (file, height) = (node.file, node.height.unsigned_abs());
            let parent = prepared.block().header.prev_blockhash;
            let position = stages.time(Stage::Undo, || files.write_undo(&undo, parent, file, height))?;
            let node = index.get_mut(id);
            node.undo_pos = position.offset;
            node.status = node.status.with_undo(true);
        }
        if !index.get(id).status.is_valid_scripts() {
            let node = index.get_mut(id);
            node.status = node.status.with_valid_scripts();
        }
        view.keep();
        Ok(())
    }

    /// Starts script checks by the engine that was chosen.
    pub(super) fn scripts_of_block(&self) -> Scripts<'_> {
        Scripts::new(self.scripts.begin(), self.options().script_engine, &self.script_cache)
    }

    /// Takes the tip back.
    pub(super) fn disconnect_tip(&self, state: &mut State) -> Result<(), EngineError> {
        let Some(id) = state.active.tip() else { return Ok(()) };
        let Some(prev) = state.node(id).prev else { return Ok(()) };
        let prepared = Arc::new(PreparedBlock::new(state.read_block(id)?));
        let undo = state.read_undo(id)?;
        let height = state.node(id).height;
        let mut view = state.coins.stage();
        if disconnect_block(&prepared, undo, height, self.params(), &mut view)? != Disconnected::Clean {
            tracing::error!("DisconnectTip(): DisconnectBlock {} failed", prepared.hash());
            return Err(EngineError::Fatal("Failed to disconnect block."));
        }
        view.keep();
        state.coins.set_best_block(state.node(prev).hash);
        state.prune_locks.move_back(height - 1);
        self.flush_state(state, FlushMode::IfNeeded)?;
        self.set_tip(state, Some(prev));
        let node = state.node(id);
        self.each_listener(|listener| listener.block_disconnected(state, &prepared, node));
        Ok(())
    }

    /// Notes the new tip everywhere and logs it.
    pub(super) fn set_tip(&self, state: &mut State, id: Option<NodeId>) {
        let State { index, active, .. } = state;
        active.set_tip(index, id);
        self.update_initial_download(state);
        self.publish_tip(state);
        let warnings = self.check_unknown_rules(state);
        if let Some(node) = state.tip() {
            self.log_tip(state, node, &warnings);
        }
    }

    /// Copies the tip to where readers find it.
    pub(super) fn publish_tip(&self, state: &State) {
        let info = match state.active.tip() {
            Some(id) => TipInfo::of(state.node(id), state.index.median_time_past(id), state.initial_download),
            None => TipInfo::none(),
        };
        *self.tip.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(info);
        self.tip_changed.wake();
    }

    fn log_tip(&self, state: &State, node: &BlockNode, warnings: &[String]) {
        let warning = if warnings.is_empty() { String::new() } else { format!(" warning='{}'", warnings.join(", ")) };
        tracing::info!(
            "UpdateTip: new best={} height={} version=0x{:08x} log2_work={:.6} tx={} date='{}' progress={:.6} cache={:.1}MiB({}utxo){warning}",
            node.hash,
            node.height,
            node.header.version.to_consensus(),
            compact::log2_work(node.chain_work),
            node.chain_tx,
            iso8601(i64::from(node.time())),
            self.verification_progress(state, node),
            state.coins.memory() as f64 / f64::from(1 << 20),
            state.coins.len(),
        );
    }

    /// Estimate of how much of the chain is verified, 0 to 1 (Core: `GuessVerificationProgress`).
    pub fn verification_progress(&self, state: &State, node: &BlockNode) -> f64 {
        if node.chain_tx == 0 {
            return 0.0;
        }
        let data = self.params().chain_tx_data;
        let now = self.now();
        let best_height = state.best_header().map_or(-1, |header| header.height);
        let recent = (now - i64::from(node.time())).abs() <= 2 * 60 * 60 && best_height >= node.height;
        let block_time = if recent {
            now - i64::from(best_height - node.height) * i64::from(self.params().target_spacing)
        } else {
            i64::from(node.time())
        };
        let total = if node.chain_tx <= data.tx_count {
            data.tx_count as f64 + (now - data.time) as f64 * data.tx_rate
        } else {
            node.chain_tx as f64 + (now - block_time) as f64 * data.tx_rate
        };
        (node.chain_tx as f64 / total).min(1.0)
    }

    /// Latches the end of initial download.
    pub(super) fn update_initial_download(&self, state: &mut State) {
        if !state.initial_download || self.is_importing() || !state.blockfiles_indexed {
            return;
        }
        let recent = state.tip().is_some_and(|tip| {
            tip.chain_work >= self.options().minimum_chain_work
                && i64::from(tip.time()) >= self.now() - self.options().max_tip_age
        });
        if recent {
            tracing::info!("Leaving InitialBlockDownload (latching to false)");
            state.initial_download = false;
        }
    }

    /// Ends the node with Core's text.
    pub(crate) fn fatal(&self, text: &str) {
        self.failed.store(true, std::sync::atomic::Ordering::Release);
        self.interrupt();
        self.notifier.fatal(text);
    }

    pub(super) fn fatal_with(&self, prefix: &str, error: &StoreError) {
        match error {
            StoreError::DiskSpace => self.fatal(&error.to_string()),
            other => self.fatal(&format!("{prefix}{other}")),
        }
    }

    /// Hash of a block of the active chain.
    pub fn active_hash(&self, height: i32) -> Option<BlockHash> {
        self.lock().active_at(height).map(|node| node.hash)
    }
}
