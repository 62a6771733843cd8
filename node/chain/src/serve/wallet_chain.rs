//! Edge wallet - chain: blocks, coins, mempool, fees and broadcast for the wallet.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Transaction, Txid};
use bulkhead_mempool::estimator::SmartFee;
use bulkhead_schema::decode;
use bulkhead_schema::wire::wallet_chain_capnp::wallet_chain;

use super::Node;
use super::coins::{InputCheck, fill_coins, find_coins, put_texts, read_outpoints};
use super::convert::{fill_pool_verdict, fill_tip, hash, hashes, malformed};
use super::events::once;
use crate::indexes::filters::find_filter;
use crate::rpc::{Context, broadcast};

/// A locator of ours has at most as many hashes; those of other programs may be longer.
const MAX_LOCATOR: u32 = 101;
const MAX_TRANSACTION: usize = 4_000_000;
/// Transactions of one question about clusters.
const MAX_TXIDS: u32 = 10_000;
/// All transactions of one answer, in bytes.
const MAX_MEMPOOL_BYTES: usize = 32 << 20;

/// Whether somebody has subscribed goes with the connection.
struct WalletChain(Rc<Node>, Cell<bool>);

/// The interface over `node`.
pub fn client(node: Rc<Node>) -> capnp::capability::Client {
    let client: wallet_chain::Client = capnp_rpc::new_client(WalletChain(node, Cell::default()));
    client.client
}

struct FoundBlock {
    bytes: Vec<u8>,
    hash: BlockHash,
    height: i32,
    time: u32,
    median_time: i64,
    active: bool,
}

fn find_block(context: &Context, wanted: Option<BlockHash>, height: i32) -> Option<FoundBlock> {
    let state = context.state();
    let id = match wanted {
        Some(hash) => state.lookup(&hash)?,
        None => state.active().at(height)?,
    };
    let node = state.node(id);
    let bytes = if node.have_data() { state.read_raw_block(id).unwrap_or_default() } else { Vec::new() };
    Some(FoundBlock {
        bytes,
        hash: node.hash,
        height: node.height,
        time: node.time(),
        median_time: state.index().median_time_past(id),
        active: state.is_active(id),
    })
}

impl wallet_chain::Server for WalletChain {
    async fn subscribe(
        self: Rc<Self>,
        params: wallet_chain::SubscribeParams,
        mut results: wallet_chain::SubscribeResults,
    ) -> Result<(), capnp::Error> {
        let events = params.get()?.get_events()?;
        once(&self.1)?;
        // Wait for the start, then subscribe before the tip is read: what comes between is sent twice rather than never.
        self.0.ready().await?;
        self.0.hub.add_wallet(events);
        let tip = self.0.blocking(|context| context.chain.tip()).await?;
        fill_tip(results.get().init_tip(), Some(&tip));
        Ok(())
    }

    async fn get_block(
        self: Rc<Self>,
        params: wallet_chain::GetBlockParams,
        mut results: wallet_chain::GetBlockResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let data = params.get_hash()?;
        let wanted = if data.is_empty() { None } else { Some(hash(data)?) };
        let height = params.get_height();
        let Some(found) = self.0.blocking(move |context| find_block(context, wanted, height)).await? else { return Ok(()) };
        let mut results = results.get();
        results.set_block(&found.bytes);
        results.set_hash(found.hash.as_byte_array());
        results.set_height(found.height);
        results.set_time(i64::from(found.time));
        results.set_median_time(found.median_time);
        results.set_in_active_chain(found.active);
        Ok(())
    }

    async fn find_fork(
        self: Rc<Self>,
        params: wallet_chain::FindForkParams,
        mut results: wallet_chain::FindForkResults,
    ) -> Result<(), capnp::Error> {
        let locator = hashes(params.get()?.get_locator()?, MAX_LOCATOR)?;
        let found = self
            .0
            .blocking(move |context| {
                let state = context.state();
                let id = state.active().find_fork_of_locator(state.index(), &locator)?;
                Some((state.node(id).hash, state.node(id).height))
            })
            .await?;
        let mut results = results.get();
        match found {
            Some((hash, height)) => {
                results.set_hash(hash.as_byte_array());
                results.set_height(height);
            }
            None => results.set_height(-1),
        }
        Ok(())
    }

    async fn broadcast(
        self: Rc<Self>,
        params: wallet_chain::BroadcastParams,
        mut results: wallet_chain::BroadcastResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let bytes = decode::data("transaction", params.get_transaction()?, MAX_TRANSACTION).map_err(malformed)?;
        let tx: Transaction = deserialize(bytes).map_err(bulkhead_link::failed)?;
        let max_fee = params.get_max_fee();
        let relay = params.get_relay();
        let tx = Arc::new(tx);
        let handed = Arc::clone(&tx);
        let (known, outcome) =
            self.0.in_order(move |context| (pool_figures(context, &handed), broadcast(context, &handed, max_fee))).await?;
        if relay && let (Some((fee_rate, vsize)), Ok(_)) = (known, &outcome) {
            // What is new is announced as such.
            self.0.hub.announce(&tx, fee_rate, vsize);
        }
        let mut results = results.get();
        match outcome {
            Ok(_) => fill_pool_verdict(results.init_verdict(), Ok(())),
            Err(error) => {
                results.set_code(error.code);
                let mut verdict = results.init_verdict();
                verdict.set_reason(&error.message);
            }
        }
        Ok(())
    }

    async fn coins(
        self: Rc<Self>,
        params: wallet_chain::CoinsParams,
        mut results: wallet_chain::CoinsResults,
    ) -> Result<(), capnp::Error> {
        let outpoints = read_outpoints(params.get()?.get_outpoints()?)?;
        let found = self.0.blocking(move |context| find_coins(context, &outpoints)).await?;
        fill_coins(results.get().init_coins(found.len() as u32), &found); // bounded by the question
        Ok(())
    }

    async fn in_mempool(
        self: Rc<Self>,
        params: wallet_chain::InMempoolParams,
        mut results: wallet_chain::InMempoolResults,
    ) -> Result<(), capnp::Error> {
        let txid = Txid::from_byte_array(decode::hash32("txid", params.get()?.get_txid()?).map_err(malformed)?);
        let found = self
            .0
            .blocking(move |context| {
                let pool = context.pool.lock();
                pool.get(&txid)?;
                Some((pool.ancestors(&txid).len(), pool.descendants(&txid).len()))
            })
            .await?;
        if let Some((ancestors, descendants)) = found {
            let mut results = results.get();
            results.set_in_mempool(true);
            results.set_ancestors(u32::try_from(ancestors).unwrap_or(u32::MAX));
            results.set_descendants(u32::try_from(descendants).unwrap_or(u32::MAX));
        }
        Ok(())
    }

    async fn state(
        self: Rc<Self>,
        _: wallet_chain::StateParams,
        mut results: wallet_chain::StateResults,
    ) -> Result<(), capnp::Error> {
        let (tip, (pruned, prune_height), fees) = self
            .0
            .blocking(|context| {
                let (pruned, prune_height) = {
                    let state = context.state();
                    (context.config.prune > 0, state.prune_height().unwrap_or(-1))
                };
                let now = context.now();
                let mut pool = context.pool.lock();
                let min_fee = pool.min_fee(now).0.max(pool.options().min_relay.0);
                let options = pool.options();
                (
                    context.chain.tip(),
                    (pruned, prune_height),
                    [min_fee, options.min_relay.0, options.incremental.0, options.dust.0],
                )
            })
            .await?;
        let mut results = results.get();
        fill_tip(results.reborrow().init_tip(), Some(&tip));
        let [min_fee, relay, incremental, dust] = fees;
        results.set_mempool_min_fee(min_fee);
        results.set_relay_min_fee(relay);
        results.set_incremental_fee(incremental);
        results.set_dust_fee(dust);
        results.set_pruned(pruned);
        results.set_prune_height(prune_height);
        Ok(())
    }

    async fn estimate_fee(
        self: Rc<Self>,
        params: wallet_chain::EstimateFeeParams,
        mut results: wallet_chain::EstimateFeeResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let (target, conservative) = (params.get_target(), params.get_conservative());
        let work = move |context: &Context| match context.config.blocksonly {
            true => SmartFee { rate: None, target },
            false => context.pool.estimator().smart(target, conservative),
        };
        let estimate = self.0.blocking(work).await?;
        // Without an estimate callers fall back to their own fee.
        results.get().set_fee_rate(estimate.rate.unwrap_or(-1));
        results.get().set_returned_target(estimate.target);
        Ok(())
    }

    async fn mempool(
        self: Rc<Self>,
        _: wallet_chain::MempoolParams,
        mut results: wallet_chain::MempoolResults,
    ) -> Result<(), capnp::Error> {
        let found = self.0.blocking(mempool_bytes).await?;
        let mut list = results.get().init_transactions(found.len() as u32); // fits 32 MiB
        for (at, bytes) in (0..).zip(&found) {
            list.set(at, bytes);
        }
        Ok(())
    }

    async fn block_filter(
        self: Rc<Self>,
        params: wallet_chain::BlockFilterParams,
        mut results: wallet_chain::BlockFilterResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let data = params.get_hash()?;
        let wanted = if data.is_empty() { None } else { Some(hash(data)?) };
        let height = params.get_height();
        let Some((found, filter)) = self.0.blocking(move |context| find_filter_of(context, wanted, height)).await? else {
            return Ok(());
        };
        let mut results = results.get();
        results.set_hash(found.as_byte_array());
        if let Some(filter) = filter {
            results.set_has_filter(true);
            results.set_filter(&filter);
        }
        Ok(())
    }

    async fn clusters(
        self: Rc<Self>,
        params: wallet_chain::ClustersParams,
        mut results: wallet_chain::ClustersResults,
    ) -> Result<(), capnp::Error> {
        let txids = decode::hashes("txids", params.get()?.get_txids()?, MAX_TXIDS).map_err(malformed)?;
        let found = self.0.blocking(move |context| clusters(context, txids)).await?;
        let mut list = results.get().init_transactions(found.len() as u32); // clusters have 64 transactions at most
        for (at, tx) in (0..).zip(&found) {
            let mut entry = list.reborrow().get(at);
            entry.set_txid(tx.txid.as_byte_array());
            entry.set_vsize(tx.vsize);
            entry.set_fee(tx.fee);
            let mut parents = entry.init_parents(tx.parents.len() as u32);
            for (position, parent) in (0..).zip(&tx.parents) {
                parents.set(position, *parent);
            }
        }
        Ok(())
    }

    async fn blocks_from(
        self: Rc<Self>,
        _: wallet_chain::BlocksFromParams,
        mut results: wallet_chain::BlocksFromResults,
    ) -> Result<(), capnp::Error> {
        let height = self
            .0
            .blocking(|context| {
                let state = context.state();
                let here = |height: &i32| state.active_at(*height).is_some_and(|node| node.have_data());
                (0..=state.height()).rev().take_while(here).last().unwrap_or_else(|| state.height())
            })
            .await?;
        results.get().set_height(height);
        Ok(())
    }

    async fn ping(self: Rc<Self>, _: wallet_chain::PingParams, _: wallet_chain::PingResults) -> Result<(), capnp::Error> {
        Ok(())
    }

    async fn barrier(
        self: Rc<Self>,
        _: wallet_chain::BarrierParams,
        _: wallet_chain::BarrierResults,
    ) -> Result<(), capnp::Error> {
        self.0.hub.barrier().await;
        Ok(())
    }

    async fn verify_inputs(
        self: Rc<Self>,
        params: wallet_chain::VerifyInputsParams,
        mut results: wallet_chain::VerifyInputsResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let check = InputCheck::read(params.get_transaction()?, params.get_spent()?)?;
        let errors = self.0.blocking(move |_| check.errors()).await?;
        put_texts(results.get().init_errors(errors.len() as u32), &errors); // inputs of a transaction
        Ok(())
    }
}

/// Fee rate and virtual size of a transaction that is in the mempool.
fn pool_figures(context: &Context, tx: &Transaction) -> Option<(u64, u32)> {
    let pool = context.pool.lock();
    let entry = pool.get(&tx.compute_txid())?;
    let rate = entry.new.fee.saturating_mul(1000) / entry.vsize().max(1);
    Some((u64::try_from(rate).unwrap_or(0), u32::try_from(entry.vsize()).unwrap_or(u32::MAX)))
}

/// A mempool transaction as the wallet needs it; parents by their position in the list.
struct PoolTransaction {
    txid: Txid,
    vsize: i64,
    fee: i64,
    parents: Vec<u32>,
}

fn clusters(context: &Context, txids: Vec<[u8; 32]>) -> Vec<PoolTransaction> {
    let pool = context.pool.lock();
    let mut wanted = BTreeSet::new();
    for txid in txids.into_iter().map(Txid::from_byte_array) {
        if !wanted.contains(&txid) {
            wanted.extend(pool.cluster(&txid));
        }
    }
    let positions: BTreeMap<Txid, u32> = wanted.iter().copied().zip(0..).collect();
    let entries = wanted.iter().filter_map(|txid| pool.get(txid));
    entries
        .map(|entry| PoolTransaction {
            txid: entry.txid,
            vsize: entry.vsize(),
            fee: entry.modified_fee,
            parents: entry.parents.iter().filter_map(|parent| positions.get(parent).copied()).collect(),
        })
        .collect()
}

/// A block, and its filter if the index has it.
fn find_filter_of(context: &Context, wanted: Option<BlockHash>, height: i32) -> Option<(BlockHash, Option<Vec<u8>>)> {
    let (hash, height) = {
        let state = context.state();
        let id = match wanted {
            Some(hash) => state.lookup(&hash)?,
            None => state.active().at(height)?,
        };
        (state.node(id).hash, state.node(id).height)
    };
    // A filter that cannot be read is one that is not there: the wallet then reads the block.
    let read = |index: &crate::indexes::Index| find_filter(index.store(), height, hash).ok().flatten();
    let filter = context.indexes.filter.as_deref().and_then(read);
    Some((hash, filter.map(|(filter, _)| filter.content)))
}

/// Transactions of the mempool, parents first, as many as fit.
fn mempool_bytes(context: &Context) -> Vec<Vec<u8>> {
    let pool = context.pool.lock();
    let mut total = 0;
    let mut found = Vec::new();
    for entry in pool.ordered_txids().iter().filter_map(|txid| pool.get(txid)) {
        let bytes = serialize(&*entry.new.tx);
        total += bytes.len();
        if total > MAX_MEMPOOL_BYTES {
            break;
        }
        found.push(bytes);
    }
    found
}
