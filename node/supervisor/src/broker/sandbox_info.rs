//! `getsandboxinfo`: every process with its layers. What the kernel says now comes from /proc; what only the process
//! itself can know (hash of its filters, Landlock) comes from its report.

use crate::family::{Child, Family, State};
use bulkhead_control::{Component, Report};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;

/// The lines of /proc/PID/status.
fn status(pid: i32) -> BTreeMap<String, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect()
}

/// Open descriptors now: "3 socket:[1234]". `None` when the kernel does not let us look (undumpable process of
/// another user).
fn descriptors(pid: i32) -> Option<Vec<String>> {
    let mut found: Vec<(i32, String)> = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let target = fs::read_link(entry.path()).map(|target| target.to_string_lossy().into_owned());
        if let (Some(number), Ok(target)) = (number, target) {
            found.push((number, target));
        }
    }
    // A process that hides them shows an empty folder; ours always have some.
    if found.is_empty() {
        return None;
    }
    found.sort();
    Some(found.into_iter().map(|(number, target)| format!("{number} {target}")).collect())
}

fn row(name: &str, wallet: Option<&str>, pid: i32, report: &Report, state: &str) -> Value {
    let status = status(pid);
    let number = |key: &str| status.get(key).and_then(|value| value.split_whitespace().next()?.parse::<i64>().ok());
    let mut row = Map::new();
    row.insert("process".into(), json!(name));
    if let Some(wallet) = wallet {
        row.insert("wallet".into(), json!(wallet));
    }
    row.insert("pid".into(), json!(pid));
    row.insert("state".into(), json!(state));
    row.insert("uid".into(), json!(number("Uid").unwrap_or_else(|| i64::from(report.uid))));
    row.insert("mode".into(), json!(report.mode));
    row.insert("capabilities".into(), json!(status.get("CapEff").unwrap_or(&report.capabilities)));
    row.insert("no_new_privs".into(), json!(number("NoNewPrivs").map_or(report.no_new_privs, |value| value == 1)));
    row.insert("seccomp".into(), json!(number("Seccomp").unwrap_or_else(|| i64::from(report.seccomp_mode))));
    row.insert("seccomp_filters".into(), json!(number("Seccomp_filters")));
    row.insert("filter_hash".into(), json!(report.filter_hash));
    row.insert("allowed_syscalls".into(), json!(report.allowed_syscalls));
    row.insert("filtered_syscalls".into(), json!(report.filtered_syscalls));
    row.insert("landlock_abi".into(), json!(report.landlock_abi));
    row.insert("landlock_rights".into(), json!(report.landlock_rights));
    row.insert("namespaces".into(), json!(report.namespaces));
    row.insert("dumpable".into(), json!(report.dumpable));
    row.insert("threads".into(), json!(number("Threads")));
    row.insert("descriptors".into(), json!(descriptors(pid).unwrap_or_else(|| report.descriptors.clone())));
    row.insert("missing".into(), json!(report.missing));
    Value::Object(row)
}

fn child_row(child: &Child) -> Value {
    let nothing = Report::default();
    let wallet = (child.component == Component::Keystore).then_some(child.instance.as_str());
    let state = match child.state {
        State::Born => "starting",
        State::Confined => "confined",
        State::Ready => "ready",
    };
    row(child.component.word(), wallet, child.pid, child.report.as_ref().unwrap_or(&nothing), state)
}

/// A spawner has no control channel. It told at its start that all of its policy is in force, else we would not run;
/// the one that runs commands has only the filter that they inherit.
fn spawner_report(family: &Family, name: &str) -> Report {
    let mode = family.outfit.sandbox;
    let mut report = Report { mode: mode.name().into(), ..Report::default() };
    if let Some(policy) = bulkhead_sandbox::policy(name).filter(|_| mode != bulkhead_sandbox::Mode::Off) {
        report.filter_hash = policy.filter_hash.into();
        report.allowed_syscalls = policy.allowed_syscalls;
        report.filtered_syscalls = policy.filtered_syscalls;
        report.landlock_abi = family.own_report.landlock_abi;
        report.landlock_rights = policy.landlock.fs.iter().map(|right| format!("{right:?}")).collect();
    } else if mode != bulkhead_sandbox::Mode::Off {
        report.filter_hash = bulkhead_sandbox::COMMANDS_HASH.into();
    }
    report
}

/// The JSON text.
pub(crate) fn sandbox_info(family: &Family) -> String {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let mut rows = vec![row("node", None, own, &family.own_report, "ready")];
    for (pid, name) in family.spawner_pids() {
        rows.push(row(name, None, pid, &spawner_report(family, name), "ready"));
    }
    rows.extend(family.children.iter().filter(|child| child.pid != 0).map(child_row));
    json!({ "mode": family.outfit.sandbox.name(), "processes": rows }).to_string()
}
