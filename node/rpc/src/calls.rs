//! A JSON body in, a JSON reply out: single calls, batches, whitelists. The same for HTTP and for unix sockets.

use serde_json::Value;

use crate::body::{Body, Member};
use crate::door::{Caller, Door};
use crate::jsonrpc::{self, Call, CallError, CallResult, Partial, Version, code};

/// What a body is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// HTTP status.
    pub status: u16,
    /// JSON text, if there is any.
    pub text: Option<String>,
}

impl Outcome {
    fn empty(status: u16) -> Self {
        Self { status, text: None }
    }

    /// An error that has an HTTP status of its own.
    fn failed(error: CallError, seen: &Partial) -> Self {
        let status = jsonrpc::legacy_status(&error);
        Self { status, text: Some(jsonrpc::reply(&Err(error), seen.id.as_ref(), seen.version)) }
    }
}

/// Executes a body; `None` is one that is not JSON.
pub async fn execute(door: &Door, body: Option<Body>, caller: &Caller) -> Outcome {
    let Some(body) = body else {
        return Outcome::failed(CallError::new(code::PARSE, "Parse error"), &Partial::default());
    };
    if door.whitelist.denies_everything(&caller.user) {
        tracing::warn!("RPC User {} not allowed to call any methods", caller.user);
        return Outcome::empty(403);
    }
    match body {
        Body::Single(member) => single(door, member, caller).await,
        Body::Batch(members) => batch(door, members, caller).await,
        Body::Other => Outcome::failed(CallError::new(code::PARSE, "Top-level object parse error"), &Partial::default()),
    }
}

fn log_call(call: &Call, caller: &Caller) {
    let id = match &call.id {
        Some(Value::String(id)) => jsonrpc::sanitize(id),
        Some(id @ Value::Number(_)) => jsonrpc::sanitize(&id.to_string()),
        _ => String::new(),
    };
    tracing::debug!(target: "rpc", "ThreadRPCServer method={} user={} id={id}", jsonrpc::sanitize(&call.method), caller.user);
}

async fn single(door: &Door, member: Member, caller: &Caller) -> Outcome {
    let mut seen = Partial::default();
    let call = match jsonrpc::parse(member, &mut seen) {
        Ok(call) => call,
        Err(error) => return Outcome::failed(error, &seen),
    };
    log_call(&call, caller);
    if !door.whitelist.allows(&caller.user, &call.method) {
        tracing::warn!("RPC User {} not allowed to call method {}", caller.user, call.method);
        return Outcome::empty(403);
    }
    let result = door.execute(&call, caller).await;
    if call.is_notification() {
        return Outcome::empty(204);
    }
    match (result, call.version) {
        (Err(error), Version::Legacy) => Outcome::failed(error, &seen),
        (result, version) => Outcome { status: 200, text: Some(jsonrpc::reply(&result, call.id.as_ref(), version)) },
    }
}

/// A batch is answered with 200 whatever its calls answer.
async fn batch(door: &Door, members: Vec<Member>, caller: &Caller) -> Outcome {
    if door.whitelist.has_list(&caller.user) {
        for member in &members {
            let Member::Object(object, _) = member else {
                return Outcome::failed(CallError::new(code::INVALID_REQUEST, "Invalid Request object"), &Partial::default());
            };
            let method = object.get("method").and_then(Value::as_str).unwrap_or_default();
            if !door.whitelist.allows(&caller.user, method) {
                tracing::warn!("RPC User {} not allowed to call method {method}", caller.user);
                return Outcome::empty(403);
            }
        }
    }
    let is_empty = members.is_empty();
    let mut replies = Vec::new();
    for member in members {
        let mut seen = Partial::default();
        let (result, notification): (CallResult, bool) = match jsonrpc::parse(member, &mut seen) {
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
    if replies.is_empty() && !is_empty {
        return Outcome::empty(204);
    }
    Outcome { status: 200, text: Some(format!("[{}]", replies.join(","))) }
}
