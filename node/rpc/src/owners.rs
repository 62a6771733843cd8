//! Calls to the processes that own the methods.

use std::cell::Cell;
use std::rc::Rc;

use bulkhead_link::Peer;
use bulkhead_planted::{Fault, planted};
use bulkhead_schema::decode;
use bulkhead_schema::limits::edge;
use bulkhead_schema::methods::Owner;
use bulkhead_schema::wire::{rpc_chain_capnp::rpc_chain, rpc_net_capnp::rpc_net, rpc_wallet_capnp::rpc_wallet};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::attention::Attention;
use crate::jsonrpc::{CallError, CallResult, code};

/// The other processes, each of which may be away for a moment.
#[derive(Clone)]
pub struct Owners {
    /// `bitcoin-chain`.
    pub chain: Peer<rpc_chain::Client>,
    /// `bitcoin-net`.
    pub net: Peer<rpc_net::Client>,
    /// `bitcoin-wallet`.
    pub wallet: Peer<rpc_wallet::Client>,
    /// A call to chain was cut off: calls hear of it a moment before the connection is known to be closed.
    chain_cut: Rc<Cell<bool>>,
    attention: Rc<[Attention; 3]>,
}

impl Default for Owners {
    fn default() -> Self {
        Self {
            chain: Peer::new("bitcoin-chain"),
            net: Peer::new("bitcoin-net"),
            wallet: Peer::new("bitcoin-wallet"),
            chain_cut: Rc::default(),
            attention: Rc::new(["rpc-chain", "rpc-net", "rpc-wallet"].map(Attention::new)),
        }
    }
}

impl Owners {
    /// Whether chain was there and is gone, which ends the node.
    #[must_use]
    pub fn chain_is_lost(&self) -> bool {
        self.chain_cut.get() || self.chain.closed().is_ok_and(|closed| closed.is_closed())
    }
}

fn broken(process: &str, problem: impl core::fmt::Display) -> CallError {
    CallError::new(code::INTERNAL, format!("{process} did not answer: {problem}"))
}

macro_rules! execute {
    ($peer:expr, $attention:expr, $edge:literal, $process:literal, $cut:expr, $request:expr, $uri:expr, $user:expr) => {{
        let client = $peer.get().map_err(|error| broken($process, error))?;
        let mut call = client.execute_rpc_request();
        call.get().set_request($request);
        call.get().set_uri($uri);
        call.get().set_user($user);
        let answer = async { call.send().promise.await };
        // Any answer to a ping is a sign of life; that the connection has ended is seen by the call itself.
        let ping = async || {
            let _ = client.ping_request().send().promise.await;
        };
        let answer = $attention.attend(answer, ping).await.map_err(|silent| broken($process, silent))?;
        let response = answer.map_err(|error| {
            $cut.set($cut.get() || error.kind == capnp::ErrorKind::Disconnected);
            broken($process, error.extra)
        })?;
        let text = response.get().and_then(|results| results.get_response()).map_err(|error| broken($process, error.extra))?;
        let limit = edge($edge).map_or(0, |limits| limits.max_message_bytes);
        decode::text("response", text, limit)
            .map_err(|error| broken($process, error))
            .and_then(|text| read_answer($process, text))
    }};
}

impl Owners {
    /// Sends a call to its owner and waits for the answer.
    ///
    /// # Errors
    /// What the owner answers, or that it did not answer.
    pub async fn execute(&self, owner: Owner, method: &str, params: &[Value], uri: &str, user: &str) -> CallResult {
        let request = request_text(method, params);
        let [chain, net, wallet] = &*self.attention;
        match owner {
            Owner::Chain => execute!(self.chain, chain, "rpc-chain", "bitcoin-chain", &self.chain_cut, &request, uri, user),
            // These come back.
            Owner::Net => execute!(self.net, net, "rpc-net", "bitcoin-net", &Cell::new(false), &request, uri, user),
            Owner::Wallet => {
                execute!(self.wallet, wallet, "rpc-wallet", "bitcoin-wallet", &Cell::new(false), &request, uri, user)
            }
            Owner::Rpc => Err(CallError::method_not_found()),
        }
    }
}

fn request_text(method: &str, params: &[Value]) -> String {
    let mut text = format!("{{\"method\":{},\"params\":[", Value::from(method));
    for (index, value) in params.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&value.to_string());
    }
    text.push_str("]}");
    text
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    #[serde(default, deserialize_with = "present")]
    result: Option<Value>,
    error: Option<Failure>,
}

/// Tells a result that is null from no result.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
struct Failure {
    code: i32,
    message: String,
}

/// The answer of an owner, which is not trusted to be well-formed: it is spliced into the reply only when it is JSON.
fn read_answer(process: &str, text: &str) -> CallResult {
    let plain = text.strip_prefix("{\"result\":").and_then(|rest| rest.strip_suffix('}'));
    if let Some(result) = plain
        && (serde_json::from_str::<IgnoredAny>(result).is_ok() || planted(Fault::SplicedAnswer))
    {
        return Ok(result.to_owned());
    }
    match serde_json::from_str::<Answer>(text) {
        Ok(Answer { error: Some(failure), .. }) => Err(CallError::new(failure.code, failure.message)),
        Ok(Answer { result: Some(result), error: None }) => Ok(result.to_string()),
        Ok(Answer { result: None, error: None }) => Err(broken(process, "neither result nor error")),
        Err(error) => Err(broken(process, error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_are_one_json_object() {
        let text = request_text("a\"b", &[json!(1), json!({"x": null})]);
        assert_eq!(text, r#"{"method":"a\"b","params":[1,{"x":null}]}"#);
        assert_eq!(request_text("m", &[]), r#"{"method":"m","params":[]}"#);
    }

    #[test]
    fn results_pass_through_as_text() {
        for (answer, result) in [
            (r#"{"result":1.50000000}"#, "1.50000000"),
            (r#"{"result":null}"#, "null"),
            (r#"{ "result" : [1, 2], "error": null }"#, "[1,2]"),
            (r#"{"result":{"a":{}}}"#, r#"{"a":{}}"#),
        ] {
            assert_eq!(read_answer("x", answer).unwrap(), result);
        }
    }

    #[test]
    fn errors_pass_through_and_nonsense_becomes_one() {
        assert_eq!(read_answer("x", r#"{"error":{"code":-5,"message":"m"}}"#), Err(CallError::new(-5, "m")));
        for nonsense in ["", "{}", "[]", r#"{"result":}"#, r#"{"result":1,"id":2}"#, r#"{"result":1}x}"#, "{\"result\":1},{}"] {
            assert_eq!(read_answer("x", nonsense).unwrap_err().code, code::INTERNAL, "{nonsense}");
        }
    }
}
