//! Writing index and coins to disk (Core: `FlushStateToDisk`).

use super::{ChainManager, EngineError, State};

/// Seconds between two regular writes: a fixed hour; Core picks 50 to 70 minutes at random.
const WRITE_INTERVAL: i64 = 60 * 60;
/// Room that is left below the limit of the cache before a regular write empties it.
const LARGE_MARGIN: usize = 10 << 20;

/// How urgent a flush is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlushMode {
    /// Only when the cache is over its limit.
    IfNeeded,
    /// When the cache is nearly full or the last write was long ago.
    Periodic,
    /// Now, keeping the cache.
    Sync,
    /// Now, emptying the cache.
    Always,
}

impl ChainManager {
    /// Writes everything to disk now; for the end of the program and for RPCs that read the database.
    pub fn flush(&self) -> Result<(), EngineError> {
        self.flush_state(&mut self.lock(), FlushMode::Always)
    }

    /// Writes everything to disk now and keeps the coins in memory.
    pub fn sync(&self, state: &mut State) -> Result<(), EngineError> {
        self.flush_state(state, FlushMode::Sync)
    }

    pub(super) fn flush_state(&self, state: &mut State, mode: FlushMode) -> Result<(), EngineError> {
        let limit = self.coins_limit();
        let memory = state.coins.memory();
        let now = self.now();
        let large = mode == FlushMode::Periodic && memory >= (limit / 10 * 9).max(limit.saturating_sub(LARGE_MARGIN));
        let critical = mode == FlushMode::IfNeeded && memory >= limit;
        let due = mode == FlushMode::Periodic && now >= state.next_write;
        let empty = mode == FlushMode::Always || large || critical;
        if !(empty || due || mode == FlushMode::Sync) {
            return Ok(());
        }
        tracing::debug!(target: "coindb", "Writing chainstate to disk: flush mode={mode:?}, prune=0, large={}, critical={}, periodic={}", u8::from(large), u8::from(critical), u8::from(due));
        let written = write(state, empty);
        state.next_write = now + WRITE_INTERVAL;
        if let Err(error) = &written {
            self.fatal_with("System error while flushing: ", error);
        }
        written?;
        self.each_listener(|listener| listener.flushed(state));
        Ok(())
    }

    /// Memory that coins may take, in bytes.
    pub(super) fn coins_limit(&self) -> usize {
        self.options().db_cache.saturating_sub(super::load::DATABASE_CACHE).max(4 << 20)
    }
}

/// Files first, then the index that points into them, then the coins with the block that they belong to.
fn write(state: &mut State, empty: bool) -> Result<(), bulkhead_store::StoreError> {
    state.files.sync()?;
    let blocks = state.index.take_dirty();
    let files = state.files.take_dirty();
    if !blocks.is_empty() || !files.is_empty() {
        state.index_db.write(&blocks, &files)?;
    }
    state.coins.flush(empty)
}
