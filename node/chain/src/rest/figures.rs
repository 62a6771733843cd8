//! Transactions, the chain, its rules and the mempool.

use bulkhead_rpc_util::codec::parse_txid;
use bulkhead_rpc_util::{Params, RpcError};
use serde_json::{Value, json};

use super::{BAD_REQUEST, FAILURE, Format, NOT_FOUND, Outcome, Request, bad, failed, hash_of, json_reply, no_format, reply};
use crate::rpc::{Context, dispatch};

pub(super) fn transaction(context: &Context, request: &Request<'_>) -> Outcome {
    let hash = request.path;
    if parse_txid(&json!(hash), "hash").is_err() {
        return bad(format!("Invalid hash: {hash}"));
    }
    let ask = |verbosity: i32| dispatch(context, "getrawtransaction", &Params::new(vec![json!(hash), json!(verbosity)]));
    let missing = |_: RpcError| (NOT_FOUND, format!("{hash} not found"));
    let raw = ask(0).map_err(missing)?;
    let bytes = || hex::decode(raw.as_str().unwrap_or_default()).map_err(|_| (FAILURE, "no hex".to_owned()));
    let json = || {
        let mut found = ask(1).map_err(missing)?;
        // What depends on the tip is no part of this answer.
        if let Value::Object(members) = &mut found {
            for name in ["confirmations", "time", "blocktime"] {
                members.shift_remove(name);
            }
        }
        Ok(found)
    };
    reply(request.format, bytes, json)
}

pub(super) fn chain_info(context: &Context, request: &Request<'_>) -> Outcome {
    if request.format != Some(Format::Json) {
        return no_format("json");
    }
    json_reply(&dispatch(context, "getblockchaininfo", &Params::default()).map_err(failed)?)
}

pub(super) fn deployments(context: &Context, request: &Request<'_>) -> Outcome {
    if request.format != Some(Format::Json) {
        return no_format("json");
    }
    let mut params = Vec::new();
    if !request.path.is_empty() {
        let hash = hash_of(request.path)?;
        if context.state().lookup(&hash).is_none() {
            return Err((BAD_REQUEST, "Block not found".into()));
        }
        params.push(json!(request.path));
    }
    json_reply(&dispatch(context, "getdeploymentinfo", &Params::new(params)).map_err(failed)?)
}

pub(super) fn mempool(context: &Context, request: &Request<'_>) -> Outcome {
    if request.path != "contents" && request.path != "info" {
        return bad("Invalid URI format. Expected /rest/mempool/<info|contents>.json");
    }
    if request.format != Some(Format::Json) {
        return no_format("json");
    }
    if request.path == "info" {
        return json_reply(&dispatch(context, "getmempoolinfo", &Params::default()).map_err(failed)?);
    }
    let verbose = request.query.flag("verbose", true)?;
    let with_sequence = request.query.flag("mempool_sequence", false)?;
    if verbose && with_sequence {
        return bad("Verbose results cannot contain mempool sequence values. (hint: set \"verbose=false\")");
    }
    let params = Params::new(vec![json!(verbose), json!(with_sequence)]);
    json_reply(&dispatch(context, "getrawmempool", &params).map_err(failed)?)
}
