//! Writing index and coins to disk (Core: `FlushStateToDisk`).

use bulkhead_store::StoreError;
use bulkhead_store::space::need_room;

use super::stages::Stage;
use super::{ChainManager, EngineError, State};

/// Seconds between two regular writes: a fixed hour; Core picks 50 to 70 minutes at random.
const WRITE_INTERVAL: i64 = 60 * 60;
/// Room that is left below the limit of the cache before a regular write empties it.
const LARGE_MARGIN: usize = 10 << 20;

/// Room on the disk that is asked for per changed coin, in bytes: Core's estimate, four times the size of most.
const COIN_ROOM: u64 = 48 * 2 * 2;

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
        let (limit, background_limit) = self.coins_limits(state);
        let memory = state.coins.memory();
        let now = self.now();
        let large = mode == FlushMode::Periodic && memory >= (limit / 10 * 9).max(limit.saturating_sub(LARGE_MARGIN));
        let critical = mode == FlushMode::IfNeeded && memory >= limit;
        let due = mode == FlushMode::Periodic && now >= state.next_write;
        let empty = mode == FlushMode::Always || large || critical;
        let background_full = state.background.as_ref().is_some_and(|background| background.coins.memory() >= background_limit);
        if !(empty || background_full || due || mode == FlushMode::Sync) {
            return Ok(());
        }
        tracing::debug!(target: "coindb", "Writing chainstate to disk: flush mode={mode:?}, prune=0, large={}, critical={}, periodic={}", u8::from(large), u8::from(critical), u8::from(due));
        let written = self.stages.time(Stage::Flush, || self.write(state, empty, empty || background_full));
        state.next_write = now + WRITE_INTERVAL;
        if let Err(error) = &written {
            self.fatal_with("System error while flushing: ", error);
        }
        written?;
        self.each_listener(|listener| listener.flushed(state));
        Ok(())
    }

    /// Memory that coins of the active chain and of the one below a snapshot may take, in bytes. The chain that has more to do
    /// gets nearly all.
    pub fn coins_limits(&self, state: &State) -> (usize, usize) {
        let total = self.options().caches().coins;
        let small = total / 20;
        match &state.background {
            None => (total, 0),
            Some(_) if state.initial_download => (total - small, small),
            Some(_) => (small, total - small),
        }
    }

    /// Files first, then the index that points into them, then the coins with the block that they belong to.
    fn write(&self, state: &mut State, empty: bool, empty_background: bool) -> Result<(), StoreError> {
        need_room(&self.options().blocks_dir, 0)?;
        state.files.sync()?;
        let blocks = state.index.take_dirty();
        let files = state.files.take_dirty();
        if !blocks.is_empty() || !files.is_empty() {
            state.index_db.write(&blocks, &files)?;
        }
        let background = state.background.as_ref().map_or(0, |background| background.coins.dirty());
        let dirty = (state.coins.dirty() + background) as u64;
        need_room(&self.options().data_dir, COIN_ROOM.saturating_mul(dirty))?;
        if let Some(background) = &mut state.background {
            background.coins.flush(empty_background)?;
        }
        state.coins.flush(empty)
    }
}
