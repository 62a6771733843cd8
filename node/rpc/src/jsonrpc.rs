//! The envelope of JSON-RPC 1.0, 1.1 and 2.0 as Core reads and writes it (src/rpc/request.cpp). Pure.

use serde_json::Value;

use crate::body::{Member, Params};

/// JSON-RPC error codes that the front door gives itself.
pub mod code {
    /// Help texts and unclassified errors.
    pub const MISC: i32 = -1;
    /// Wrong JSON type.
    pub const TYPE: i32 = -3;
    /// Unknown or repeated argument.
    pub const INVALID_PARAMETER: i32 = -8;
    /// The node is stopping.
    pub const NOT_CONNECTED: i32 = -9;
    /// The node is starting.
    pub const WARMUP: i32 = -28;
    /// The request object is malformed.
    pub const INVALID_REQUEST: i32 = -32600;
    /// No such method.
    pub const METHOD_NOT_FOUND: i32 = -32601;
    /// A process that should answer does not.
    pub const INTERNAL: i32 = -32603;
    /// Not JSON.
    pub const PARSE: i32 = -32700;
}

/// An error as it goes to the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct CallError {
    /// JSON-RPC error code.
    pub code: i32,
    /// Text.
    pub message: String,
}

impl From<bulkhead_rpc_util::RpcError> for CallError {
    fn from(error: bulkhead_rpc_util::RpcError) -> Self {
        Self::new(error.code, error.message)
    }
}

impl CallError {
    /// An error of any code.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// What every method answers that does not exist.
    #[must_use]
    pub fn method_not_found() -> Self {
        Self::new(code::METHOD_NOT_FOUND, "Method not found")
    }

    fn invalid_request(message: &str) -> Self {
        Self::new(code::INVALID_REQUEST, message)
    }
}

/// What a method answers: the JSON text of its result, or an error. Text, because results of other processes pass
/// through without being taken apart.
pub type CallResult = Result<String, CallError>;

/// Rules of the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Version {
    /// 1.0 and 1.1: result and error are both there, errors have HTTP codes.
    #[default]
    Legacy,
    /// 2.0.
    Two,
}

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Rules of the reply.
    pub version: Version,
    /// Its id; `None` when the member is absent.
    pub id: Option<Value>,
    /// Method.
    pub method: String,
    /// By position or by name.
    pub params: Params,
}

/// What was understood of a request before it turned out to be wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Partial {
    /// Rules of the reply.
    pub version: Version,
    /// Its id; `None` when the member is absent.
    pub id: Option<Value>,
}

impl Default for Partial {
    /// Before anything was read the id counts as null, not as absent.
    fn default() -> Self {
        Self { version: Version::Legacy, id: Some(Value::Null) }
    }
}

impl Call {
    /// A 2.0 call without an id wants no reply.
    #[must_use]
    pub fn is_notification(&self) -> bool {
        self.version == Version::Two && self.id.is_none()
    }
}

/// Reads one call. `seen` holds what the reply to a wrong call needs.
///
/// # Errors
/// Core's texts for requests that are no calls.
pub fn parse(request: Member, seen: &mut Partial) -> Result<Call, CallError> {
    let Member::Object(object, params) = request else {
        return Err(CallError::invalid_request("Invalid Request object"));
    };
    seen.id = object.get("id").cloned();
    seen.version = Version::Legacy;
    match object.get("jsonrpc") {
        None | Some(Value::Null) => {}
        Some(Value::String(version)) => match version.as_str() {
            "1.0" => {}
            "2.0" => seen.version = Version::Two,
            _ => return Err(CallError::invalid_request("JSON-RPC version not supported")),
        },
        Some(_) => return Err(CallError::invalid_request("jsonrpc field must be a string")),
    }
    let method = match object.get("method") {
        None | Some(Value::Null) => return Err(CallError::invalid_request("Missing method")),
        Some(Value::String(method)) => method.clone(),
        Some(_) => return Err(CallError::invalid_request("Method must be a string")),
    };
    let params = match params {
        Params::Absent => Params::List(Vec::new()),
        Params::Wrong => return Err(CallError::invalid_request("Params must be an array or object")),
        given => given,
    };
    Ok(Call { version: seen.version, id: seen.id.clone(), method, params })
}

/// The reply object to a call, as text.
#[must_use]
pub fn reply(result: &CallResult, id: Option<&Value>, version: Version) -> String {
    let legacy = version == Version::Legacy;
    let mut text = String::with_capacity(result.as_ref().map_or(0, String::len) + 64);
    text.push('{');
    if !legacy {
        text.push_str("\"jsonrpc\":\"2.0\",");
    }
    match result {
        Ok(result) => {
            text.push_str("\"result\":");
            text.push_str(result);
            if legacy {
                text.push_str(",\"error\":null");
            }
        }
        Err(error) => {
            if legacy {
                text.push_str("\"result\":null,");
            }
            text.push_str("\"error\":{\"code\":");
            text.push_str(&error.code.to_string());
            text.push_str(",\"message\":");
            text.push_str(&Value::String(error.message.clone()).to_string());
            text.push('}');
        }
    }
    if let Some(id) = id {
        text.push_str(",\"id\":");
        text.push_str(&id.to_string());
    }
    text.push('}');
    text
}

/// The HTTP status of an error under the rules of 1.x.
#[must_use]
pub fn legacy_status(error: &CallError) -> u16 {
    match error.code {
        code::INVALID_REQUEST => 400,
        code::METHOD_NOT_FOUND => 404,
        _ => 500,
    }
}

/// Only letters that are safe in a log (Core's `SanitizeString`).
#[must_use]
pub fn sanitize(text: &str) -> String {
    text.chars().filter(|letter| letter.is_ascii_alphanumeric() || " .,;-_/:?@()".contains(*letter)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    fn member(request: &Value) -> Member {
        serde_json::from_str(&request.to_string()).unwrap()
    }

    fn error_of(request: &Value) -> String {
        parse(member(request), &mut Partial::default()).unwrap_err().message
    }

    #[test]
    fn versions_decide_the_shape_of_replies() {
        let ok: CallResult = Ok("5".into());
        let bad: CallResult = Err(CallError::new(-8, "no \"x\""));
        assert_eq!(reply(&ok, Some(&json!(1)), Version::Legacy), r#"{"result":5,"error":null,"id":1}"#);
        assert_eq!(reply(&ok, Some(&json!("a")), Version::Two), r#"{"jsonrpc":"2.0","result":5,"id":"a"}"#);
        assert_eq!(reply(&bad, None, Version::Legacy), r#"{"result":null,"error":{"code":-8,"message":"no \"x\""}}"#);
        assert_eq!(
            reply(&bad, Some(&Value::Null), Version::Two),
            r#"{"jsonrpc":"2.0","error":{"code":-8,"message":"no \"x\""},"id":null}"#
        );
    }

    #[test]
    fn malformed_calls_get_cores_texts() {
        for (request, message) in [
            (json!([]), "Invalid Request object"),
            (json!({"jsonrpc": 2, "method": "x"}), "jsonrpc field must be a string"),
            (json!({"jsonrpc": "2.1", "method": "x"}), "JSON-RPC version not supported"),
            (json!({"pizza": "sausage"}), "Missing method"),
            (json!({"method": 1}), "Method must be a string"),
            (json!({"method": "x", "params": 1}), "Params must be an array or object"),
        ] {
            assert_eq!(error_of(&request), message);
        }
    }

    #[test]
    fn a_wrong_call_keeps_its_id() {
        let mut seen = Partial::default();
        assert!(parse(member(&json!({"id": 7, "jsonrpc": "2.0"})), &mut seen).is_err());
        assert_eq!((seen.id, seen.version), (Some(json!(7)), Version::Two));
    }

    #[test]
    fn notifications_are_calls_of_version_two_without_id() {
        let call = |request| parse(member(&request), &mut Partial::default()).unwrap();
        assert!(call(json!({"jsonrpc": "2.0", "method": "x"})).is_notification());
        assert!(!call(json!({"jsonrpc": "2.0", "method": "x", "id": null})).is_notification());
        assert!(!call(json!({"method": "x"})).is_notification());
    }
}
