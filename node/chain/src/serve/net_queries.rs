//! Answers for net. All of these take the engine's lock: call them on a thread that may wait.

use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::block::Header;
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bulkhead_mempool::FeeRate;

use super::convert::tip_of;
use crate::engine::{ActiveChain, NodeId, State, TipInfo};
use crate::rpc::Context;

/// Blocks below the tip from which a fork may start without more work than ours.
const ANTI_DOS_BLOCKS: usize = 144;

/// Blocks off the active chain are told of only while they are younger than this, in seconds.
const STALE_AGE_LIMIT: i64 = 30 * 24 * 60 * 60;

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
    reaches_threshold(context, &state, first.prev_blockhash, headers)
}

/// Whether the chain of these headers has the work that costs something (Core: `GetAntiDoSWorkThreshold`).
pub fn reaches_threshold(context: &Context, state: &State, parent: BlockHash, headers: &[Header]) -> bool {
    let Some(prev) = state.lookup(&parent) else { return false };
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
fn raw_block(state: &State, hash: BlockHash) -> Vec<u8> {
    let Some(id) = state.lookup(&hash).filter(|id| state.node(*id).have_data()) else { return Vec::new() };
    state.read_raw_block(id).unwrap_or_else(|error| {
        tracing::error!("{error} while reading raw block");
        Vec::new()
    })
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
    /// Its data was on disk at some time.
    pub had_data: bool,
}

/// Looks headers up.
pub fn header_infos(context: &Context, hashes: &[BlockHash]) -> Vec<Option<HeaderInfo>> {
    let state = context.state();
    hashes.iter().map(|hash| header_info(&state, *hash)).collect()
}

/// Looks a block up: its place, and its bytes as they travel on the network (empty when it is not on disk).
pub fn placed_block(context: &Context, hash: BlockHash) -> (Option<HeaderInfo>, Vec<u8>) {
    if let Err(error) = context.chain.judge_stored(&hash) {
        tracing::debug!(target: "net", "ActivateBestChain failed ({error})");
    }
    let state = context.state();
    let info = header_info(&state, hash);
    let bytes = raw_block(&state, hash);
    (info, bytes)
}

fn header_info(state: &State, hash: BlockHash) -> Option<HeaderInfo> {
    let id = state.lookup(&hash)?;
    let node = state.node(id);
    Some(HeaderInfo {
        tip: tip_of(state, Some(node)),
        have_data: node.have_data(),
        active: state.is_active(id),
        valid: node.status.is_valid_scripts(),
        had_data: node.n_tx != 0,
    })
}

/// Witness ids of the mempool at or above a fee rate, back to back.
pub fn mempool_ids(context: &Context, rate: u64, limit: usize) -> Vec<u8> {
    let rate = FeeRate(i64::try_from(rate).unwrap_or(i64::MAX));
    let pool = context.pool.lock();
    let paying = pool.iter().filter(|entry| entry.new.fee >= rate.fee(entry.vsize()));
    paying.take(limit).flat_map(|entry| entry.wtxid.to_byte_array()).collect()
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
    /// Work that a chain must have before its blocks are fetched.
    pub minimum_work: [u8; 32],
    /// Number of the mempool's next change.
    pub sequence: u64,
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
        minimum_work: context.chain.options().minimum_chain_work.to_be_bytes(),
        sequence: pool.sequence(),
        warnings: context.warnings.texts(),
    }
}
