//! Records the system calls of a node's confined processes, and compares records with the policies.
//!
//! `bulkhead-record FOLDER PROGRAM ARGS...` runs a node and leaves a record in FOLDER; the exit code is the
//! node's. Put a script that calls it in place of bitcoin-node, and any test suite becomes a recording.
//! `bulkhead-record --report FOLDER` prints, per component: allowed calls that nobody made, and calls that were
//! refused. It fails when an allowed call was not made and its reason does not say "not exercised".

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use bulkhead_policies::Policy;
use bulkhead_tests::record::{Count, Record, record};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match &args[..] {
        [flag, folder] if flag == "--report" => report(Path::new(folder)),
        [folder, program, rest @ ..] => run(Path::new(folder), Path::new(program), rest),
        _ => Err("usage: bulkhead-record FOLDER PROGRAM ARGS... | bulkhead-record --report FOLDER".to_owned()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("bulkhead-record: {error}");
        ExitCode::FAILURE
    })
}

fn run(folder: &Path, program: &Path, args: &[String]) -> Result<ExitCode, String> {
    let (code, found) = record(program, args)?;
    let mut text = String::new();
    for (component, calls) in &found {
        for (number, count) in calls {
            text += &format!("{component} {number} {} {}\n", count.made, count.refused);
        }
    }
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    fs::write(folder.join(format!("{}.record", std::process::id())), text).map_err(|error| error.to_string())?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

fn load(folder: &Path) -> Result<Record, String> {
    let mut found = Record::new();
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
        let text = fs::read_to_string(entry.map_err(|error| error.to_string())?.path()).map_err(|error| error.to_string())?;
        for line in text.lines() {
            let [component, number, made, refused] = line.split(' ').collect::<Vec<_>>()[..] else { continue };
            let number_of = |text: &str| text.parse::<u64>().map_err(|error| format!("{line}: {error}"));
            let calls = found.entry(component.to_owned()).or_default();
            let count: &mut Count = calls.entry(number.parse().map_err(|_| line.to_owned())?).or_default();
            count.made += number_of(made)?;
            count.refused += number_of(refused)?;
        }
    }
    Ok(found)
}

/// Names by number, from every list that we have.
fn names() -> BTreeMap<i64, &'static str> {
    let rules = bulkhead_policies::ALL.iter().flat_map(|policy| policy.rules.iter().chain(policy.deadly));
    rules.map(|rule| (rule.number, rule.name)).collect()
}

fn report(folder: &Path) -> Result<ExitCode, String> {
    let (found, names) = (load(folder)?, names());
    let mut surplus = 0;
    for policy in bulkhead_policies::ALL {
        let Some(calls) = found.get(policy.name) else {
            println!("{}: not recorded", policy.name);
            continue;
        };
        let unused = unused(policy, calls);
        surplus += unused.len();
        println!("{}: {} calls allowed, {} never made: {}", policy.name, policy.allowed_syscalls, unused.len(), unused.join(" "));
        for (number, count) in calls.iter().filter(|(_, count)| count.refused > 0) {
            let listed = if policy.rules.iter().any(|rule| rule.number == *number) { "listed" } else { "not listed" };
            let name = names.get(number).map_or_else(|| number.to_string(), |name| (*name).to_owned());
            println!("    refused {name} ({listed}): {} of {}", count.refused, count.made);
        }
    }
    Ok(if surplus == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Allowed calls that were not made and whose reason does not excuse that.
fn unused(policy: &Policy, calls: &BTreeMap<i64, Count>) -> Vec<&'static str> {
    let mut unused: Vec<_> = policy
        .rules
        .iter()
        .filter(|rule| !rule.reason.contains("not exercised") && !rule.reason.starts_with("a child may"))
        .filter(|rule| !calls.contains_key(&rule.number))
        .map(|rule| rule.name)
        .collect();
    unused.sort_unstable();
    unused.dedup();
    unused
}
