//! Questions to chain as calls over the edge net-chain.

use bulkhead_schema::wire::net_chain_capnp::net_chain;
use futures::future::try_join_all;

use super::chain_answers as read;
use crate::engine::chain_view::{Answer, ChainView, HeaderFacts, Question, TxName};
use crate::engine::headers_index::Hash;

/// Small calls that are under way at once for one question.
const BATCH: usize = 64;
/// Headers that one call may carry or answer.
const MAX_HEADERS: usize = 2000;

/// Asks and waits. Any failure, and any answer outside of what the schema says, is [`Answer::Lost`].
pub async fn ask(chain: &net_chain::Client, question: Question) -> Answer {
    match try_ask(chain, question).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::debug!(target: "net", "no answer from chain: {error}");
            Answer::Lost
        }
    }
}

async fn try_ask(chain: &net_chain::Client, question: Question) -> Result<Answer, capnp::Error> {
    Ok(match question {
        Question::SubmitHeaders(headers, checked) => submit_headers(chain, &headers, checked).await?,
        Question::SubmitBlock(block, requested) => {
            let mut request = chain.submit_block_request();
            request.get().set_block(&block);
            request.get().set_requested(requested);
            drop(block);
            let response = request.send().promise.await?;
            let answer = response.get()?;
            Answer::Block(read::verdict(answer.get_verdict()?)?, answer.get_is_new())
        }
        Question::SubmitTransaction(bytes) => {
            let mut request = chain.submit_transaction_request();
            request.get().set_transaction(&bytes);
            let response = request.send().promise.await?;
            let answer = response.get()?;
            let missing_parents = read::hashes(answer.get_missing_parents()?, 25_000)?;
            Answer::Transaction { verdict: read::verdict(answer.get_verdict()?)?, missing_parents }
        }
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
        Question::Block(hash) => served_block(chain, hash).await?,
        Question::Transactions(names) => {
            let mut all = Vec::new();
            for part in names.chunks(BATCH) {
                all.extend(try_join_all(part.iter().map(|name| transaction(chain, *name))).await?);
            }
            Answer::Transactions(all)
        }
        Question::HaveTransactions(names) => {
            let mut all = Vec::new();
            for part in names.chunks(BATCH) {
                all.extend(try_join_all(part.iter().map(|name| have_transaction(chain, *name))).await?);
            }
            Answer::HaveTransactions(all)
        }
        Question::MissingBlocks(best, limit) => {
            let mut request = chain.missing_blocks_request();
            request.get().set_best(&best);
            request.get().set_limit(limit);
            let response = request.send().promise.await?;
            Answer::MissingBlocks(read::wanted_blocks(response.get()?.get_blocks()?)?)
        }
        Question::HeaderInfo(hashes) => {
            let mut all = Vec::new();
            for part in hashes.chunks(BATCH) {
                all.extend(try_join_all(part.iter().map(|hash| header_info(chain, *hash))).await?);
            }
            Answer::HeaderInfo(all)
        }
        Question::MempoolIds(rate) => {
            let mut request = chain.mempool_ids_request();
            request.get().set_min_fee_rate(rate);
            let response = request.send().promise.await?;
            Answer::MempoolIds(read::hashes(response.get()?.get_wtxids()?, 50_000)?)
        }
    })
}

async fn submit_headers(chain: &net_chain::Client, headers: &[[u8; 80]], checked: bool) -> Result<Answer, capnp::Error> {
    let mut request = chain.submit_headers_request();
    request.get().set_headers(headers.as_flattened());
    request.get().set_min_pow_checked(checked);
    let response = request.send().promise.await?;
    let answer = response.get()?;
    Ok(Answer::Headers(read::verdict(answer.get_verdict()?)?, read::tip(answer.get_last()?)?, answer.get_in_active_chain()))
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

async fn served_block(chain: &net_chain::Client, hash: Hash) -> Result<Answer, capnp::Error> {
    let mut request = chain.get_block_request();
    request.get().set_hash(&hash);
    // Both calls go out before the first answer.
    let block = request.send().promise;
    let facts = header_info(chain, hash).await?;
    let response = block.await?;
    let bytes = read::bounded(response.get()?.get_block()?, bulkhead_schema::limits::MAX_BLOCK_BYTES)?;
    Ok(Answer::ServedBlock(facts, bytes.to_vec()))
}

async fn header_info(chain: &net_chain::Client, hash: Hash) -> Result<Option<HeaderFacts>, capnp::Error> {
    let mut request = chain.header_info_request();
    request.get().set_hash(&hash);
    let response = request.send().promise.await?;
    let answer = response.get()?;
    if !answer.get_known() {
        return Ok(None);
    }
    Ok(Some(HeaderFacts {
        tip: read::tip(answer.get_tip()?)?,
        have_data: answer.get_have_data(),
        active: answer.get_in_active_chain(),
        valid: answer.get_valid(),
    }))
}

async fn transaction(chain: &net_chain::Client, (hash, by_wtxid): TxName) -> Result<Vec<u8>, capnp::Error> {
    let mut request = chain.get_transaction_request();
    request.get().set_id(&hash);
    request.get().set_is_witness_id(by_wtxid);
    let response = request.send().promise.await?;
    Ok(read::bounded(response.get()?.get_transaction()?, bulkhead_schema::limits::MAX_BLOCK_BYTES)?.to_vec())
}

async fn have_transaction(chain: &net_chain::Client, (hash, by_wtxid): TxName) -> Result<bool, capnp::Error> {
    let mut request = chain.have_transaction_request();
    request.get().set_id(&hash);
    request.get().set_is_witness_id(by_wtxid);
    Ok(request.send().promise.await?.get()?.get_have())
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
    };
    Ok((view, read::warnings(answer.get_warnings()?)?))
}
