//! logging: which categories every process writes

use bulkhead_control::log::{CATEGORIES, levels};
use bulkhead_control::{LogLevel, Request};
use serde_json::{Map, Value};

use super::{ask, param};
use crate::arguments::type_name;
use crate::door::Door;
use crate::jsonrpc::{CallError, CallResult, code};

/// The level of a category that this method switches on.
const SWITCHED_ON: &str = "debug";

pub(super) async fn logging(door: &Door, params: &[Value]) -> CallResult {
    let before = levels();
    let mut after = before.clone();
    switch(&mut after, param(params, 0), true)?;
    switch(&mut after, param(params, 1), false)?;
    if after != before {
        ask(door, Request::Logging(after.clone())).await?;
    }
    let shown: Map<String, Value> = CATEGORIES
        .iter()
        .map(|name| ((*name).to_owned(), Value::Bool(after.iter().any(|level| level.category == *name))))
        .collect();
    Ok(Value::Object(shown).to_string())
}

fn switch(levels: &mut Vec<LogLevel>, names: &Value, on: bool) -> Result<(), CallError> {
    for name in names.as_array().into_iter().flatten() {
        let name = name.as_str().ok_or_else(|| {
            CallError::new(code::TYPE, format!("JSON value of type {} is not of expected type string", type_name(name)))
        })?;
        let chosen: Vec<&str> = match name {
            "" | "1" | "all" => CATEGORIES.to_vec(),
            // Accepted for old scripts; there is nothing to switch.
            "libevent" => {
                tracing::warn!(
                    "The logging category `{name}` is deprecated, does nothing, and will be removed in a future version"
                );
                Vec::new()
            }
            _ if CATEGORIES.contains(&name) => vec![name],
            _ => return Err(CallError::new(code::INVALID_PARAMETER, format!("unknown logging category {name}"))),
        };
        for name in chosen {
            let known = levels.iter().position(|level| level.category == name);
            match (on, known) {
                (true, None) => levels.push(LogLevel { category: name.into(), level: SWITCHED_ON.into() }),
                (false, Some(position)) => drop(levels.remove(position)),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    #[test]
    fn categories_are_switched_by_name_and_all_together() {
        let mut levels = vec![LogLevel { category: "net".into(), level: "trace".into() }];
        switch(&mut levels, &json!(["net", "rpc"]), true).unwrap();
        assert_eq!(levels.len(), 2);
        assert_eq!(levels[0].level, "trace");
        switch(&mut levels, &json!(["net"]), false).unwrap();
        assert_eq!(levels[0].category, "rpc");
        switch(&mut levels, &json!(["all"]), true).unwrap();
        assert_eq!(levels.len(), CATEGORIES.len());
        assert_eq!(switch(&mut levels, &json!(["x"]), true).unwrap_err().message, "unknown logging category x");
    }
}
