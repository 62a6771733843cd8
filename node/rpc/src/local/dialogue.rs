//! echo, echojson, echoipc

use bulkhead_control::Request;
use serde_json::Value;

use super::{ask, param};
use crate::door::Door;
use crate::jsonrpc::{CallError, CallResult, code};

pub(super) fn echo(params: &[Value]) -> CallResult {
    if param(params, 9).as_str() == Some("trigger_internal_bug") {
        // Core's text for a failed internal check, which its tests look for.
        let text = "Internal bug detected: request.params[9].get_str() != \"trigger_internal_bug\"\nnode/rpc/src/local/dialogue.rs (echo)\nPlease report this issue here: https://github.com/bulkhead/bulkhead/issues\n";
        return Err(CallError::new(code::MISC, text));
    }
    Ok(Value::from(params).to_string())
}

pub(super) async fn echo_ipc(door: &Door, params: &[Value]) -> CallResult {
    let text = param(params, 0).as_str().unwrap_or_default().to_owned();
    Ok(Value::String(ask(door, Request::SpawnEcho(text)).await?.text).to_string())
}
