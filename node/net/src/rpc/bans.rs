//! Bans made by hand.

use std::rc::Rc;

use bulkhead_control::clock;
use bulkhead_rpc_util::error::{CLIENT_INVALID_IP_OR_SUBNET, CLIENT_NODE_ALREADY_ADDED};
use bulkhead_rpc_util::{Params, RpcError, RpcResult};
use bulkhead_wire::{NetAddr, Subnet};
use serde_json::{Value, json};

use super::{help_error, integer, optional_bool, text};
use crate::process::Node;

/// The range that is meant; a plain address must be valid.
fn parse(argument: &str) -> Option<(Subnet, Option<NetAddr>)> {
    if argument.contains('/') {
        return Subnet::parse(argument).map(|subnet| (subnet, None));
    }
    let addr = NetAddr::parse(argument).filter(NetAddr::is_valid)?;
    Subnet::single(addr).map(|subnet| (subnet, Some(addr)))
}

/// `setban`.
pub(super) fn setban(node: &Rc<Node>, params: &Params) -> RpcResult {
    let command = text(params, 1)?;
    if !matches!(command, "add" | "remove") {
        return Err(help_error("setban"));
    }
    let Some((subnet, addr)) = parse(text(params, 0)?) else {
        return Err(RpcError::new(CLIENT_INVALID_IP_OR_SUBNET, "Error: Invalid IP/Subnet"));
    };
    if command == "remove" {
        if node.with(|engine| {
            let found = engine.bans.unban(&subnet);
            engine.save_bans_if_changed();
            found
        }) {
            return Ok(Value::Null);
        }
        return Err(RpcError::new(
            CLIENT_INVALID_IP_OR_SUBNET,
            "Error: Unban failed. Requested address/subnet was not previously manually banned.",
        ));
    }
    let now = clock::now();
    let banned = node.look(|engine| match addr {
        Some(addr) => engine.bans.is_banned(&addr, now),
        None => engine.bans.is_banned_subnet(&subnet, now),
    });
    if banned {
        return Err(RpcError::new(CLIENT_NODE_ALREADY_ADDED, "Error: IP/Subnet already banned"));
    }
    let time: i64 = if params.is_null(2) { 0 } else { integer(params, 2)? };
    let absolute = optional_bool(params, 3)?.unwrap_or(false);
    if absolute && time < now {
        return Err(RpcError::parameter("Error: Absolute timestamp is in the past"));
    }
    node.with(|engine| {
        let until = match time {
            ..=0 => now + engine.config.bantime,
            _ if absolute => time,
            _ => now.saturating_add(time),
        };
        engine.bans.ban(subnet, now, until);
        engine.save_bans_if_changed();
        engine.disconnect_subnet(&subnet);
    });
    Ok(Value::Null)
}

/// `listbanned`.
pub(super) fn listbanned(node: &Rc<Node>) -> Value {
    let now = clock::now();
    let bans = node.with(|engine| engine.bans.banned(now));
    let rows = bans.into_iter().map(|(subnet, ban)| {
        json!({
            "address": subnet.to_string(),
            "ban_created": ban.created,
            "banned_until": ban.until,
            "ban_duration": ban.until - ban.created,
            "time_remaining": ban.until - now,
        })
    });
    Value::Array(rows.collect())
}

/// `clearbanned`.
pub(super) fn clearbanned(node: &Rc<Node>) -> Value {
    node.with(|engine| {
        engine.bans.clear();
        engine.save_bans_if_changed();
    });
    Value::Null
}
