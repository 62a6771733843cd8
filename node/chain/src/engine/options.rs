//! How to set the engine up.

use std::path::PathBuf;

use bitcoin::{BlockHash, Work};
use bulkhead_consensus::Params;
use bulkhead_script::Engine;
use bulkhead_store::coins_db::CoinsOptions;

/// Everything that the engine needs to know at its start.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Rules of the chain, options applied.
    pub params: Params,
    /// Data directory of the network; holds `chainstate` and `blocks/index`.
    pub data_dir: PathBuf,
    /// Directory of block files (`-blocksdir`, else `blocks` in the data directory).
    pub blocks_dir: PathBuf,
    /// `-dbcache`, in bytes.
    pub db_cache: usize,
    /// `-dbbatchsize`: coins are written in batches of about so many bytes.
    pub db_batch: usize,
    /// `-dbcrashratio`: after one of so many batches the process ends, as if it had crashed; 0 for never.
    pub db_crash_ratio: u32,
    /// Half of `-maxsigcachesize`: memory for transactions whose scripts are known to be good, in bytes.
    pub script_cache: usize,
    /// Threads that check scripts besides the validation thread.
    pub script_threads: usize,
    /// `-scriptengine`: who judges scripts of blocks.
    pub script_engine: Engine,
    /// `-reindex`.
    pub reindex: bool,
    /// `-reindex-chainstate`.
    pub reindex_chainstate: bool,
    /// `-fastprune`.
    pub fast_prune: bool,
    /// `-blocksxor`.
    pub blocks_xor: bool,
    /// `-prune`: bytes that block files may take; `u64::MAX` for pruning by hand only; `None` for none.
    pub prune: Option<u64>,
    /// `-checkblocks`: blocks to verify at the start, 0 for all.
    pub check_blocks: i32,
    /// `-checklevel`.
    pub check_level: i32,
    /// `-checkblockindex`: the index is checked at every so many changes, 0 for never.
    pub check_block_index: u32,
    /// `-stopatheight`, 0 for never.
    pub stop_at_height: i32,
    /// `-maxtipage`, in seconds.
    pub max_tip_age: i64,
    /// `-minimumchainwork`.
    pub minimum_chain_work: Work,
    /// `-assumevalid`; `None`: check all scripts.
    pub assume_valid: Option<BlockHash>,
    /// Seconds since 1970.
    pub clock: fn() -> i64,
}

impl EngineOptions {
    /// Core's defaults for a chain whose data lies in `data_dir`.
    pub fn new(params: Params, data_dir: PathBuf, clock: fn() -> i64) -> Self {
        Self {
            blocks_dir: data_dir.join("blocks"),
            minimum_chain_work: params.minimum_chain_work,
            assume_valid: params.assume_valid,
            params,
            data_dir,
            db_cache: 450 << 20,
            db_batch: 32 << 20,
            db_crash_ratio: 0,
            script_cache: 16 << 20,
            script_threads: 0,
            script_engine: Engine::Kernel,
            reindex: false,
            reindex_chainstate: false,
            fast_prune: false,
            blocks_xor: true,
            prune: None,
            check_blocks: 6,
            check_level: 3,
            check_block_index: 0,
            stop_at_height: 0,
            max_tip_age: 24 * 60 * 60,
            clock,
        }
    }

    /// How to open coins; `wipe` starts anew.
    pub(super) fn coins(&self, wipe: bool) -> CoinsOptions {
        CoinsOptions { batch: self.db_batch, crash_ratio: self.db_crash_ratio, wipe, ..CoinsOptions::new(self.caches().coins_db) }
    }

    /// How `-dbcache` is shared (Core: `kernel::CacheSizes`).
    pub fn caches(&self) -> Caches {
        let index = (self.db_cache / 8).min(2 << 20);
        let coins_db = ((self.db_cache - index) / 2).min(8 << 20);
        Caches { index, coins_db, coins: self.db_cache - index - coins_db }
    }
}

/// Memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caches {
    /// For reading the database of blocks.
    pub index: usize,
    /// For reading the database of coins.
    pub coins_db: usize,
    /// For coins.
    pub coins: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_consensus::networks;

    #[test]
    fn memory_is_shared_as_core_does() {
        let mut options = EngineOptions::new(networks::regtest(), PathBuf::new(), || 0);
        let (mib, share) = (1 << 20, |options: &EngineOptions| {
            let caches = options.caches();
            (caches.index, caches.coins_db, caches.coins)
        });
        assert_eq!(share(&options), (2 * mib, 8 * mib, 440 * mib));
        options.db_cache = 4 * mib;
        assert_eq!(share(&options), (mib / 2, 7 * mib / 4, 7 * mib / 4));
    }
}
