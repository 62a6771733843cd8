//! Peers: what they are and do, and how to end or address one.

use std::collections::BTreeMap;
use std::rc::Rc;

use bulkhead_control::clock;
use bulkhead_rpc_util::amount::number;
use bulkhead_rpc_util::error::{CLIENT_NODE_NOT_CONNECTED, INVALID_PARAMS};
use bulkhead_rpc_util::{Params, RpcError, RpcResult, amount_to_json};
use bulkhead_wire::frame::COMMAND_SIZE;
use bulkhead_wire::services;
use serde_json::{Map, Value, json};

use super::{integer, optional_text, text};
use crate::engine::{Engine, PeerStats, SECOND};
use crate::process::Node;

/// Microseconds as seconds with up to six digits, as Core prints a double.
fn seconds(micros: i64) -> Value {
    let digits = format!("{}.{:06}", micros / SECOND, micros % SECOND);
    let trimmed = digits.trim_end_matches('0').trim_end_matches('.');
    number(if trimmed.is_empty() { "0" } else { trimmed })
}

fn by_type(counts: &BTreeMap<&'static str, u64>) -> Value {
    // `BTreeMap` sorts `*other*` before the names, as Core's map does.
    Value::Object(
        counts.iter().filter(|(_, count)| **count > 0).map(|(name, count)| ((*name).to_owned(), json!(count))).collect(),
    )
}

fn row(stats: &PeerStats) -> Value {
    let mut row = Map::new();
    let mut put = |key: &str, value: Value| {
        row.insert(key.to_owned(), value);
    };
    put("id", json!(stats.id));
    put("addr", json!(stats.name));
    if let Some(bind) = stats.addr_bind {
        put("addrbind", json!(bind.to_string()));
    }
    if let Some(local) = stats.addr_local {
        put("addrlocal", json!(local.to_string()));
    }
    put("network", json!(stats.network.name()));
    if stats.mapped_as != 0 {
        put("mapped_as", json!(stats.mapped_as));
    }
    put("services", json!(format!("{:016x}", stats.services)));
    put("servicesnames", json!(services::names(stats.services)));
    put("relaytxes", json!(stats.relays_txs));
    put("last_inv_sequence", json!(stats.last_inv_sequence));
    put("inv_to_send", json!(stats.inv_to_send));
    put("lastsend", json!(stats.last_send / SECOND));
    put("lastrecv", json!(stats.last_recv / SECOND));
    put("last_transaction", json!(stats.last_tx / SECOND));
    put("last_block", json!(stats.last_block / SECOND));
    put("bytessent", json!(stats.bytes_sent));
    put("bytesrecv", json!(stats.bytes_received));
    put("conntime", json!(stats.connected_at / SECOND));
    put("timeoffset", json!(stats.time_offset));
    if stats.last_ping > 0 {
        put("pingtime", seconds(stats.last_ping));
    }
    if let Some(ping) = stats.min_ping {
        put("minping", seconds(ping));
    }
    if stats.ping_wait > 0 {
        put("pingwait", seconds(stats.ping_wait));
    }
    put("version", json!(stats.version));
    put("subver", json!(stats.user_agent));
    put("inbound", json!(stats.inbound));
    put("bip152_hb_to", json!(stats.high_bandwidth_to));
    put("bip152_hb_from", json!(stats.high_bandwidth_from));
    put("presynced_headers", json!(stats.presynced_headers));
    put("synced_headers", json!(stats.synced_headers));
    put("synced_blocks", json!(stats.synced_blocks));
    put("inflight", json!(stats.in_flight));
    put("addr_relay_enabled", json!(stats.addr_relay));
    put("addr_processed", json!(stats.addr_processed));
    put("addr_rate_limited", json!(stats.addr_rate_limited));
    put("permissions", json!(stats.permissions));
    put("minfeefilter", amount_to_json(stats.fee_filter));
    put("bytessent_per_msg", by_type(&stats.sent_by_type));
    put("bytesrecv_per_msg", by_type(&stats.received_by_type));
    put("connection_type", json!(stats.kind));
    put("transport_protocol_type", json!(stats.transport));
    put("session_id", json!(stats.session_id.map(hex::encode).unwrap_or_default()));
    Value::Object(row)
}

/// Every peer.
pub(super) fn getpeerinfo(node: &Rc<Node>) -> Value {
    node.with(|engine| engine.set_now(clock::now_micros()));
    Value::Array(node.look(Engine::peer_stats).iter().map(row).collect())
}

/// How many there are.
pub(super) fn getconnectioncount(node: &Rc<Node>) -> Value {
    json!(node.look(Engine::connection_counts).0)
}

/// Asks every peer for a pong.
pub(super) fn ping(node: &Rc<Node>) -> Value {
    node.with(Engine::ping_all);
    Value::Null
}

/// Ends one connection.
pub(super) fn disconnectnode(node: &Rc<Node>, params: &Params) -> RpcResult {
    let address = optional_text(params, 0)?;
    let id: Option<i64> = if params.is_null(1) { None } else { Some(integer(params, 1)?) };
    let found = match (address, id) {
        (Some(address), None) => node.with(|engine| engine.disconnect_by_name(address)),
        (None | Some(""), Some(id)) => u64::try_from(id).is_ok_and(|id| node.with(|engine| engine.disconnect(id))),
        _ => return Err(RpcError::new(INVALID_PARAMS, "Only one of address and nodeid should be provided.")),
    };
    if found { Ok(Value::Null) } else { Err(RpcError::new(CLIENT_NODE_NOT_CONNECTED, "Node not found in connected nodes")) }
}

/// Sends bytes to a peer.
pub(super) fn sendmsgtopeer(node: &Rc<Node>, params: &Params) -> RpcResult {
    let id: i64 = integer(params, 0)?;
    let command = text(params, 1)?;
    if command.len() > COMMAND_SIZE {
        return Err(RpcError::parameter(format!("Error: msg_type too long, max length is {COMMAND_SIZE}")));
    }
    let body = hex::decode(text(params, 2)?).map_err(|_| RpcError::parameter("Error parsing input for msg"))?;
    let sent = u64::try_from(id).is_ok_and(|id| node.with(|engine| engine.send_raw(id, command, body)));
    if sent { Ok(json!({})) } else { Err(RpcError::misc("Error: Could not send message to peer")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn durations_are_printed_without_surplus_digits() {
        assert_eq!(seconds(1_500_000).to_string(), "1.5");
        assert_eq!(seconds(2_000_000).to_string(), "2");
        assert_eq!(seconds(123).to_string(), "0.000123");
    }
}
