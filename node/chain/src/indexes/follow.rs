//! The thread of an index: catches up from disk, then follows the chain (Core: `BaseIndex::Sync` and its notifications).
//!
//! # Correctness
//!
//! The thread reads blocks from disk without the engine's lock; pruning leaves what it still needs alone. The block that the
//! index has reached is recorded only if the coins on disk belong to it or to a later block of its chain: after a crash the
//! index is never ahead of the chain, so it never needs a block that was forgotten.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_store::block_files::Position;
use bulkhead_store::block_reader::BlockReader;
use bulkhead_store::chain_index::{BestBlock, Entry};
use bulkhead_store::undo::BlockUndo;

use super::contents::{BlockAt, BlockData, Contents, IndexError};
use super::index::Index;
use super::signal::Signal;
use crate::engine::{ChainManager, NodeId, State};

/// Entries in memory are written when they take this much, in bytes, ...
const BATCH_BYTES: usize = 4 << 20;
/// ... or after this time.
const BATCH_TIME: Duration = Duration::from_secs(1);
/// Time between two lines about progress.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// What is to be done next.
enum Next {
    /// Nothing: the tip is reached.
    Wait,
    /// The block after the last one.
    Append(NodeId),
    /// Going back to a block of the active chain.
    Rewind(NodeId),
}

/// Works on one index.
pub(super) struct Follower {
    pub index: Arc<Index>,
    pub chain: Arc<ChainManager>,
    pub signal: Arc<Signal>,
    contents: Box<dyn Contents>,
    reader: BlockReader,
    /// Last block whose entries were made.
    best: Option<NodeId>,
    /// Block that is recorded in the database.
    recorded: Option<NodeId>,
    entries: Vec<Entry>,
    bytes: usize,
    last_write: Instant,
    last_log: Instant,
}

impl Follower {
    pub fn new(index: Arc<Index>, chain: Arc<ChainManager>, signal: Arc<Signal>, contents: Box<dyn Contents>) -> Self {
        let reader = chain.lock().files().reader().clone();
        let (best, now) = (index.best(), Instant::now());
        Self {
            index,
            chain,
            signal,
            contents,
            reader,
            best,
            recorded: best,
            entries: Vec::new(),
            bytes: 0,
            last_write: now,
            last_log: now,
        }
    }

    fn name(&self) -> &'static str {
        self.index.kind().name
    }

    /// Runs until the node stops or the index fails; a failure stops the node.
    pub fn run(mut self) -> Self {
        let may_start = self.index.is_synced() || self.signal.wait_for_start();
        if may_start && let Err(error) = self.follow() {
            if let Some(cause) = std::error::Error::source(&error) {
                tracing::error!("{}: {cause}", self.name());
            }
            self.chain.fatal(&error.to_string());
        }
        self.index.set_ended();
        self
    }

    fn follow(&mut self) -> Result<(), IndexError> {
        self.last_log = Instant::now();
        if self.index.is_synced() {
            self.log_enabled();
        }
        loop {
            let generation = self.signal.generation();
            let stop = self.signal.is_stopped();
            if stop && !self.index.is_synced() {
                tracing::info!("{}: m_interrupt set; exiting ThreadSync", self.name());
                return self.write();
            }
            let next = next(&self.chain.lock(), self.best);
            match next {
                Next::Append(id) => self.append(id)?,
                Next::Rewind(fork) => self.rewind(fork)?,
                Next::Wait => {
                    self.write()?;
                    if !self.index.is_synced() && !self.latch_synced() {
                        continue;
                    }
                    if stop {
                        return Ok(());
                    }
                    self.signal.wait(generation);
                }
            }
        }
    }

    /// The index has caught up, unless a block came meanwhile.
    fn latch_synced(&self) -> bool {
        let state = self.chain.lock();
        if !matches!(next(&state, self.best), Next::Wait) {
            return false;
        }
        self.index.set_synced();
        drop(state);
        self.log_enabled();
        true
    }

    fn log_enabled(&self) {
        match self.best {
            Some(best) => {
                tracing::info!("{} is enabled at height {}", self.name(), self.chain.lock().node(best).height);
            }
            None => tracing::info!("{} is enabled", self.name()),
        }
    }

    fn append(&mut self, id: NodeId) -> Result<(), IndexError> {
        let at = block_at(&self.chain.lock(), id);
        let data = read(&self.reader, &at, self.index.kind().needs_undo)?;
        let entries = self.contents.append(&at, &data)?;
        self.bytes += entries.iter().map(|(key, value)| key.len() + value.len() + size_of::<Entry>()).sum::<usize>();
        self.entries.extend(entries);
        self.best = Some(id);
        let now = Instant::now();
        if now.duration_since(self.last_log) >= LOG_INTERVAL && !self.index.is_synced() {
            tracing::info!("Syncing {} with block chain from height {}", self.name(), at.height);
            self.last_log = now;
        }
        if self.bytes >= BATCH_BYTES || now.duration_since(self.last_write) >= BATCH_TIME {
            self.write()?;
        }
        Ok(())
    }

    fn rewind(&mut self, fork: NodeId) -> Result<(), IndexError> {
        self.write()?;
        let failed = |error| IndexError::Rewind(self.index.kind().name, Box::new(error));
        while let Some(id) = self.best.filter(|id| *id != fork) {
            let (at, prev) = {
                let state = self.chain.lock();
                (block_at(&state, id), state.node(id).prev)
            };
            let mut load = || read(&self.reader, &at, self.index.kind().needs_undo);
            self.contents.remove(&at, &mut load, self.index.store()).map_err(failed)?;
            self.best = prev;
        }
        self.index.publish(&mut self.chain.lock(), self.best);
        Ok(())
    }

    /// Writes what was made so far, and with it the block that it leads to if the chain on disk has reached that.
    pub fn write(&mut self) -> Result<(), IndexError> {
        let Some(best) = self.best else { return Ok(()) };
        let (hash, may_record) = {
            let state = self.chain.lock();
            (state.node(best).hash, self.is_flushed(&state, best))
        };
        let record = may_record && self.recorded != Some(best);
        if !self.entries.is_empty() || record {
            let state = record.then(|| BestBlock { hash, state: self.contents.state() });
            self.index.store().write(&self.entries, state.as_ref()).map_err(|source| IndexError::Write(hash, source))?;
            self.entries.clear();
            self.bytes = 0;
            if record {
                self.recorded = Some(best);
            }
        }
        self.last_write = Instant::now();
        if self.index.best() != Some(best) {
            self.index.publish(&mut self.chain.lock(), Some(best));
        }
        Ok(())
    }

    fn is_flushed(&self, state: &State, best: NodeId) -> bool {
        let flushed = self.signal.flushed().and_then(|hash| state.lookup(&hash));
        let height = state.node(best).height;
        let reached = flushed.is_some_and(|flushed| state.index().ancestor(flushed, height) == Some(best));
        if !reached && self.recorded != Some(best) && self.index.is_synced() {
            let flushed = flushed.map_or(-1, |id| state.node(id).height);
            tracing::debug!(
                target: "coindb",
                "Skipping commit, index is ahead of flushed chainstate (index height {height}, last flush at height {flushed})"
            );
        }
        reached
    }
}

fn next(state: &State, best: Option<NodeId>) -> Next {
    let (active, index) = (state.validated_chain(), state.index());
    let Some(best) = best else { return active.at(0).map_or(Next::Wait, Next::Append) };
    if active.contains(index, best) {
        return active.next(index, best).map_or(Next::Wait, Next::Append);
    }
    // While the tip is below, there is nothing to go on to.
    match active.find_fork(index, best) {
        Some(fork) if active.next(index, fork).is_some() => Next::Rewind(fork),
        _ => Next::Wait,
    }
}

fn block_at(state: &State, id: NodeId) -> BlockAt {
    let node = state.node(id);
    let position = |offset| Position { file: node.file, offset };
    BlockAt {
        hash: node.hash,
        prev: node.header.prev_blockhash,
        height: node.height,
        position: position(node.data_pos),
        undo: (node.height > 0).then(|| position(node.undo_pos)),
    }
}

fn read(reader: &BlockReader, at: &BlockAt, needs_undo: bool) -> Result<BlockData, IndexError> {
    let block = reader.read_block(at.position, at.hash).map_err(|source| IndexError::ReadBlock(at.hash, source))?;
    let undo = match at.undo.filter(|_| needs_undo) {
        Some(position) => reader.read_undo(position, at.prev).map_err(|source| IndexError::ReadUndo(at.hash, source))?,
        None => BlockUndo::default(),
    };
    Ok(BlockData { block, undo })
}
