//! Taking in headers and blocks (Core: `AcceptBlockHeader`, `AcceptBlock`, `ProcessNewBlock`).

use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::block::Header;
use bulkhead_consensus::block::{self, Checks};
use bulkhead_consensus::params::Buried;
use bulkhead_consensus::{PreparedBlock, Reject, RejectKind, header, signet};
use bulkhead_script::{Engine, Flags, verify_input};
use bulkhead_store::block_files::Position;

use super::activate::AtHand;
use super::prune::MIN_BLOCKS_TO_KEEP;
use super::{ChainManager, EngineError, NodeId, State};

/// What became of a block that was not refused.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// Its entry in the index.
    pub node: NodeId,
    /// Its data was not on disk before.
    pub is_new: bool,
    /// Result of connecting it, if that was tried during this call.
    pub checked: Option<Result<(), Reject>>,
}

impl ChainManager {
    pub(super) fn accept_headers(&self, headers: &[Header], min_pow_checked: bool) -> Result<Option<NodeId>, Reject> {
        let mut last = None;
        let mut outcome = Ok(());
        {
            let mut state = self.lock();
            for header in headers {
                match self.accept_header(&mut state, header, min_pow_checked) {
                    Ok(id) => last = Some(id),
                    Err(reject) => {
                        outcome = Err(reject);
                        break;
                    }
                }
            }
            self.check_block_index(&state);
        }
        outcome?;
        if self.notify_header_tip()
            && let Some(last) = last
        {
            self.log_header_sync(last);
        }
        Ok(last)
    }

    fn log_header_sync(&self, last: NodeId) {
        let state = self.lock();
        if !state.initial_download {
            return;
        }
        let node = state.node(last);
        let left = ((self.now() - i64::from(node.time())) / i64::from(self.params().target_spacing)).max(0);
        let progress = 100.0 * f64::from(node.height) / (i64::from(node.height) + left) as f64;
        tracing::info!("Synchronizing blockheaders, height: {} (~{:.2}%)", node.height, progress);
    }

    pub(super) fn accept_header(&self, state: &mut State, header: &Header, min_pow_checked: bool) -> Result<NodeId, Reject> {
        let hash = header.block_hash();
        let refuse = |reject: Reject| {
            tracing::debug!(target: "validation", "AcceptBlockHeader: block {hash}: {reject}");
            Err(reject)
        };
        let params = self.params();
        if let Some(id) = state.lookup(&hash) {
            if hash != params.genesis_hash && state.node(id).status.is_failed() {
                tracing::debug!(target: "validation", "AcceptBlockHeader: block {hash} is marked invalid");
                return Err(Reject::new(
                    RejectKind::CachedInvalid,
                    "duplicate-invalid",
                    format!("block {hash} was previously marked invalid"),
                ));
            }
            return Ok(id);
        }
        if hash != params.genesis_hash {
            if let Err(reject) = header::check_proof_of_work(header, params) {
                tracing::debug!(target: "validation", "AcceptBlockHeader: Consensus::CheckBlockHeader: {hash}, {reject}");
                return Err(reject);
            }
            let Some(prev) = state.lookup(&header.prev_blockhash) else {
                tracing::debug!(target: "validation", "header {hash} has prev block not found: {}", header.prev_blockhash);
                return Err(Reject::new(RejectKind::MissingPrevious, "prev-blk-not-found", ""));
            };
            if state.node(prev).status.is_failed() {
                tracing::debug!(target: "validation", "header {hash} has prev block invalid: {}", header.prev_blockhash);
                return Err(Reject::new(RejectKind::InvalidPrevious, "bad-prevblk", ""));
            }
            let chain = state.index.view(Some(prev));
            if let Err(reject) = header::check_contextual(header, &chain, params, self.now()) {
                tracing::debug!(target: "validation", "AcceptBlockHeader: Consensus::ContextualCheckBlockHeader: {hash}, {reject}");
                return Err(reject);
            }
        }
        if !min_pow_checked {
            tracing::debug!(target: "validation", "AcceptBlockHeader: not adding new block header {hash}, missing anti-dos proof-of-work validation");
            return refuse(Reject::new(RejectKind::LowWork, "too-little-chainwork", ""));
        }
        let id = state.index.insert(*header);
        state.index.get_volatile(id).sequence = super::index::SEQUENCE_FROM_DISK;
        let better = state.best_header.is_none_or(|best| state.node(id).chain_work > state.node(best).chain_work);
        if better {
            state.best_header = Some(id);
        }
        Ok(id)
    }

    /// Tells listeners of a new best header; gives whether there was one.
    pub(super) fn notify_header_tip(&self) -> bool {
        let mut state = self.lock();
        if state.best_header == state.announced_header {
            return false;
        }
        state.announced_header = state.best_header;
        let Some(node) = state.best_header() else { return false };
        self.each_listener(|listener| listener.header_tip(&state, node));
        true
    }

    /// Checks that need no chain. Signet's signature belongs to the proof of work and comes right after it.
    pub(super) fn check_block(&self, prepared: &PreparedBlock, checks: Checks) -> Result<(), Reject> {
        if checks.proof_of_work {
            header::check_proof_of_work(&prepared.block().header, self.params())?;
            self.check_signet(prepared)?;
        }
        block::check_block(prepared, self.params(), Checks { proof_of_work: false, ..checks })
    }

    fn check_signet(&self, prepared: &PreparedBlock) -> Result<(), Reject> {
        let params = self.params();
        let Some(challenge) = params.signet_challenge.as_ref().filter(|_| prepared.hash() != params.genesis_hash) else {
            return Ok(());
        };
        let verified = signet::transactions(prepared.block(), challenge)
            .is_some_and(|pair| verify_input(&pair.to_sign, &pair.to_spend.output, 0, Flags::SIGNET, Engine::Kernel).is_ok());
        if verified { Ok(()) } else { Err(Reject::consensus("bad-signet-blksig", "signet block signature validation failure")) }
    }

    /// Checks and stores a block and makes the best chain active. `force`: the block was asked for, so that anti-DoS limits on
    /// unsolicited blocks do not apply.
    ///
    /// # Errors
    /// What is wrong with the block, as far as it was looked at.
    pub fn process_prepared(&self, prepared: Arc<PreparedBlock>, force: bool, min_pow_checked: bool) -> Result<Accepted, Reject> {
        let hash = prepared.hash();
        let checked = self.check_block(&prepared, Checks::ALL);
        let accepted = checked.and_then(|()| self.accept_block(&mut self.lock(), &prepared, force, None, min_pow_checked));
        let (node, is_new) = match accepted {
            Ok(accepted) => accepted,
            Err(reject) => {
                self.each_listener(|listener| listener.block_checked(hash, Err(&reject)));
                tracing::error!("ProcessNewBlock: AcceptBlock FAILED ({reject})");
                return Err(reject);
            }
        };
        self.notify_header_tip();
        let mut checked = None;
        if let Err(error) = self.activate_best_chain(Some(AtHand::new(prepared, None)), &mut checked) {
            tracing::error!("ProcessNewBlock: ActivateBestChain failed ({error})");
            return Err(error.into_reject());
        }
        Ok(Accepted { node, is_new, checked })
    }

    /// Connects a block that is stored and not judged yet, if it is the best. Peers ask for a block as soon as it is announced,
    /// which is before it is connected (Core: `ProcessGetBlockData`).
    ///
    /// # Errors
    /// As [`ChainManager::activate`].
    pub fn judge_stored(&self, hash: &BlockHash) -> Result<(), EngineError> {
        let waits = {
            let state = self.lock();
            let node = state.lookup(hash).map(|id| state.node(id));
            node.is_some_and(|node| node.have_chain_tx() && !node.status.is_valid_scripts() && !node.status.is_failed())
        };
        if waits { self.activate() } else { Ok(()) }
    }

    /// Stores a block whose context-free checks were made, unless `known` says where it stands already.
    pub(super) fn accept_block(
        &self,
        state: &mut State,
        prepared: &Arc<PreparedBlock>,
        requested: bool,
        known: Option<Position>,
        min_pow_checked: bool,
    ) -> Result<(NodeId, bool), Reject> {
        let block = prepared.block();
        let id = self.accept_header(state, &block.header, min_pow_checked)?;
        let node = state.node(id);
        if node.have_data() {
            return Ok((id, false));
        }
        if !requested && self.is_unwanted(state, id) {
            return Ok((id, false));
        }
        let (height, prev) = (node.height, node.prev);
        let chain = state.index.view(prev);
        if let Err(reject) = block::check_contextual(prepared, &chain, self.params()) {
            if reject.kind != RejectKind::Mutated {
                self.invalid_block_found(state, id);
            }
            tracing::error!("AcceptBlock: {reject}");
            return Err(reject);
        }
        if !state.initial_download && state.active.tip() == prev {
            let node = state.node(id);
            self.each_listener(|listener| listener.new_pow_valid_block(state, prepared, node));
        }
        let position = match known {
            Some(position) => {
                let size = block.total_size() as u32; // blocks are below 2^32 bytes
                state.files.note_block(height.unsigned_abs(), u64::from(block.header.time), size, position);
                position
            }
            None => state.files.write_block(block, height.unsigned_abs()).map_err(|error| {
                self.fatal_with("System error while saving block to disk: ", &error);
                Reject::new(RejectKind::System, "", error.to_string())
            })?,
        };
        self.received_transactions(state, id, block.txdata.len(), position);
        self.check_block_index(state);
        Ok((id, true))
    }

    /// Anti-DoS limits on blocks that nobody asked for.
    fn is_unwanted(&self, state: &State, id: NodeId) -> bool {
        let node = state.node(id);
        let less_work = state.tip().is_some_and(|tip| node.chain_work < tip.chain_work);
        node.n_tx != 0
            || less_work
            || node.height > state.height() + MIN_BLOCKS_TO_KEEP
            || node.chain_work < self.options().minimum_chain_work
    }

    /// Notes that a block's data is on disk, and which blocks may connect because of it.
    pub(super) fn received_transactions(&self, state: &mut State, id: NodeId, count: usize, position: Position) {
        let segwit = self.params().is_active_at(Buried::Segwit, state.node(id).height);
        let node = state.index.get_mut(id);
        node.n_tx = count as u32; // bounded by the block's weight
        node.file = position.file;
        node.data_pos = position.offset;
        node.undo_pos = 0;
        node.status = node.status.with_data(true, segwit || node.status.has_witness()).with_valid_transactions();
        let prev = node.prev;
        let connected = prev.is_none_or(|prev| state.node(prev).have_chain_tx());
        if !connected {
            if let Some(prev) = prev {
                state.unlinked.entry(prev).or_default().insert(id);
            }
            return;
        }
        let mut queue = std::collections::VecDeque::from([id]);
        while let Some(id) = queue.pop_front() {
            let below = state.node(id).prev.map_or(0, |prev| state.node(prev).chain_tx);
            state.remove_candidate(id);
            let sequence = state.next_sequence;
            state.next_sequence += 1;
            let node = state.index.get_volatile(id);
            node.chain_tx = below + u64::from(node.n_tx);
            node.sequence = sequence;
            state.try_candidate(id);
            queue.extend(state.unlinked.remove(&id).into_iter().flatten());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;
    use crate::engine::{EngineOptions, Silent};
    use bitcoin::Block;
    use bulkhead_consensus::networks;

    #[test]
    fn a_block_that_is_asked_for_before_it_is_connected_is_connected_first() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("blocks")).unwrap();
        let options = EngineOptions::new(networks::regtest(), folder.path().to_path_buf(), || 1_700_000_000);
        let manager = ChainManager::open(options, Arc::new(Silent)).unwrap();
        manager.activate().unwrap();
        let chain = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/crosscheck/blocks.dat");
        let bytes = std::fs::read(chain).unwrap();
        let genesis = manager.params().genesis.block_hash();
        let mut rest = bytes.as_slice();
        let first: Block = loop {
            let size = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
            let block: Block = bitcoin::consensus::deserialize(&rest[8..8 + size]).unwrap();
            if block.header.prev_blockhash == genesis {
                break block;
            }
            rest = &rest[8 + size..];
        };
        let hash = first.block_hash();
        manager.accept_block(&mut manager.lock(), &Arc::new(PreparedBlock::new(first)), true, None, true).unwrap();
        assert_eq!(manager.tip().hash, genesis, "stored and announced, not connected");
        manager.judge_stored(&hash).unwrap();
        assert_eq!(manager.tip().hash, hash);
    }
}
