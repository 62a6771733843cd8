//! stop, uptime, getrpcinfo, getsandboxinfo, getzmqnotifications

use std::time::Duration;

use bulkhead_control::{Request, clock};
use serde_json::{Value, json};

use super::{ask, integer, param};
use crate::door::Door;
use crate::jsonrpc::CallResult;

pub(super) async fn stop(door: &Door, params: &[Value]) -> CallResult {
    ask(door, Request::Stop).await?;
    if param(params, 0).is_number() {
        let wait = u64::try_from(integer(params, 0)?).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    Ok("\"Bulkhead stopping\"".into())
}

pub(super) fn uptime(door: &Door) -> String {
    // The time of start is not mocked, so neither is the present.
    (clock::system_micros() / 1_000_000 - door.config.start_time).max(0).to_string()
}

pub(super) fn rpc_info(door: &Door) -> String {
    let active: Vec<Value> = door
        .active()
        .into_iter()
        .map(|(method, micros)| json!({"method": method, "duration": u64::try_from(micros).unwrap_or(u64::MAX)}))
        .collect();
    json!({"active_commands": active, "logpath": door.config.logpath}).to_string()
}

/// The supervisor answers with JSON text.
pub(super) async fn sandbox_info(door: &Door) -> CallResult {
    Ok(ask(door, Request::SandboxInfo).await?.text)
}

pub(super) fn zmq_notifications(door: &Door) -> String {
    let notifiers: Vec<Value> = door
        .config
        .zmq
        .iter()
        .filter_map(|entry| {
            let mut words = entry.split(' ');
            let (topic, address, limit) = (words.next()?, words.next()?, words.next()?.parse::<i64>().ok()?);
            Some(json!({"type": topic, "address": address, "hwm": limit}))
        })
        .collect();
    Value::Array(notifiers).to_string()
}
