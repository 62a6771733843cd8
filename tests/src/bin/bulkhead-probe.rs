//! Tries forbidden actions inside the live processes of a node and prints what the kernel answered.
//!
//! `bulkhead-probe PID`: PID is the supervisor's. Must run as root, or as a user who may trace it.
//! `--deadly` also tries the actions that end a process; the node does not survive that.
//! `bulkhead-probe --table`: prints the answer of `getsandboxinfo`, read from standard input, as a table.

use std::collections::BTreeMap;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;

use bulkhead_tests::actions::{Targets, Verdict, all};
use bulkhead_tests::family::{datadir, family};
use bulkhead_tests::inject::Held;
use serde_json::Value;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--table"] => table(),
        [pid] => probe(pid, false),
        [pid, "--deadly"] => probe(pid, true),
        _ => Err("usage: bulkhead-probe PID [--deadly] | bulkhead-probe --table".to_owned()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bulkhead-probe: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Answers whether everything that must be refused was.
fn probe(pid: &str, deadly: bool) -> Result<bool, String> {
    let supervisor: i32 = pid.parse().map_err(|_| format!("{pid} is not a process id"))?;
    let datadir = datadir(supervisor).ok_or("the process has no debug.log open: is it a bitcoin-node?")?;
    let socket = std::env::temp_dir().join(format!("bulkhead-probe-{}", std::process::id()));
    let listener = UnixListener::bind(&socket).map_err(|error| error.to_string())?;
    let members = family(supervisor);
    let columns: Vec<_> = members.iter().filter(|member| !["spawner", "notify"].contains(&&*member.component)).collect();
    let mut cells: BTreeMap<(usize, usize), String> = BTreeMap::new();
    let (mut bad, mut tried) = (0, 0);
    for (column, member) in columns.iter().enumerate() {
        let sibling = columns.iter().find(|other| other.pid != member.pid).map_or(supervisor, |other| other.pid);
        let targets = Targets::of(&datadir, &socket.to_string_lossy(), sibling);
        for (row, action) in all().into_iter().enumerate() {
            if action.deadly && !deadly {
                continue;
            }
            let cell = if action.excuse(&member.component).is_some() {
                "its job".to_owned()
            } else {
                let mut held = Held::stop(member.pid).map_err(|error| format!("{}: {error}", member.component))?;
                let verdict = action.attempt(&mut held, &targets).map_err(|error| error.to_string())?;
                tried += 1;
                bad += usize::from(verdict == Verdict::Reached);
                verdict.to_string()
            };
            let killed = cell == "killed";
            cells.insert((row, column), cell);
            if killed {
                break;
            }
        }
        targets.clean();
    }
    drop(listener);
    // A leftover socket file in the temporary directory harms nobody.
    let _ = std::fs::remove_file(&socket);

    print!("{:<42}", "action");
    columns.iter().for_each(|member| print!(" {:>9}", member.component));
    println!();
    for (row, action) in all().into_iter().enumerate() {
        if cells.keys().all(|(other, _)| *other != row) {
            continue;
        }
        print!("{:<42}", action.name);
        for column in 0..columns.len() {
            print!(" {:>9}", cells.get(&(row, column)).map_or("", String::as_str));
        }
        println!();
    }
    println!("{tried} attempts in {} live processes, {bad} of them not refused", columns.len());
    Ok(bad == 0)
}

/// One line per process.
fn table() -> Result<bool, String> {
    let info: Value = serde_json::from_reader(std::io::stdin()).map_err(|error| error.to_string())?;
    let processes = info["processes"].as_array().ok_or("no processes in the answer")?;
    let text = |row: &Value, names: &[&str]| {
        let value = names.iter().map(|name| &row[*name]).find(|value| !value.is_null());
        match value {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(list)) => list.len().to_string(),
            Some(value) => value.to_string(),
            None => "-".to_owned(),
        }
    };
    println!(
        "{:<10} {:>8} {:>9} {:>9} {:>8} {:>11} {:>8} {:>17} {:>9}",
        "process", "pid", "mode", "syscalls", "filtered", "namespaces", "landlock", "capabilities", "dumpable"
    );
    for row in processes {
        println!(
            "{:<10} {:>8} {:>9} {:>9} {:>8} {:>11} {:>8} {:>17} {:>9}",
            text(row, &["process", "component", "name"]),
            text(row, &["pid"]),
            text(row, &["mode"]),
            text(row, &["allowed_syscalls", "allowedsyscalls", "allowedSyscalls"]),
            text(row, &["filtered_syscalls", "filteredsyscalls", "filteredSyscalls"]),
            text(row, &["namespaces"]),
            text(row, &["landlock_abi", "landlockabi", "landlockAbi"]),
            text(row, &["capabilities"]),
            text(row, &["dumpable"]),
        );
    }
    Ok(!processes.is_empty())
}
