//! The process table out of the JSON of `getsandboxinfo`. The text comes from another process: everything in it
//! is optional, bounded, and shown as plain text.

use bulkhead_widgets::ProcessRow;
use serde_json::Value;

/// More rows than any node has processes.
const MAX_ROWS: usize = 200;
/// Longest name that is shown, in characters.
const MAX_NAME: usize = 40;

/// Reads the table. Malformed text gives an empty one.
pub(crate) fn rows(text: &str) -> Vec<ProcessRow> {
    let Ok(info) = serde_json::from_str::<Value>(text) else { return Vec::new() };
    let Some(processes) = info["processes"].as_array() else { return Vec::new() };
    processes.iter().take(MAX_ROWS).map(row).collect()
}

fn row(process: &Value) -> ProcessRow {
    let number = |field: &str| process[field].as_i64().unwrap_or_default();
    let text = |field: &str| process[field].as_str().unwrap_or_default().chars().take(MAX_NAME).collect::<String>();
    let mut name = format!("bitcoin-{}", text("process"));
    if let Some(wallet) = process["wallet"].as_str() {
        name = format!("{name} {}", wallet.chars().take(MAX_NAME).collect::<String>());
    }
    ProcessRow {
        name,
        pid: number("pid"),
        uid: number("uid"),
        capabilities: text("capabilities"),
        no_new_privs: process["no_new_privs"].as_bool().unwrap_or_default(),
        seccomp: number("seccomp"),
        system_calls: number("allowed_syscalls"),
        landlock: number("landlock_abi"),
        descriptors: process["descriptors"].as_array().and_then(|list| i64::try_from(list.len()).ok()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_per_process() {
        let text = r#"{"processes":[{"process":"net","pid":7,"uid":0,"capabilities":"0000000000000000","no_new_privs":true,
            "seccomp":2,"allowed_syscalls":45,"landlock_abi":7,"descriptors":["3 control","4 log"]},
            {"process":"keystore","wallet":"alice"}]}"#;
        let rows = rows(text);
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].name.as_str(), rows[0].pid, rows[0].system_calls, rows[0].descriptors), ("bitcoin-net", 7, 45, 2));
        assert_eq!(rows[1].name, "bitcoin-keystore alice");
    }

    #[test]
    fn hostile_text_is_no_table() {
        for text in ["", "[", "null", "{\"processes\":7}", "{\"processes\":{}}"] {
            assert!(rows(text).is_empty());
        }
        let long = format!("{{\"processes\":[{}]}}", vec!["{\"process\":1}"; 10_000].join(","));
        assert_eq!(rows(&long).len(), MAX_ROWS);
    }
}
