//! Transactions that are being broadcast privately.

use std::rc::Rc;

use bulkhead_rpc_util::codec::parse_hash_bytes;
use bulkhead_rpc_util::error::{INVALID_ADDRESS_OR_KEY, METHOD_NOT_FOUND};
use bulkhead_rpc_util::{Params, RpcError, RpcResult};
use bulkhead_wire::message::hash_hex;
use serde_json::{Value, json};

use crate::engine::SECOND;
use crate::engine::private_queue::{Attempt, Queued};
use crate::process::Node;

fn check_enabled(node: &Node) -> RpcResult<()> {
    if node.info.private_broadcast {
        return Ok(());
    }
    let text = "Private broadcast is not enabled. Ensure you're running Bitcoin Core with -privatebroadcast=1.";
    Err(RpcError::new(METHOD_NOT_FOUND, text))
}

fn transaction(queued: &Queued) -> Value {
    json!({
        "txid": hash_hex(&queued.names.txid),
        "wtxid": hash_hex(&queued.names.wtxid),
        "hex": hex::encode(&queued.bytes),
    })
}

fn attempt(attempt: &Attempt) -> Value {
    let mut row = json!({ "address": attempt.address.to_string(), "sent": attempt.picked / SECOND });
    if let Some(confirmed) = attempt.confirmed {
        row["received"] = json!(confirmed / SECOND);
    }
    row
}

/// `getprivatebroadcastinfo`.
pub(super) fn getprivatebroadcastinfo(node: &Rc<Node>) -> RpcResult {
    check_enabled(node)?;
    Ok(node.look(|engine| {
        let rows = engine.private_broadcasts().map(|queued| {
            let mut row = transaction(queued);
            row["time_added"] = json!(queued.added / SECOND);
            row["peers"] = queued.attempts.iter().map(attempt).collect();
            row
        });
        json!({ "transactions": rows.collect::<Vec<Value>>() })
    }))
}

/// `abortprivatebroadcast`.
pub(super) fn abortprivatebroadcast(node: &Rc<Node>, params: &Params) -> RpcResult {
    check_enabled(node)?;
    let id = parse_hash_bytes(params.get(0), "id")?;
    let removed: Vec<Value> = node.with(|engine| engine.abort_private(&id)).iter().map(transaction).collect();
    if removed.is_empty() {
        let text = "Transaction not in private broadcast queue. Check getprivatebroadcastinfo.";
        return Err(RpcError::new(INVALID_ADDRESS_OR_KEY, text));
    }
    Ok(json!({ "removed_transactions": removed }))
}
