//! The tables of ARCHITECTURE.md are those of `policies/` and `schema/`. `BULKHEAD_UPDATE=1` rewrites them.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bulkhead_policies::{FsRight, Policy};

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("ARCHITECTURE.md")
}

/// The text between `<!-- table:name -->` and the next blank line followed by a heading.
fn compare(name: &str, expected: &str) {
    let text = std::fs::read_to_string(file()).unwrap();
    let marker = format!("<!-- table:{name} -->\n");
    let start = text.find(&marker).unwrap_or_else(|| panic!("no marker for {name}")) + marker.len();
    let end = start + text[start..].find("\n## ").unwrap();
    if std::env::var_os("BULKHEAD_UPDATE").is_some() {
        std::fs::write(file(), format!("{}{expected}{}", &text[..start], &text[end..])).unwrap();
        return;
    }
    assert_eq!(&text[start..end], expected, "run the test with BULKHEAD_UPDATE=1 and review the difference");
}

fn writes(policy: &Policy) -> String {
    let rights = |path: &bulkhead_policies::PathRule| {
        let write = path.rights.iter().any(|right| !matches!(right, FsRight::ReadFile | FsRight::ReadDir | FsRight::Execute));
        let execute = path.rights.contains(&FsRight::Execute);
        format!(
            "{} ({})",
            path.name,
            if write {
                "write"
            } else if execute {
                "execute"
            } else {
                "read"
            }
        )
    };
    let paths: Vec<String> = policy.paths.iter().map(rights).collect();
    if paths.is_empty() { "none".into() } else { paths.join(", ") }
}

#[test]
fn the_table_of_processes_equals_the_policies() {
    let mut table = String::from(
        "| Process | Job | Edges | Files | Namespaces | Capabilities | System calls (of which filtered by argument) |\n|---|---|---|---|---|---|---|\n",
    );
    for policy in bulkhead_policies::ALL {
        let namespaces: Vec<&str> = policy.namespaces.iter().map(|namespace| namespace.name()).collect();
        let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
        writeln!(
            table,
            "| `{}` ({}) | {} | {} | {} | {} | {} | {} ({}) |",
            policy.binary,
            policy.name,
            policy.purpose,
            or_none(policy.edges.join(", ")),
            writes(policy),
            or_none(namespaces.join(" ")),
            or_none(policy.capabilities.join(" ")),
            policy.allowed_syscalls,
            policy.filtered_syscalls
        )
        .unwrap();
    }
    compare("processes", &table);
}

#[test]
fn the_table_of_edges_equals_the_limits() {
    let mut table =
        String::from("| Edge | Largest message | Nesting | Calls in flight | Beyond that | Why |\n|---|---|---|---|---|---|\n");
    for edge in bulkhead_schema::limits::EDGES {
        writeln!(
            table,
            "| {} | {} MiB | {} | {} | {:?} | {} |",
            edge.name,
            edge.max_message_bytes / (1024 * 1024),
            edge.nesting,
            edge.max_in_flight,
            edge.at_bound,
            edge.reason
        )
        .unwrap();
    }
    compare("edges", &table);
}

#[test]
fn every_edge_of_a_policy_has_limits_and_a_schema() {
    for policy in bulkhead_policies::ALL {
        for edge in policy.edges {
            assert!(bulkhead_schema::limits::edge(edge).is_some(), "{}: {edge} has no limits", policy.name);
        }
    }
}
