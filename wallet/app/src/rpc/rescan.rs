//! Looking at old blocks again.

use bulkhead_control::clock;
use bulkhead_keystore_edge::Request;
use bulkhead_rpc_util::error as code;
use bulkhead_rpc_util::{RpcError, RpcResult};
use serde_json::{Value, json};

use super::Call;
use super::util::{ensure_unlocked, synced_wallet, wallet_of};
use crate::app::{App, Loaded, Scan};
use crate::ipc::chain::ChainError;
use crate::ipc::{self, scan::Outcome};
use crate::wallets::{TIMESTAMP_WINDOW, chain_error, keystore_error, sync_error};

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
        // Also when whoever asked for the scan is gone.
        self.0.keys.tell(Request::Hold(false));
    }
}

/// Scans blocks of the active chain from `start` to `stop` (or the tip). An unlocked wallet that is to lock itself meanwhile goes
/// on to find addresses that only private keys yield.
pub(super) async fn scan(app: &App, reservation: &Reservation<'_>, start: i32, stop: Option<i32>) -> RpcResult<Outcome> {
    let loaded = reservation.0;
    loaded.keys.call(Request::Hold(true)).await.map_err(|error| keystore_error(&error))?;
    ipc::scan::scan(app, loaded, start, stop).await.map_err(|error| sync_error(&error))
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

/// Whether all blocks of a range are on disk: of a chain that started from a snapshot of the coins, some may still be missing.
async fn has_blocks(app: &App, start: i32, end: i32) -> Result<bool, ChainError> {
    let lowest = app.chain.blocks_from().await?;
    for height in (start..=end.min(lowest - 1)).rev() {
        if app.chain.block_at(height).await?.is_none_or(|info| info.block.is_none()) {
            return Ok(false);
        }
    }
    Ok(true)
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
    if !has_blocks(&call.app, start, stop.unwrap_or(tip)).await.map_err(|error| chain_error(&error))? {
        return Err(RpcError::misc(
            "Failed to rescan unavailable blocks likely due to an in-progress assumeutxo background sync. Check logs or getchainstates RPC for assumeutxo background sync progress and try again later.",
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
