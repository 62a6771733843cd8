//! The address manager.

use std::rc::Rc;

use bulkhead_addrman::{AsMap, Entry, Position};
use bulkhead_control::clock;
use bulkhead_rpc_util::error::CLIENT_INVALID_IP_OR_SUBNET;
use bulkhead_rpc_util::{Params, RpcError, RpcResult};
use bulkhead_wire::{Endpoint, NetAddr, Network, PeerAddress, services};
use serde_json::{Map, Value, json};

use super::{integer, optional_bool, text};
use crate::process::Node;

/// `getnodeaddresses`.
pub(super) fn getnodeaddresses(node: &Rc<Node>, params: &Params) -> RpcResult {
    let count: i32 = if params.is_null(0) { 1 } else { integer(params, 0)? };
    let Ok(count) = usize::try_from(count) else {
        return Err(RpcError::parameter("Address count out of range"));
    };
    let network = if params.is_null(1) {
        None
    } else {
        let name = text(params, 1)?;
        Some(Network::parse(name).ok_or_else(|| RpcError::parameter(format!("Network not recognized: {name}")))?)
    };
    let found = node.with(|engine| engine.sample_addresses(count, 0, network));
    let rows = found.into_iter().map(|address| {
        json!({
            "time": address.time,
            "services": address.services,
            "address": address.endpoint.addr.to_string(),
            "port": address.endpoint.port,
            "network": address.endpoint.addr.class().name(),
        })
    });
    Ok(Value::Array(rows.collect()))
}

/// `addpeeraddress`.
pub(super) fn addpeeraddress(node: &Rc<Node>, params: &Params) -> RpcResult {
    let host = text(params, 0)?;
    let port: u16 = integer(params, 1)?;
    let tried = optional_bool(params, 2)?.unwrap_or(false);
    let Some(addr) = NetAddr::parse(host) else {
        return Err(RpcError::new(CLIENT_INVALID_IP_OR_SUBNET, "Invalid IP address"));
    };
    let addr = node.look(|engine| engine.config.flip(addr));
    let now = clock::now();
    let endpoint = Endpoint::new(addr, port);
    let address =
        PeerAddress { time: u32::try_from(now).unwrap_or(0), services: services::NETWORK | services::WITNESS, endpoint };
    let (added, moved) = node.with(|engine| {
        let added = engine.addrman.add(&[address], &addr, 0, now);
        (added, added && tried && engine.addrman.good(&endpoint, now, true))
    });
    Ok(match (added, tried && !moved) {
        (false, _) => json!({ "error": "failed-adding-to-new", "success": false }),
        (true, true) => json!({ "error": "failed-adding-to-tried", "success": false }),
        (true, false) => json!({ "success": true }),
    })
}

/// `getaddrmaninfo`.
pub(super) fn getaddrmaninfo(node: &Rc<Node>) -> Value {
    node.look(|engine| {
        let counts = |network| {
            json!({
                "new": engine.addrman.size(network, Some(true)),
                "tried": engine.addrman.size(network, Some(false)),
                "total": engine.addrman.size(network, None),
            })
        };
        let mut out: Map<String, Value> =
            Network::LISTED.into_iter().map(|network| (network.name().to_owned(), counts(Some(network)))).collect();
        out.insert("all_networks".to_owned(), counts(None));
        Value::Object(out)
    })
}

fn table(entries: Vec<(Entry, Position)>, map: &AsMap) -> Value {
    let rows = entries.into_iter().map(|(entry, (bucket, place))| {
        let endpoint = entry.address.endpoint;
        let mut row = json!({
            "address": endpoint.addr.to_string(),
            "port": endpoint.port,
            "services": entry.address.services,
            "time": entry.address.time,
            "network": endpoint.addr.class().name(),
            "source": entry.source.to_string(),
            "source_network": entry.source.class().name(),
        });
        for (key, system) in [("mapped_as", map.system(&endpoint.addr)), ("source_mapped_as", map.system(&entry.source))] {
            if system != 0 {
                row[key] = json!(system);
            }
        }
        (format!("{bucket}/{place}"), row)
    });
    Value::Object(rows.collect())
}

/// `getrawaddrman`.
pub(super) fn getrawaddrman(node: &Rc<Node>) -> Value {
    node.look(|engine| {
        let shown = |tried| table(engine.addrman.table(tried), engine.addrman.map());
        json!({ "new": shown(false), "tried": shown(true) })
    })
}
