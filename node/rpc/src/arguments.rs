//! Arguments of a call, by the method table: names to positions, number, JSON types. Pure.

use bulkhead_schema::methods::{Arg, Kind, Method};
use serde_json::{Map, Value};

use crate::jsonrpc::{CallError, code};
use crate::local::text_of;

fn invalid(message: String) -> CallError {
    CallError::new(code::INVALID_PARAMETER, message)
}

/// Turns named arguments into positions (Core's `transformNamedArguments`).
///
/// # Errors
/// Unknown names, and arguments that are given twice.
pub fn positional(method: &Method, given: &[(String, Value)]) -> Result<Vec<Value>, CallError> {
    let mut named = Map::new();
    for (name, value) in given {
        if named.insert(name.clone(), value.clone()).is_some() {
            return Err(invalid(format!("Parameter {name} specified multiple times")));
        }
    }
    let mut positions = Vec::new();
    // Positions left out so far before the next one that is given.
    let mut hole = 0;
    let mut initial_hole = 0;
    let mut first_given: Option<&'static str> = None;
    let mut options = Map::new();
    for (names, is_option) in method.argument_names() {
        let given = names.split('|').find(|name| named.contains_key(*name));
        let given = given.and_then(|name| named.shift_remove(name).map(|value| (name, value)));
        if is_option {
            if let Some((name, value)) = given
                && options.insert(name.to_owned(), value).is_some()
            {
                return Err(invalid(format!("Parameter {name} specified multiple times")));
            }
            continue;
        }
        if options.is_empty() && given.is_none() {
            hole += 1;
            if positions.is_empty() {
                initial_hole = hole;
            }
            continue;
        }
        positions.extend(core::iter::repeat_n(Value::Null, hole));
        hole = 0;
        first_given.get_or_insert(names);
        match (given, options.keys().next()) {
            (Some((name, _)), Some(option)) => {
                return Err(invalid(format!("Parameter {name} conflicts with parameter {option}")));
            }
            (Some((_, value)), None) => positions.push(value),
            (None, _) => positions.push(Value::Object(core::mem::take(&mut options))),
        }
    }
    if matches!(named.get("args"), Some(Value::Array(_)))
        && let Some(Value::Array(mut given)) = named.shift_remove("args")
    {
        if let Some(name) = first_given.filter(|_| initial_hole < given.len()) {
            return Err(invalid(format!("Parameter {name} specified twice both as positional and named argument")));
        }
        let before = given.len();
        given.extend(positions.into_iter().skip(before));
        positions = given;
    }
    match named.keys().next() {
        Some(name) => Err(invalid(format!("Unknown named parameter {name}"))),
        None => Ok(positions),
    }
}

/// JSON type names as Core's texts use them.
#[must_use]
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn expected(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Str | Kind::Hex => Some("string"),
        Kind::Num => Some("number"),
        Kind::Bool => Some("bool"),
        Kind::Obj | Kind::Named | Kind::UserKeys => Some("object"),
        Kind::Arr => Some("array"),
        // The owner accepts two types each and checks them itself.
        Kind::Amount | Kind::Range => None,
    }
}

fn mismatch(arg: &Arg, value: &Value) -> Option<String> {
    if arg.unchecked || (arg.is_optional() && value.is_null()) {
        return None;
    }
    let (expected, found) = (expected(arg.kind)?, type_name(value));
    (expected != found).then(|| format!("JSON value of type {found} is not of expected type {expected}"))
}

/// Checks number and JSON types of positional arguments.
///
/// # Errors
/// The help text for a wrong number, and a list of positions for wrong types.
pub fn check(method: &Method, params: &[Value]) -> Result<(), CallError> {
    if !method.accepts_count(params.len()) {
        return Err(CallError::new(code::MISC, text_of(method)));
    }
    let wrong: Vec<String> = method
        .args
        .iter()
        .enumerate()
        .filter_map(|(index, arg)| {
            let problem = mismatch(arg, params.get(index).unwrap_or(&Value::Null))?;
            Some(format!("    {}: {}", Value::from(format!("Position {} ({})", index + 1, arg.names)), Value::from(problem)))
        })
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(CallError::new(code::TYPE, format!("Wrong type passed:\n{{\n{}\n}}", wrong.join(",\n"))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bulkhead_schema::methods::find;
    use serde_json::json;

    fn positions(method: &str, named: Value) -> Result<Value, String> {
        let named: Vec<_> = named.as_object().unwrap().clone().into_iter().collect();
        positional(find(method).unwrap(), &named).map(Value::Array).map_err(|error| error.message)
    }

    #[test]
    fn names_become_positions_and_holes_become_null() {
        assert_eq!(positions("echo", json!({})), Ok(json!([])));
        assert_eq!(positions("echo", json!({"arg1": 1})), Ok(json!([null, 1])));
        assert_eq!(
            positions("echo", json!({"arg9": null})),
            Ok(json!([null, null, null, null, null, null, null, null, null, null]))
        );
        assert_eq!(positions("getblock", json!({"verbose": 2, "blockhash": "h"})), Ok(json!(["h", 2])));
    }

    #[test]
    fn positional_arguments_may_be_mixed_in() {
        assert_eq!(positions("echo", json!({"args": [0, 1, 2], "arg3": 3})), Ok(json!([0, 1, 2, 3])));
        assert_eq!(positions("echo", json!({"args": [0], "arg2": 2})), Ok(json!([0, null, 2])));
        assert_eq!(
            positions("echo", json!({"args": [0, 1], "arg1": 1})),
            Err("Parameter arg1 specified twice both as positional and named argument".into())
        );
    }

    #[test]
    fn options_may_be_given_by_name() {
        assert_eq!(
            positions("sendall", json!({"recipients": [], "send_max": true})),
            Ok(json!([[], null, null, null, {"send_max": true}]))
        );
        assert_eq!(
            positions("sendall", json!({"recipients": [], "send_max": true, "options": {}})),
            Err("Parameter options conflicts with parameter send_max".into())
        );
    }

    #[test]
    fn a_name_may_be_given_once() {
        let twice = [("args".to_owned(), json!(1)), ("args".to_owned(), json!([2]))];
        let error = positional(find("echo").unwrap(), &twice).unwrap_err();
        assert_eq!(error.message, "Parameter args specified multiple times");
    }

    #[test]
    fn unknown_names_are_refused() {
        assert_eq!(positions("getblockcount", json!({"x": 1})), Err("Unknown named parameter x".into()));
        assert_eq!(positions("getblockcount", json!({"args": 1})), Err("Unknown named parameter args".into()));
    }

    #[test]
    fn wrong_types_are_listed_by_position() {
        let error = check(find("getblockhash").unwrap(), &[json!("x")]).unwrap_err();
        assert_eq!(
            (error.code, error.message.as_str()),
            (
                -3,
                "Wrong type passed:\n{\n    \"Position 1 (height)\": \"JSON value of type string is not of expected type number\"\n}"
            )
        );
        assert_eq!(check(find("getblockhash").unwrap(), &[json!(1)]), Ok(()));
        assert_eq!(check(find("getblock").unwrap(), &[json!("h"), Value::Null]), Ok(()));
    }

    #[test]
    fn a_wrong_number_gives_help() {
        let error = check(find("getblockcount").unwrap(), &[json!(1)]).unwrap_err();
        assert_eq!(error.code, -1);
        assert!(error.message.starts_with("getblockcount\n"), "{}", error.message);
    }
}
