//! Opening the databases and finding back to where the last run ended.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, RwLock};

use bulkhead_consensus::PreparedBlock;
use bulkhead_consensus::params::AssumeUtxo;
use bulkhead_script::ScriptCache;
use bulkhead_store::StoreError;
use bulkhead_store::block_files::{BlockFileOptions, BlockFiles};
use bulkhead_store::block_index::BlockRecord;
use bulkhead_store::coins_cache::CoinsCache;
use bulkhead_store::coins_db::CoinsDb;
use bulkhead_store::index_db::IndexDb;
use bulkhead_store::snapshot_dir;

use super::background::{Background, Snapshot};
use super::dates::iso8601;
use super::index::SEQUENCE_FROM_DISK;
use super::replay::ReplayError;
use super::scripts::ScriptPool;
use super::tip::{TipInfo, TipSignal};
use super::{ActiveChain, BlockIndex, ChainManager, EngineError, EngineOptions, NodeId, Notifier, State, VerifyOutcome};

/// Sequence number of the chain that was active when the last run ended.
const SEQUENCE_BEST_FROM_DISK: i32 = 0;

/// Why the chain could not be opened; the texts are Core's where it has one.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The block index cannot be opened.
    #[error("Error opening block database.\nPlease restart with -reindex or -reindex-chainstate to recover.")]
    BlockDatabase(#[source] StoreError),
    /// The coins cannot be opened.
    #[error("Error opening coins database.\nPlease restart with -reindex or -reindex-chainstate to recover.")]
    CoinsDatabase(#[source] StoreError),
    /// The index does not fit the coins or the files.
    #[error("Error loading block database.\nPlease restart with -reindex or -reindex-chainstate to recover.")]
    Load(#[source] StoreError),
    /// Blocks were taken in without their witnesses, which the rules ask for at their height.
    #[error(
        "Witness data for blocks after height {0} requires validation. Please restart with -reindex..\nPlease restart with -reindex or -reindex-chainstate to recover."
    )]
    NoWitnesses(i32),
    /// The index lacks the block that the coins belong to.
    #[error("Error initializing block database.\nPlease restart with -reindex or -reindex-chainstate to recover.")]
    Initialize,
    /// Blocks near the tip are corrupt.
    #[error("Corrupted block database detected.\nPlease restart with -reindex or -reindex-chainstate to recover.")]
    Corrupted,
    /// The chain rests on a snapshot that this program does not know. Core's text.
    #[error(
        "A fatal internal error occurred, see debug.log for details: Assumeutxo data not found for the given blockhash '{0}'."
    )]
    UnknownSnapshot(bitcoin::BlockHash),
    /// The coins of a snapshot turned out to be wrong. Core's text.
    #[error(
        "UTXO snapshot failed to validate. Restart to resume normal initial block download, or try loading a different snapshot."
    )]
    SnapshotFailed,
    /// Another network's data.
    #[error("Incorrect or no genesis block found. Wrong datadir for network?")]
    WrongGenesis,
    /// The chain was pruned before and should not be any more.
    #[error(
        "You need to rebuild the database using -reindex to go back to unpruned mode.  This will redownload the entire blockchain.\nPlease restart with -reindex or -reindex-chainstate to recover."
    )]
    WasPruned,
    /// A block lies in the future.
    #[error(
        "The block database contains a block which appears to be from the future. This may be due to your computer's date and time being set incorrectly. Only rebuild the block database if you are sure that your computer's date and time are correct.\nPlease restart with -reindex or -reindex-chainstate to recover."
    )]
    FromTheFuture,
    /// Core's LevelDB databases are there.
    #[error("{} holds a LevelDB database of Bitcoin Core, which this program does not read and has left untouched. Please restart with -reindex to build its own databases from the block files.", .0.display())]
    LevelDb(std::path::PathBuf),
    /// `xor.dat` and `-blocksxor=0` contradict each other, or a file cannot be used.
    #[error("Error initializing block database: {0}")]
    Files(#[source] StoreError),
    /// A write of coins that an earlier run did not finish cannot be finished.
    #[error(
        "Unable to replay blocks. You will need to rebuild the database using -reindex-chainstate.\nPlease restart with -reindex or -reindex-chainstate to recover."
    )]
    Replay(#[source] ReplayError),
    /// The engine was asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// Connecting genesis failed.
    #[error("Error initializing block database: {0}")]
    Genesis(#[source] EngineError),
}

impl OpenError {
    fn block_database(error: StoreError) -> Self {
        tracing::error!("{error}");
        match error {
            StoreError::LevelDb { path } => OpenError::LevelDb(path),
            other => OpenError::BlockDatabase(other),
        }
    }

    fn coins_database(error: StoreError) -> Self {
        tracing::error!("{error}");
        match error {
            StoreError::LevelDb { path } => OpenError::LevelDb(path),
            other => OpenError::CoinsDatabase(other),
        }
    }

    /// Whether Core asks the user if it should rebuild the databases.
    pub fn suggests_reindex(&self) -> bool {
        use OpenError as E;
        matches!(
            self,
            E::BlockDatabase(_)
                | E::CoinsDatabase(_)
                | E::Load(_)
                | E::NoWitnesses(_)
                | E::Initialize
                | E::Corrupted
                | E::Replay(_)
                | E::WasPruned
                | E::FromTheFuture
        )
    }
}

impl ChainManager {
    /// Opens or creates the databases, loads the index, verifies the last blocks and connects genesis in a new chain.
    pub fn open(options: EngineOptions, notifier: Arc<dyn Notifier>) -> Result<Arc<Self>, OpenError> {
        notifier.init_message("Loading block index…");
        let caches = options.caches();
        let index_db = IndexDb::open(&options.data_dir.join("blocks/index"), caches.index, options.reindex)
            .map_err(OpenError::block_database)?;
        if options.reindex {
            index_db.set_reindexing(true).map_err(OpenError::block_database)?;
        }
        let reindexing = index_db.is_reindexing().map_err(OpenError::block_database)?;
        if options.reindex && options.prune.is_some() {
            BlockFiles::clean_up(&options.blocks_dir).map_err(OpenError::Files)?;
        }
        let infos = index_db.files().map_err(OpenError::Load)?;
        let snapshot = find_snapshot(&options)?;
        let file_options = BlockFileOptions {
            magic: options.params.magic,
            fast_prune: options.fast_prune,
            xor: options.blocks_xor,
            snapshot_height: snapshot.map(|(_, snapshot)| snapshot.height.unsigned_abs()),
        };
        let files = BlockFiles::open(&options.blocks_dir, file_options, infos).map_err(OpenError::Files)?;
        tracing::info!(
            "Using obfuscation key for blocksdir *.dat files ({}): '{}'",
            options.blocks_dir.display(),
            files.key().hex()
        );
        let pruned = index_db.is_pruned().map_err(OpenError::Load)?;
        let index = load_index(&index_db, &files)?;
        if pruned && options.prune.is_none() {
            return Err(OpenError::WasPruned);
        }
        let coins_db =
            CoinsDb::open(&options.data_dir.join("chainstate"), options.coins(options.reindex || options.reindex_chainstate))
                .map_err(OpenError::coins_database)?;
        let mut coins = CoinsCache::new(coins_db).map_err(OpenError::coins_database)?;
        let mut index = index;
        let mut background = None;
        if let Some((base, facts)) = snapshot {
            let target = index.lookup(&base).ok_or(OpenError::Initialize)?;
            tracing::info!("[snapshot] set m_chain_tx_count={} for {base}", facts.chain_tx_count);
            index.get_volatile(target).chain_tx = facts.chain_tx_count;
            let path = snapshot_dir::path(&options.data_dir);
            tracing::info!("[snapshot] detected active snapshot chainstate ({}) - loading", path.display());
            let database = CoinsDb::open(&path, options.coins(false)).map_err(OpenError::coins_database)?;
            let validated = std::mem::replace(&mut coins, CoinsCache::new(database).map_err(OpenError::coins_database)?);
            background = Some(Background { active: ActiveChain::default(), coins: validated, target });
        }
        if !index.is_empty() && index.lookup(&options.params.genesis_hash).is_none() {
            return Err(OpenError::WrongGenesis);
        }
        let script_cache = Arc::new(ScriptCache::new(options.script_cache));
        let state = State {
            script_cache: Arc::clone(&script_cache),
            index,
            active: ActiveChain::default(),
            coins,
            files,
            index_db,
            snapshot: background.as_ref().map(|background| Snapshot { base: background.target, validated: false }),
            background,
            candidates: BTreeMap::new(),
            unlinked: HashMap::new(),
            best_header: None,
            announced_header: None,
            best_invalid: None,
            rule_watch: Default::default(),
            next_sequence: SEQUENCE_FROM_DISK + 1,
            precious_sequence: -1,
            precious_work: bitcoin::Work::from_be_bytes([0; 32]),
            initial_download: true,
            pruned,
            prune_locks: Default::default(),
            blockfiles_indexed: !reindexing,
            script_reason: None,
            next_write: (options.clock)() + 60 * 60,
        };
        let manager = Arc::new(Self {
            scripts: ScriptPool::new(options.script_threads),
            script_cache,
            stages: Default::default(),
            activation: Mutex::new(()),
            state: Mutex::new(state),
            tip: RwLock::new(Arc::new(TipInfo::none())),
            tip_changed: TipSignal::default(),
            listeners: RwLock::new(Vec::new()),
            notifier,
            interrupt: false.into(),
            importing: false.into(),
            index_checks: 0.into(),
            failed: false.into(),
            options,
        });
        manager.load_chain()?;
        Ok(manager)
    }

    fn load_chain(&self) -> Result<(), OpenError> {
        let mut state = self.lock();
        complete_index(&mut state);
        state.remove_pruned_files().map_err(OpenError::Files)?;
        if state.blockfiles_indexed {
            self.add_genesis(&mut state).map_err(OpenError::Genesis)?;
        }
        state.with_background(|state| self.finish_write(state)).unwrap_or(Ok(()))?;
        self.finish_write(&mut state)?;
        if let Some(found) = state.with_background(load_tip) {
            found?;
        }
        if let Some(tip) = load_tip(&mut state)? {
            self.update_initial_download(&mut state);
            self.publish_tip(&state);
            let node = state.node(tip);
            tracing::info!(
                "Loaded best chain: hashBestChain={} height={} date={} progress={:.6}",
                node.hash,
                node.height,
                iso8601(i64::from(node.time())),
                self.verification_progress(&state, node)
            );
        }
        let below = state.with_background(|state| self.lacks_witnesses(state));
        if below == Some(true) || self.lacks_witnesses(&state) {
            return Err(OpenError::NoWitnesses(self.params().segwit_height));
        }
        let connectable: Vec<_> = state.index.ids().filter(|id| state.is_connectable(*id)).collect();
        for id in connectable {
            state.try_candidate(id);
        }
        if let Some(base) = state.snapshot.map(|snapshot| snapshot.base) {
            state.try_candidate(base);
        }
        drop(state);
        self.verify_at_start()?;
        self.validate_at_start()
    }

    /// Whether a block of the active chain was taken in before its witnesses were asked for (Core: `NeedsRedownload`).
    fn lacks_witnesses(&self, state: &State) -> bool {
        let first = self.params().segwit_height.max(0);
        let mut blocks = (first..=state.height()).rev().filter_map(|height| state.active_at(height));
        blocks.any(|node| !node.status.has_witness())
    }

    /// The chain below a snapshot may have reached it just before the last run was cut short.
    fn validate_at_start(&self) -> Result<(), OpenError> {
        let mut state = self.lock();
        match state.historical_range() {
            Some((tip, target)) if tip == target => match self.validate_snapshot(&mut state) {
                Ok(()) => Ok(()),
                Err(EngineError::Interrupted) => Err(OpenError::Interrupted),
                Err(error) => {
                    tracing::error!("{error}");
                    Err(OpenError::SnapshotFailed)
                }
            },
            _ => Ok(()),
        }
    }

    /// Finishes a write of coins that an earlier run did not finish.
    fn finish_write(&self, state: &mut State) -> Result<(), OpenError> {
        let Some(heads) = state.coins.database().heads().map_err(OpenError::Load)? else { return Ok(()) };
        self.replay(state, heads).map_err(|error| {
            tracing::error!("{error}");
            OpenError::Replay(error)
        })
    }

    fn verify_at_start(&self) -> Result<(), OpenError> {
        let in_future =
            self.lock().tip().is_some_and(|tip| i64::from(tip.time()) > self.now() + bulkhead_consensus::MAX_FUTURE_BLOCK_TIME);
        if in_future {
            return Err(OpenError::FromTheFuture);
        }
        if self.tip().height < 1 {
            return Ok(());
        }
        self.notifier.init_message("Verifying blocks…");
        let (level, blocks) = (self.options().check_level, self.options().check_blocks);
        let below = self.lock().with_background(|state| self.verify_state(state, level, blocks));
        for outcome in below.into_iter().chain([self.verify_chain(level, blocks)]) {
            match outcome {
                VerifyOutcome::Corrupted => return Err(OpenError::Corrupted),
                VerifyOutcome::Interrupted => return Err(OpenError::Interrupted),
                VerifyOutcome::Verified | VerifyOutcome::SkippedChecks | VerifyOutcome::SkippedBlocks => {}
            }
        }
        Ok(())
    }

    /// Writes genesis to the first block file, unless it is known.
    pub(super) fn add_genesis(&self, state: &mut State) -> Result<(), EngineError> {
        let hash = self.params().genesis_hash;
        // Pruning may have taken its data away again.
        if state.lookup(&hash).is_some_and(|id| state.node(id).n_tx != 0) {
            return Ok(());
        }
        let block = self.params().genesis.clone();
        let position = state.files.write_block(&block, 0)?;
        let id = state.index.insert(block.header);
        state.best_header = state.best_header.or(Some(id));
        self.received_transactions(state, id, PreparedBlock::new(block).txids().len(), position);
        Ok(())
    }

    /// Connects what is on disk and better than the tip; genesis in a new chain.
    pub fn activate(&self) -> Result<(), EngineError> {
        self.activate_best_chain(None, &mut None)
    }
}

/// The snapshot that the chain rests on, unless the coins are to be rebuilt.
fn find_snapshot(options: &EngineOptions) -> Result<Option<(bitcoin::BlockHash, AssumeUtxo)>, OpenError> {
    if options.reindex || options.reindex_chainstate {
        snapshot_dir::forget(&options.data_dir).map_err(OpenError::Files)?;
        return Ok(None);
    }
    let Some(base) = snapshot_dir::read_base(&options.data_dir).map_err(OpenError::Files)? else { return Ok(None) };
    let facts = options.params.snapshot_of(base).ok_or_else(|| {
        tracing::error!("Assumeutxo data not found for the given blockhash '{base}'.");
        OpenError::UnknownSnapshot(base)
    })?;
    Ok(Some((base, facts)))
}

/// Makes the block that the coins belong to the tip.
fn load_tip(state: &mut State) -> Result<Option<NodeId>, OpenError> {
    let Some(best) = state.coins.best_block() else { return Ok(None) };
    let tip = state.lookup(&best).ok_or(OpenError::Initialize)?;
    let State { index, active, .. } = state;
    active.set_tip(index, Some(tip));
    let mut at = Some(tip);
    while let Some(id) = at {
        let node = state.index.get_volatile(id);
        node.sequence = SEQUENCE_BEST_FROM_DISK;
        at = node.prev;
    }
    Ok(Some(tip))
}

/// Builds the tree from the database, parents first.
fn load_index(database: &IndexDb, files: &BlockFiles) -> Result<BlockIndex, OpenError> {
    let mut records = database.blocks().map_err(OpenError::Load)?;
    records.sort_by_key(|(_, record)| record.height);
    if let Some(last) = files.infos().len().checked_sub(1) {
        tracing::info!("Loading block index db: last block file = {last}");
        tracing::info!("Checking all blk files are present...");
    }
    let mut index = BlockIndex::default();
    let mut checked = std::collections::BTreeSet::new();
    for (hash, record) in records {
        if record.status.have_data() && checked.insert(record.file) && !files.blocks().exists(record.file) {
            let missing = StoreError::BadBlockFile { what: "block file is missing", file: record.file, position: 0 };
            return Err(OpenError::Load(missing));
        }
        insert_record(&mut index, hash, &record)?;
    }
    Ok(index)
}

fn insert_record(index: &mut BlockIndex, hash: bitcoin::BlockHash, record: &BlockRecord) -> Result<(), OpenError> {
    let id = index.insert_loaded(hash, record.header);
    let node = index.get_volatile(id);
    if node.height.unsigned_abs() != record.height {
        return Err(OpenError::Initialize);
    }
    node.status = record.status;
    node.n_tx = record.n_tx;
    node.file = record.file;
    node.data_pos = record.data_pos;
    node.undo_pos = record.undo_pos;
    node.sequence = SEQUENCE_FROM_DISK;
    Ok(())
}

/// Fills in what follows from the stored fields: sums of transactions, unlinked blocks, best header.
fn complete_index(state: &mut State) {
    for id in state.index.ids() {
        let (prev, n_tx) = (state.node(id).prev, state.node(id).n_tx);
        if n_tx > 0 && state.snapshot.is_none_or(|snapshot| snapshot.base != id) {
            match prev.map(|prev| (prev, state.node(prev).chain_tx)) {
                Some((prev, 0)) => {
                    state.unlinked.entry(prev).or_default().insert(id);
                }
                below => {
                    let below = below.map_or(0, |(_, chain_tx)| chain_tx);
                    state.index.get_volatile(id).chain_tx = below + u64::from(n_tx);
                }
            }
        }
        let failed_parent = prev.is_some_and(|prev| state.node(prev).status.is_failed());
        if failed_parent && !state.node(id).status.is_failed() {
            let node = state.index.get_mut(id);
            node.status = node.status.with_failed(true);
        }
        if state.node(id).status.is_failed() {
            if state.best_invalid.is_none_or(|known| state.node(id).chain_work > state.node(known).chain_work) {
                state.best_invalid = Some(id);
            }
        } else if state.best_header.is_none_or(|best| state.node(id).chain_work > state.node(best).chain_work) {
            state.best_header = Some(id);
        }
    }
}
