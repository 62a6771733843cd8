//! help

use bulkhead_control::log::CATEGORIES;
use bulkhead_schema::methods::{Arg, Kind, Method, all, command_list, find, help_of};
use serde_json::{Value, json};

use super::param;
use crate::door::Door;
use crate::jsonrpc::CallResult;

/// Methods that Core lacks: clients of Core have no conversions for them.
const OURS: &[&str] = &["getsandboxinfo", "ipcbench"];

/// The help of a method, with what only a running program knows.
pub(crate) fn text_of(method: &Method) -> String {
    let mut text = help_of(method);
    if method.name == "logging" {
        text.push_str(&format!("\nThe valid logging categories are: {}\n", CATEGORIES.join(", ")));
    }
    text
}

pub(super) fn help(door: &Door, params: &[Value]) -> CallResult {
    let topic = param(params, 0).as_str().unwrap_or("");
    let text = match topic {
        "dump_all_command_conversions" => return Ok(conversions(|method| door.has(method)).to_string()),
        "" => command_list(|method| door.has(method)),
        name => match find(name).filter(|method| door.has(method)) {
            Some(method) => text_of(method),
            None => format!("help: unknown command: {name}"),
        },
    };
    Ok(Value::String(text).to_string())
}

/// For tests: every argument as `[method, position, name, is text]`.
fn conversions(shown: impl Fn(&Method) -> bool) -> Value {
    let in_core = |method: &Method| !OURS.contains(&method.name);
    let mut methods: Vec<&Method> = all().filter(|method| in_core(method) && shown(method)).collect();
    methods.sort_by_key(|method| method.name);
    let mut rows = Vec::new();
    for method in methods {
        for (position, arg) in method.args.iter().enumerate() {
            let mut push =
                |arg: &Arg| rows.extend(arg.names.split('|').map(|name| json!([method.name, position, name, arg.is_text()])));
            push(arg);
            if arg.kind == Kind::Named {
                arg.inner.iter().for_each(push);
            }
        }
    }
    Value::Array(rows)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_help_of_logging_lists_the_categories() {
        assert!(text_of(find("logging").unwrap()).contains("valid logging categories are: addrman, bench, "));
        assert_eq!(text_of(find("stop").unwrap()), help_of(find("stop").unwrap()));
    }

    #[test]
    fn conversions_list_aliases_and_option_keys() {
        let rows = conversions(|_| true);
        for row in [
            json!(["getblock", 1, "verbosity", false]),
            json!(["getblock", 1, "verbose", false]),
            json!(["sendall", 4, "send_max", false]),
            json!(["getblock", 0, "blockhash", true]),
        ] {
            assert!(rows.as_array().is_some_and(|rows| rows.contains(&row)), "{row}");
        }
    }
}
