//! getmemoryinfo

use serde_json::{Value, json};

use super::param;
use crate::door::Door;
use crate::jsonrpc::{CallError, CallResult, code};

/// Of the front door: keys are locked in the memory of key stores, which tell nobody how many they have.
pub(super) fn memory_info(door: &Door, params: &[Value]) -> CallResult {
    match param(params, 0).as_str().unwrap_or("stats") {
        "stats" => {
            let memory = door.credentials.memory();
            let locked = json!({
                "used": memory.used,
                "free": memory.total - memory.used,
                "total": memory.total,
                "locked": memory.total,
                "chunks_used": memory.chunks_used,
                "chunks_free": memory.chunks_free,
            });
            Ok(json!({ "locked": locked }).to_string())
        }
        "mallocinfo" => Err(CallError::new(code::INVALID_PARAMETER, "mallocinfo mode not available")),
        mode => Err(CallError::new(code::INVALID_PARAMETER, format!("unknown mode {mode}"))),
    }
}
