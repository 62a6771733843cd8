//! What chain tells: blocks and mempool changes, applied in order to every loaded wallet, and catching up.

use bitcoin::hashes::Hash;
use bitcoin::{Block, BlockHash, Transaction, Txid};
use bulkhead_control::clock;
use bulkhead_schema::wire::wallet_chain_capnp::wallet_events;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::chain::{BlockInfo, ChainError, decode, hash, read_block, read_tip};
use crate::app::{App, Loaded};
use crate::records;
use crate::state::BlockRef;
use crate::state::sync::When;

/// Blocks between two records of the position when nothing of ours happens (about a day).
const BEST_BLOCK_INTERVAL: i32 = 144;

/// Serves chain's calls.
pub struct Events {
    /// The process.
    pub app: Rc<App>,
}

fn bad(error: ChainError) -> capnp::Error {
    bulkhead_link::failed(error)
}

impl wallet_events::Server for Events {
    async fn block_connected(
        self: Rc<Self>,
        params: wallet_events::BlockConnectedParams,
        _: wallet_events::BlockConnectedResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let (block, at) = read_block(params.get_block()?, params.get_hash()?, params.get_height()).map_err(bad)?;
        let _guard = self.app.sync.lock().await;
        for loaded in self.app.all() {
            connect(&self.app, &loaded, &block, at).await.map_err(bulkhead_link::failed)?;
        }
        self.app.advanced();
        Ok(())
    }

    async fn block_disconnected(
        self: Rc<Self>,
        params: wallet_events::BlockDisconnectedParams,
        _: wallet_events::BlockDisconnectedResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let (block, at) = read_block(params.get_block()?, params.get_hash()?, params.get_height()).map_err(bad)?;
        let _guard = self.app.sync.lock().await;
        for loaded in self.app.all() {
            if loaded.wallet.borrow().tip.hash == at.hash {
                loaded.wallet.borrow_mut().block_disconnected(&block, at, clock::now());
                finish(&self.app, &loaded, true).await.map_err(bulkhead_link::failed)?;
            }
        }
        self.app.advanced();
        Ok(())
    }

    async fn transaction_added(
        self: Rc<Self>,
        params: wallet_events::TransactionAddedParams,
        _: wallet_events::TransactionAddedResults,
    ) -> Result<(), capnp::Error> {
        let tx: Transaction = decode(params.get()?.get_transaction()?, "transaction").map_err(bad)?;
        let tx = Arc::new(tx);
        let _guard = self.app.sync.lock().await;
        for loaded in self.app.all() {
            loaded.wallet.borrow_mut().transaction_added(&tx, clock::now());
            finish(&self.app, &loaded, false).await.map_err(bulkhead_link::failed)?;
        }
        self.app.advanced();
        Ok(())
    }

    async fn transaction_removed(
        self: Rc<Self>,
        params: wallet_events::TransactionRemovedParams,
        _: wallet_events::TransactionRemovedResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let txid = Txid::from_byte_array(hash(params.get_txid()?, "txid").map_err(bad)?);
        let reason = params.get_reason()?.to_string()?;
        let _guard = self.app.sync.lock().await;
        for loaded in self.app.all() {
            loaded.wallet.borrow_mut().transaction_removed(&txid, &reason, clock::now());
            finish(&self.app, &loaded, false).await.map_err(bulkhead_link::failed)?;
        }
        self.app.advanced();
        Ok(())
    }

    async fn updated_tip(
        self: Rc<Self>,
        params: wallet_events::UpdatedTipParams,
        _: wallet_events::UpdatedTipResults,
    ) -> Result<(), capnp::Error> {
        let tip = read_tip(params.get()?.get_tip()?).map_err(bad)?;
        let _guard = self.app.sync.lock().await;
        for loaded in self.app.all() {
            loaded.best_block_time.set(clock::now());
            let stands = loaded.wallet.borrow().tip;
            if stands.hash != tip.block.hash && !waits_for_blocks(&self.app, &loaded).await.map_err(bulkhead_link::failed)? {
                // Chain dropped what we were too slow to take.
                catch_up(&self.app, &loaded, &[stands.hash]).await.map_err(bulkhead_link::failed)?;
                read_mempool(&self.app, &loaded).await.map_err(bulkhead_link::failed)?;
            }
        }
        self.app.advanced();
        Ok(())
    }
}

/// Why a wallet cannot follow the chain.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// Chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Key store.
    #[error(transparent)]
    Keystore(#[from] crate::ipc::keystore::KeystoreError),
}

/// Writes the position and whatever changed, then tells who wants to know.
async fn finish(app: &App, loaded: &Loaded, position: bool) -> Result<(), SyncError> {
    if position {
        write_position(app, loaded).await;
    }
    loaded.persist().await?;
    app.send_notices(loaded);
    Ok(())
}

/// Queues the locator of the last processed block. A locator needs only enough hashes to find the fork of a
/// reorganisation; older ones come from chain.
pub async fn write_position(app: &App, loaded: &Loaded) {
    let tip = loaded.wallet.borrow().tip;
    if tip.height < 0 {
        return;
    }
    let genesis = bitcoin::constants::genesis_block(app.network).block_hash();
    let locator = locator(tip, &loaded.wallet.borrow().recent, genesis);
    let [old, new] = records::write_best_block(&locator);
    let mut wallet = loaded.wallet.borrow_mut();
    wallet.push(old);
    wallet.push(new);
}

/// Known blocks from the tip down, in steps that double after the tenth (Core: `LocatorEntries`, src/chain.cpp). As many steps as
/// there are known blocks: the height is what chain says.
fn locator(tip: BlockRef, known: &BTreeMap<i32, BlockHash>, genesis: BlockHash) -> Vec<BlockHash> {
    let mut locator = vec![tip.hash];
    let (mut wanted, mut step) = (tip.height.saturating_sub(1), 1i32);
    for (height, hash) in known.range(1..tip.height.max(1)).rev() {
        if *height > wanted {
            continue;
        }
        locator.push(*hash);
        wanted = height.saturating_sub(step);
        if locator.len() >= 10 {
            step = step.saturating_mul(2);
        }
    }
    if tip.height > 0 {
        // It always forks somewhere.
        locator.push(known.get(&0).copied().unwrap_or(genesis));
    }
    locator
}

/// Whether blocks behind the position of a wallet are still to come, because chain started from a snapshot of the coins. As in
/// Core, the wallet then goes on with the blocks that there are; a scan of the others has to be asked for.
pub async fn waits_for_blocks(app: &App, loaded: &Loaded) -> Result<bool, ChainError> {
    let state = app.chain.state().await?;
    let height = loaded.wallet.borrow().tip.height;
    if state.pruned || height < 0 || state.tip.block.height <= height + 1 {
        return Ok(false);
    }
    Ok(app.chain.blocks_from().await? > height + 1)
}

async fn connect(app: &App, loaded: &Loaded, block: &Block, at: BlockRef) -> Result<(), SyncError> {
    let tip = loaded.wallet.borrow().tip;
    if tip.hash == at.hash {
        return Ok(());
    }
    if tip.hash != block.header.prev_blockhash && tip.height >= 0 && !waits_for_blocks(app, loaded).await? {
        // We missed something: go over everything from the fork.
        return catch_up(app, loaded, &[tip.hash]).await;
    }
    let when = When { now: clock::now(), block_time: Some(i64::from(block.header.time)), rescan_time: None };
    let updated = loaded.wallet.borrow_mut().block_connected(block, at, when);
    finish(app, loaded, updated || at.height % BEST_BLOCK_INTERVAL == 0).await
}

/// Brings a wallet to the tip. Where it stands may be a block that is no longer active; if chain does not know
/// it at all, `locator` says where to begin.
///
/// # Errors
/// [`SyncError`].
pub async fn catch_up(app: &App, loaded: &Loaded, locator: &[BlockHash]) -> Result<(), SyncError> {
    if app.chain.state().await?.tip.block.height < 0 {
        return Ok(());
    }
    if !undo_stale(app, loaded).await? {
        let fork = app.chain.find_fork(locator).await?;
        loaded.wallet.borrow_mut().set_tip(fork.unwrap_or_else(BlockRef::none));
    }
    let mut height = loaded.wallet.borrow().tip.height + 1;
    while let Some(info) = app.chain.block_at(height).await? {
        let Some(block) = &info.block else { return Err(ChainError::Bad("block (not on disk)").into()) };
        if height > 0 && block.header.prev_blockhash != loaded.wallet.borrow().tip.hash && loaded.wallet.borrow().tip.height >= 0
        {
            // The chain was reorganised under us.
            undo_stale(app, loaded).await?;
            height = loaded.wallet.borrow().tip.height + 1;
            continue;
        }
        let when = When { now: clock::now(), block_time: Some(info.time), rescan_time: Some(info.time) };
        loaded.wallet.borrow_mut().block_connected(block, info.at, when);
        loaded.persist().await?;
        height += 1;
    }
    finish(app, loaded, true).await
}

/// Takes blocks off until the wallet stands on the active chain. Answers whether chain knew where it stood.
async fn undo_stale(app: &App, loaded: &Loaded) -> Result<bool, SyncError> {
    loop {
        let tip = loaded.wallet.borrow().tip;
        if tip.height < 0 {
            return Ok(false);
        }
        match app.chain.block_by_hash(&tip.hash).await? {
            Some(BlockInfo { active: true, at, .. }) => {
                loaded.wallet.borrow_mut().set_tip(at);
                return Ok(true);
            }
            Some(BlockInfo { block: Some(block), at, .. }) => {
                loaded.wallet.borrow_mut().block_disconnected(&block, at, clock::now());
            }
            _ => return Ok(false),
        }
    }
}

/// Asks chain where the blocks of loaded transactions are.
///
/// # Errors
/// [`SyncError`].
pub async fn block_heights(app: &App, blocks: &[BlockHash]) -> Result<BTreeMap<BlockHash, i32>, SyncError> {
    let mut out = BTreeMap::new();
    for hash in blocks {
        // One name is enough of a locator: chain answers it only when it is in the active chain.
        if let Some(found) = app.chain.find_fork(&[*hash]).await?
            && found.hash == *hash
        {
            out.insert(*hash, found.height);
        }
    }
    Ok(out)
}

/// Tells a wallet what is in the mempool now.
///
/// # Errors
/// [`SyncError`].
pub async fn read_mempool(app: &App, loaded: &Loaded) -> Result<(), SyncError> {
    for tx in app.chain.mempool().await? {
        loaded.wallet.borrow_mut().transaction_added(&Arc::new(tx), clock::now());
    }
    loaded.persist().await?;
    app.send_notices(loaded);
    Ok(())
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash;

    use super::*;

    fn hash(height: i32) -> BlockHash {
        BlockHash::from_byte_array([height.to_be_bytes(); 8].concat().try_into().unwrap_or_default())
    }

    fn located(tip: i32, known: impl IntoIterator<Item = i32>) -> Vec<i32> {
        let known = known.into_iter().map(|height| (height, hash(height))).collect();
        let read = |hash: BlockHash| i32::from_be_bytes(*hash.as_byte_array().first_chunk().unwrap_or(&[0; 4]));
        locator(BlockRef { hash: hash(tip), height: tip }, &known, hash(0)).into_iter().map(read).collect()
    }

    #[test]
    fn a_locator_has_ten_blocks_in_a_row_and_then_fewer_and_fewer() {
        assert_eq!(located(100, 0..=100), [100, 99, 98, 97, 96, 95, 94, 93, 92, 91, 90, 88, 84, 76, 60, 28, 0]);
        assert_eq!(located(1, 0..=1), [1, 0]);
        assert_eq!(located(0, []), [0]);
    }

    /// Chain says how high it is; it may have been taken over.
    #[test]
    fn a_locator_of_a_high_chain_takes_no_time() {
        assert_eq!(located(i32::MAX, []), [i32::MAX, 0]);
        assert_eq!(located(i32::MAX, [5, 7, i32::MAX - 1]), [i32::MAX, i32::MAX - 1, 7, 5, 0]);
    }
}
