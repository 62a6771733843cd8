//! Answers for net. All of these take the engine's lock: call them on a thread that may wait.

use std::sync::Arc;

use bitcoin::block::Header;
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Transaction, Txid, Wtxid};
use bulkhead_mempool::{FeeRate, Kind};

use super::convert::tip_of;
use crate::engine::{ActiveChain, NodeId, State, TipInfo};
use crate::mempool_accept::AcceptOptions;
use crate::rpc::Context;

/// Blocks below the tip from which a fork may start without more work than ours.
const ANTI_DOS_BLOCKS: usize = 144;

/// Blocks off the active chain are told of only while they are younger than this, in seconds.
const STALE_AGE_LIMIT: i64 = 30 * 24 * 60 * 60;

/// What became of a transaction.
pub struct Submitted {
    /// Accepted, or why not.
    pub verdict: Result<(), bulkhead_mempool::Reject>,
    /// Satoshi per 1000 virtual bytes.
    pub fee_rate: u64,
    /// Transactions that it spends and that are not known.
    pub missing_parents: Vec<Txid>,
}

/// Judges a transaction from the network.
pub fn submit_transaction(context: &Context, tx: &Arc<Transaction>) -> Submitted {
    let state = context.state();
    let options = AcceptOptions { time: context.now(), ..AcceptOptions::default() };
    match context.pool.accept(&state, tx, &options) {
        Ok(accepted) => {
            let rate = accepted.fee.saturating_mul(1000) / accepted.vsize.max(1);
            Submitted { verdict: Ok(()), fee_rate: u64::try_from(rate).unwrap_or(0), missing_parents: Vec::new() }
        }
        Err(reject) => {
            let missing = if reject.kind == Kind::MissingInputs { missing_parents(context, &state, tx) } else { Vec::new() };
            Submitted { verdict: Err(reject), fee_rate: 0, missing_parents: missing }
        }
    }
}

fn missing_parents(context: &Context, state: &State, tx: &Transaction) -> Vec<Txid> {
    let pool = context.pool.lock();
    let mut missing: Vec<Txid> = Vec::new();
    for input in &tx.input {
        let outpoint = &input.previous_output;
        let known = pool.get(&outpoint.txid).is_some() || state.coin(outpoint).is_ok_and(|coin| coin.is_some());
        if !known && !missing.contains(&outpoint.txid) {
            missing.push(outpoint.txid);
        }
    }
    missing
}

/// Whether headers may be kept: they are known and on a chain that we follow, or their chain has the work that costs
/// something (Core: `GetAntiDoSWorkThreshold`). Headers that connect to nothing have no work.
pub fn has_enough_work(context: &Context, headers: &[Header]) -> bool {
    let state = context.state();
    let (Some(first), Some(last)) = (headers.first(), headers.last()) else { return true };
    if let Some(id) = state.lookup(&last.block_hash()) {
        let height = state.node(id).height;
        let below_best = state.best_header_id().and_then(|best| state.index().ancestor(best, height)) == Some(id);
        if below_best || state.is_active(id) {
            return true;
        }
    }
    let Some(prev) = state.lookup(&first.prev_blockhash) else { return false };
    let total = headers.iter().fold(state.node(prev).chain_work, |sum, header| sum + header.work());
    let mut threshold = context.chain.options().minimum_chain_work;
    if let Some(tip) = state.tip() {
        // Forks of the last day's blocks are fine.
        let mut near_tip = tip.chain_work;
        for _ in 0..ANTI_DOS_BLOCKS {
            let proof = tip.header.work();
            if near_tip <= proof {
                near_tip = threshold;
                break;
            }
            near_tip = near_tip - proof;
        }
        threshold = threshold.max(near_tip);
    }
    total >= threshold
}

/// Locator of a block, or of the best header.
pub fn locator(context: &Context, from: Option<BlockHash>) -> Vec<BlockHash> {
    let state = context.state();
    let from = from.and_then(|hash| state.lookup(&hash));
    state.locator(from)
}

/// Whether peers may learn of a block: it is in the active chain, or it was validated fully and is not so old that
/// knowing it would identify us (Core: `BlockRequestAllowed`).
fn may_be_told(state: &State, id: NodeId) -> bool {
    let node = state.node(id);
    let recent = state.best_header().is_some_and(|best| i64::from(best.time()) - i64::from(node.time()) < STALE_AGE_LIMIT);
    state.is_active(id) || (node.status.is_valid_scripts() && recent)
}

/// First block after what the locator knows (or `stop` alone for an empty locator).
fn start_of(state: &State, locator: &[BlockHash], stop: Option<BlockHash>) -> Option<NodeId> {
    if locator.is_empty() {
        return state.lookup(&stop?).filter(|id| may_be_told(state, *id));
    }
    let fork = state.active().find_fork_of_locator(state.index(), locator)?;
    state.active().next(state.index(), fork)
}

/// Headers of the active chain, back to back.
pub fn find_headers(context: &Context, locator: &[BlockHash], stop: Option<BlockHash>, limit: usize) -> Vec<u8> {
    let state = context.state();
    let mut out = Vec::new();
    let mut at = start_of(&state, locator, stop);
    let mut count = 0;
    while let Some(id) = at.filter(|_| count < limit) {
        let node = state.node(id);
        out.extend_from_slice(&serialize(&node.header));
        count += 1;
        if locator.is_empty() || Some(node.hash) == stop {
            break;
        }
        at = state.active().next(state.index(), id);
    }
    out
}

/// Hashes of the active chain, up to but without `stop`.
pub fn find_hashes(context: &Context, locator: &[BlockHash], stop: Option<BlockHash>, limit: usize) -> Vec<BlockHash> {
    let state = context.state();
    let fork = state.active().find_fork_of_locator(state.index(), locator);
    let mut at = fork.and_then(|fork| state.active().next(state.index(), fork));
    let mut found = Vec::new();
    while let Some(id) = at.filter(|_| found.len() < limit) {
        let hash = state.node(id).hash;
        if Some(hash) == stop {
            break;
        }
        found.push(hash);
        at = state.active().next(state.index(), id);
    }
    found
}

/// A block as it travels on the network; empty when it is not on disk.
pub fn raw_block(context: &Context, hash: BlockHash) -> Vec<u8> {
    let state = context.state();
    let Some(id) = state.lookup(&hash).filter(|id| state.node(*id).have_data()) else { return Vec::new() };
    state.read_raw_block(id).unwrap_or_else(|error| {
        tracing::error!("{error} while reading raw block");
        Vec::new()
    })
}

/// A transaction of the mempool or of the newest block; empty when it is unknown.
pub fn transaction(context: &Context, id: [u8; 32], by_witness: bool) -> Vec<u8> {
    {
        let pool = context.pool.lock();
        let entry =
            if by_witness { pool.get_by_wtxid(&Wtxid::from_byte_array(id)) } else { pool.get(&Txid::from_byte_array(id)) };
        if let Some(entry) = entry {
            return serialize(&*entry.new.tx);
        }
    }
    let state = context.state();
    let Some(tip) = state.active().tip().filter(|_| !state.initial_download()) else { return Vec::new() };
    let Ok(block) = state.read_block(tip) else { return Vec::new() };
    drop(state);
    let is_it = |tx: &&Transaction| {
        if by_witness { tx.compute_wtxid().to_byte_array() == id } else { tx.compute_txid().to_byte_array() == id }
    };
    block.txdata.iter().find(is_it).map(serialize).unwrap_or_default()
}

/// Whether a transaction is in the mempool or among the coins.
pub fn have_transaction(context: &Context, id: [u8; 32], by_witness: bool) -> bool {
    let pool = context.pool.lock();
    if by_witness {
        return pool.get_by_wtxid(&Wtxid::from_byte_array(id)).is_some();
    }
    let txid = Txid::from_byte_array(id);
    if pool.get(&txid).is_some() {
        return true;
    }
    drop(pool);
    let state = context.state();
    // Core looks at the first two outputs too: most transactions have an unspent one among them when they are new.
    (0..2).any(|vout| state.coins().is_cached(&bitcoin::OutPoint { txid, vout }))
}

/// Blocks between the active chain and `best` whose data is missing, lowest first.
pub fn missing_blocks(context: &Context, best: BlockHash, limit: usize) -> Vec<(BlockHash, i32)> {
    let state = context.state();
    let Some(best) = state.lookup(&best) else { return Vec::new() };
    if !state.leads_through_snapshot(best) {
        tracing::debug!(target: "net", "Not downloading blocks towards {}, whose chain lacks the snapshot block", state.node(best).hash);
        return Vec::new();
    }
    let first_after = |chain: &ActiveChain, id| chain.find_fork(state.index(), id).map_or(0, |fork| state.node(fork).height + 1);
    let missing = all_missing(&state, best, first_after(state.active(), best), limit);
    match state.historical_range() {
        Some((_, target)) if missing.is_empty() => {
            all_missing(&state, target, first_after(state.validated_chain(), target), limit)
        }
        _ => missing,
    }
}

fn all_missing(state: &State, best: NodeId, from: i32, limit: usize) -> Vec<(BlockHash, i32)> {
    let mut missing = Vec::new();
    for height in from..=state.node(best).height {
        let Some(id) = state.index().ancestor(best, height).filter(|_| missing.len() < limit) else { break };
        let node = state.node(id);
        if node.status.is_failed() {
            break;
        }
        if !node.have_data() {
            missing.push((node.hash, node.height));
        }
    }
    missing
}

/// What is known of a header.
pub struct HeaderInfo {
    /// Its place.
    pub tip: Option<TipInfo>,
    /// Block data is on disk.
    pub have_data: bool,
    /// Part of the active chain.
    pub active: bool,
    /// Validated fully, scripts included.
    pub valid: bool,
}

/// Looks a header up.
pub fn header_info(context: &Context, hash: BlockHash) -> Option<HeaderInfo> {
    let state = context.state();
    let id = state.lookup(&hash)?;
    let node = state.node(id);
    Some(HeaderInfo {
        tip: tip_of(&state, Some(node)),
        have_data: node.have_data(),
        active: state.is_active(id),
        valid: node.status.is_valid_scripts(),
    })
}

/// Witness ids of the mempool at or above a fee rate.
pub fn mempool_ids(context: &Context, rate: u64, limit: usize) -> Vec<Wtxid> {
    let rate = FeeRate(i64::try_from(rate).unwrap_or(i64::MAX));
    let pool = context.pool.lock();
    let paying = pool.iter().filter(|entry| entry.new.fee >= rate.fee(entry.vsize()));
    paying.map(|entry| entry.new.tx.compute_wtxid()).take(limit).collect()
}

/// Figures that net asks for again and again.
pub struct ChainState {
    /// Tip of the active chain.
    pub tip: Arc<TipInfo>,
    /// Best header.
    pub best_header: Option<TipInfo>,
    /// Satoshi per 1000 virtual bytes.
    pub mempool_min_fee: u64,
    /// Blocks are being imported from files.
    pub loading_blocks: bool,
    /// Blocks below a snapshot are on their way.
    pub history_missing: bool,
    /// Warnings in force.
    pub warnings: Vec<String>,
}

/// Gathers them.
pub fn state(context: &Context) -> ChainState {
    let (best_header, history_missing) = {
        let state = context.state();
        (tip_of(&state, state.best_header()), state.historical_range().is_some())
    };
    let now = context.now();
    let mut pool = context.pool.lock();
    let min_fee = pool.min_fee(now).0.max(pool.options().min_relay.0);
    ChainState {
        tip: context.chain.tip(),
        best_header,
        mempool_min_fee: u64::try_from(min_fee).unwrap_or(0),
        loading_blocks: context.chain.is_importing(),
        history_missing,
        warnings: context.warnings.texts(),
    }
}
