//! Blocks, headers and filters.

use bitcoin::consensus::serialize;
use bulkhead_rpc_util::Params;
use serde_json::{Value, json};

use super::{BAD_REQUEST, FAILURE, NOT_FOUND, Outcome, Refusal, Request, bad, failed, hash_of, no_format, number, reply};
use crate::engine::{NodeId, State};
use crate::rpc::{Context, dispatch};

const MAX_HEADERS: usize = 2000;

fn count_of(text: &str) -> Result<usize, Refusal> {
    text.parse()
        .ok()
        .filter(|count| (1..=MAX_HEADERS).contains(count))
        .ok_or_else(|| (BAD_REQUEST, format!("Header count is invalid or out of acceptable range (1-{MAX_HEADERS}): {text}")))
}

/// Count and hash, from the path alone or with the count in the query.
fn count_and_hash(request: &Request<'_>, parts: &[&str], usage: &str) -> Result<(usize, String), Refusal> {
    let (count, hash) = match parts {
        [count, hash] => ((*count).to_owned(), *hash),
        [hash] => (request.query.get("count").unwrap_or_else(|| "5".into()), *hash),
        _ => return bad(format!("Invalid URI format. Expected {usage}")),
    };
    Ok((count_of(&count)?, hash.to_owned()))
}

/// Blocks of the active chain from one on.
fn from_hash(state: &State, hash: &bitcoin::BlockHash, count: usize) -> Vec<NodeId> {
    let first = state.lookup(hash).filter(|id| state.is_active(*id));
    std::iter::successors(first, |id| state.active().next(state.index(), *id)).take(count).collect()
}

pub(super) fn headers(context: &Context, request: &Request<'_>) -> Outcome {
    let parts: Vec<&str> = request.path.split('/').collect();
    let (count, hash) = count_and_hash(request, &parts, "/rest/headers/<hash>.<ext>?count=<count>")?;
    let hash = hash_of(&hash)?;
    let (bytes, hashes): (Vec<Vec<u8>>, Vec<String>) = {
        let state = context.state();
        let nodes = from_hash(&state, &hash, count).into_iter().map(|id| state.node(id));
        nodes.map(|node| (serialize(&node.header), node.hash.to_string())).unzip()
    };
    let json = || {
        let one = |hash: &String| dispatch(context, "getblockheader", &Params::new(vec![json!(hash)])).map_err(failed);
        hashes.iter().map(one).collect::<Result<Vec<Value>, _>>().map(Value::from)
    };
    reply(request.format, || Ok(bytes.concat()), json)
}

/// Bytes of a block on disk.
fn block_bytes(context: &Context, text: &str) -> Result<Vec<u8>, Refusal> {
    let hash = hash_of(text)?;
    let state = context.state();
    let id = state.lookup(&hash).ok_or_else(|| (NOT_FOUND, format!("{text} not found")))?;
    let node = state.node(id);
    if !node.have_data() {
        let is_pruned = state.is_pruned() && node.n_tx > 0;
        let why = if is_pruned { "pruned data" } else { "not fully downloaded" };
        return Err((NOT_FOUND, format!("{text} not available ({why})")));
    }
    state.read_block(id).map(|block| serialize(&block)).map_err(|_| (FAILURE, format!("I/O error reading {text}")))
}

fn block_with(context: &Context, request: &Request<'_>, verbosity: i32) -> Outcome {
    let bytes = block_bytes(context, request.path)?;
    let params = Params::new(vec![json!(request.path), json!(verbosity)]);
    reply(request.format, || Ok(bytes), || dispatch(context, "getblock", &params).map_err(failed))
}

pub(super) fn block(context: &Context, request: &Request<'_>) -> Outcome {
    block_with(context, request, 3)
}

pub(super) fn without_details(context: &Context, request: &Request<'_>) -> Outcome {
    block_with(context, request, 1)
}

pub(super) fn part(context: &Context, request: &Request<'_>) -> Outcome {
    let given = |name: &str| request.query.get(name).and_then(|text| number::<usize>(&text));
    let Some(offset) = given("offset") else { return bad("Block part offset missing or invalid") };
    let Some(size) = given("size") else { return bad("Block part size missing or invalid") };
    let bytes = block_bytes(context, request.path)?;
    let end = offset.checked_add(size).filter(|_| size > 0);
    let Some(part) = end.and_then(|end| bytes.get(offset..end)) else {
        return bad(format!("Bad block part offset/size {offset}/{size} for {}", request.path));
    };
    let json = || bad("JSON output is not supported for this request type");
    reply(request.format, || Ok(part.to_vec()), json)
}

pub(super) fn hash_by_height(context: &Context, request: &Request<'_>) -> Outcome {
    let height: Option<i32> = number(request.path);
    let Some(height) = height else {
        let is_safe = |letter: &char| letter.is_ascii_alphanumeric() || "!*'();:@&=+$,/?#[]-_.~%".contains(*letter);
        let shown: String = request.path.chars().filter(is_safe).collect();
        return bad(format!("Invalid height: {shown}"));
    };
    let hash = context.state().active_at(height).map(|node| node.hash);
    let Some(hash) = hash else { return Err((NOT_FOUND, "Block height out of range".into())) };
    if request.format == Some(super::Format::Hex) {
        // As users see it, not as it lies in memory.
        return Ok(super::Reply { status: 200, content_type: "text/plain", body: format!("{hash}\n").into_bytes() });
    }
    reply(request.format, || Ok(serialize(&hash)), || Ok(json!({"blockhash": hash.to_string()})))
}

/// Answer of `getblockfilter`, with the statuses of this interface.
fn filter_of(context: &Context, kind: &str, hash: &str) -> Result<Value, Refusal> {
    let params = Params::new(vec![json!(hash), json!(kind)]);
    dispatch(context, "getblockfilter", &params).map_err(|error| match error.message.as_str() {
        "Unknown filtertype" => (BAD_REQUEST, format!("Unknown filtertype {kind}")),
        "Block not found" => (NOT_FOUND, format!("{hash} not found")),
        text if text.starts_with("Index is not enabled") => (BAD_REQUEST, error.message),
        _ => (NOT_FOUND, error.message),
    })
}

fn bytes_of(value: &Value, name: &str) -> Result<Vec<u8>, Refusal> {
    let text = value.get(name).and_then(Value::as_str).unwrap_or_default();
    hex::decode(text).map_err(|_| (FAILURE, "no hex".into()))
}

pub(super) fn filter(context: &Context, request: &Request<'_>) -> Outcome {
    let parts: Vec<&str> = request.path.split('/').collect();
    let [kind, hash] = parts.as_slice() else {
        return bad("Invalid URI format. Expected /rest/blockfilter/<filtertype>/<blockhash>");
    };
    let block_hash = hash_of(hash)?;
    let found = filter_of(context, kind, hash)?;
    let bytes = || {
        // Type, block and filter, as peers send it.
        let filter = bytes_of(&found, "filter")?;
        Ok([&[0][..], &serialize(&block_hash), &serialize(&filter)].concat())
    };
    reply(request.format, bytes, || Ok(json!({"filter": found.get("filter")})))
}

pub(super) fn filter_headers(context: &Context, request: &Request<'_>) -> Outcome {
    let usage = "/rest/blockfilterheaders/<filtertype>/<blockhash>.<ext>?count=<count>";
    let parts: Vec<&str> = request.path.split('/').collect();
    let Some((kind, rest)) = parts.split_first() else { return no_format("") };
    let (count, hash) = count_and_hash(request, rest, usage)?;
    let hash = hash_of(&hash)?;
    if *kind != "basic" {
        return bad(format!("Unknown filtertype {kind}"));
    }
    let hashes: Vec<String> = {
        let state = context.state();
        from_hash(&state, &hash, count).into_iter().map(|id| state.node(id).hash.to_string()).collect()
    };
    if context.indexes.filter.is_none() {
        return bad(format!("Index is not enabled for filtertype {kind}"));
    }
    let found = hashes.iter().map(|hash| filter_of(context, kind, hash)).collect::<Result<Vec<Value>, _>>()?;
    let bytes = || {
        let mut bytes = Vec::with_capacity(found.len() * 32);
        for one in &found {
            bytes.extend(bytes_of(one, "header")?.into_iter().rev());
        }
        Ok(bytes)
    };
    reply(request.format, bytes, || Ok(found.iter().map(|one| one.get("header").cloned().unwrap_or_default()).collect()))
}
