//! Questions to chain as calls over the edge net-chain: one call per question, except where an answer may end early.

use std::cell::RefCell;
use std::collections::HashMap;

use bulkhead_schema::limits::MAX_BLOCK_BYTES;
use bulkhead_schema::wire::net_chain_capnp::{self as wire, net_chain, partial_block};
use futures::future::try_join_all;

use super::chain_answers as read;
use crate::engine::chain_view::{Answer, BlockOutcome, ChainView, FilterPart, HeadersOutcome, Question, TxName};
use crate::engine::headers_index::Hash;

/// Headers that are looked up one by one for one question.
const BATCH: usize = 64;
/// Headers that one call may carry or answer.
const MAX_HEADERS: usize = 2000;
/// Names that one call may carry.
const MAX_NAMES: usize = 50_000;
/// Ids that one answer may carry.
const MAX_IDS: usize = 50_000;

/// Blocks under construction in chain, by the engine's key.
#[derive(Default)]
pub struct Partials(RefCell<HashMap<u64, partial_block::Client>>);

impl Partials {
    /// Chain may forget the block.
    pub fn drop_one(&self, key: u64) {
        self.0.borrow_mut().remove(&key);
    }
}

/// Asks and waits. Any failure, and any answer outside of what the schema says, is [`Answer::Lost`].
pub async fn ask(chain: &net_chain::Client, partials: &Partials, question: Question) -> Answer {
    match try_ask(chain, partials, question).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::debug!(target: "net", "no answer from chain: {error}");
            Answer::Lost
        }
    }
}

async fn try_ask(chain: &net_chain::Client, partials: &Partials, question: Question) -> Result<Answer, capnp::Error> {
    Ok(match question {
        Question::SubmitHeaders(headers, checked) => submit_headers(chain, &headers, checked).await?,
        Question::SubmitBlock(block, requested) => {
            let mut request = chain.submit_block_request();
            request.get().set_block(&block);
            request.get().set_requested(requested);
            drop(block);
            let response = request.send().promise.await?;
            let answer = response.get()?;
            let verdict = read::verdict(answer.get_verdict()?)?;
            Answer::Block(BlockOutcome { verdict, new: answer.get_is_new(), connected: answer.get_connected() })
        }
        Question::SubmitTransaction(bytes) => {
            let mut request = chain.submit_transaction_request();
            request.get().set_transaction(&bytes);
            let response = request.send().promise.await?;
            Answer::Transaction(read::outcome(response.get()?.get_outcome()?)?)
        }
        Question::TestTransaction(bytes) => {
            let mut request = chain.test_transaction_request();
            request.get().set_transaction(&bytes);
            let response = request.send().promise.await?;
            Answer::Tested(read::verdict(response.get()?.get_verdict()?)?)
        }
        Question::SubmitPackage(parent, child) => {
            let mut request = chain.submit_package_request();
            request.get().set_parent(&parent);
            request.get().set_child(&child);
            let response = request.send().promise.await?;
            let answer = response.get()?;
            let outcomes = answer.get_outcomes()?.iter().take(2).map(read::outcome).collect::<Result<_, _>>()?;
            Answer::Package(answer.get_accepted(), outcomes)
        }
        Question::CompactBlock(bytes, key) => compact_block(chain, partials, &bytes, key).await?,
        Question::FillBlock(key, transactions) => fill_block(partials, key, &transactions).await?,
        Question::Locator(from) => {
            let mut request = chain.locator_request();
            if let Some(from) = from {
                request.get().set_from(&from);
            }
            let response = request.send().promise.await?;
            Answer::Locator(read::hashes(response.get()?.get_hashes()?, 101)?)
        }
        Question::FindHeaders(locator, stop, limit) => Answer::FoundHeaders(find_headers(chain, &locator, stop, limit).await?),
        Question::HeadersByHash(hashes) => {
            let found = try_join_all(hashes.into_iter().take(BATCH).map(|hash| find_headers(chain, &[], hash, 1))).await?;
            Answer::FoundHeaders(found.into_iter().flatten().collect())
        }
        Question::FindHashes(locator, stop, limit) => find_hashes(chain, &locator, stop, limit).await?,
        Question::Block(hash) => {
            let mut request = chain.get_block_request();
            request.get().set_hash(&hash);
            let response = request.send().promise.await?;
            let answer = response.get()?;
            let bytes = read::bounded(answer.get_block()?, MAX_BLOCK_BYTES)?.to_vec();
            Answer::ServedBlock(read::facts(answer.get_info()?)?, bytes)
        }
        Question::Transactions(names, before) => Answer::Transactions(transactions(chain, &names, before).await?),
        Question::HaveTransactions(names) => {
            let names = names.get(..MAX_NAMES).unwrap_or(&names);
            let mut request = chain.have_transactions_request();
            request.get().set_ids(&flat(names));
            let response = request.send().promise.await?;
            let have = read::bounded(response.get()?.get_have()?, names.len())?;
            Answer::HaveTransactions(have.iter().map(|one| *one != 0).collect())
        }
        Question::MissingBlocks(best, limit) => {
            let mut request = chain.missing_blocks_request();
            request.get().set_best(&best);
            request.get().set_limit(limit);
            let response = request.send().promise.await?;
            Answer::MissingBlocks(read::wanted_blocks(response.get()?.get_blocks()?)?)
        }
        Question::HeaderInfo(hashes) => {
            let hashes = hashes.get(..MAX_NAMES).unwrap_or(&hashes);
            let mut request = chain.header_info_request();
            request.get().set_hashes(hashes.as_flattened());
            let response = request.send().promise.await?;
            let found = response.get()?.get_found()?;
            Answer::HeaderInfo(found.iter().take(hashes.len()).map(read::facts).collect::<Result<_, _>>()?)
        }
        Question::MempoolIds(rate) => {
            let mut request = chain.mempool_ids_request();
            request.get().set_min_fee_rate(rate);
            let response = request.send().promise.await?;
            Answer::MempoolIds(read::flat_hashes(response.get()?.get_wtxids()?, MAX_IDS)?)
        }
        Question::BlockFilters(start, stop, part) => {
            let mut request = chain.block_filters_request();
            request.get().set_start(start);
            request.get().set_stop(&stop);
            request.get().set_what(match part {
                FilterPart::Contents => wire::FilterPart::Contents,
                FilterPart::Hashes => wire::FilterPart::Hashes,
                FilterPart::Checkpoints => wire::FilterPart::Checkpoints,
            });
            let response = request.send().promise.await?;
            Answer::BlockFilters(read::filters(response.get()?.get_filters()?)?)
        }
        Question::BroadcastSeen(txids) => {
            let mut request = chain.broadcast_seen_request();
            request.get().set_ids(txids.as_flattened());
            request.send().promise.await?;
            Answer::Done
        }
    })
}

async fn submit_headers(chain: &net_chain::Client, headers: &[[u8; 80]], checked: bool) -> Result<Answer, capnp::Error> {
    let mut request = chain.submit_headers_request();
    request.get().set_headers(headers.as_flattened());
    request.get().set_min_pow_checked(checked);
    let response = request.send().promise.await?;
    let answer = response.get()?;
    Ok(Answer::Headers(HeadersOutcome {
        verdict: read::verdict(answer.get_verdict()?)?,
        last: read::tip(answer.get_last()?)?,
        active: answer.get_in_active_chain(),
        is_new: answer.get_is_new(),
        start: read::tip(answer.get_start()?)?,
    }))
}

async fn compact_block(
    chain: &net_chain::Client,
    partials: &Partials,
    bytes: &[u8],
    key: Option<u64>,
) -> Result<Answer, capnp::Error> {
    let mut request = chain.submit_compact_block_request();
    request.get().set_compact_block(bytes);
    request.get().set_wanted(key.is_some());
    let response = request.send().promise.await?;
    let outcome = response.get()?.get_outcome()?;
    if let Some(key) = key
        && outcome.has_partial()
    {
        partials.0.borrow_mut().insert(key, outcome.get_partial()?);
    }
    Ok(Answer::Compact(read::compact(outcome)?))
}

async fn fill_block(partials: &Partials, key: u64, transactions: &[Vec<u8>]) -> Result<Answer, capnp::Error> {
    let partial = partials.0.borrow_mut().remove(&key);
    let partial = partial.ok_or_else(|| capnp::Error::failed("no block under construction".to_owned()))?;
    let mut request = partial.fill_request();
    let mut list = request.get().init_transactions(u32::try_from(transactions.len()).unwrap_or(0));
    for (at, bytes) in (0..).zip(transactions) {
        list.set(at, bytes);
    }
    let response = request.send().promise.await?;
    let answer = response.get()?;
    let verdict = read::verdict(answer.get_verdict()?)?;
    let outcome = BlockOutcome { verdict, new: answer.get_is_new(), connected: answer.get_connected() };
    Ok(Answer::Filled(read::status(answer.get_status()?), outcome))
}

async fn find_headers(
    chain: &net_chain::Client,
    locator: &[Hash],
    stop: Hash,
    limit: u32,
) -> Result<Vec<[u8; 80]>, capnp::Error> {
    let mut request = chain.find_headers_request();
    let mut list = request.get().init_locator(u32::try_from(locator.len()).unwrap_or(0));
    for (index, hash) in (0..).zip(locator) {
        list.set(index, hash);
    }
    request.get().set_stop(&stop);
    request.get().set_limit(limit);
    let response = request.send().promise.await?;
    read::headers(response.get()?.get_headers()?, MAX_HEADERS)
}

async fn find_hashes(chain: &net_chain::Client, locator: &[Hash], stop: Hash, limit: u32) -> Result<Answer, capnp::Error> {
    let mut request = chain.find_hashes_request();
    let mut list = request.get().init_locator(u32::try_from(locator.len()).unwrap_or(0));
    for (index, hash) in (0..).zip(locator) {
        list.set(index, hash);
    }
    request.get().set_stop(&stop);
    request.get().set_limit(limit);
    let response = request.send().promise.await?;
    Ok(Answer::FoundHashes(read::hashes(response.get()?.get_hashes()?, 500)?))
}

/// Names as the schema writes them: a byte for the kind, then the hash.
fn flat(names: &[TxName]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(names.len() * 33);
    for (hash, by_wtxid) in names {
        bytes.push(u8::from(*by_wtxid));
        bytes.extend_from_slice(hash);
    }
    bytes
}

/// Asks until every name has its answer: one answer carries only so many bytes.
async fn transactions(chain: &net_chain::Client, names: &[TxName], before: u64) -> Result<Vec<Vec<u8>>, capnp::Error> {
    let mut all = Vec::with_capacity(names.len());
    while let Some(rest) = names.get(all.len()..).filter(|rest| !rest.is_empty()) {
        let mut request = chain.get_transactions_request();
        request.get().set_ids(&flat(rest));
        request.get().set_before(before);
        let response = request.send().promise.await?;
        let found = response.get()?.get_transactions()?;
        if found.is_empty() {
            return Err(capnp::Error::failed("no answer for a transaction".to_owned()));
        }
        for bytes in found.iter().take(rest.len()) {
            all.push(read::bounded(bytes?, MAX_BLOCK_BYTES)?.to_vec());
        }
    }
    Ok(all)
}

/// What chain says of itself, and its warnings.
///
/// # Errors
/// Loss of chain, or an answer outside of the schema.
pub async fn state(chain: &net_chain::Client) -> Result<(ChainView, Vec<String>), capnp::Error> {
    let response = chain.state_request().send().promise.await?;
    let answer = response.get()?;
    let view = ChainView {
        ready: true,
        tip: read::tip(answer.get_tip()?)?,
        best_header: read::tip(answer.get_best_header()?)?,
        mempool_min_fee: answer.get_mempool_min_fee(),
        loading: answer.get_loading_blocks(),
        history_missing: answer.get_history_missing(),
        minimum_work: read::hash(answer.get_minimum_work()?)?,
        sequence: answer.get_sequence(),
    };
    Ok((view, read::warnings(answer.get_warnings()?)?))
}
