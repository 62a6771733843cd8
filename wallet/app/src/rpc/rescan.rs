//! Looking at old blocks again.

use bulkhead_control::clock;
use bulkhead_rpc_util::error as code;
use bulkhead_rpc_util::{RpcError, RpcResult};
use serde_json::{Value, json};

use super::Call;
use super::util::{ensure_unlocked, persist, synced_wallet, wallet_of};
use crate::app::{App, Loaded, Scan};
use crate::state::sync::When;
use crate::wallets::{TIMESTAMP_WINDOW, chain_error};

/// How a scan ended.
pub(super) enum Outcome {
    /// All blocks were read; the last height, if there was any.
    Done(Option<i32>),
    /// The user stopped it.
    Aborted,
    /// A block could not be read: its time, seconds.
    Failed(i64),
}

/// Reserves a wallet for one scan.
pub(super) struct Reservation<'a>(&'a Loaded);

impl<'a> Reservation<'a> {
    pub(super) fn new(loaded: &'a Loaded) -> RpcResult<Reservation<'a>> {
        if loaded.scan.get().is_some() {
            return Err(RpcError::new(code::WALLET_ERROR, "Wallet is currently rescanning. Abort existing rescan or wait."));
        }
        loaded.abort_scan.set(false);
        loaded.scan.set(Some(Scan { started: clock::now(), progress: 0.0 }));
        Ok(Reservation(loaded))
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.0.scan.set(None);
    }
}

/// Scans blocks of the active chain from `start` to `stop` (or the tip).
pub(super) async fn scan(app: &App, reservation: &Reservation<'_>, start: i32, stop: Option<i32>) -> RpcResult<Outcome> {
    const YIELD_EVERY_BLOCKS: i32 = 16;
    let loaded = reservation.0;
    let name = loaded.wallet.borrow().display_name();
    tracing::info!("[{name}] Rescan started from block {start}... (slow variant inspecting all blocks)");
    let begin = std::time::Instant::now();
    let (mut height, mut last, mut latest_time) = (start, None, 0);
    loop {
        let tip = loaded.wallet.borrow().tip.height;
        let end = stop.unwrap_or(tip);
        if height > end {
            break;
        }
        if loaded.abort_scan.get() {
            tracing::info!(
                "[{name}] Rescan aborted at block {height}. Progress={:.6}",
                f64::from(height) / f64::from(tip.max(1))
            );
            return Ok(Outcome::Aborted);
        }
        let Some(info) = app.chain.block_at(height).await.map_err(|error| chain_error(&error))? else { break };
        let Some(block) = &info.block else {
            // The failing block's time bounds what was scanned.
            return Ok(Outcome::Failed(info.time));
        };
        latest_time = latest_time.max(info.time);
        let when = When { now: clock::now(), block_time: Some(info.time), rescan_time: Some(latest_time) };
        loaded.wallet.borrow_mut().block_scanned(block, info.at, when);
        persist(app, loaded).await?;
        last = Some(height);
        let share = f64::from(height - start + 1) / f64::from((end - start + 1).max(1));
        loaded.scan.set(loaded.scan.get().map(|scan| Scan { progress: share, ..scan }));
        if height % YIELD_EVERY_BLOCKS == 0 {
            tokio::task::yield_now().await;
        }
        height += 1;
    }
    tracing::info!("[{name}] Rescan completed in {:>15}ms", begin.elapsed().as_millis());
    crate::ipc::events::read_mempool(app, loaded).await.map_err(|error| crate::wallets::sync_error(&error))?;
    Ok(Outcome::Done(last))
}

/// First height whose block is not older than `time` less the tolerance; `None` when all blocks are older.
pub(super) async fn height_of_time(app: &App, loaded: &Loaded, time: i64) -> RpcResult<Option<i32>> {
    let tip = loaded.wallet.borrow().tip.height;
    let wanted = time - TIMESTAMP_WINDOW;
    if wanted <= 0 || tip < 0 {
        return Ok(Some(0));
    }
    // The highest time so far grows with the height; single block times need not, so search with the median.
    let (mut low, mut high) = (0, tip + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let Some(info) = app.chain.block_at(middle).await.map_err(|error| chain_error(&error))? else { return Ok(Some(low)) };
        if info.time >= wanted {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok((low <= tip).then_some(low))
}

pub(super) async fn rescan(call: &Call) -> RpcResult {
    let loaded = synced_wallet(call).await?;
    let reservation = Reservation::new(&loaded)?;
    ensure_unlocked(&loaded).await?;
    let tip = loaded.wallet.borrow().tip.height;
    let start = call.params.opt_int::<i32>(0)?.unwrap_or(0);
    if start < 0 || (start > tip && !call.params.is_null(0)) {
        return Err(RpcError::parameter("Invalid start_height"));
    }
    let stop = call.params.opt_int::<i32>(1)?;
    if let Some(stop) = stop {
        if stop < 0 || stop > tip {
            return Err(RpcError::parameter("Invalid stop_height"));
        }
        if stop < start {
            return Err(RpcError::parameter("stop_height must be greater than start_height"));
        }
    }
    let state = call.app.chain.state().await.map_err(|error| chain_error(&error))?;
    if state.pruned && state.prune_height > start {
        return Err(RpcError::misc(
            "Can't rescan beyond pruned data. Use RPC call getblockchaininfo to determine your pruned height.",
        ));
    }
    match scan(&call.app, &reservation, start, stop).await? {
        Outcome::Done(last) => Ok(json!({"start_height": start, "stop_height": last})),
        Outcome::Aborted => Err(RpcError::misc("Rescan aborted.")),
        Outcome::Failed(_) => Err(RpcError::misc("Rescan failed. Potentially corrupted data files.")),
    }
}

pub(super) fn abort(call: &Call) -> RpcResult {
    let loaded = wallet_of(call)?;
    if loaded.scan.get().is_none() || loaded.abort_scan.get() {
        return Ok(Value::Bool(false));
    }
    loaded.abort_scan.set(true);
    Ok(Value::Bool(true))
}
