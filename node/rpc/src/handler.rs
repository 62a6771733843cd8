//! HTTP request in, HTTP reply out: paths, authentication, batches.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use crate::door::{Caller, Door};
use crate::http::parse::{Method, Request};
use crate::http::reply::Reply;
use crate::jsonrpc::{self, Call, CallError, CallResult, Partial, Version, code};

/// How long the answer to a wrong password takes.
const WRONG_PASSWORD_DELAY: Duration = Duration::from_millis(250);

/// Which part of the server a path belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// JSON-RPC.
    Rpc,
    /// REST.
    Rest,
}

/// The part of the server that a target belongs to.
#[must_use]
pub fn route(target: &str, rest: bool) -> Option<Route> {
    if target == "/" || target.starts_with("/wallet/") {
        Some(Route::Rpc)
    } else if rest && target.starts_with("/rest/") {
        Some(Route::Rest)
    } else {
        None
    }
}

fn unauthorized() -> Reply {
    Reply::empty(401).with("WWW-Authenticate", "Basic realm=\"jsonrpc\"")
}

/// Answers a JSON-RPC request.
pub async fn rpc(door: Rc<Door>, request: &Request, peer: SocketAddr) -> Reply {
    if request.method != Method::Post {
        return Reply::text(405, "JSONRPC server handles only POST requests");
    }
    let Some(header) = request.header("Authorization") else { return unauthorized() };
    let user = match door.credentials.check(header) {
        Some((user, true)) => user,
        _ => {
            tracing::warn!("ThreadRPCServer incorrect password attempt from {peer}");
            tokio::time::sleep(WRONG_PASSWORD_DELAY).await;
            return unauthorized();
        }
    };
    let caller = Caller { user, uri: request.target.clone() };
    let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
        return failed(&CallError::new(code::PARSE, "Parse error"), &Partial::default());
    };
    if door.whitelist.denies_everything(&caller.user) {
        tracing::warn!("RPC User {} not allowed to call any methods", caller.user);
        return Reply::empty(403);
    }
    match &body {
        Value::Object(_) => single(&door, &body, &caller).await,
        Value::Array(calls) => batch(&door, calls, &caller).await,
        _ => failed(&CallError::new(code::PARSE, "Top-level object parse error"), &Partial::default()),
    }
}

/// An error that has an HTTP status of its own.
fn failed(error: &CallError, seen: &Partial) -> Reply {
    let text = jsonrpc::reply(&Err(error.clone()), seen.id.as_ref(), seen.version);
    json(jsonrpc::legacy_status(error), text)
}

fn json(status: u16, mut text: String) -> Reply {
    text.push('\n');
    Reply::typed(status, "application/json", text.into_bytes())
}

fn log_call(call: &Call, caller: &Caller) {
    let id = match &call.id {
        Some(Value::String(id)) => jsonrpc::sanitize(id),
        Some(id @ Value::Number(_)) => jsonrpc::sanitize(&id.to_string()),
        _ => String::new(),
    };
    tracing::debug!(target: "rpc", "ThreadRPCServer method={} user={} id={id}", jsonrpc::sanitize(&call.method), caller.user);
}

async fn single(door: &Door, body: &Value, caller: &Caller) -> Reply {
    let mut seen = Partial::default();
    let call = match jsonrpc::parse(body, &mut seen) {
        Ok(call) => call,
        Err(error) => return failed(&error, &seen),
    };
    log_call(&call, caller);
    if !door.whitelist.allows(&caller.user, &call.method) {
        tracing::warn!("RPC User {} not allowed to call method {}", caller.user, call.method);
        return Reply::empty(403);
    }
    let result = door.execute(&call, caller).await;
    if call.is_notification() {
        return Reply::empty(204);
    }
    match (&result, call.version) {
        (Err(error), Version::Legacy) => failed(error, &seen),
        _ => json(200, jsonrpc::reply(&result, call.id.as_ref(), call.version)),
    }
}

/// A batch is answered with 200 whatever its calls answer.
async fn batch(door: &Door, calls: &[Value], caller: &Caller) -> Reply {
    if door.whitelist.has_list(&caller.user) {
        for call in calls {
            if !call.is_object() {
                return failed(&CallError::new(code::INVALID_REQUEST, "Invalid Request object"), &Partial::default());
            }
            let method = call.get("method").and_then(Value::as_str).unwrap_or_default();
            if !door.whitelist.allows(&caller.user, method) {
                tracing::warn!("RPC User {} not allowed to call method {method}", caller.user);
                return Reply::empty(403);
            }
        }
    }
    let mut replies = Vec::new();
    for request in calls {
        let mut seen = Partial::default();
        let (result, notification): (CallResult, bool) = match jsonrpc::parse(request, &mut seen) {
            Ok(call) => {
                log_call(&call, caller);
                (door.execute(&call, caller).await, call.is_notification())
            }
            Err(error) => (Err(error), seen.version == Version::Two && seen.id.is_none()),
        };
        if !notification {
            replies.push(jsonrpc::reply(&result, seen.id.as_ref(), seen.version));
        }
    }
    // An empty batch is answered with an empty list, as old clients expect.
    if replies.is_empty() && !calls.is_empty() {
        return Reply::empty(204);
    }
    json(200, format!("[{}]", replies.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_their_part() {
        for (target, rest, expected) in [
            ("/", false, Some(Route::Rpc)),
            ("/wallet/", false, Some(Route::Rpc)),
            ("/wallet/a%20b", false, Some(Route::Rpc)),
            ("/x", false, None),
            ("/rest/chaininfo.json", false, None),
            ("/rest/chaininfo.json", true, Some(Route::Rest)),
        ] {
            assert_eq!(route(target, rest), expected, "{target}");
        }
    }
}
