//! The RPC methods that net owns.

mod addresses;
mod asmap;
mod bans;
mod network;
mod nodes;
mod peers;
mod private;
mod relay;

use std::rc::Rc;

use bulkhead_rpc_util::error::METHOD_NOT_FOUND;
use bulkhead_rpc_util::{Params, RpcError, RpcResult};
use bulkhead_schema::methods::{find, help_of};
use serde_json::{Value, json};

use crate::process::Node;

/// Answers a request text `{"method": ..., "params": [...]}` with `{"result": ...}` or `{"error": ...}`.
pub async fn answer(node: &Rc<Node>, request: &str) -> String {
    let result = match serde_json::from_str::<Value>(request) {
        Ok(Value::Object(mut request)) => match (request.remove("method"), request.remove("params")) {
            (Some(Value::String(method)), Some(Value::Array(params))) => call(node, &method, &Params::new(params)).await,
            _ => Err(RpcError::internal("malformed request")),
        },
        _ => Err(RpcError::internal("malformed request")),
    };
    match result {
        Ok(result) => json!({ "result": result }).to_string(),
        Err(error) => json!({ "error": error.to_json() }).to_string(),
    }
}

async fn call(node: &Rc<Node>, method: &str, params: &Params) -> RpcResult {
    match method {
        "getpeerinfo" => Ok(peers::getpeerinfo(node)),
        "getconnectioncount" => Ok(peers::getconnectioncount(node)),
        "ping" => Ok(peers::ping(node)),
        "disconnectnode" => peers::disconnectnode(node, params),
        "sendmsgtopeer" => peers::sendmsgtopeer(node, params),
        "addnode" => nodes::addnode(node, params).await,
        "addconnection" => nodes::addconnection(node, params).await,
        "getaddednodeinfo" => nodes::getaddednodeinfo(node, params),
        "getnetworkinfo" => Ok(network::getnetworkinfo(node).await),
        "getnettotals" => Ok(network::getnettotals(node)),
        "setnetworkactive" => network::setnetworkactive(node, params),
        "setban" => bans::setban(node, params),
        "listbanned" => Ok(bans::listbanned(node)),
        "clearbanned" => Ok(bans::clearbanned(node)),
        "getorphantxs" => relay::getorphantxs(node, params),
        "getblockfrompeer" => relay::getblockfrompeer(node, params).await,
        "getprivatebroadcastinfo" => private::getprivatebroadcastinfo(node),
        "abortprivatebroadcast" => private::abortprivatebroadcast(node, params),
        "getnodeaddresses" => addresses::getnodeaddresses(node, params),
        "addpeeraddress" => addresses::addpeeraddress(node, params),
        "getaddrmaninfo" => Ok(addresses::getaddrmaninfo(node)),
        "getrawaddrman" => Ok(addresses::getrawaddrman(node)),
        "exportasmap" => asmap::exportasmap(node, params).await,
        _ => Err(RpcError::new(METHOD_NOT_FOUND, "Method not found")),
    }
}

/// The error for a value outside of the few words that a method takes: its help.
fn help_error(method: &str) -> RpcError {
    RpcError::misc(find(method).map(help_of).unwrap_or_default())
}

fn text(params: &Params, at: usize) -> RpcResult<&str> {
    bulkhead_rpc_util::params::as_str(params.get(at))
}

fn optional_text(params: &Params, at: usize) -> RpcResult<Option<&str>> {
    if params.is_null(at) { Ok(None) } else { text(params, at).map(Some) }
}

fn optional_bool(params: &Params, at: usize) -> RpcResult<Option<bool>> {
    if params.is_null(at) { Ok(None) } else { bulkhead_rpc_util::params::as_bool(params.get(at)).map(Some) }
}

fn integer<T: std::str::FromStr>(params: &Params, at: usize) -> RpcResult<T> {
    bulkhead_rpc_util::params::as_int(params.get(at))
}
