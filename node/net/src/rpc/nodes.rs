//! Connections that the user asks for.

use std::rc::Rc;

use bulkhead_rpc_util::error::{CLIENT_NODE_ALREADY_ADDED, CLIENT_NODE_CAPACITY_REACHED, CLIENT_NODE_NOT_ADDED};
use bulkhead_rpc_util::{Params, RpcError, RpcResult};
use bulkhead_wire::Endpoint;
use serde_json::{Value, json};

use super::{help_error, optional_bool, optional_text, text};
use crate::engine::kind::ConnectionKind;
use crate::engine::{AddedNode, Engine};
use crate::process::Node;
use crate::process::dial::Target;

/// `addnode`.
pub(super) async fn addnode(node: &Rc<Node>, params: &Params) -> RpcResult {
    let command = text(params, 1)?;
    if !matches!(command, "onetry" | "add" | "remove") {
        return Err(help_error("addnode"));
    }
    let target = text(params, 0)?;
    let enabled = node.look(Engine::speaks_v2);
    let v2 = optional_bool(params, 2)?.unwrap_or(enabled);
    if v2 && !enabled {
        return Err(RpcError::parameter("Error: v2transport requested but not enabled (see -v2transport)"));
    }
    match command {
        "onetry" => {
            node.open(Node::by_hand(target, v2)).await;
            Ok(Value::Null)
        }
        "add" => add(node, target, v2),
        _ => {
            let removed = node.with(|engine| {
                let before = engine.added_nodes.len();
                engine.added_nodes.retain(|added| added.text != target);
                before != engine.added_nodes.len()
            });
            if removed {
                return Ok(Value::Null);
            }
            Err(RpcError::new(CLIENT_NODE_NOT_ADDED, "Error: Node could not be removed. It has not been added previously."))
        }
    }
}

fn add(node: &Rc<Node>, target: &str, v2: bool) -> RpcResult {
    let added = node.with(|engine| {
        let endpoint = Endpoint::parse(target, engine.config.default_port);
        let known =
            engine.added_nodes.iter().any(|added| added.text == target || (endpoint.is_some() && added.endpoint == endpoint));
        if !known {
            engine.added_nodes.push(AddedNode { text: target.to_owned(), endpoint, v2 });
        }
        !known
    });
    if added { Ok(Value::Null) } else { Err(RpcError::new(CLIENT_NODE_ALREADY_ADDED, "Error: Node already added")) }
}

/// `addconnection`.
pub(super) async fn addconnection(node: &Rc<Node>, params: &Params) -> RpcResult {
    if !node.look(|engine| engine.config.regtest) {
        return Err(RpcError::misc("addconnection is for regression testing (-regtest mode) only."));
    }
    let address = text(params, 0)?;
    let word = text(params, 1)?.trim();
    let kind = match word {
        "outbound-full-relay" => ConnectionKind::OutboundFullRelay,
        "block-relay-only" => ConnectionKind::BlockRelay,
        "addr-fetch" => ConnectionKind::AddrFetch,
        "feeler" => ConnectionKind::Feeler,
        _ => return Err(RpcError::parameter(help_error("addconnection").message)),
    };
    let v2 = bulkhead_rpc_util::params::as_bool(params.get(2))?;
    if v2 && !node.look(Engine::speaks_v2) {
        return Err(RpcError::parameter("Error: Adding v2transport connections requires -v2transport init flag to be set."));
    }
    if !node.look(|engine| engine.has_room_for(kind)) {
        return Err(RpcError::new(CLIENT_NODE_CAPACITY_REACHED, "Error: Already at capacity for specified connection type."));
    }
    node.open(Target { kind, ..Node::by_hand(address, v2) }).await;
    Ok(json!({ "address": address, "connection_type": word }))
}

/// `getaddednodeinfo`.
pub(super) fn getaddednodeinfo(node: &Rc<Node>, params: &Params) -> RpcResult {
    let mut infos = node.look(Engine::added_node_info);
    if let Some(wanted) = optional_text(params, 0)? {
        infos.retain(|info| info.text == wanted);
        infos.truncate(1);
        if infos.is_empty() {
            return Err(RpcError::new(CLIENT_NODE_NOT_ADDED, "Error: Node has not been added."));
        }
    }
    let rows = infos.into_iter().map(|info| {
        let addresses: Vec<Value> = info
            .connected
            .iter()
            .map(|(at, inbound)| json!({ "address": at.to_string(), "connected": if *inbound { "inbound" } else { "outbound" } }))
            .collect();
        json!({ "addednode": info.text, "connected": info.connected.is_some(), "addresses": addresses })
    });
    Ok(Value::Array(rows.collect()))
}
