//! getmemoryinfo

use serde_json::{Value, json};

use super::param;
use crate::jsonrpc::{CallError, CallResult, code};

/// Keys live in key stores, so the front door itself locks no memory.
pub(super) fn memory_info(params: &[Value]) -> CallResult {
    match param(params, 0).as_str().unwrap_or("stats") {
        "stats" => {
            Ok(json!({"locked": {"used": 0, "free": 0, "total": 0, "locked": 0, "chunks_used": 0, "chunks_free": 0}}).to_string())
        }
        "mallocinfo" => Err(CallError::new(code::INVALID_PARAMETER, "mallocinfo mode not available")),
        mode => Err(CallError::new(code::INVALID_PARAMETER, format!("unknown mode {mode}"))),
    }
}
