//! Edge net - chain: what the network brings, in the order in which it comes; questions are answered beside it.

use std::rc::Rc;
use std::sync::Arc;

use bitcoin::block::Header;
use bitcoin::consensus::deserialize;
use bitcoin::hashes::Hash;
use bulkhead_rpc_util::codec::{decode_block, decode_witness_tx};
use bulkhead_schema::decode;
use bulkhead_schema::limits::MAX_BLOCK_BYTES;
use bulkhead_schema::wire::net_chain_capnp::net_chain;

use super::convert::{fill_pool_verdict, fill_tip, fill_verdict, hash, hashes, malformed, tip_of};
use super::{Node, net_queries as queries};
use crate::engine::TipInfo;

const HEADER: usize = 80;
const MAX_HEADERS: usize = 2000;
/// A transaction is at most this long, in bytes (its weight fits a standard transaction's).
const MAX_TRANSACTION: usize = 400_000;
const MAX_LOCATOR: u32 = 101;
const MAX_MEMPOOL_IDS: usize = 50_000;

struct NetChain(Rc<Node>);

/// The interface over `node`.
pub fn client(node: Rc<Node>) -> capnp::capability::Client {
    let client: net_chain::Client = capnp_rpc::new_client(NetChain(node));
    client.client
}

/// Last known header of a batch, and whether it is in the active chain.
type Known = (Option<TipInfo>, bool);

impl net_chain::Server for NetChain {
    async fn subscribe(
        self: Rc<Self>,
        params: net_chain::SubscribeParams,
        mut results: net_chain::SubscribeResults,
    ) -> Result<(), capnp::Error> {
        let events = params.get()?.get_events()?;
        let tip = self.0.blocking(|context| context.chain.tip()).await?;
        self.0.hub.add_net(events);
        fill_tip(results.get().init_tip(), Some(&tip));
        Ok(())
    }

    async fn locator(
        self: Rc<Self>,
        params: net_chain::LocatorParams,
        mut results: net_chain::LocatorResults,
    ) -> Result<(), capnp::Error> {
        let from = params.get()?.get_from()?;
        let from = if from.is_empty() { None } else { Some(hash(from)?) };
        let found = self.0.blocking(move |context| queries::locator(context, from)).await?;
        let mut list = results.get().init_hashes(found.len() as u32); // at most MAX_LOCATOR
        for (at, hash) in (0..).zip(&found) {
            list.set(at, hash.as_byte_array());
        }
        Ok(())
    }

    async fn submit_headers(
        self: Rc<Self>,
        params: net_chain::SubmitHeadersParams,
        mut results: net_chain::SubmitHeadersResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let bytes = decode::data("headers", params.get_headers()?, MAX_HEADERS * HEADER).map_err(malformed)?;
        let (chunks, rest) = bytes.as_chunks::<HEADER>();
        if !rest.is_empty() {
            return Err(bulkhead_link::failed("headers must be whole"));
        }
        let headers: Vec<Header> =
            chunks.iter().map(|chunk| deserialize(chunk)).collect::<Result<_, _>>().map_err(bulkhead_link::failed)?;
        let checked = params.get_min_pow_checked();
        let (verdict, (last, active)) = self
            .0
            .in_order(move |context| {
                let checked = checked || queries::has_enough_work(context, &headers);
                let verdict = context.chain.process_headers(&headers, checked);
                let state = context.state();
                // The last header that is known, also when a later one was refused.
                let known = headers.iter().rev().find_map(|header| state.lookup(&header.block_hash()));
                let known: Known = known.map_or((None, false), |id| (tip_of(&state, Some(state.node(id))), state.is_active(id)));
                (verdict.map(|_| ()), known)
            })
            .await?;
        let mut results = results.get();
        fill_verdict(results.reborrow().init_verdict(), verdict.as_ref().copied());
        fill_tip(results.reborrow().init_last(), last.as_ref());
        results.set_in_active_chain(active);
        Ok(())
    }

    async fn submit_block(
        self: Rc<Self>,
        params: net_chain::SubmitBlockParams,
        mut results: net_chain::SubmitBlockResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let bytes = decode::data("block", params.get_block()?, MAX_BLOCK_BYTES).map_err(malformed)?;
        let requested = params.get_requested();
        let block = decode_block(bytes).ok_or_else(|| bulkhead_link::failed("block cannot be decoded"))?;
        let outcome = self
            .0
            .in_order(move |context| {
                let checked = queries::has_enough_work(context, &[block.header]);
                context.chain.process_new_block(block, requested, checked)
            })
            .await?;
        let mut results = results.get();
        match outcome {
            Ok(accepted) => {
                let verdict = accepted.checked.unwrap_or(Ok(()));
                fill_verdict(results.reborrow().init_verdict(), verdict.as_ref().copied());
                results.set_is_new(accepted.is_new);
            }
            Err(reject) => fill_verdict(results.init_verdict(), Err(&reject)),
        }
        Ok(())
    }

    async fn submit_transaction(
        self: Rc<Self>,
        params: net_chain::SubmitTransactionParams,
        mut results: net_chain::SubmitTransactionResults,
    ) -> Result<(), capnp::Error> {
        let bytes = decode::data("transaction", params.get()?.get_transaction()?, MAX_TRANSACTION).map_err(malformed)?;
        let tx = decode_witness_tx(bytes).ok_or_else(|| bulkhead_link::failed("transaction cannot be decoded"))?;
        let tx = Arc::new(tx);
        let outcome = {
            let tx = Arc::clone(&tx);
            self.0.in_order(move |context| queries::submit_transaction(context, &tx)).await?
        };
        let mut results = results.get();
        results.set_txid(tx.compute_txid().as_byte_array());
        results.set_wtxid(tx.compute_wtxid().as_byte_array());
        fill_pool_verdict(results.reborrow().init_verdict(), outcome.verdict.as_ref().copied());
        results.set_fee_rate(outcome.fee_rate);
        let mut list = results.init_missing_parents(outcome.missing_parents.len() as u32); // at most one per input
        for (at, txid) in (0..).zip(&outcome.missing_parents) {
            list.set(at, txid.as_byte_array());
        }
        Ok(())
    }

    async fn find_headers(
        self: Rc<Self>,
        params: net_chain::FindHeadersParams,
        mut results: net_chain::FindHeadersResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let locator = hashes(params.get_locator()?, MAX_LOCATOR)?;
        let stop = optional_hash(params.get_stop()?)?;
        let limit = (params.get_limit() as usize).min(MAX_HEADERS);
        let found = self.0.blocking(move |context| queries::find_headers(context, &locator, stop, limit)).await?;
        results.get().set_headers(&found);
        Ok(())
    }

    async fn find_hashes(
        self: Rc<Self>,
        params: net_chain::FindHashesParams,
        mut results: net_chain::FindHashesResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let locator = hashes(params.get_locator()?, MAX_LOCATOR)?;
        let stop = optional_hash(params.get_stop()?)?;
        let limit = (params.get_limit() as usize).min(500);
        let found = self.0.blocking(move |context| queries::find_hashes(context, &locator, stop, limit)).await?;
        let mut list = results.get().init_hashes(found.len() as u32); // at most 500
        for (at, hash) in (0..).zip(&found) {
            list.set(at, hash.as_byte_array());
        }
        Ok(())
    }

    async fn get_block(
        self: Rc<Self>,
        params: net_chain::GetBlockParams,
        mut results: net_chain::GetBlockResults,
    ) -> Result<(), capnp::Error> {
        let hash = hash(params.get()?.get_hash()?)?;
        let bytes = self.0.blocking(move |context| queries::raw_block(context, hash)).await?;
        results.get().set_block(&bytes);
        Ok(())
    }

    async fn get_transaction(
        self: Rc<Self>,
        params: net_chain::GetTransactionParams,
        mut results: net_chain::GetTransactionResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let id = decode::hash32("id", params.get_id()?).map_err(malformed)?;
        let by_witness = params.get_is_witness_id();
        let found = self.0.blocking(move |context| queries::transaction(context, id, by_witness)).await?;
        results.get().set_transaction(&found);
        Ok(())
    }

    async fn have_transaction(
        self: Rc<Self>,
        params: net_chain::HaveTransactionParams,
        mut results: net_chain::HaveTransactionResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let id = decode::hash32("id", params.get_id()?).map_err(malformed)?;
        let by_witness = params.get_is_witness_id();
        let have = self.0.blocking(move |context| queries::have_transaction(context, id, by_witness)).await?;
        results.get().set_have(have);
        Ok(())
    }

    async fn missing_blocks(
        self: Rc<Self>,
        params: net_chain::MissingBlocksParams,
        mut results: net_chain::MissingBlocksResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let best = hash(params.get_best()?)?;
        let limit = (params.get_limit() as usize).min(1024);
        let wanted = self.0.blocking(move |context| queries::missing_blocks(context, best, limit)).await?;
        let mut list = results.get().init_blocks(wanted.len() as u32); // at most 1024
        for (at, (hash, height)) in (0..).zip(&wanted) {
            let mut entry = list.reborrow().get(at);
            entry.set_hash(hash.as_byte_array());
            entry.set_height(*height);
        }
        Ok(())
    }

    async fn header_info(
        self: Rc<Self>,
        params: net_chain::HeaderInfoParams,
        mut results: net_chain::HeaderInfoResults,
    ) -> Result<(), capnp::Error> {
        let hash = hash(params.get()?.get_hash()?)?;
        let found = self.0.blocking(move |context| queries::header_info(context, hash)).await?;
        let mut results = results.get();
        let Some(info) = found else { return Ok(()) };
        results.set_known(true);
        results.set_have_data(info.have_data);
        results.set_in_active_chain(info.active);
        results.set_valid(info.valid);
        fill_tip(results.init_tip(), info.tip.as_ref());
        Ok(())
    }

    async fn mempool_ids(
        self: Rc<Self>,
        params: net_chain::MempoolIdsParams,
        mut results: net_chain::MempoolIdsResults,
    ) -> Result<(), capnp::Error> {
        let rate = params.get()?.get_min_fee_rate();
        let ids = self.0.blocking(move |context| queries::mempool_ids(context, rate, MAX_MEMPOOL_IDS)).await?;
        let mut list = results.get().init_wtxids(ids.len() as u32); // at most MAX_MEMPOOL_IDS
        for (at, id) in (0..).zip(&ids) {
            list.set(at, id.as_byte_array());
        }
        Ok(())
    }

    async fn state(self: Rc<Self>, _: net_chain::StateParams, mut results: net_chain::StateResults) -> Result<(), capnp::Error> {
        let found = self.0.blocking(queries::state).await?;
        let mut results = results.get();
        fill_tip(results.reborrow().init_tip(), Some(&found.tip));
        fill_tip(results.reborrow().init_best_header(), found.best_header.as_ref());
        results.set_mempool_min_fee(found.mempool_min_fee);
        results.set_loading_blocks(found.loading_blocks);
        results.set_history_missing(found.history_missing);
        let mut list = results.init_warnings(found.warnings.len() as u32); // one per kind of warning
        for (at, text) in (0..).zip(&found.warnings) {
            list.set(at, text);
        }
        Ok(())
    }

    async fn ping(self: Rc<Self>, _: net_chain::PingParams, _: net_chain::PingResults) -> Result<(), capnp::Error> {
        Ok(())
    }
}

/// A hash, or none when it is empty or all zero.
fn optional_hash(data: &[u8]) -> Result<Option<bitcoin::BlockHash>, capnp::Error> {
    if data.is_empty() {
        return Ok(None);
    }
    let hash = hash(data)?;
    Ok((hash != bitcoin::BlockHash::all_zeros()).then_some(hash))
}
