//! Starting from a snapshot of the coins (`loadtxoutset`; Core: `ActivateSnapshot`, `PopulateAndValidateSnapshot`).
//!
//! # Correctness
//! The coins go to a database of their own, which nothing else knows of; the engine is locked only before and after. They become
//! the active chain's when their hash is known to be right and their directory has got its place with one rename.

use std::io::Read;

use bitcoin::BlockHash;
use bulkhead_consensus::params::{AssumeUtxo, Buried};
use bulkhead_store::coins_cache::CoinsCache;
use bulkhead_store::coins_db::CoinsDb;
use bulkhead_store::snapshot::{Metadata, Reader, SnapshotError};
use bulkhead_store::{StoreError, snapshot_dir};

use super::background::{Background, Snapshot, shown};
use super::utxo_stats::{HashKind, Tally};
use super::{ActiveChain, ChainManager, EngineError, NodeId, State};

/// Coins between two looks whether the node stops.
const INTERRUPTIBLE: u64 = 100_000;
/// Coins between two lines about progress.
const PROGRESS: u64 = 1_000_000;

/// Why a snapshot was not taken. Core's texts, up to and without the full stop. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The chain rests on one already.
    #[error("Can't activate a snapshot-based chainstate more than once")]
    Twice,
    /// None is known for the base block.
    #[error(
        "assumeutxo block hash in snapshot metadata not recognized (hash: {0}). The following snapshot heights are available: {1}"
    )]
    UnknownBase(BlockHash, String),
    /// The header of the base block is not known yet.
    #[error(
        "The base block header ({0}) must appear in the headers chain. Make sure all headers are syncing, and call loadtxoutset again"
    )]
    NoHeader(BlockHash),
    /// The base block or one below it is invalid.
    #[error("The base block header ({0}) is part of an invalid chain")]
    InvalidBase(BlockHash),
    /// The base block is not on the way to the best header.
    #[error(
        "A forked headers-chain with more work than the chain with the snapshot base block header exists. Please proceed to sync without AssumeUtxo."
    )]
    Forked,
    /// Transactions in the mempool may spend coins that the snapshot lacks.
    #[error("Can't activate a snapshot when mempool not empty")]
    MempoolNotEmpty,
    /// The chain is as good without it.
    #[error("Population failed: Work does not exceed active chainstate")]
    NoMoreWork,
    /// The chain has become as good meanwhile.
    #[error("work does not exceed active chainstate")]
    Overtaken,
    /// The file is not what it should be.
    #[error("Population failed: {0}")]
    Malformed(#[from] SnapshotError),
    /// Other coins than those that are known for the base block.
    #[error("Population failed: Bad snapshot content hash: expected {expected}, got {actual}")]
    WrongHash {
        /// What is known.
        expected: &'static str,
        /// What the file holds.
        actual: String,
    },
    /// The node stops.
    #[error("Population failed: Aborting after an interrupt was requested")]
    Interrupted,
    /// The directory could not get its place.
    #[error("could not write base blockhash: {0}")]
    Place(String),
    /// Disk or database.
    #[error("Population failed: {0}")]
    Store(#[from] StoreError),
}

impl From<EngineError> for LoadError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Store(error) => LoadError::Store(error),
            _ => LoadError::Interrupted,
        }
    }
}

impl ChainManager {
    /// Checks that a snapshot of this base block could be taken now.
    ///
    /// # Errors
    /// The first of Core's conditions that does not hold.
    pub fn check_snapshot_base(&self, base: BlockHash) -> Result<(NodeId, AssumeUtxo), LoadError> {
        let state = self.lock();
        if state.snapshot.is_some() {
            return Err(LoadError::Twice);
        }
        let Some(facts) = self.params().snapshot_of(base) else {
            let heights: Vec<String> = self.params().assume_utxo.iter().map(|known| known.height.to_string()).collect();
            return Err(LoadError::UnknownBase(base, heights.join(", ")));
        };
        let id = state.lookup(&base).ok_or(LoadError::NoHeader(base))?;
        if state.node(id).status.is_failed() {
            return Err(LoadError::InvalidBase(base));
        }
        let on_the_way = state.best_header.and_then(|best| state.index.ancestor(best, facts.height));
        if on_the_way == Some(id) { Ok((id, facts)) } else { Err(LoadError::Forked) }
    }

    /// Reads coins behind a header and makes them the active chain's. `place` gives the directory of the new coins its place;
    /// `mempool_is_empty` is asked once the header is found to be good.
    ///
    /// # Errors
    /// Why the snapshot was not taken.
    pub fn load_snapshot(
        &self,
        metadata: &Metadata,
        input: impl Read,
        mempool_is_empty: impl FnOnce() -> bool,
        place: impl FnOnce() -> Result<(), String>,
    ) -> Result<NodeId, LoadError> {
        let (base, facts) = self.check_snapshot_base(metadata.base)?;
        if !mempool_is_empty() {
            return Err(LoadError::MempoolNotEmpty);
        }
        if !has_more_work(&self.lock(), base) {
            return Err(LoadError::NoMoreWork);
        }
        let loaded = self.fill_and_activate(metadata, input, base, &facts, place);
        if loaded.is_err()
            && let Err(error) = snapshot_dir::clear_next(&self.options().data_dir)
        {
            tracing::warn!("[snapshot] {error}");
        }
        loaded
    }

    fn fill_and_activate(
        &self,
        metadata: &Metadata,
        input: impl Read,
        base: NodeId,
        facts: &AssumeUtxo,
        place: impl FnOnce() -> Result<(), String>,
    ) -> Result<NodeId, LoadError> {
        let next = snapshot_dir::next_path(&self.options().data_dir);
        let database = CoinsDb::open(&next, self.options().coins(true))?;
        self.populate(&database, metadata, input, facts)?;
        let height = facts.height;
        let stats = self.tally(database.iter()?, Tally::new(HashKind::Serialized, height, metadata.base))?;
        let actual = shown(stats.hash.unwrap_or_default());
        if actual != facts.hash_serialized {
            return Err(LoadError::WrongHash { expected: facts.hash_serialized, actual });
        }
        tracing::info!("[snapshot] validated snapshot ({} coins)", stats.outputs);
        drop(database);
        self.activate_snapshot(base, metadata.base, facts, place)
    }

    fn populate(&self, database: &CoinsDb, metadata: &Metadata, input: impl Read, facts: &AssumeUtxo) -> Result<(), LoadError> {
        let base = metadata.base;
        tracing::info!("[snapshot] loading {} coins from snapshot {base}", metadata.coins);
        let mut reader = Reader::new(input, metadata.coins, facts.height.unsigned_abs());
        // The block that the coins belong to is named when all are there.
        let mut writer = database.start_write(base)?;
        while let Some((outpoint, coin)) = reader.next_coin()? {
            writer.note(&outpoint, Some(&coin))?;
            if reader.count().is_multiple_of(PROGRESS) {
                let share = reader.count() as f64 * 100.0 / metadata.coins as f64;
                tracing::info!("[snapshot] {} coins loaded ({share:.2}%)", reader.count());
            }
            if reader.count().is_multiple_of(INTERRUPTIBLE) && self.is_interrupted() {
                return Err(LoadError::Interrupted);
            }
        }
        writer.finish()?;
        tracing::info!("[snapshot] loaded {} coins from snapshot {base}", metadata.coins);
        Ok(())
    }

    fn activate_snapshot(
        &self,
        base: NodeId,
        hash: BlockHash,
        facts: &AssumeUtxo,
        place: impl FnOnce() -> Result<(), String>,
    ) -> Result<NodeId, LoadError> {
        let _activation = self.activation.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut state = self.lock();
        if state.snapshot.is_some() {
            return Err(LoadError::Twice);
        }
        if !has_more_work(&state, base) {
            return Err(LoadError::Overtaken);
        }
        let data_dir = &self.options().data_dir;
        snapshot_dir::write_base(&snapshot_dir::next_path(data_dir), hash)?;
        place().map_err(LoadError::Place)?;
        let opened = CoinsDb::open(&snapshot_dir::path(data_dir), self.options().coins(false)).and_then(CoinsCache::new);
        let coins = opened.inspect_err(|error| self.fatal_with("", error))?;
        self.assume_blocks(&mut state, base, facts);
        let State { active, coins: old_coins, .. } = &mut *state;
        let background = Background { active: std::mem::take(active), coins: std::mem::replace(old_coins, coins), target: base };
        state.background = Some(background);
        state.snapshot = Some(Snapshot { base, validated: false });
        state.files.set_snapshot_height(facts.height.unsigned_abs());
        let State { index, active, .. } = &mut *state;
        *active = ActiveChain::default();
        active.set_tip(index, Some(base));
        state.candidates.clear();
        state.add_candidate(base);
        let connectable: Vec<NodeId> = state.index.ids().filter(|id| state.is_connectable(*id)).collect();
        for id in connectable {
            state.try_candidate(id);
        }
        tracing::info!("[snapshot] successfully activated snapshot {hash}");
        self.update_initial_download(&mut state);
        self.publish_tip(&state);
        self.flush_state(&mut state, super::flush::FlushMode::Always)?;
        Ok(base)
    }

    /// Notes for blocks up to the base what would be known had they been connected.
    fn assume_blocks(&self, state: &mut State, base: NodeId, facts: &AssumeUtxo) {
        let mut at = Some(base);
        while let Some(id) = at.filter(|id| state.node(*id).height > 0) {
            at = state.node(id).prev;
            if self.params().is_active_at(Buried::Segwit, state.node(id).height) {
                let node = state.index.get_mut(id);
                node.status = node.status.with_witness();
            }
        }
        state.index.get_volatile(base).chain_tx = facts.chain_tx_count;
    }
}

/// Whether the base block is better than the tip.
fn has_more_work(state: &State, base: NodeId) -> bool {
    state.active.tip().is_none_or(|tip| state.index.rank(base) > state.index.rank(tip))
}
