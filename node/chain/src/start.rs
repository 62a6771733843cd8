//! From configuration to a running engine (Core: `AppInitMain`, `ImportBlocks`).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bitcoin::{BlockHash, Network, Work};
use bulkhead_consensus::params::Buried;
use bulkhead_consensus::{Params, networks};
use bulkhead_control::{ChainConfig, Handle};
use bulkhead_mempool::{FeeRate, Options as PoolOptions};
use bulkhead_script::Engine;
use bulkhead_store::snapshot_dir;
use bulkhead_store::space::has_room;

use crate::engine::{ChainManager, EngineOptions, ImportSource, Notifier, OpenError};
use crate::indexes::{IndexError, IndexOptions, Indexes, coin_stats, filters, transactions};
use crate::mempool_accept::Pool;
use crate::mempool_accept::persist::{self, ImportOptions};
use crate::recent::RecentTransactions;
use crate::rpc::Context;
use crate::saved::Saved;
use crate::serve::{Relay, Startup};
use crate::warnings::{Warning, Warnings};

/// Most threads that check scripts (Core: `MAX_SCRIPTCHECK_THREADS`).
const MAX_SCRIPT_THREADS: i64 = 15;

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An option has a value that makes no sense. Core's text.
    #[error("{0}")]
    Option(String),
    /// The data cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An index cannot go on from where it ended.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Blocks that an index needs are gone. Core reports it when the node runs already, in two lines.
    #[error("{0}\nError: A fatal internal error occurred, see debug.log for details: Failed to start indexes, shutting down…")]
    StartIndexes(#[source] IndexError),
    /// Connecting what is on disk failed.
    #[error(transparent)]
    Engine(#[from] crate::engine::EngineError),
}

/// Tells the supervisor and the log what the engine has to say.
struct Voice {
    handle: Handle,
    startup: Arc<Startup>,
    warnings: Arc<Warnings>,
    /// A command is set for `-alertnotify`.
    alerts: bool,
}

impl Notifier for Voice {
    fn fatal(&self, text: &str) {
        tracing::error!("A fatal internal error occurred: {text}");
        self.warnings.set(Warning::Fatal, text);
        self.handle.fatal(text);
    }

    fn init_message(&self, text: &str) {
        self.startup.set_progress(text);
        self.handle.init_message(text);
    }

    fn stop_requested(&self) {
        request_stop(&self.handle);
    }

    fn warning_set(&self, kind: Warning, text: &str) {
        if self.warnings.set(kind, text) && self.alerts {
            self.handle.notify("alertnotify", &[("s", text)]);
        }
    }

    fn warning_unset(&self, kind: Warning) {
        self.warnings.unset(kind);
    }
}

/// Has the node stopped. The answer comes when the supervisor stops us; nothing waits for it.
fn request_stop(handle: &Handle) {
    let handle = handle.clone();
    std::thread::spawn(move || handle.request(bulkhead_control::Request::Stop));
}

/// Rules of the chain with the options that change them.
///
/// # Errors
/// An unknown network or a malformed option.
pub fn params(config: &ChainConfig) -> Result<Params, StartError> {
    let challenge = config.signetchallenge.as_str();
    let mut params = if config.network == "signet" && !challenge.is_empty() {
        tracing::info!("Signet with challenge {challenge}");
        networks::signet(Some(
            hex::decode(challenge).map_err(|_| invalid(format!("-signetchallenge must be hex, not '{challenge}'.")))?,
        ))
    } else {
        networks::by_name(&config.network).ok_or_else(|| invalid(format!("Unknown chain {}.", config.network)))?
    };
    for entry in &config.testactivationheight {
        set_activation_height(&mut params, entry)?;
    }
    for entry in &config.vbparams {
        set_deployment(&mut params, entry)?;
    }
    if params.signet_challenge.is_some() {
        tracing::info!("Signet derived magic (message start): {}", hex::encode(params.magic));
    }
    params.enforce_bip94 |= config.test.iter().any(|name| name == "bip94");
    if config.fastprune && config.network == "regtest" {
        params.prune_after_height = 100;
    }
    Ok(params)
}

fn invalid(text: impl Into<String>) -> StartError {
    StartError::Option(text.into())
}

/// `name@height`.
fn set_activation_height(params: &mut Params, entry: &str) -> Result<(), StartError> {
    let wrong = |what: &str| invalid(format!("Invalid {what} ({entry}) for -testactivationheight=name@height."));
    let (name, height) = entry.split_once('@').ok_or_else(|| wrong("format"))?;
    let height = height.parse().ok().filter(|height| (0..i32::MAX).contains(height)).ok_or_else(|| wrong("height value"))?;
    let deployment = Buried::from_name(name).ok_or_else(|| wrong("name"))?;
    params.set_buried_height(deployment, height);
    Ok(())
}

/// `deployment:start:end[:min_activation_height]`.
fn set_deployment(params: &mut Params, entry: &str) -> Result<(), StartError> {
    let parts: Vec<&str> = entry.split(':').collect();
    let (name, start, end, height) = match parts.as_slice() {
        [name, start, end] => (name, start, end, "0"),
        [name, start, end, height] => (name, start, end, *height),
        _ => return Err(invalid("Version bits parameters malformed, expecting deployment:start:end[:min_activation_height]")),
    };
    let start_time = start.parse().map_err(|_| invalid(format!("Invalid nStartTime ({start})")))?;
    let timeout = end.parse().map_err(|_| invalid(format!("Invalid nTimeout ({end})")))?;
    let min_activation_height = height.parse().map_err(|_| invalid(format!("Invalid min_activation_height ({height})")))?;
    let found = params.deployments.iter_mut().find(|deployment| deployment.name == *name);
    let deployment = found.ok_or_else(|| invalid(format!("Invalid deployment ({name})")))?;
    (deployment.start_time, deployment.timeout, deployment.min_activation_height) = (start_time, timeout, min_activation_height);
    tracing::info!(
        "Setting version bits activation parameters for {name} to start={start_time}, timeout={timeout}, min_activation_height={min_activation_height}"
    );
    Ok(())
}

/// A number of up to 64 hex digits, with or without `0x`, filled up with zeros.
fn padded_hex(text: &str) -> Option<String> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    (digits.len() <= 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())).then(|| format!("{digits:0>64}"))
}

fn script_threads(par: i64) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, |count| count.get() as i64); // small number
    let total = if par <= 0 { cores + par } else { par };
    usize::try_from((total - 1).clamp(0, MAX_SCRIPT_THREADS)).unwrap_or(0)
}

fn assume_valid(text: &str, default: Option<BlockHash>) -> Result<Option<BlockHash>, StartError> {
    match text {
        "" => Ok(default),
        text if text.bytes().all(|digit| digit == b'0') => Ok(None),
        text => padded_hex(text).and_then(|digits| digits.parse().ok()).map(Some).ok_or_else(|| {
            invalid(format!("Invalid assumevalid block hash specified ({text}), must be up to 64 hex digits (or 0 to disable)"))
        }),
    }
}

fn engine_options(config: &ChainConfig, params: Params) -> Result<EngineOptions, StartError> {
    let mut options = EngineOptions::new(params, PathBuf::from(&config.datadir), bulkhead_control::clock::now);
    options.blocks_dir = PathBuf::from(&config.blocksdir);
    options.db_cache = memory(config).saturating_sub(index_options(config).memory());
    options.db_batch = usize::try_from(config.dbbatchsize).unwrap_or(usize::MAX);
    options.db_crash_ratio = u32::try_from(config.dbcrashratio).unwrap_or(0);
    options.script_cache = usize::try_from(config.maxsigcache_bytes / 2).unwrap_or(usize::MAX);
    options.script_threads = script_threads(config.par);
    options.reindex = config.reindex;
    options.reindex_chainstate = config.reindex_chainstate;
    options.fast_prune = config.fastprune;
    options.blocks_xor = config.blocksxor;
    options.prune = match config.prune {
        0 => None,
        1 => Some(u64::MAX),
        mebibytes => Some(mebibytes << 20),
    };
    options.check_blocks = i32::try_from(config.checkblocks).unwrap_or(i32::MAX);
    options.check_level = i32::try_from(config.checklevel).unwrap_or(4);
    // Core's default: at every change on regtest, never elsewhere.
    let default_every = u32::from(options.params.name == "regtest");
    options.check_block_index = u32::try_from(config.checkblockindex).unwrap_or(default_every);
    options.stop_at_height = i32::try_from(config.stopatheight).unwrap_or(0);
    options.script_engine = Engine::from_name(&config.scriptengine).unwrap_or_default();
    options.max_tip_age = config.maxtipage;
    if !config.minimumchainwork.is_empty() {
        let given = &config.minimumchainwork;
        let parsed = padded_hex(given).and_then(|digits| Work::from_unprefixed_hex(&digits).ok());
        let wrong = || invalid(format!("Invalid minimum work specified ({given}), must be up to 64 hex digits"));
        options.minimum_chain_work = parsed.ok_or_else(wrong)?;
    }
    options.assume_valid = assume_valid(&config.assumevalid, options.params.assume_valid)?;
    Ok(options)
}

/// `-dbcache`, in bytes.
fn memory(config: &ChainConfig) -> usize {
    usize::try_from(config.dbcache_bytes).unwrap_or(usize::MAX)
}

/// The indexes that were asked for, with their share of `-dbcache` (Core: `CalculateCacheSizes`).
fn index_options(config: &ChainConfig) -> IndexOptions {
    let share = |wanted: bool, percent: usize| wanted.then(|| (memory(config) / 100 * percent).min(1 << 30));
    IndexOptions {
        tx: share(config.txindex, 10),
        spender: share(config.txospenderindex, 5),
        filter: share(!config.blockfilterindex.is_empty(), 5),
        coin_stats: share(config.coinstatsindex, 0),
    }
}

fn pool_options(config: &ChainConfig) -> PoolOptions {
    PoolOptions {
        max_bytes: config.maxmempool_bytes,
        expiry: config.mempoolexpiry,
        min_relay: FeeRate(config.minrelaytxfee),
        incremental: FeeRate(config.incrementalrelayfee),
        dust: FeeRate(config.dustrelayfee),
        max_datacarrier: usize::try_from(config.datacarriersize).ok().filter(|size| *size > 0),
        permit_bare_multisig: config.permitbaremultisig,
        require_standard: !config.acceptnonstdtxn,
        bytes_per_sigop: config.bytespersigop,
        cluster_count: usize::try_from(config.limitclustercount).unwrap_or(64),
        cluster_vbytes: config.limitclustersize,
    }
}

fn network(config: &ChainConfig) -> Network {
    match config.network.as_str() {
        "main" => Network::Bitcoin,
        "test" => Network::Testnet,
        "testnet4" => Network::Testnet4,
        "signet" => Network::Signet,
        _ => Network::Regtest,
    }
}

/// Makes the directories that the databases need, and moves Core's out of the way when a rebuild was asked for. Before the
/// process is confined: afterwards it can only change what lies inside of them.
///
/// # Errors
/// A directory cannot be made or moved.
pub fn prepare_directories(config: &ChainConfig) -> Result<(), bulkhead_store::StoreError> {
    snapshot_dir::settle(Path::new(&config.datadir), config.reindex || config.reindex_chainstate)?;
    for (path, wipe) in databases(config) {
        bulkhead_store::prepare_directory(&path, wipe)?;
    }
    Ok(())
}

/// Database directories, and whether they are to be rebuilt.
pub fn databases(config: &ChainConfig) -> Vec<(PathBuf, bool)> {
    let data = Path::new(&config.datadir);
    let mut databases =
        vec![(data.join("blocks/index"), config.reindex), (data.join("chainstate"), config.reindex || config.reindex_chainstate)];
    let kinds = [
        (config.txindex, &transactions::TX_INDEX),
        (config.txospenderindex, &transactions::SPENDER_INDEX),
        (!config.blockfilterindex.is_empty(), &filters::FILTER_INDEX),
        (config.coinstatsindex, &coin_stats::COIN_STATS_INDEX),
    ];
    databases
        .extend(kinds.into_iter().filter(|(wanted, _)| *wanted).map(|(_, kind)| (data.join(kind.directory), config.reindex)));
    databases
}

/// Opens everything and lets calls in. `listeners` hear of all that happens.
///
/// # Errors
/// Core's texts for the user.
pub fn open(
    config: &Arc<ChainConfig>,
    handle: &Handle,
    startup: &Arc<Startup>,
    relay: &Relay,
    saved: &mut Saved,
) -> Result<Arc<Context>, StartError> {
    let params = params(config)?;
    let warnings = Arc::new(Warnings::default());
    let voice = Arc::new(Voice {
        handle: handle.clone(),
        startup: Arc::clone(startup),
        warnings: Arc::clone(&warnings),
        alerts: config.alertnotify,
    });
    let options = engine_options(config, params.clone())?;
    let may_retry = !options.reindex && config.test.iter().any(|name| name == "reindex_after_failure_noninteractive_yes");
    let chain = match ChainManager::open(options.clone(), voice.clone()) {
        Err(error) if may_retry && error.suggests_reindex() => {
            ChainManager::open(EngineOptions { reindex: true, ..options }, voice)?
        }
        other => other?,
    };
    // Core's default: at every change on regtest, never elsewhere.
    let check_every = u32::try_from(config.checkmempool).unwrap_or_else(|_| u32::from(params.name == "regtest"));
    let for_faults = handle.clone();
    let pool = Pool::new(pool_options(config), params, bulkhead_control::clock::now)
        .with_estimator(saved.estimator(config))
        .with_checks(check_every, Box::new(move |text| for_faults.fatal(text)));
    let pool = Arc::new(pool);
    chain.subscribe(pool.clone());
    let recent = Arc::new(RecentTransactions::new(config.blockreconstructionextratxn));
    chain.subscribe(recent.clone());
    let follower = Arc::clone(&recent);
    pool.subscribe(Box::new(move |event| follower.pool_event(&event)));
    relay.follow(&pool);
    chain.subscribe(Arc::new(relay.clone()));
    if config.blocknotify {
        chain.subscribe(Arc::new(BlockNotify(handle.clone())));
    }
    let indexes = Indexes::open(index_options(config), &chain)?;
    for directory in [&chain.options().data_dir, &chain.options().blocks_dir] {
        if !has_room(directory, 0).map_err(crate::engine::EngineError::from)? {
            return Err(invalid(format!("Error: Disk space is low for \"{}\"", directory.display())));
        }
    }
    chain.activate()?;
    chain.prune_at_start()?;
    let context = Context::new(chain, pool, indexes, network(config), Arc::clone(config), Some(handle.clone()));
    Ok(Arc::new(Context { warnings, recent, relay: Some(relay.clone()), ..context }))
}

/// Imports what was asked for, then lets the node settle.
///
/// # Errors
/// Disk or database.
pub fn import(
    context: &Context,
    config: &ChainConfig,
    handle: &Handle,
    files: Vec<(String, File)>,
    mut saved: Saved,
) -> Result<(), StartError> {
    let sources = files.into_iter().map(|(name, file)| ImportSource { name, reader: Box::new(file) as Box<_> });
    context.chain.import(sources.collect())?;
    if config.stopafterblockimport {
        tracing::info!("Stopping after block import");
        request_stop(handle);
        return Ok(());
    }
    if !context.chain.is_interrupted() {
        context.indexes.start(&context.chain).map_err(StartError::StartIndexes)?;
    }
    if config.persistmempool {
        persist::import(saved.take_mempool(), &context.chain, &context.pool, ImportOptions::ALL);
    }
    if context.chain.is_interrupted() {
        return Ok(());
    }
    if let Some(relay) = &context.relay {
        relay.tell_state_changed();
    }
    context.pool.lock().loaded = true;
    Ok(())
}

/// Runs `-blocknotify`, but not while the node catches up.
struct BlockNotify(Handle);

impl crate::engine::Listener for BlockNotify {
    fn tip_updated(
        &self,
        _: &crate::engine::State,
        tip: &crate::engine::BlockNode,
        fork: Option<&crate::engine::BlockNode>,
        initial_download: bool,
    ) {
        if !initial_download && fork.is_none_or(|fork| fork.hash != tip.hash) {
            self.0.notify("blocknotify", &[("s", &tip.hash.to_string())]);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn deployments_are_set_by_their_option() {
        let mut params = networks::regtest();
        set_deployment(&mut params, "testdummy:5:9:144").unwrap();
        assert_eq!((params.deployments[0].start_time, params.deployments[0].min_activation_height), (5, 144));
        assert!(set_deployment(&mut params, "testdummy:5").is_err());
        assert_eq!(set_deployment(&mut params, "nothing:5:9").unwrap_err().to_string(), "Invalid deployment (nothing)");
        let wrong = set_activation_height(&mut params, "name@2").unwrap_err().to_string();
        assert_eq!(wrong, "Invalid name (name@2) for -testactivationheight=name@height.");
    }

    #[test]
    fn assumevalid_zero_checks_everything() {
        let default = networks::main().assume_valid;
        assert_eq!(assume_valid("", default).unwrap(), default);
        assert_eq!(assume_valid("0", default).unwrap(), None);
        assert!(assume_valid("xyz", default).is_err());
    }
}
