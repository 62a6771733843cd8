//! Edge net - chain: what the network brings, in the order in which it comes; questions are answered beside it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use bitcoin::bip152::HeaderAndShortIds;
use bitcoin::block::Header;
use bitcoin::consensus::deserialize;
use bitcoin::hashes::Hash;
use bitcoin::{Transaction, Txid};
use bulkhead_consensus::PreparedBlock;
use bulkhead_rpc_util::codec::{decode_block, decode_witness_tx};
use bulkhead_schema::decode;
use bulkhead_schema::limits::MAX_BLOCK_BYTES;
use bulkhead_schema::wire::net_chain_capnp::{CompactStatus, header_info, net_chain, transaction_outcome};

use super::convert::{fill_pool_verdict, fill_tip, fill_verdict, hash, hashes, malformed, tip_of};
use super::events::once;
use super::net_compact::{PartialCount, PartialServer, check_not_mutated, look_at, status_of};
use super::net_queries::HeaderInfo;
use super::net_transactions::{Submitted, TxId};
use super::{Node, net_filters, net_queries as queries, net_transactions as transactions};
use crate::engine::TipInfo;

const HEADER: usize = 80;
const MAX_HEADERS: usize = 2000;
const MAX_LOCATOR: u32 = 101;
const MAX_MEMPOOL_IDS: usize = 50_000;
/// Names of one `inv`.
const MAX_IDS: usize = 50_000;
/// Transactions that are fetched at once.
const MAX_FETCHED: usize = 1000;
const MAX_WANTED: usize = 2048;
/// A kind and a hash.
const ID: usize = 33;

struct NetChain {
    node: Rc<Node>,
    partial: PartialCount,
    subscribed: Cell<bool>,
}

/// The interface over `node`.
pub fn client(node: Rc<Node>) -> capnp::capability::Client {
    let client: net_chain::Client =
        capnp_rpc::new_client(NetChain { node, partial: PartialCount::default(), subscribed: Cell::default() });
    client.client
}

fn transaction(data: &[u8]) -> Result<Arc<Transaction>, capnp::Error> {
    let bytes = decode::data("transaction", data, MAX_BLOCK_BYTES).map_err(malformed)?;
    decode_witness_tx(bytes).map(Arc::new).ok_or_else(|| bulkhead_link::failed("transaction cannot be decoded"))
}

/// Ids of transactions, at most `limit`.
fn ids(data: &[u8], limit: usize) -> Result<Vec<TxId>, capnp::Error> {
    let (ids, rest) = decode::data("ids", data, limit * ID).map_err(malformed)?.as_chunks::<ID>();
    let read = |id: &[u8; ID]| {
        let (kind, rest) = id.split_first()?;
        Some(TxId {
            hash: rest.try_into().ok()?,
            witness: match kind {
                0 => false,
                1 => true,
                _ => return None,
            },
        })
    };
    let ids: Option<Vec<TxId>> = ids.iter().map(read).collect();
    ids.filter(|_| rest.is_empty()).ok_or_else(|| bulkhead_link::failed("malformed ids of transactions"))
}

fn fill_outcome(mut builder: transaction_outcome::Builder<'_>, submitted: &Submitted) {
    fill_pool_verdict(builder.reborrow().init_verdict(), submitted.verdict.as_ref().copied());
    builder.set_pool_size(submitted.pool.0 as u64);
    builder.set_pool_memory(submitted.pool.1);
    let mut list = builder.init_missing_parents(submitted.missing_parents.len() as u32); // at most one per input
    for (at, txid) in (0..).zip(&submitted.missing_parents) {
        list.set(at, txid.as_byte_array());
    }
}

fn fill_info(mut builder: header_info::Builder<'_>, info: Option<&HeaderInfo>) {
    let Some(info) = info else { return };
    builder.set_known(true);
    builder.set_have_data(info.have_data);
    builder.set_had_data(info.had_data);
    builder.set_in_active_chain(info.active);
    builder.set_valid(info.valid);
    fill_tip(builder.init_tip(), info.tip.as_ref());
}

/// What is known of a batch of headers after it was judged.
#[derive(Default)]
struct Known {
    last: Option<TipInfo>,
    active: bool,
    is_new: bool,
    start: Option<TipInfo>,
}

impl net_chain::Server for NetChain {
    async fn subscribe(
        self: Rc<Self>,
        params: net_chain::SubscribeParams,
        mut results: net_chain::SubscribeResults,
    ) -> Result<(), capnp::Error> {
        let events = params.get()?.get_events()?;
        once(&self.subscribed)?;
        let tip = self.node.blocking(|context| context.chain.tip()).await?;
        self.node.hub.add_net(events);
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
        let found = self.node.blocking(move |context| queries::locator(context, from)).await?;
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
        let (verdict, known) = self
            .node
            .in_order(move |context| {
                let last_hash = headers.last().map(Header::block_hash);
                let is_new = last_hash.is_some_and(|hash| context.state().lookup(&hash).is_none());
                let checked = checked || queries::has_enough_work(context, &headers);
                let verdict = context.chain.process_headers(&headers, checked);
                let state = context.state();
                let place = |hash| state.lookup(&hash).and_then(|id| tip_of(&state, Some(state.node(id))));
                // The last header that is known, also when a later one was refused.
                let last = headers.iter().rev().find_map(|header| state.lookup(&header.block_hash()));
                let known = Known {
                    last: last.and_then(|id| tip_of(&state, Some(state.node(id)))),
                    active: last.is_some_and(|id| state.is_active(id)),
                    is_new,
                    start: headers.first().and_then(|header| place(header.prev_blockhash)),
                };
                (verdict.map(|_| ()), known)
            })
            .await?;
        let mut results = results.get();
        fill_verdict(results.reborrow().init_verdict(), verdict.as_ref().copied());
        fill_tip(results.reborrow().init_last(), known.last.as_ref());
        results.set_in_active_chain(known.active);
        results.set_is_new(known.is_new);
        fill_tip(results.init_start(), known.start.as_ref());
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
            .node
            .in_order(move |context| {
                let prepared = Arc::new(PreparedBlock::new(block));
                check_not_mutated(context, &prepared)?;
                let header = prepared.block().header;
                let checked = queries::reaches_threshold(context, &context.state(), header.prev_blockhash, &[header]);
                context.chain.process_prepared(prepared, requested, checked)
            })
            .await?;
        let mut results = results.get();
        match outcome {
            Ok(accepted) => {
                results.set_is_new(accepted.is_new);
                results.set_connected(accepted.checked.as_ref().is_some_and(Result::is_ok));
                let verdict = accepted.checked.unwrap_or(Ok(()));
                fill_verdict(results.init_verdict(), verdict.as_ref().copied());
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
        let tx = transaction(params.get()?.get_transaction()?)?;
        let submitted = self.node.in_order(move |context| transactions::submit_transaction(context, &tx)).await?;
        fill_outcome(results.get().init_outcome(), &submitted);
        Ok(())
    }

    async fn test_transaction(
        self: Rc<Self>,
        params: net_chain::TestTransactionParams,
        mut results: net_chain::TestTransactionResults,
    ) -> Result<(), capnp::Error> {
        let tx = transaction(params.get()?.get_transaction()?)?;
        let verdict = self.node.in_order(move |context| transactions::test_transaction(context, &tx)).await?;
        fill_pool_verdict(results.get().init_verdict(), verdict.as_ref().copied());
        Ok(())
    }

    async fn submit_package(
        self: Rc<Self>,
        params: net_chain::SubmitPackageParams,
        mut results: net_chain::SubmitPackageResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let package = [transaction(params.get_parent()?)?, transaction(params.get_child()?)?];
        let (accepted, told) = self.node.in_order(move |context| transactions::submit_package(context, &package)).await?;
        let mut results = results.get();
        results.set_accepted(accepted);
        let mut list = results.init_outcomes(told.len() as u32); // two
        for (at, submitted) in (0..).zip(&told) {
            fill_outcome(list.reborrow().get(at), submitted);
        }
        Ok(())
    }

    async fn submit_compact_block(
        self: Rc<Self>,
        params: net_chain::SubmitCompactBlockParams,
        mut results: net_chain::SubmitCompactBlockResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let bytes = decode::data("compactBlock", params.get_compact_block()?, MAX_BLOCK_BYTES).map_err(malformed)?;
        let compact: HeaderAndShortIds = deserialize(bytes).map_err(bulkhead_link::failed)?;
        let wanted = params.get_wanted();
        let looked = self.node.in_order(move |context| look_at(context, &compact, wanted)).await?;
        let mut outcome = results.get().init_outcome();
        fill_verdict(outcome.reborrow().init_verdict(), looked.verdict.as_ref().map_or(Ok(()), Err));
        fill_tip(outcome.reborrow().init_last(), looked.last.as_ref());
        outcome.set_is_new(looked.is_new);
        outcome.set_have_data(looked.have_data);
        outcome.set_had_data(looked.had_data);
        outcome.set_distance(looked.distance);
        outcome.set_less_work(looked.less_work);
        match looked.partial {
            None => {}
            Some(Err(failure)) => outcome.set_status(status_of(failure)),
            Some(Ok(partial)) => {
                let missing = partial.missing();
                let client = PartialServer::client(&self.node, partial, &self.partial)?;
                outcome.set_status(CompactStatus::Ok);
                outcome.set_partial(client);
                let mut list = outcome.init_missing(missing.len() as u32); // at most 65,535
                for (at, place) in (0..).zip(missing) {
                    list.set(at, place);
                }
            }
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
        let found = self.node.blocking(move |context| queries::find_headers(context, &locator, stop, limit)).await?;
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
        let found = self.node.blocking(move |context| queries::find_hashes(context, &locator, stop, limit)).await?;
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
        let (info, bytes) = self.node.blocking(move |context| queries::placed_block(context, hash)).await?;
        let mut results = results.get();
        results.set_block(&bytes);
        fill_info(results.init_info(), info.as_ref());
        Ok(())
    }

    async fn get_transactions(
        self: Rc<Self>,
        params: net_chain::GetTransactionsParams,
        mut results: net_chain::GetTransactionsResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let ids = ids(params.get_ids()?, MAX_FETCHED)?;
        let before = params.get_before();
        let newest = self.node.hub.newest_block();
        let found =
            self.node.blocking(move |context| transactions::transactions(context, &ids, before, newest.as_deref())).await?;
        let mut list = results.get().init_transactions(found.len() as u32); // at most MAX_FETCHED
        for (at, bytes) in (0..).zip(&found) {
            list.set(at, bytes);
        }
        Ok(())
    }

    async fn have_transactions(
        self: Rc<Self>,
        params: net_chain::HaveTransactionsParams,
        mut results: net_chain::HaveTransactionsResults,
    ) -> Result<(), capnp::Error> {
        let ids = ids(params.get()?.get_ids()?, MAX_IDS)?;
        let have = self.node.blocking(move |context| transactions::have_transactions(context, &ids)).await?;
        results.get().set_have(&have);
        Ok(())
    }

    async fn broadcast_seen(
        self: Rc<Self>,
        params: net_chain::BroadcastSeenParams,
        _: net_chain::BroadcastSeenResults,
    ) -> Result<(), capnp::Error> {
        let data = decode::data("ids", params.get()?.get_ids()?, MAX_FETCHED * 32).map_err(malformed)?;
        let (txids, rest) = data.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(bulkhead_link::failed("malformed ids of transactions"));
        }
        let txids: Vec<Txid> = txids.iter().map(|txid| Txid::from_byte_array(*txid)).collect();
        self.node.blocking(move |context| transactions::broadcast_seen(context, &txids)).await
    }

    async fn block_filters(
        self: Rc<Self>,
        params: net_chain::BlockFiltersParams,
        mut results: net_chain::BlockFiltersResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let start = i32::try_from(params.get_start()).map_err(|_| bulkhead_link::failed("no such height"))?;
        let stop = hash(params.get_stop()?)?;
        let part = params.get_what()?;
        let found = self.node.blocking(move |context| net_filters::find(context, start, stop, part)).await?;
        let mut list = results.get().init_filters(found.len() as u32); // at most 2000
        for (at, filter) in (0..).zip(&found) {
            let mut entry = list.reborrow().get(at);
            entry.set_block(filter.block.as_byte_array());
            entry.set_content(&filter.content);
            entry.set_hash(&filter.hash);
            entry.set_header(&filter.header);
        }
        Ok(())
    }

    async fn missing_blocks(
        self: Rc<Self>,
        params: net_chain::MissingBlocksParams,
        mut results: net_chain::MissingBlocksResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let best = hash(params.get_best()?)?;
        let limit = (params.get_limit() as usize).min(MAX_WANTED);
        let wanted = self.node.blocking(move |context| queries::missing_blocks(context, best, limit)).await?;
        let mut list = results.get().init_blocks(wanted.len() as u32); // at most MAX_WANTED
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
        let data = decode::data("hashes", params.get()?.get_hashes()?, MAX_IDS * 32).map_err(malformed)?;
        let (hashes, rest) = data.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(bulkhead_link::failed("malformed hashes"));
        }
        let hashes: Vec<_> = hashes.iter().map(|hash| bitcoin::BlockHash::from_byte_array(*hash)).collect();
        let found = self.node.blocking(move |context| queries::header_infos(context, &hashes)).await?;
        let mut list = results.get().init_found(found.len() as u32); // at most MAX_IDS
        for (at, info) in (0..).zip(&found) {
            fill_info(list.reborrow().get(at), info.as_ref());
        }
        Ok(())
    }

    async fn mempool_ids(
        self: Rc<Self>,
        params: net_chain::MempoolIdsParams,
        mut results: net_chain::MempoolIdsResults,
    ) -> Result<(), capnp::Error> {
        let rate = params.get()?.get_min_fee_rate();
        let ids = self.node.blocking(move |context| queries::mempool_ids(context, rate, MAX_MEMPOOL_IDS)).await?;
        results.get().set_wtxids(&ids);
        Ok(())
    }

    async fn state(self: Rc<Self>, _: net_chain::StateParams, mut results: net_chain::StateResults) -> Result<(), capnp::Error> {
        let found = self.node.blocking(queries::state).await?;
        let mut results = results.get();
        fill_tip(results.reborrow().init_tip(), Some(&found.tip));
        fill_tip(results.reborrow().init_best_header(), found.best_header.as_ref());
        results.set_mempool_min_fee(found.mempool_min_fee);
        results.set_loading_blocks(found.loading_blocks);
        results.set_history_missing(found.history_missing);
        results.set_minimum_work(&found.minimum_work);
        results.set_sequence(found.sequence);
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
