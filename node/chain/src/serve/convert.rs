//! Between the engine's values and those of the schema.

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use bulkhead_consensus::{Reject, RejectKind};
use bulkhead_mempool::Kind as PoolKind;
use bulkhead_schema::decode::{DecodeError, hash32};
use bulkhead_schema::wire::types_capnp::{tip, verdict};

use crate::engine::{BlockNode, State, TipInfo};

/// A hash that another process sent.
pub fn hash(data: &[u8]) -> Result<BlockHash, capnp::Error> {
    hash32("hash", data).map(BlockHash::from_byte_array).map_err(malformed)
}

/// A list of hashes, at most `limit`.
pub fn hashes(list: capnp::data_list::Reader<'_>, limit: u32) -> Result<Vec<BlockHash>, capnp::Error> {
    bulkhead_schema::decode::count("hashes", list.len(), limit).map_err(malformed)?;
    list.iter().map(|data| hash(data?)).collect()
}

/// A value outside of what the schema says.
pub fn malformed(error: DecodeError) -> capnp::Error {
    bulkhead_link::failed(error)
}

/// The tip of the engine as a value that outlives its lock; `None` for no block.
pub fn tip_of(state: &State, node: Option<&BlockNode>) -> Option<TipInfo> {
    let node = node?;
    let id = state.lookup(&node.hash)?;
    Some(TipInfo::of(node, state.index().median_time_past(id), state.initial_download()))
}

/// Fills a tip; no block leaves the hash empty and the height at -1.
pub fn fill_tip(mut builder: tip::Builder<'_>, tip: Option<&TipInfo>) {
    let Some(tip) = tip.filter(|tip| tip.height >= 0) else {
        builder.set_height(-1);
        builder.set_initial_block_download(true);
        return;
    };
    builder.set_hash(tip.hash.as_byte_array());
    builder.set_height(tip.height);
    builder.set_time(i64::from(tip.time));
    builder.set_median_time(tip.median_time);
    builder.set_chain_work(&tip.chain_work.to_be_bytes());
    builder.set_initial_block_download(tip.initial_download);
    builder.set_bits(tip.bits);
}

/// Fills a verdict about a block or headers.
pub fn fill_verdict(mut builder: verdict::Builder<'_>, result: Result<(), &Reject>) {
    match result {
        Ok(()) => builder.set_accepted(true),
        Err(reject) => {
            builder.set_reason(&reject.reason);
            builder.set_debug(&reject.debug);
            builder.set_kind(kind_of(reject.kind));
        }
    }
}

fn kind_of(kind: RejectKind) -> verdict::Kind {
    match kind {
        RejectKind::Consensus => verdict::Kind::Consensus,
        RejectKind::Mutated => verdict::Kind::Mutated,
        RejectKind::InvalidHeader => verdict::Kind::InvalidHeader,
        RejectKind::CachedInvalid => verdict::Kind::CachedInvalid,
        RejectKind::MissingPrevious => verdict::Kind::MissingPrevious,
        RejectKind::InvalidPrevious => verdict::Kind::InvalidPrevious,
        RejectKind::TimeFuture => verdict::Kind::TimeFuture,
        RejectKind::LowWork => verdict::Kind::LowWork,
        RejectKind::MissingInputs => verdict::Kind::MissingInputs,
        RejectKind::PrematureSpend => verdict::Kind::Policy,
        RejectKind::System => verdict::Kind::System,
    }
}

/// Fills a verdict about a transaction.
pub fn fill_pool_verdict(mut builder: verdict::Builder<'_>, result: Result<(), &bulkhead_mempool::Reject>) {
    match result {
        Ok(()) => builder.set_accepted(true),
        Err(reject) => {
            builder.set_reason(&reject.reason);
            builder.set_debug(&reject.debug);
            builder.set_kind(pool_kind(reject));
        }
    }
}

fn pool_kind(reject: &bulkhead_mempool::Reject) -> verdict::Kind {
    match reject.kind {
        PoolKind::Consensus => verdict::Kind::Consensus,
        PoolKind::MissingInputs => verdict::Kind::MissingInputs,
        PoolKind::Conflict if reject.reason.starts_with("txn-already") => verdict::Kind::AlreadyHave,
        PoolKind::Conflict => verdict::Kind::Conflict,
        PoolKind::WitnessStripped => verdict::Kind::WitnessStripped,
        PoolKind::WitnessMutated => verdict::Kind::Mutated,
        PoolKind::Reconsiderable => verdict::Kind::Reconsiderable,
        PoolKind::InputsNotStandard => verdict::Kind::InputsNotStandard,
        _ => verdict::Kind::Policy,
    }
}
