//! Assembling the next block.

use std::collections::BTreeSet;

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{Amount, Block, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut, Witness};
use bulkhead_consensus::amount::block_subsidy;
use bulkhead_consensus::block::{height_push, witness_commitment_index};
use bulkhead_consensus::params::Buried;
use bulkhead_consensus::tx::is_final;
use bulkhead_consensus::{HeaderView, MAX_BLOCK_SIGOPS_COST, MAX_TIMEWARP, Params, merkle, pow, versionbits};
use bulkhead_mempool::{FeeFrac, Mempool, TxChunk};

use super::options::TemplateOptions;
use crate::engine::State;

/// After this many chunks in a row that do not fit, an almost full block is taken as full.
const MAX_CONSECUTIVE_FAILURES: usize = 1000;
const ALMOST_FULL: i64 = 4000;

/// A block without proof of work, and what miners want to know of it.
#[derive(Debug, Clone)]
pub struct BlockTemplate {
    /// The block; nonce 0 and merkle root unset.
    pub block: Block,
    /// Its height.
    pub height: i32,
    /// Fees of the transactions after the coinbase, satoshi.
    pub fees: Vec<i64>,
    /// Signature operation costs of the same.
    pub sigops: Vec<i64>,
    /// Fee and virtual size of each chunk.
    pub chunks: Vec<FeeFrac>,
    /// Weight with what was reserved.
    pub weight: i64,
}

/// Earliest time that the block after the tip may have, seconds.
pub fn minimum_time(view: &impl HeaderView, params: &Params) -> i64 {
    let tip = view.height();
    let after_median = view.median_time_past(tip) + 1;
    // BIP94's limit, kept on all chains.
    if (tip + 1) % params.difficulty_interval() == 0 {
        let parent = view.header_at(tip).map_or(0, |header| i64::from(header.time));
        return after_median.max(parent - MAX_TIMEWARP);
    }
    after_median
}

/// Moves the time of a template forward to now; on chains with minimum difficulty that changes the target.
pub fn update_time(header: &mut Header, view: &impl HeaderView, params: &Params, now: i64) {
    let time = u32::try_from(minimum_time(view, params).max(now)).unwrap_or(u32::MAX);
    header.time = header.time.max(time);
    if params.allow_min_difficulty {
        header.bits = CompactTarget::from_consensus(pow::next_work_required(view, header.time, params));
    }
}

/// Makes a template on top of the tip. Without `pool` the block has only a coinbase.
pub fn build_template(
    state: &State,
    pool: Option<&Mempool>,
    params: &Params,
    options: &TemplateOptions,
    now: i64,
) -> BlockTemplate {
    let view = state.index().view(state.active().tip());
    let height = view.height() + 1;
    let mut template = BlockTemplate {
        block: Block { header: empty_header(), txdata: vec![] },
        height,
        fees: Vec::new(),
        sigops: Vec::new(),
        chunks: Vec::new(),
        weight: options.reserved_weight,
    };
    let mut transactions = Vec::new();
    if let Some(pool) = pool {
        add_chunks(&mut template, &mut transactions, pool, options, view.median_time_past(height - 1));
    }
    let reward = template.fees.iter().sum::<i64>() + block_subsidy(height, params);
    template.block.txdata.push(coinbase(height, reward, options.coinbase_script.clone()));
    template.block.txdata.append(&mut transactions);
    add_commitment(&mut template.block, params.is_active_at(Buried::Segwit, height));
    tracing::info!(
        "CreateNewBlock(): block weight: {} txs: {} fees: {} sigops {}",
        template.block.weight().to_wu(),
        template.fees.len(),
        template.fees.iter().sum::<i64>(),
        options.coinbase_sigops + template.sigops.iter().sum::<i64>()
    );

    let computed = || versionbits::compute_block_version(params, &view);
    let header = &mut template.block.header;
    header.version = Version::from_consensus(options.version.unwrap_or_else(computed));
    header.prev_blockhash = state.tip().map_or(params.genesis_hash, |tip| tip.hash);
    header.time = u32::try_from(now).unwrap_or(0);
    update_time(header, &view, params, now);
    header.bits = CompactTarget::from_consensus(pow::next_work_required(&view, header.time, params));
    template
}

fn empty_header() -> Header {
    Header {
        version: Version::from_consensus(0),
        prev_blockhash: bitcoin::BlockHash::all_zeros(),
        merkle_root: TxMerkleNode::all_zeros(),
        time: 0,
        bits: CompactTarget::from_consensus(0),
        nonce: 0,
    }
}

fn coinbase(height: i32, reward: i64, script: ScriptBuf) -> Transaction {
    let mut script_sig = height_push(height);
    if height <= 16 {
        // One byte alone would be too short for a coinbase.
        script_sig.push(0);
    }
    Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: LockTime::from_consensus(height.unsigned_abs() - 1),
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::from_bytes(script_sig),
            // The largest value under which the lock time counts.
            sequence: Sequence(0xffff_fffe),
            witness: Witness::new(),
        }],
        output: vec![TxOut { value: Amount::from_sat(reward.unsigned_abs()), script_pubkey: script }],
    }
}

/// Adds the witness commitment output and, where `segwit` holds, the reserved witness value, both for a zero nonce.
fn add_commitment(block: &mut Block, segwit: bool) {
    if witness_commitment_index(block).is_some() {
        return;
    }
    let root = merkle::witness_root(block);
    let commitment = sha256d::Hash::hash(&[root.to_byte_array(), [0; 32]].concat());
    let script = [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], &commitment.to_byte_array()].concat();
    if let Some(coinbase) = block.txdata.first_mut() {
        coinbase.output.push(TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(script) });
        if let Some(input) = coinbase.input.first_mut().filter(|_| segwit) {
            input.witness = Witness::from_slice(&[[0u8; 32]]);
        }
    }
}

/// Replaces the witness commitment after transactions were changed.
pub fn regenerate_commitment(block: &mut Block, segwit: bool) {
    let index = witness_commitment_index(block);
    if let (Some(index), Some(coinbase)) = (index, block.txdata.first_mut()) {
        coinbase.output.remove(index);
    }
    add_commitment(block, segwit);
}

/// Takes chunks from the best downwards as long as they fit.
fn add_chunks(
    template: &mut BlockTemplate,
    transactions: &mut Vec<Transaction>,
    pool: &Mempool,
    options: &TemplateOptions,
    lock_time: i64,
) {
    let mut sigops_cost = options.coinbase_sigops;
    let mut failures = 0;
    // A chunk that was skipped keeps later chunks of its cluster out, because they may depend on it.
    let mut skipped = BTreeSet::new();
    for TxChunk { cluster, members, frac } in pool.mining_order() {
        if skipped.contains(&cluster) {
            continue;
        }
        let virtual_frac = FeeFrac::new(frac.fee, (frac.size + 3) / 4);
        if virtual_frac.cmp_rate(&options.min_fee_rate.frac()).is_lt() {
            return;
        }
        let entries: Vec<_> = members.iter().filter_map(|txid| pool.get(txid)).collect();
        let chunk_sigops: i64 = entries.iter().map(|entry| entry.new.sigop_cost).sum();
        let fits = template.weight + frac.size < options.max_weight
            && sigops_cost + chunk_sigops < MAX_BLOCK_SIGOPS_COST as i64
            && entries.iter().all(|entry| is_final(&entry.new.tx, template.height, lock_time));
        if !fits {
            skipped.insert(cluster);
            failures += 1;
            if failures > MAX_CONSECUTIVE_FAILURES && template.weight + ALMOST_FULL > options.max_weight {
                return;
            }
            continue;
        }
        failures = 0;
        for entry in entries {
            template.weight += entry.weight;
            sigops_cost += entry.new.sigop_cost;
            template.fees.push(entry.new.fee);
            template.sigops.push(entry.new.sigop_cost);
            transactions.push((*entry.new.tx).clone());
        }
        template.chunks.push(virtual_frac);
    }
}
