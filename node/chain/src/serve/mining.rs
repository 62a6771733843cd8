//! Core's `Mining` interface, which the front door hands to clients of its sockets.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bitcoin::hashes::Hash;
use bitcoin::{Block, BlockHash, Transaction, Txid, Wtxid};
use bulkhead_consensus::block::Checks;
use bulkhead_consensus::{PreparedBlock, Reject, RejectKind};
use bulkhead_mempool::Mempool;
use bulkhead_rpc_util::codec::decode_block;
use bulkhead_schema::decode;
use bulkhead_schema::limits::MAX_BLOCK_BYTES;
use bulkhead_schema::wire::mining_capnp::mining;

use super::convert::{hash, malformed};
use super::{Node, template};
use crate::mining::{Miner, TemplateOptions};
use crate::rpc::Context;

/// Waits of more than a year have no end.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Transactions in one question.
const MAX_LOOKUPS: u32 = 10_000;
/// Bytes of transactions in one answer.
const MAX_LOOKUP_BYTES: usize = 16 << 20;

struct Mining {
    node: Rc<Node>,
    interrupted: Arc<AtomicBool>,
}

/// The interface over `node`.
pub fn client(node: Rc<Node>) -> mining::Client {
    capnp_rpc::new_client(Mining { node, interrupted: Arc::default() })
}

/// What became of a block from a miner.
#[derive(Debug, Default)]
pub struct Submitted {
    /// Taken in, now or before.
    pub is_taken: bool,
    /// Not known before.
    pub is_new: bool,
    /// Why it is not valid, or not known to be.
    pub reason: String,
    /// Longer text.
    pub debug: String,
}

/// Core's text for bytes that end too early.
pub fn end_of_data() -> capnp::Error {
    bulkhead_link::failed("SpanReader::read(): end of data: iostream error")
}

/// Gives a block to the engine (Core: `SubmitBlock`).
pub async fn submit(node: &Node, block: Block) -> Result<Submitted, capnp::Error> {
    let outcome = node.in_order(move |context| context.chain.process_new_block(block, true, true)).await?;
    let failed = |reject: Reject| Submitted { reason: reject.reason, debug: reject.debug, ..Submitted::default() };
    Ok(match outcome {
        Ok(accepted) => {
            let mut submitted = match accepted.checked {
                Some(Err(reject)) => failed(reject),
                Some(Ok(())) => Submitted::default(),
                None => Submitted { reason: "inconclusive".into(), ..Submitted::default() },
            };
            if !accepted.is_new {
                submitted.reason = "duplicate".into();
            }
            Submitted { is_taken: true, is_new: accepted.is_new, ..submitted }
        }
        Err(reject) if reject.kind == RejectKind::System => Submitted { reason: "error".into(), ..Submitted::default() },
        Err(reject) => failed(reject),
    })
}

/// Transactions in consensus serialization; empty bytes for those that are not in the mempool.
fn lookup<'a>(
    context: &'a Context,
    count: usize,
    find: impl Fn(&Mempool, usize) -> Option<Arc<Transaction>> + 'a,
) -> Option<Vec<Vec<u8>>> {
    let pool = context.pool.lock();
    let mut total = 0;
    let bytes = |at| find(&pool, at).map_or_else(Vec::new, |tx| bitcoin::consensus::serialize(&*tx));
    let found: Vec<Vec<u8>> = (0..count)
        .map(bytes)
        .take_while(|bytes| {
            total += bytes.len();
            total <= MAX_LOOKUP_BYTES
        })
        .collect();
    (found.len() == count).then_some(found)
}

fn fill_list(mut list: capnp::data_list::Builder<'_>, items: &[Vec<u8>]) {
    for (at, item) in (0..).zip(items) {
        list.set(at, item);
    }
}

impl mining::Server for Mining {
    async fn is_test_chain(
        self: Rc<Self>,
        _: mining::IsTestChainParams,
        mut results: mining::IsTestChainResults,
    ) -> Result<(), capnp::Error> {
        let is_test = self.node.blocking(|context| context.chain.params().is_test_chain()).await?;
        results.get().set_result(is_test);
        Ok(())
    }

    async fn is_initial_block_download(
        self: Rc<Self>,
        _: mining::IsInitialBlockDownloadParams,
        mut results: mining::IsInitialBlockDownloadResults,
    ) -> Result<(), capnp::Error> {
        let tip = self.node.blocking(|context| context.chain.tip()).await?;
        results.get().set_result(tip.initial_download);
        Ok(())
    }

    async fn get_tip(self: Rc<Self>, _: mining::GetTipParams, mut results: mining::GetTipResults) -> Result<(), capnp::Error> {
        let tip = self.node.blocking(|context| context.chain.tip()).await?;
        if tip.height >= 0 {
            results.get().set_has_result(true);
            let mut block = results.get().init_result();
            block.set_hash(tip.hash.as_byte_array());
            block.set_height(tip.height);
        }
        Ok(())
    }

    async fn wait_tip_changed(
        self: Rc<Self>,
        params: mining::WaitTipChangedParams,
        mut results: mining::WaitTipChangedResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let data = params.get_current_tip()?;
        let current = if data.is_empty() { BlockHash::all_zeros() } else { hash(data)? };
        let deadline = deadline(params.get_timeout());
        let interrupted = Arc::clone(&self.interrupted);
        let tip = self.node.blocking(move |context| miner(context, &interrupted).wait_tip_changed(current, deadline)).await?;
        if let Some(tip) = tip {
            let mut block = results.get().init_result();
            block.set_hash(tip.hash.as_byte_array());
            block.set_height(tip.height);
        }
        Ok(())
    }

    async fn create_new_block(
        self: Rc<Self>,
        params: mining::CreateNewBlockParams,
        mut results: mining::CreateNewBlockResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let (given, cooldown) = (params.get_options()?, params.get_cooldown());
        let bounded = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let use_mempool = given.get_use_mempool();
        let reserved_weight = bounded(given.get_block_reserved_weight());
        let coinbase_sigops = bounded(given.get_coinbase_output_max_additional_sigops());
        let interrupted = Arc::clone(&self.interrupted);
        let made = self
            .node
            .blocking(move |context| {
                let options = TemplateOptions { use_mempool, reserved_weight, coinbase_sigops, ..context.template_options() };
                let template = miner(context, &interrupted).create(&options, cooldown)?;
                Ok(template.map(|template| (template, options)))
            })
            .await?;
        if let Some((made, options)) = made.map_err(|text: String| bulkhead_link::failed(text))? {
            results.get().set_result(template::client(&self.node, made, options)?);
        }
        Ok(())
    }

    async fn check_block(
        self: Rc<Self>,
        params: mining::CheckBlockParams,
        mut results: mining::CheckBlockResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let block = read_block(params.get_block()?)?;
        let options = params.get_options()?;
        let checks = Checks { proof_of_work: options.get_check_pow(), merkle_root: options.get_check_merkle_root() };
        let prepared = Arc::new(PreparedBlock::new(block));
        let verdict =
            self.node.blocking(move |context| context.chain.test_block_validity(&context.state(), &prepared, checks)).await?;
        let mut results = results.get();
        match verdict {
            Ok(()) => results.set_result(true),
            Err(reject) => {
                results.set_reason(&reject.reason);
                results.set_debug(&reject.debug);
            }
        }
        Ok(())
    }

    async fn submit_block(
        self: Rc<Self>,
        params: mining::SubmitBlockParams,
        mut results: mining::SubmitBlockResults,
    ) -> Result<(), capnp::Error> {
        let submitted = submit(&self.node, read_block(params.get()?.get_block()?)?).await?;
        let mut results = results.get();
        results.set_result(submitted.is_taken && submitted.is_new && submitted.reason.is_empty());
        results.set_reason(&submitted.reason);
        results.set_debug(&submitted.debug);
        Ok(())
    }

    async fn get_transactions_by_tx_i_d(
        self: Rc<Self>,
        params: mining::GetTransactionsByTxIDParams,
        mut results: mining::GetTransactionsByTxIDResults,
    ) -> Result<(), capnp::Error> {
        let txids: Vec<Txid> = read_ids(params.get()?.get_txids()?)?.into_iter().map(Txid::from_byte_array).collect();
        let find = move |context: &Context| {
            lookup(context, txids.len(), |pool, at| pool.get(&txids[at]).map(|entry| Arc::clone(&entry.new.tx)))
        };
        let found = self.node.blocking(find).await?.ok_or_else(|| bulkhead_link::failed("too many bytes of transactions"))?;
        fill_list(results.get().init_result(found.len() as u32), &found); // at most MAX_LOOKUPS
        Ok(())
    }

    async fn get_transactions_by_witness_i_d(
        self: Rc<Self>,
        params: mining::GetTransactionsByWitnessIDParams,
        mut results: mining::GetTransactionsByWitnessIDResults,
    ) -> Result<(), capnp::Error> {
        let wtxids: Vec<Wtxid> = read_ids(params.get()?.get_wtxids()?)?.into_iter().map(Wtxid::from_byte_array).collect();
        let find = move |context: &Context| {
            lookup(context, wtxids.len(), |pool, at| pool.get_by_wtxid(&wtxids[at]).map(|entry| Arc::clone(&entry.new.tx)))
        };
        let found = self.node.blocking(find).await?.ok_or_else(|| bulkhead_link::failed("too many bytes of transactions"))?;
        fill_list(results.get().init_result(found.len() as u32), &found); // at most MAX_LOOKUPS
        Ok(())
    }

    async fn interrupt(self: Rc<Self>, _: mining::InterruptParams, _: mining::InterruptResults) -> Result<(), capnp::Error> {
        self.interrupted.store(true, Ordering::Release);
        self.node.wake_waiting();
        Ok(())
    }
}

fn miner<'a>(context: &'a Context, interrupted: &'a AtomicBool) -> Miner<'a> {
    Miner { chain: &context.chain, pool: &context.pool, interrupted }
}

fn read_block(data: &[u8]) -> Result<Block, capnp::Error> {
    let bytes = decode::data("block", data, MAX_BLOCK_BYTES).map_err(malformed)?;
    decode_block(bytes).ok_or_else(end_of_data)
}

fn read_ids(list: capnp::data_list::Reader<'_>) -> Result<Vec<[u8; 32]>, capnp::Error> {
    decode::count("ids", list.len(), MAX_LOOKUPS).map_err(malformed)?;
    list.iter().map(|data| decode::hash32("id", data?).map_err(malformed)).collect()
}

/// A time-out in milliseconds as a point in time; `None` for one that never comes.
pub fn deadline(milliseconds: f64) -> Option<Instant> {
    if milliseconds > LONGEST_WAIT.as_millis() as f64 {
        return None;
    }
    let bounded = if milliseconds.is_nan() { 0.0 } else { milliseconds.max(0.0) };
    Instant::now().checked_add(Duration::from_secs_f64(bounded / 1000.0))
}
