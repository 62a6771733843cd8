//! The built-in map of autonomous systems.

use std::rc::Rc;

use bitcoin::hashes::{Hash, sha256};
use bulkhead_asmap::EMBEDDED;
use bulkhead_control::ControlError;
use bulkhead_rpc_util::{Params, RpcError, RpcResult};
use serde_json::json;

use super::text;
use crate::process::Node;

/// `exportasmap`. Net writes nothing: the supervisor, which has the map too, writes it where the user says.
pub(super) async fn exportasmap(node: &Rc<Node>, params: &Params) -> RpcResult {
    let path = node.ask_supervisor("exportAsmap", text(params, 0)?).await.map_err(|error| match error {
        ControlError::Refused { code, message } => RpcError::new(code, message),
        _ => RpcError::internal("the supervisor does not answer"),
    })?;
    Ok(json!({
        "path": path.text,
        "bytes_written": EMBEDDED.len(),
        "file_hash": sha256::Hash::hash(EMBEDDED).to_string(),
    }))
}
