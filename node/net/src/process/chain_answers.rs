//! Reading what chain says. It is as untrusted as a peer: everything is bounded and checked.

use bulkhead_planted::{Fault, planted};
use bulkhead_schema::wire::net_chain_capnp::{
    self as wire, accepted_transaction, block_filter, compact_outcome, header_info, transaction_outcome, wanted_block,
};
use bulkhead_schema::wire::types_capnp::{tip as wire_tip, verdict as wire_verdict};

use crate::engine::chain_view::{
    AcceptedTx, BlockFilter, CompactOutcome, CompactStatus, HeaderFacts, Tip, TxOutcome, Verdict, VerdictKind,
};
use crate::engine::headers_index::{Hash, HeaderRef};

/// Longest reject reason that is looked at.
const MAX_TEXT: usize = 4096;
/// Most warnings.
const MAX_WARNINGS: u32 = 16;
/// Longest warning, bytes.
const MAX_WARNING: usize = 1000;
/// Most transactions in one event.
const MAX_ACCEPTED: u32 = 200;
/// Most block filters.
const MAX_FILTERS: u32 = 2001;
/// Most inputs of a transaction.
const MAX_PARENTS: u32 = 25_000;
/// Most blocks of a plan.
const MAX_WANTED: u32 = 2048;

fn failed(text: &str) -> capnp::Error {
    capnp::Error::failed(text.to_owned())
}

/// The height of a block, -1 for none.
fn height(found: i32) -> Result<i32, capnp::Error> {
    bulkhead_schema::decode::height("height", found).map_err(bulkhead_link::failed)
}

/// A hash.
///
/// # Errors
/// Not 32 bytes.
pub fn hash(data: &[u8]) -> Result<Hash, capnp::Error> {
    if planted(Fault::AnswerHash) {
        let mut hash = [0; 32];
        hash.copy_from_slice(data);
        return Ok(hash);
    }
    data.try_into().map_err(|_| failed("a hash must have 32 bytes"))
}

/// Bytes of at most `limit`.
///
/// # Errors
/// More than that.
pub fn bounded(data: &[u8], limit: usize) -> Result<&[u8], capnp::Error> {
    if data.len() > limit { Err(failed("too many bytes")) } else { Ok(data) }
}

/// A list of hashes.
///
/// # Errors
/// More than `limit`, or one of another length.
pub fn hashes(list: capnp::data_list::Reader<'_>, limit: u32) -> Result<Vec<Hash>, capnp::Error> {
    if list.len() > limit {
        return Err(failed("too many hashes"));
    }
    list.iter().map(|data| hash(data?)).collect()
}

/// Hashes back to back.
///
/// # Errors
/// More than `limit`, or not a multiple of 32 bytes.
pub fn flat_hashes(data: &[u8], limit: usize) -> Result<Vec<Hash>, capnp::Error> {
    let (hashes, rest) = data.as_chunks::<32>();
    if !rest.is_empty() || hashes.len() > limit {
        return Err(failed("hashes must be whole and few"));
    }
    Ok(hashes.to_vec())
}

/// What became of a transaction.
///
/// # Errors
/// As its parts.
pub fn outcome(reader: transaction_outcome::Reader<'_>) -> Result<TxOutcome, capnp::Error> {
    Ok(TxOutcome {
        verdict: verdict(reader.get_verdict()?)?,
        missing_parents: hashes(reader.get_missing_parents()?, MAX_PARENTS)?,
        pool_size: reader.get_pool_size(),
        pool_memory: reader.get_pool_memory(),
    })
}

/// What became of a compact block.
///
/// # Errors
/// As its parts; places that do not rise.
pub fn compact(reader: compact_outcome::Reader<'_>) -> Result<CompactOutcome, capnp::Error> {
    let missing: Vec<u16> = reader.get_missing()?.iter().take(usize::from(u16::MAX) + 1).collect();
    if missing.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(failed("missing transactions must rise"));
    }
    Ok(CompactOutcome {
        verdict: verdict(reader.get_verdict()?)?,
        last: tip(reader.get_last()?)?,
        is_new: reader.get_is_new(),
        have_data: reader.get_have_data(),
        had_data: reader.get_had_data(),
        distance: reader.get_distance(),
        less_work: reader.get_less_work(),
        status: status(reader.get_status()?),
        missing,
    })
}

/// How far a block was put together.
#[must_use]
pub fn status(status: wire::CompactStatus) -> CompactStatus {
    match status {
        wire::CompactStatus::None => CompactStatus::None,
        wire::CompactStatus::Ok => CompactStatus::Ok,
        wire::CompactStatus::Invalid => CompactStatus::Invalid,
        wire::CompactStatus::Failed => CompactStatus::Failed,
    }
}

/// What chain knows of a header.
///
/// # Errors
/// As its place.
pub fn facts(reader: header_info::Reader<'_>) -> Result<Option<HeaderFacts>, capnp::Error> {
    if !reader.get_known() {
        return Ok(None);
    }
    Ok(Some(HeaderFacts {
        tip: tip(reader.get_tip()?)?,
        have_data: reader.get_have_data(),
        active: reader.get_in_active_chain(),
        valid: reader.get_valid(),
        had_data: reader.get_had_data(),
    }))
}

/// Block filters, lowest block first.
///
/// # Errors
/// Too many, or hashes of another length.
pub fn filters(list: capnp::struct_list::Reader<'_, block_filter::Owned>) -> Result<Vec<BlockFilter>, capnp::Error> {
    if list.len() > MAX_FILTERS {
        return Err(failed("too many filters"));
    }
    let read = |filter: block_filter::Reader<'_>| {
        Ok(BlockFilter {
            block: hash(filter.get_block()?)?,
            content: filter.get_content()?.to_vec(),
            hash: hash(filter.get_hash()?)?,
            header: hash(filter.get_header()?)?,
        })
    };
    list.iter().map(read).collect()
}

/// Transactions that entered the mempool.
///
/// # Errors
/// Too many, or hashes of another length.
pub fn accepted(list: capnp::struct_list::Reader<'_, accepted_transaction::Owned>) -> Result<Vec<AcceptedTx>, capnp::Error> {
    if list.len() > MAX_ACCEPTED {
        return Err(failed("too many transactions"));
    }
    let read = |entry: accepted_transaction::Reader<'_>| {
        Ok(AcceptedTx {
            txid: hash(entry.get_txid()?)?,
            wtxid: hash(entry.get_wtxid()?)?,
            fee_rate: entry.get_fee_rate(),
            vsize: entry.get_vsize(),
            sequence: entry.get_sequence(),
            ancestors: entry.get_ancestors(),
        })
    };
    list.iter().map(read).collect()
}

/// Warnings for users.
///
/// # Errors
/// Too many, too long or no UTF-8.
pub fn warnings(list: capnp::text_list::Reader<'_>) -> Result<Vec<String>, capnp::Error> {
    bulkhead_schema::decode::texts("warnings", list, MAX_WARNINGS, MAX_WARNING).map_err(|error| failed(&error.to_string()))
}

/// Headers back to back.
///
/// # Errors
/// More than `limit`, or not a multiple of 80 bytes.
pub fn headers(data: &[u8], limit: usize) -> Result<Vec<[u8; 80]>, capnp::Error> {
    let (headers, rest) = data.as_chunks::<80>();
    if !rest.is_empty() || headers.len() > limit {
        return Err(failed("headers must be whole and few"));
    }
    Ok(headers.to_vec())
}

/// A block's place. Empty hash and work stand for no block.
///
/// # Errors
/// Wrong lengths.
pub fn tip(reader: wire_tip::Reader<'_>) -> Result<Tip, capnp::Error> {
    let data = reader.get_hash()?;
    let initial_download = reader.get_initial_block_download();
    if data.is_empty() {
        return Ok(Tip { initial_download, ..Tip::default() });
    }
    let height = height(reader.get_height())?;
    let at = HeaderRef { hash: hash(data)?, height, work: hash(reader.get_chain_work()?)? };
    if at.height < 0 {
        return Err(failed("a block must have a height"));
    }
    let (median_time, bits) = (reader.get_median_time(), reader.get_bits());
    Ok(Tip { at, time: reader.get_time(), initial_download, median_time, bits })
}

fn text(reader: capnp::text::Reader<'_>) -> Result<String, capnp::Error> {
    let text = reader.to_str()?;
    Ok(text.chars().take(MAX_TEXT).filter(|letter| !letter.is_control()).collect())
}

/// A verdict.
///
/// # Errors
/// A kind that the schema does not have, or text that is not UTF-8.
pub fn verdict(reader: wire_verdict::Reader<'_>) -> Result<Verdict, capnp::Error> {
    use wire_verdict::Kind;
    let kind = match reader.get_kind()? {
        Kind::None => VerdictKind::None,
        Kind::Consensus => VerdictKind::Consensus,
        Kind::Mutated => VerdictKind::Mutated,
        Kind::InvalidHeader => VerdictKind::InvalidHeader,
        Kind::CachedInvalid => VerdictKind::CachedInvalid,
        Kind::MissingPrevious => VerdictKind::MissingPrevious,
        Kind::InvalidPrevious => VerdictKind::InvalidPrevious,
        Kind::TimeFuture => VerdictKind::TimeFuture,
        Kind::LowWork => VerdictKind::LowWork,
        Kind::Policy => VerdictKind::Policy,
        Kind::MissingInputs => VerdictKind::MissingInputs,
        Kind::Conflict => VerdictKind::Conflict,
        Kind::WitnessStripped => VerdictKind::WitnessStripped,
        Kind::AlreadyHave => VerdictKind::AlreadyHave,
        Kind::System => VerdictKind::System,
        Kind::Reconsiderable => VerdictKind::Reconsiderable,
        Kind::InputsNotStandard => VerdictKind::InputsNotStandard,
    };
    Ok(Verdict { accepted: reader.get_accepted(), reason: text(reader.get_reason()?)?, debug: text(reader.get_debug()?)?, kind })
}

/// Blocks that chain wants, lowest first.
///
/// # Errors
/// Too many, or not in order.
pub fn wanted_blocks(list: capnp::struct_list::Reader<'_, wanted_block::Owned>) -> Result<Vec<(Hash, i32)>, capnp::Error> {
    if list.len() > MAX_WANTED {
        return Err(failed("too many wanted blocks"));
    }
    let blocks = list
        .iter()
        .map(|block| Ok((hash(block.get_hash()?)?, height(block.get_height())?)))
        .collect::<Result<Vec<_>, capnp::Error>>()?;
    if blocks.windows(2).any(|pair| pair[0].1 >= pair[1].1) {
        return Err(failed("wanted blocks must rise"));
    }
    Ok(blocks)
}
