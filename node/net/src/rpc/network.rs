//! The node's own place in the network.

use std::rc::Rc;

use bulkhead_control::clock;
use bulkhead_rpc_util::{Params, RpcResult, amount_to_json};
use bulkhead_wire::{Network, PROTOCOL_VERSION, services};
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::process::{Node, chain};

/// The version that clients gate features on: that of the Core release whose shapes we have.
const CLIENT_VERSION: u32 = 319_900;

/// `getnetworkinfo`.
pub(super) async fn getnetworkinfo(node: &Rc<Node>) -> Value {
    let info = node.info.clone();
    let reachable = node.look(|engine| engine.config.reachable.clone());
    let networks: Vec<Value> = Network::LISTED
        .into_iter()
        .map(|network| {
            let reachable = reachable.contains(&network);
            let proxy = node.proxies.borrow().leads_to(network).cloned();
            json!({
                "name": network.name(),
                "limited": !reachable,
                "reachable": reachable,
                "proxy": proxy.as_ref().map(ToString::to_string).unwrap_or_default(),
                "proxy_randomize_credentials": proxy.is_some_and(|proxy| proxy.isolate),
            })
        })
        .collect();
    let warnings = refreshed_warnings(node).await;
    let warnings = if info.warnings_as_text { json!(warnings.last().cloned().unwrap_or_default()) } else { json!(warnings) };
    node.look(|engine: &Engine| {
        let (all, inbound) = engine.connection_counts();
        let local: Vec<Value> = engine
            .local_addresses
            .iter()
            .map(|(addr, (port, score))| json!({ "address": addr.to_string(), "port": port, "score": score }))
            .collect();
        json!({
            "version": CLIENT_VERSION,
            "subversion": engine.config.subversion,
            "protocolversion": PROTOCOL_VERSION,
            "localservices": format!("{:016x}", engine.services()),
            "localservicesnames": services::names(engine.services()),
            "localrelay": !engine.config.blocks_only,
            "timeoffset": engine.median_time_offset(),
            "networkactive": engine.is_network_active(),
            "connections": all,
            "connections_in": inbound,
            "connections_out": all - inbound,
            "networks": networks,
            "relayfee": amount_to_json(info.min_relay_fee),
            "incrementalfee": amount_to_json(info.incremental_relay_fee),
            "localaddresses": local,
            "warnings": warnings,
        })
    })
}

/// Learns what chain says of itself now; gives its warnings, none while it is away.
async fn refreshed_warnings(node: &Rc<Node>) -> Vec<String> {
    let Ok(client) = node.chain.get() else { return Vec::new() };
    match chain::state(&client).await {
        Ok((view, warnings)) => {
            node.with(|engine| engine.chain_state(view));
            warnings
        }
        Err(error) => {
            tracing::debug!(target: "net", "no state from chain: {error}");
            Vec::new()
        }
    }
}

/// `getnettotals`.
pub(super) fn getnettotals(node: &Rc<Node>) -> Value {
    node.with(|engine| engine.set_now(clock::now_micros()));
    let (received, sent) = node.look(Engine::totals);
    let upload = node.look(Engine::upload_figures);
    json!({
        "totalbytesrecv": received,
        "totalbytessent": sent,
        "timemillis": clock::system_micros() / 1000,
        "uploadtarget": {
            "timeframe": upload.timeframe,
            "target": upload.target,
            "target_reached": upload.target_reached,
            "serve_historical_blocks": upload.serves_historical,
            "bytes_left_in_cycle": upload.bytes_left,
            "time_left_in_cycle": upload.time_left,
        },
    })
}

/// `setnetworkactive`.
pub(super) fn setnetworkactive(node: &Rc<Node>, params: &Params) -> RpcResult {
    let active = bulkhead_rpc_util::params::as_bool(params.get(0))?;
    node.with(|engine| engine.set_network_active(active));
    Ok(json!(node.look(Engine::is_network_active)))
}
