//! Edge wallet - chain: blocks, coins, mempool, fees and broadcast for the wallet.

use std::rc::Rc;
use std::sync::Arc;

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Transaction, Txid};
use bulkhead_schema::decode;
use bulkhead_schema::wire::wallet_chain_capnp::wallet_chain;

use super::Node;
use super::coins::{InputCheck, fill_coins, find_coins, put_texts, read_outpoints};
use super::convert::{fill_pool_verdict, fill_tip, hash, hashes, malformed};
use crate::rpc::{Context, broadcast};

/// A locator of ours has at most as many hashes; those of other programs may be longer.
const MAX_LOCATOR: u32 = 101;
const MAX_TRANSACTION: usize = 4_000_000;
/// All transactions of one answer, in bytes.
const MAX_MEMPOOL_BYTES: usize = 32 << 20;

struct WalletChain(Rc<Node>);

/// The interface over `node`.
pub fn client(node: Rc<Node>) -> capnp::capability::Client {
    let client: wallet_chain::Client = capnp_rpc::new_client(WalletChain(node));
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
        let outcome = self.0.in_order(move |context| broadcast(context, &Arc::new(tx), max_fee)).await?;
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
        // There is no estimator yet: callers fall back to their own fee.
        let target = params.get()?.get_target();
        results.get().set_fee_rate(-1);
        results.get().set_returned_target(target);
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

    async fn block_filter_match(
        self: Rc<Self>,
        _: wallet_chain::BlockFilterMatchParams,
        mut results: wallet_chain::BlockFilterMatchResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_has_filter(false);
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

/// Transactions of the mempool, parents first, as many as fit.
fn mempool_bytes(context: &Context) -> Vec<Vec<u8>> {
    let pool = context.pool.lock();
    let mut entries: Vec<_> = pool.iter().map(|entry| (pool.ancestors(&entry.txid).len(), entry)).collect();
    entries.sort_by_key(|(ancestors, _)| *ancestors);
    let mut total = 0;
    let mut found = Vec::new();
    for (_, entry) in entries {
        let bytes = serialize(&*entry.new.tx);
        total += bytes.len();
        if total > MAX_MEMPOOL_BYTES {
            break;
        }
        found.push(bytes);
    }
    found
}
