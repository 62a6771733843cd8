//! Looking at old blocks again (Core: `ScanForWalletTransactions`): with block filters where chain keeps them, so that
//! only blocks that may hold something of ours are read.

use bitcoin::bip158::BlockFilter;
use bitcoin::{BlockHash, ScriptBuf};
use bulkhead_control::clock;
use std::time::{Duration, Instant};

use super::events::{SyncError, read_mempool};
use crate::app::{App, Loaded};
use crate::state::sync::When;

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All blocks were read; the last height, if there was any.
    Done(Option<i32>),
    /// The user stopped it.
    Aborted,
    /// A block could not be read: the latest time of any block up to the last such one, seconds.
    Failed(i64),
}

/// Scripts of a wallet as filters know them, and up to where they were taken from each descriptor.
struct Scripts {
    all: Vec<ScriptBuf>,
    known: usize,
}

impl Scripts {
    /// Addresses may have been added since the last block.
    fn refresh(&mut self, loaded: &Loaded) {
        let wallet = loaded.wallet.borrow();
        if wallet.scripts.len() != self.known {
            self.all = wallet.scripts.keys().cloned().collect();
            self.known = wallet.scripts.len();
        }
    }

    /// Whether a filter says that its block may hold one of them. A filter that cannot be read says yes.
    fn may_match(&self, filter: &BlockFilter, block: &BlockHash) -> bool {
        filter.match_any(block, &mut self.all.iter().map(|script| script.as_bytes())).unwrap_or(true)
    }
}

/// Scans blocks of the active chain from `start` to `stop` (or the tip of the wallet), and then the mempool.
///
/// # Errors
/// [`SyncError`].
pub async fn scan(app: &App, loaded: &Loaded, start: i32, stop: Option<i32>) -> Result<Outcome, SyncError> {
    const TELL_EVERY: Duration = Duration::from_secs(60);
    const YIELD_EVERY_BLOCKS: i32 = 16;
    let name = loaded.wallet.borrow().display_name();
    let fast = app.config.blockfilterindex;
    let how = if fast { "fast variant using block filters" } else { "slow variant inspecting all blocks" };
    let first = app.chain.block_filter(None, start).await?;
    let from = first.map_or_else(|| start.to_string(), |found| found.hash.to_string());
    tracing::info!("[{name}] Rescan started from block {from}... ({how})");
    let (begin, mut told) = (Instant::now(), Instant::now());
    let mut scripts = Scripts { all: Vec::new(), known: 0 };
    let (mut height, mut last, mut latest_time, mut failed) = (start, None, 0, None);
    loop {
        let tip = loaded.wallet.borrow().tip.height;
        let end = stop.unwrap_or(tip);
        if height > end {
            break;
        }
        let share = f64::from(height - start + 1) / f64::from((end - start + 1).max(1));
        if loaded.abort_scan.get() {
            tracing::info!("[{name}] Rescan aborted at block {height}. Progress={share:.6}");
            return Ok(Outcome::Aborted);
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            tracing::info!("[{name}] Still rescanning. At block {height}. Progress={share:.6}");
        }
        if !fast || needs_block(app, loaded, height, &mut scripts).await? {
            let Some(info) = app.chain.block_at(height).await? else { break };
            latest_time = latest_time.max(info.time);
            match &info.block {
                Some(block) => {
                    let when = When { now: clock::now(), block_time: Some(info.time), rescan_time: Some(latest_time) };
                    loaded.wallet.borrow_mut().block_scanned(block, info.at, when);
                    loaded.persist().await?;
                    app.send_notices(loaded);
                    last = Some(height);
                }
                None => failed = Some(latest_time),
            }
        } else {
            last = Some(height);
        }
        loaded.scan.set(loaded.scan.get().map(|scan| crate::app::Scan { progress: share, ..scan }));
        if height % YIELD_EVERY_BLOCKS == 0 {
            tokio::task::yield_now().await;
        }
        height += 1;
    }
    if stop.is_none() {
        tracing::info!("[{name}] Scanning current mempool transactions.");
        read_mempool(app, loaded).await?;
    }
    tracing::info!("[{name}] Rescan completed in {:>15}ms", begin.elapsed().as_millis());
    Ok(failed.map_or(Outcome::Done(last), Outcome::Failed))
}

/// Whether a block must be read: its filter matches, or is not there.
async fn needs_block(app: &App, loaded: &Loaded, height: i32, scripts: &mut Scripts) -> Result<bool, SyncError> {
    scripts.refresh(loaded);
    let Some(found) = app.chain.block_filter(None, height).await? else { return Ok(true) };
    let Some(filter) = found.filter else {
        tracing::debug!(target: "scan", "Fast rescan: inspect block {height} [{}] (WARNING: block filter not found!)", found.hash);
        return Ok(true);
    };
    let matches = scripts.may_match(&filter, &found.hash);
    if matches {
        tracing::debug!(target: "scan", "Fast rescan: inspect block {height} [{}] (filter matched)", found.hash);
    }
    Ok(matches)
}
