//! Core's `BlockTemplate` interface.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoin::block::Version;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::{Block, Transaction, TxMerkleNode};
use bulkhead_consensus::block::{height_push, witness_commitment_index};
use bulkhead_consensus::merkle;
use bulkhead_planted::{Fault, planted};
use bulkhead_schema::decode;
use bulkhead_schema::limits::MAX_BLOCK_BYTES;
use bulkhead_schema::wire::mining_capnp::block_template;

use super::Node;
use super::convert::malformed;
use super::mining::{Submitted, deadline, end_of_data, submit};
use crate::mining::{BlockTemplate, Miner, TemplateOptions};

/// Blocks of all templates that clients hold, bytes.
const MAX_TEMPLATE_BYTES: u64 = 512 << 20;

/// Share of the memory for templates that one takes; given back when dropped.
#[derive(Debug)]
struct Share {
    used: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for Share {
    fn drop(&mut self) {
        if !planted(Fault::TemplateHeld) {
            self.used.fetch_sub(self.bytes, Ordering::AcqRel);
        }
    }
}

#[derive(Debug)]
struct Held {
    template: BlockTemplate,
    /// As it was made: a solution replaces the one in the block.
    coinbase: Transaction,
    _share: Share,
}

#[derive(Debug)]
struct Shared {
    held: Mutex<Option<Held>>,
    options: TemplateOptions,
    interrupted: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, read: impl FnOnce(&mut Held) -> T) -> Result<T, capnp::Error> {
        self.lock().as_mut().map(read).ok_or_else(|| bulkhead_link::failed("called after destroy"))
    }
}

struct Template {
    node: Rc<Node>,
    shared: Arc<Shared>,
}

/// The interface over a template.
///
/// # Errors
/// Clients hold too many.
pub fn client(
    node: &Rc<Node>,
    template: BlockTemplate,
    options: TemplateOptions,
) -> Result<block_template::Client, capnp::Error> {
    let used = Arc::clone(&node.template_bytes);
    let bytes = template.block.total_size() as u64;
    let before = used.fetch_add(bytes, Ordering::AcqRel);
    let share = Share { used, bytes };
    if before + bytes > MAX_TEMPLATE_BYTES {
        return Err(bulkhead_link::failed("too many block templates are held; destroy some"));
    }
    let coinbase = template.block.txdata.first().cloned().ok_or_else(|| bulkhead_link::failed("template without coinbase"))?;
    let held = Mutex::new(Some(Held { template, coinbase, _share: share }));
    let shared = Arc::new(Shared { held, options, interrupted: AtomicBool::new(false) });
    Ok(capnp_rpc::new_client(Template { node: Rc::clone(node), shared }))
}

impl Template {
    async fn submit(&self, version: u32, time: u32, nonce: u32, coinbase: &[u8]) -> Result<Submitted, capnp::Error> {
        if coinbase.is_empty() {
            return Ok(Submitted::default());
        }
        let bytes = decode::data("coinbase", coinbase, MAX_BLOCK_BYTES).map_err(malformed)?;
        let coinbase: Transaction = deserialize(bytes).map_err(|_| end_of_data())?;
        let block = self.shared.read(|held| {
            let block = &mut held.template.block;
            put_solution(block, coinbase, version, time, nonce);
            block.clone()
        })?;
        submit(&self.node, block).await
    }
}

/// Even a refused solution stays in the template, so that clients can look at the block that was refused.
fn put_solution(block: &mut Block, coinbase: Transaction, version: u32, time: u32, nonce: u32) {
    match block.txdata.first_mut() {
        Some(first) => *first = coinbase,
        None => block.txdata.push(coinbase),
    }
    block.header.version = Version::from_consensus(version.cast_signed());
    (block.header.time, block.header.nonce) = (time, nonce);
    let (root, _) = merkle::root(block.txdata.iter().map(|tx| tx.compute_txid().to_raw_hash()).collect());
    block.header.merkle_root = TxMerkleNode::from_raw_hash(root);
}

impl block_template::Server for Template {
    async fn destroy(
        self: Rc<Self>,
        _: block_template::DestroyParams,
        _: block_template::DestroyResults,
    ) -> Result<(), capnp::Error> {
        *self.shared.lock() = None;
        Ok(())
    }

    async fn get_block_header(
        self: Rc<Self>,
        _: block_template::GetBlockHeaderParams,
        mut results: block_template::GetBlockHeaderResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_result(&self.shared.read(|held| serialize(&held.template.block.header))?);
        Ok(())
    }

    async fn get_block(
        self: Rc<Self>,
        _: block_template::GetBlockParams,
        mut results: block_template::GetBlockResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_result(&self.shared.read(|held| serialize(&held.template.block))?);
        Ok(())
    }

    async fn get_tx_fees(
        self: Rc<Self>,
        _: block_template::GetTxFeesParams,
        mut results: block_template::GetTxFeesResults,
    ) -> Result<(), capnp::Error> {
        let fees = self.shared.read(|held| held.template.fees.clone())?;
        results.get().set_result(&fees[..])
    }

    async fn get_tx_sigops(
        self: Rc<Self>,
        _: block_template::GetTxSigopsParams,
        mut results: block_template::GetTxSigopsResults,
    ) -> Result<(), capnp::Error> {
        let sigops = self.shared.read(|held| held.template.sigops.clone())?;
        results.get().set_result(&sigops[..])
    }

    async fn get_coinbase_tx(
        self: Rc<Self>,
        _: block_template::GetCoinbaseTxParams,
        mut results: block_template::GetCoinbaseTxResults,
    ) -> Result<(), capnp::Error> {
        let (coinbase, height) = self.shared.read(|held| (held.coinbase.clone(), held.template.height))?;
        let commitment = {
            let block = Block { header: self.shared.read(|held| held.template.block.header)?, txdata: vec![coinbase.clone()] };
            witness_commitment_index(&block)
        };
        let mut result = results.get().init_result();
        result.set_version(coinbase.version.0.cast_unsigned());
        if let Some(input) = coinbase.input.first() {
            result.set_sequence(input.sequence.0);
            if let Some(item) = input.witness.iter().next() {
                result.set_witness(item);
            }
        }
        result.set_script_sig_prefix(&height_push(height));
        let reward = coinbase.output.first().map_or(0, |output| output.value.to_sat());
        result.set_block_reward_remaining(reward.cast_signed());
        let outputs: Vec<Vec<u8>> = commitment.and_then(|index| coinbase.output.get(index)).map(serialize).into_iter().collect();
        let mut list = result.reborrow().init_required_outputs(outputs.len() as u32); // at most one
        for (at, output) in (0..).zip(&outputs) {
            list.set(at, output);
        }
        result.set_lock_time(coinbase.lock_time.to_consensus_u32());
        Ok(())
    }

    async fn get_coinbase_merkle_path(
        self: Rc<Self>,
        _: block_template::GetCoinbaseMerklePathParams,
        mut results: block_template::GetCoinbaseMerklePathResults,
    ) -> Result<(), capnp::Error> {
        let txids =
            self.shared.read(|held| held.template.block.txdata.iter().map(|tx| tx.compute_txid().to_raw_hash()).collect())?;
        let path = merkle::path_of_first(txids);
        let mut list = results.get().init_result(path.len() as u32); // the depth of a tree
        for (at, hash) in (0..).zip(&path) {
            list.set(at, hash.as_byte_array());
        }
        Ok(())
    }

    async fn submit_solution(
        self: Rc<Self>,
        params: block_template::SubmitSolutionParams,
        mut results: block_template::SubmitSolutionResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let (version, time, nonce) = (params.get_version(), params.get_timestamp(), params.get_nonce());
        let submitted = self.submit(version, time, nonce, params.get_coinbase()?).await?;
        results.get().set_result(submitted.is_taken);
        Ok(())
    }

    async fn submit_solution_reason(
        self: Rc<Self>,
        params: block_template::SubmitSolutionReasonParams,
        mut results: block_template::SubmitSolutionReasonResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let (version, time, nonce) = (params.get_version(), params.get_timestamp(), params.get_nonce());
        let submitted = self.submit(version, time, nonce, params.get_coinbase()?).await?;
        let mut results = results.get();
        results.set_result(submitted.is_taken);
        results.set_reason(&submitted.reason);
        results.set_debug(&submitted.debug);
        Ok(())
    }

    async fn wait_next(
        self: Rc<Self>,
        params: block_template::WaitNextParams,
        mut results: block_template::WaitNextResults,
    ) -> Result<(), capnp::Error> {
        let options = params.get()?.get_options()?;
        let (deadline, threshold) = (deadline(options.get_timeout()), options.get_fee_threshold());
        let (previous, fees) =
            self.shared.read(|held| (held.template.block.header.prev_blockhash, held.template.fees.iter().sum()))?;
        let shared = Arc::clone(&self.shared);
        let next = self
            .node
            .blocking(move |context| {
                let miner = Miner { chain: &context.chain, pool: &context.pool, interrupted: &shared.interrupted };
                miner.wait_next(previous, fees, &shared.options, deadline, threshold)
            })
            .await?;
        if let Some(next) = next {
            results.get().set_result(client(&self.node, next, self.shared.options.clone())?);
        }
        Ok(())
    }

    async fn interrupt_wait(
        self: Rc<Self>,
        _: block_template::InterruptWaitParams,
        _: block_template::InterruptWaitResults,
    ) -> Result<(), capnp::Error> {
        self.shared.interrupted.store(true, Ordering::Release);
        self.node.wake_waiting();
        Ok(())
    }
}
