//! JSON-RPC envelopes of the client.

use serde_json::Value;

use crate::CliError;

/// One call as text. `params` is JSON text, because named parameters may repeat a name.
#[must_use]
pub fn call(method: &str, params: &str, id: &Value) -> String {
    format!("{{\"method\":{},\"params\":{params},\"id\":{id},\"jsonrpc\":\"2.0\"}}", Value::from(method))
}

/// Several calls without parameters; their ids are their positions.
#[must_use]
pub fn batch(methods: &[&str]) -> String {
    let calls: Vec<String> = methods.iter().enumerate().map(|(id, method)| call(method, "null", &Value::from(id))).collect();
    format!("[{}]", calls.join(","))
}

/// The replies to a batch in the order of its calls.
///
/// # Errors
/// Replies that do not belong to the batch.
pub fn batch_replies(reply: &Value, count: usize) -> Result<Vec<Value>, CliError> {
    let replies = reply.as_array().ok_or_else(|| CliError::other("Batch must be an array"))?;
    let mut ordered = vec![Value::Null; count];
    for member in replies {
        if !member.is_object() {
            return Err(CliError::other("Batch member must be an object"));
        }
        let id = member["id"].as_u64().and_then(|id| usize::try_from(id).ok());
        match id.and_then(|id| ordered.get_mut(id)) {
            Some(slot) => *slot = member.clone(),
            None => return Err(CliError::other("Batch member id is larger than batch size")),
        }
    }
    Ok(ordered)
}

/// A string as it is, anything else as JSON.
#[must_use]
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
}

/// Text and exit code of an error object.
#[must_use]
pub fn error_text(error: &Value) -> (String, u8) {
    let code = error["code"].as_i64();
    let mut text = String::new();
    if error.is_object() {
        if !error["code"].is_null() {
            text = format!("error code: {}\n", plain(&error["code"]));
        }
        if let Some(message) = error["message"].as_str() {
            text.push_str("error message:\n");
            text.push_str(message);
        }
        if code == Some(-19) {
            text.push_str(" Or for the CLI, specify the \"-rpcwallet=<walletname>\" option before the command");
            text.push_str(
                " (run \"bitcoin-cli -h\" for help or \"bitcoin-cli listwallets\" to see which wallets are currently loaded).",
            );
        }
    } else {
        text = format!("error: {error}");
    }
    // The system keeps the low byte of an exit code.
    (text, (code.unwrap_or(1).unsigned_abs() & 0xff) as u8)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_have_cores_text_and_code() {
        assert_eq!(error_text(&json!({"code": -8, "message": "m"})), ("error code: -8\nerror message:\nm".into(), 8));
        assert_eq!(error_text(&json!({"code": -32601, "message": "Method not found"})).1, 89);
        assert!(error_text(&json!({"code": -19, "message": "m"})).0.contains("-rpcwallet"));
    }

    #[test]
    fn replies_of_a_batch_are_put_in_order() {
        let replies = batch_replies(&json!([{"id": 1, "result": "b"}, {"id": 0, "result": "a"}]), 2).unwrap();
        assert_eq!((replies[0]["result"].as_str(), replies[1]["result"].as_str()), (Some("a"), Some("b")));
        assert!(
            batch_replies(&json!([{"id": 2}]), 2).is_err()
                && batch_replies(&json!({}), 2).is_err()
                && batch_replies(&json!([1]), 2).is_err()
        );
    }
}
