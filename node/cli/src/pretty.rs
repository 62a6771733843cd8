//! JSON as Core prints it: two spaces, and an empty list or object takes two lines.

use serde_json::Value;

/// The text of a value.
#[must_use]
pub fn pretty(value: &Value) -> String {
    let mut text = String::new();
    write(value, 1, &mut text);
    text
}

fn write(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push_str("[\n");
            for (index, item) in items.iter().enumerate() {
                indent(depth, text);
                write(item, depth + 1, text);
                text.push_str(if index + 1 < items.len() { ",\n" } else { "\n" });
            }
            indent(depth - 1, text);
            text.push(']');
        }
        Value::Object(members) => {
            text.push_str("{\n");
            for (index, (key, member)) in members.iter().enumerate() {
                indent(depth, text);
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push_str(": ");
                write(member, depth + 1, text);
                text.push_str(if index + 1 < members.len() { ",\n" } else { "\n" });
            }
            indent(depth - 1, text);
            text.push('}');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

fn indent(depth: usize, text: &mut String) {
    text.extend(core::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn values_are_printed_like_cores() {
        let value = serde_json::from_str("{\"a\":[1.50,\"x\"],\"b\":{},\"c\":[]}").unwrap();
        assert_eq!(pretty(&value), "{\n  \"a\": [\n    1.50,\n    \"x\"\n  ],\n  \"b\": {\n  },\n  \"c\": [\n  ]\n}");
        assert_eq!(pretty(&Value::from(5)), "5");
    }
}
