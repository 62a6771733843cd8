//! How to set the engine up.

use std::path::PathBuf;

use bitcoin::{BlockHash, Work};
use bulkhead_consensus::Params;
use bulkhead_script::Engine;

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
            script_threads: 0,
            script_engine: Engine::Kernel,
            reindex: false,
            reindex_chainstate: false,
            fast_prune: false,
            blocks_xor: true,
            prune: None,
            check_blocks: 6,
            check_level: 3,
            stop_at_height: 0,
            max_tip_age: 24 * 60 * 60,
            clock,
        }
    }
}
