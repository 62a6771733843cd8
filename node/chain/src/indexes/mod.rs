//! The optional indexes: of transactions, of spenders, of block filters and of coin statistics (Core: `src/index`).
//!
//! Each has a database and a thread. `contents` says what an index is; `transactions`, `filters` and `coin_stats` are the four of
//! them, made from blocks without I/O; `follow` is the thread; `index` is what readers see.

pub mod coin_stats;
pub mod contents;
pub mod filters;
mod follow;
mod index;
mod signal;
pub mod transactions;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bulkhead_store::chain_index::ChainIndexDb;

pub use contents::{IndexError, Kind};
pub use index::{Index, Summary};

use crate::engine::{ChainManager, NodeId, State};
use coin_stats::{COIN_STATS_INDEX, CoinStats};
use contents::Contents;
use filters::{FILTER_INDEX, Filters};
use follow::Follower;
use signal::Signal;
use transactions::{SPENDER_INDEX, Spenders, TX_INDEX, Transactions};

/// Which indexes to keep, and the memory that each may use for reading, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexOptions {
    /// `-txindex`.
    pub tx: Option<usize>,
    /// `-txospenderindex`.
    pub spender: Option<usize>,
    /// `-blockfilterindex`.
    pub filter: Option<usize>,
    /// `-coinstatsindex`.
    pub coin_stats: Option<usize>,
}

impl IndexOptions {
    /// Memory of all of them, in bytes.
    pub fn memory(&self) -> usize {
        [self.tx, self.spender, self.filter, self.coin_stats].into_iter().flatten().sum()
    }
}

/// The indexes of a node.
#[derive(Debug, Default)]
pub struct Indexes {
    /// `-txindex`.
    pub tx: Option<Arc<Index>>,
    /// `-txospenderindex`.
    pub spender: Option<Arc<Index>>,
    /// `-blockfilterindex`.
    pub filter: Option<Arc<Index>>,
    /// `-coinstatsindex`.
    pub coin_stats: Option<Arc<Index>>,
    signal: Arc<Signal>,
    threads: Mutex<Vec<JoinHandle<Follower>>>,
}

impl Indexes {
    /// Opens the databases and starts the threads. Those of indexes that are at the tip follow the chain at once, the others
    /// wait for [`Indexes::start`]. Call before blocks are connected.
    ///
    /// # Errors
    /// Core's texts for the user. Nothing was changed then.
    pub fn open(options: IndexOptions, chain: &Arc<ChainManager>) -> Result<Self, IndexError> {
        let mut indexes = Self::default();
        indexes.signal.set_flushed(chain.lock().validated_best_block());
        let mut followers = Vec::new();
        let mut open = |kind, cache: Option<usize>, make: &dyn Fn(&ChainIndexDb) -> Box<dyn Contents>| {
            let Some(cache) = cache else { return Ok(None) };
            let follower = open_one(kind, cache, chain, &indexes.signal, make)?;
            let index = Arc::clone(&follower.index);
            followers.push(follower);
            Ok(Some(index))
        };
        let tx = open(&TX_INDEX, options.tx, &|store| Box::new(Transactions(store.salt())))?;
        let spender = open(&SPENDER_INDEX, options.spender, &|store| Box::new(Spenders(store.salt())))?;
        let filter = open(&FILTER_INDEX, options.filter, &|_| Box::new(Filters::default()))?;
        let coin_stats = open(&COIN_STATS_INDEX, options.coin_stats, &|_| Box::new(CoinStats::new(chain.params().clone())))?;
        (indexes.tx, indexes.spender, indexes.filter, indexes.coin_stats) = (tx, spender, filter, coin_stats);
        if !followers.is_empty() {
            chain.subscribe(Arc::clone(&indexes.signal) as Arc<_>);
        }
        for follower in followers {
            let thread = std::thread::Builder::new().name(follower.index.kind().thread.into());
            let handle = thread.spawn(move || follower.run()).map_err(IndexError::Thread)?;
            indexes.threads.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
        }
        Ok(indexes)
    }

    /// All indexes that are kept, in the order in which `getindexinfo` lists them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Index>> {
        [&self.tx, &self.coin_stats, &self.spender, &self.filter].into_iter().flatten()
    }

    /// Lets the threads catch up. Call when blocks of earlier runs are connected.
    ///
    /// # Errors
    /// [`IndexError::Pruned`]: a block that an index still needs is gone.
    pub fn start(&self, chain: &ChainManager) -> Result<(), IndexError> {
        // Of several that lack the same block, Core names the first in this order.
        let in_order = [&self.tx, &self.spender, &self.filter, &self.coin_stats].into_iter().flatten();
        let behind: Vec<&Arc<Index>> = in_order.filter(|index| !index.is_synced()).collect();
        check_data(&chain.lock(), &behind)?;
        self.signal.start();
        Ok(())
    }

    /// Ends the threads: those that follow the chain index its last block first. Call after the last block was connected.
    /// Gives what [`Stopped::record`] needs after the last flush.
    pub fn stop(&self) -> Stopped {
        self.signal.stop();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        // A thread that has panicked has said so in the log.
        Stopped(threads.into_iter().filter_map(|thread| thread.join().ok()).collect())
    }
}

impl Drop for Indexes {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Indexes whose threads have ended.
pub struct Stopped(Vec<Follower>);

impl std::fmt::Debug for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stopped").field(&self.0.len()).finish()
    }
}

impl Stopped {
    /// Records how far the indexes are. Call after the coins were flushed.
    pub fn record(self) {
        for mut follower in self.0 {
            if let Err(error) = follower.write() {
                tracing::error!("Failed to commit latest {} state: {error}", follower.index.kind().name);
            }
        }
    }
}

fn open_one(
    kind: &'static Kind,
    cache: usize,
    chain: &Arc<ChainManager>,
    signal: &Arc<Signal>,
    make: &dyn Fn(&ChainIndexDb) -> Box<dyn Contents>,
) -> Result<Follower, IndexError> {
    let path = chain.options().data_dir.join(kind.directory);
    let failed = |source| IndexError::Open { name: kind.name, source };
    let store = ChainIndexDb::open(&path, cache, chain.options().reindex).map_err(failed)?;
    let mut contents = make(&store);
    let record = store.best().map_err(failed)?;
    let mut state = chain.lock();
    let mut best = None;
    if let Some(record) = &record {
        let id = state.lookup(&record.hash).ok_or(IndexError::UnknownBest(kind.name))?;
        contents.restore(record, state.node(id).height, &store)?;
        best = Some(id);
    }
    let synced = best == state.validated_chain().tip();
    let index = Arc::new(Index::new(kind, store, None, synced));
    index.publish(&mut state, best);
    drop(state);
    Ok(Follower::new(index, Arc::clone(chain), Arc::clone(signal), contents))
}

/// Checks that all blocks between the indexes and the tip are on disk.
fn check_data(state: &State, indexes: &[&Arc<Index>]) -> Result<(), IndexError> {
    let chain = state.validated_chain();
    let Some(tip) = chain.tip().filter(|tip| state.node(*tip).height > 0) else { return Ok(()) };
    let start = |index: &Index| -> i32 {
        let common = index.best().and_then(|best| chain.find_fork(state.index(), best));
        common.map_or(0, |id| state.node(id).height)
    };
    for needs_undo in [true, false] {
        let group = indexes.iter().filter(|index| index.kind().needs_undo == needs_undo);
        let Some(first) = group.min_by_key(|index| start(index)) else { continue };
        if !has_data(state, tip, start(first), needs_undo) {
            return Err(IndexError::Pruned { name: first.kind().name, undo: needs_undo });
        }
    }
    Ok(())
}

fn has_data(state: &State, tip: NodeId, from: i32, undo: bool) -> bool {
    (from..=state.node(tip).height).all(|height| {
        let node = state.validated_chain().at(height).map(|id| state.node(id));
        // Genesis spends nothing.
        node.is_some_and(|node| node.have_data() && (!undo || height == 0 || node.have_undo()))
    })
}
