//! JSON-RPC methods of this process, one file for each family.
//!
//! The front door has resolved names to positions and checked number and JSON type of the parameters with the method
//! table; here they are checked again only as far as a method reads them. Methods block (mining, waiting for a block,
//! scanning the coins): run [`dispatch`] on a thread that may.

mod activity;
mod block_json;
mod block_stats;
mod chain_control;
mod chain_info;
mod coins;
mod context;
mod create_tx;
mod deployments;
mod fees;
mod indexes;
mod lookup;
mod mempool;
mod message;
mod mining;
mod proof;
mod psbt;
mod raw_transactions;
mod scan;
mod scan_blocks;
mod scan_control;
mod scripts;
mod snapshot;
mod spending;
mod submit;
mod template;
mod util;

pub use context::Context;
pub use lookup::read_undo;
pub use submit::broadcast;

use bulkhead_rpc_util::error::METHOD_NOT_FOUND;
use bulkhead_rpc_util::{Params, RpcError, RpcResult};
use serde_json::{Value, json};

/// A method.
type Handler = fn(&Context, &Params) -> RpcResult<Value>;

/// Methods by family.
const FAMILIES: &[&[(&str, Handler)]] = &[
    activity::METHODS,
    block_json::METHODS,
    block_stats::METHODS,
    chain_control::METHODS,
    chain_info::METHODS,
    coins::METHODS,
    create_tx::METHODS,
    deployments::METHODS,
    fees::METHODS,
    indexes::METHODS,
    mempool::METHODS,
    mining::METHODS,
    proof::METHODS,
    psbt::METHODS,
    raw_transactions::METHODS,
    scan::METHODS,
    scan_blocks::METHODS,
    scripts::METHODS,
    snapshot::METHODS,
    spending::METHODS,
    submit::METHODS,
    template::METHODS,
    util::METHODS,
];

/// Answers a call.
///
/// # Errors
/// What the client gets as `error`.
pub fn dispatch(context: &Context, method: &str, params: &Params) -> RpcResult<Value> {
    let found = FAMILIES.iter().flat_map(|family| family.iter()).find(|(name, _)| *name == method);
    match found {
        Some((_, handler)) => handler(context, params),
        None => Err(RpcError::new(METHOD_NOT_FOUND, "Method not found")),
    }
}

/// Answers a request text `{"method":..., "params":[...]}` with `{"result":...}` or `{"error":{"code":...,"message":...}}`.
pub fn answer(context: &Context, request: &str) -> String {
    let result = read_request(request).and_then(|(method, params)| dispatch(context, &method, &params));
    match result {
        Ok(value) => json!({ "result": value }).to_string(),
        Err(error) => json!({ "error": error.to_json() }).to_string(),
    }
}

fn read_request(request: &str) -> RpcResult<(String, Params)> {
    let malformed = || RpcError::new(bulkhead_rpc_util::error::INVALID_REQUEST, "Invalid Request object");
    let Ok(Value::Object(mut request)) = serde_json::from_str(request) else { return Err(malformed()) };
    let Some(Value::String(method)) = request.remove("method") else { return Err(malformed()) };
    match request.remove("params") {
        Some(Value::Array(params)) => Ok((method, Params::new(params))),
        None | Some(Value::Null) => Ok((method, Params::default())),
        Some(_) => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bulkhead_schema::methods::{self, Owner};

    #[test]
    fn every_method_served_is_in_the_table_and_ours() {
        let mut names = std::collections::BTreeSet::new();
        for (name, _) in FAMILIES.iter().flat_map(|family| family.iter()) {
            assert!(names.insert(*name), "{name} is served twice");
            let method = methods::find(name).unwrap_or_else(|| panic!("{name} is not in the table"));
            assert_eq!(method.owner, Owner::Chain, "{name}");
        }
    }

    #[test]
    fn requests_of_other_shapes_are_refused() {
        for bad in ["", "[]", "{}", r#"{"method":1}"#, r#"{"method":"x","params":1}"#] {
            assert!(read_request(bad).is_err(), "{bad}");
        }
        assert_eq!(read_request(r#"{"method":"x","params":[1]}"#).unwrap().1.len(), 1);
    }
}
