//! Reading positional parameters with the type errors that clients know.
//!
//! A missing parameter and JSON `null` are the same thing everywhere.

use crate::error::{RpcError, RpcResult};
use serde_json::Value;

/// Name of a JSON type as error messages spell it.
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

/// The `-3` error for a value of the wrong type.
pub fn wrong_type(value: &Value, expected: &str) -> RpcError {
    RpcError::type_error(format!("JSON value of type {} is not of expected type {expected}", type_name(value)))
}

/// A string, or the type error.
pub fn as_str(value: &Value) -> RpcResult<&str> {
    value.as_str().ok_or_else(|| wrong_type(value, "string"))
}

/// A boolean, or the type error.
pub fn as_bool(value: &Value) -> RpcResult<bool> {
    value.as_bool().ok_or_else(|| wrong_type(value, "bool"))
}

/// An array, or the type error.
pub fn as_array(value: &Value) -> RpcResult<&Vec<Value>> {
    value.as_array().ok_or_else(|| wrong_type(value, "array"))
}

/// An object, or the type error.
pub fn as_object(value: &Value) -> RpcResult<&serde_json::Map<String, Value>> {
    value.as_object().ok_or_else(|| wrong_type(value, "object"))
}

/// An integer of any width: no fraction, no exponent, in range.
pub fn as_int<T: std::str::FromStr>(value: &Value) -> RpcResult<T> {
    let Value::Number(number) = value else { return Err(wrong_type(value, "number")) };
    number.to_string().parse().map_err(|_| RpcError::misc("JSON integer out of range"))
}

/// A floating point number.
pub fn as_f64(value: &Value) -> RpcResult<f64> {
    let Value::Number(number) = value else { return Err(wrong_type(value, "number")) };
    number.to_string().parse().map_err(|_| RpcError::misc("JSON double out of range"))
}

/// JSON type that a parameter must have, as the method table declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgKind {
    /// Text or hex.
    Str,
    /// Any number.
    Num,
    /// true or false.
    Bool,
    /// Object.
    Obj,
    /// Array.
    Arr,
    /// Number or text; checked by the method.
    Amount,
    /// Number or pair; checked by the method.
    Range,
    /// Anything; checked by the method.
    Any,
}

impl ArgKind {
    fn expected(self) -> Option<&'static str> {
        match self {
            ArgKind::Str => Some("string"),
            ArgKind::Num => Some("number"),
            ArgKind::Bool => Some("bool"),
            ArgKind::Obj => Some("object"),
            ArgKind::Arr => Some("array"),
            ArgKind::Amount | ArgKind::Range | ArgKind::Any => None,
        }
    }
}

/// One declared parameter.
#[derive(Debug, Clone, Copy)]
pub struct ArgSpec {
    /// Name with its aliases (`a|b`).
    pub name: &'static str,
    /// Accepted type.
    pub kind: ArgKind,
    /// Whether the call is refused without it.
    pub required: bool,
}

/// Positional parameters of one call.
#[derive(Debug, Clone, Default)]
pub struct Params {
    values: Vec<Value>,
}

impl Params {
    /// Wraps the array of a request.
    pub fn new(values: Vec<Value>) -> Self {
        Self { values }
    }

    /// How many were given.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether none was given.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// All values in order.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Refuses a wrong number of parameters (`-1`, the help text) and wrong types (`-3`, one line for each).
    ///
    /// # Errors
    /// The two above.
    pub fn check(&self, specs: &[ArgSpec], help: impl FnOnce() -> String) -> RpcResult<()> {
        let required = specs.iter().rposition(|spec| spec.required).map_or(0, |last| last + 1);
        if self.values.len() < required || self.values.len() > specs.len() {
            return Err(RpcError::misc(help()));
        }
        let mut mismatches = Vec::new();
        for (i, spec) in specs.iter().enumerate() {
            let value = self.get(i);
            let Some(expected) = spec.kind.expected() else { continue };
            if (value.is_null() && !spec.required) || type_name(value) == expected {
                continue;
            }
            mismatches.push(format!("    \"Position {} ({})\": \"{}\"", i + 1, spec.name, wrong_type(value, expected).message));
        }
        if mismatches.is_empty() {
            return Ok(());
        }
        Err(RpcError::type_error(format!("Wrong type passed:\n{{\n{}\n}}", mismatches.join(",\n"))))
    }

    /// The value at `i`, `null` if it was left out.
    pub fn get(&self, i: usize) -> &Value {
        self.values.get(i).unwrap_or(&Value::Null)
    }

    /// Whether `i` was left out.
    pub fn is_null(&self, i: usize) -> bool {
        self.get(i).is_null()
    }

    fn optional<'a, T>(&'a self, i: usize, read: impl FnOnce(&'a Value) -> RpcResult<T>) -> RpcResult<Option<T>> {
        let value = self.get(i);
        if value.is_null() { Ok(None) } else { read(value).map(Some) }
    }

    /// Required text.
    pub fn str(&self, i: usize) -> RpcResult<&str> {
        as_str(self.get(i))
    }

    /// Text, if given.
    pub fn opt_str(&self, i: usize) -> RpcResult<Option<&str>> {
        self.optional(i, as_str)
    }

    /// Required boolean.
    pub fn bool(&self, i: usize) -> RpcResult<bool> {
        as_bool(self.get(i))
    }

    /// Boolean, if given.
    pub fn opt_bool(&self, i: usize) -> RpcResult<Option<bool>> {
        self.optional(i, as_bool)
    }

    /// Required integer.
    pub fn int<T: std::str::FromStr>(&self, i: usize) -> RpcResult<T> {
        as_int(self.get(i))
    }

    /// Integer, if given.
    pub fn opt_int<T: std::str::FromStr>(&self, i: usize) -> RpcResult<Option<T>> {
        self.optional(i, as_int)
    }

    /// Required number.
    pub fn f64(&self, i: usize) -> RpcResult<f64> {
        as_f64(self.get(i))
    }

    /// Number, if given.
    pub fn opt_f64(&self, i: usize) -> RpcResult<Option<f64>> {
        self.optional(i, as_f64)
    }

    /// Required array.
    pub fn array(&self, i: usize) -> RpcResult<&Vec<Value>> {
        as_array(self.get(i))
    }

    /// Array, if given.
    pub fn opt_array(&self, i: usize) -> RpcResult<Option<&Vec<Value>>> {
        self.optional(i, as_array)
    }

    /// Required object.
    pub fn object(&self, i: usize) -> RpcResult<&serde_json::Map<String, Value>> {
        as_object(self.get(i))
    }

    /// Object, if given.
    pub fn opt_object(&self, i: usize) -> RpcResult<Option<&serde_json::Map<String, Value>>> {
        self.optional(i, as_object)
    }

    /// Verbosity as number or boolean (`true` is 1).
    pub fn verbosity(&self, i: usize, default: i32, allow_bool: bool) -> RpcResult<i32> {
        match self.get(i) {
            Value::Null => Ok(default),
            Value::Bool(_) if !allow_bool => Err(RpcError::type_error("Verbosity was boolean but only integer allowed")),
            Value::Bool(flag) => Ok(i32::from(*flag)),
            value => as_int(value),
        }
    }
}

/// Checks the members of an object: presence, types, and with `strict` that there are no others.
///
/// `ArgKind::Any` and the like accept every type.
pub fn check_object(
    object: &serde_json::Map<String, Value>,
    expected: &[(&str, ArgKind)],
    allow_null: bool,
    strict: bool,
) -> RpcResult<()> {
    // Core walks an ordered map, so the first complaint is about the alphabetically first member.
    let mut sorted: Vec<_> = expected.to_vec();
    sorted.sort_by_key(|(name, _)| *name);
    for (name, kind) in sorted {
        let value = object.get(name).unwrap_or(&Value::Null);
        if !allow_null && value.is_null() {
            return Err(RpcError::type_error(format!("Missing {name}")));
        }
        let Some(want) = kind.expected() else { continue };
        if type_name(value) != want && !(allow_null && value.is_null()) {
            return Err(RpcError::type_error(format!(
                "JSON value of type {} for field {name} is not of expected type {want}",
                type_name(value)
            )));
        }
    }
    if strict && let Some(key) = object.keys().find(|key| !expected.iter().any(|(name, _)| name == key)) {
        return Err(RpcError::type_error(format!("Unexpected key {key}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    #[test]
    fn wrong_types_are_listed_by_position() {
        let specs = [
            ArgSpec { name: "nblocks", kind: ArgKind::Num, required: true },
            ArgSpec { name: "address", kind: ArgKind::Str, required: true },
            ArgSpec { name: "maxtries", kind: ArgKind::Num, required: false },
        ];
        let error = Params::new(vec![json!("1"), json!(true)]).check(&specs, String::new).unwrap_err();
        assert_eq!(error.code, -3);
        assert_eq!(
            error.message,
            "Wrong type passed:\n{\n    \"Position 1 (nblocks)\": \"JSON value of type string is not of expected type number\",\n    \"Position 2 (address)\": \"JSON value of type bool is not of expected type string\"\n}"
        );
        let error = Params::new(vec![json!(1)]).check(&specs, || "help".into()).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (-1, "help"));
        Params::new(vec![json!(1), json!("a"), Value::Null]).check(&specs, String::new).unwrap();
    }

    #[test]
    fn integers_refuse_fractions_and_overflow() {
        assert_eq!(as_int::<i32>(&json!(7)).unwrap(), 7);
        for bad in ["1.0", "1e2", "2147483648"] {
            let value: Value = serde_json::from_str(bad).unwrap();
            assert_eq!(as_int::<i32>(&value).unwrap_err().message, "JSON integer out of range");
        }
    }
}
