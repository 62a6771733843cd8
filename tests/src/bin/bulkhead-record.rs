//! Records the system calls of a node's confined processes, and compares records with the policies.
//!
//! `bulkhead-record FOLDER PROGRAM ARGS...` runs a node and leaves a record in FOLDER; the exit code is the
//! node's. Put a script that calls it in place of bitcoin-node, and any test suite becomes a recording.
//! `bulkhead-record --report FOLDER` prints, per component, what is wrong with its list: rules that nobody needed,
//! excuses that are not true; and, for information, calls that were refused. It fails when something is wrong.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use bulkhead_tests::proof::{complaints, load, refusals, to_text};
use bulkhead_tests::record::record;

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
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let file = folder.join(format!("{}.record", std::process::id()));
    fs::write(file, to_text(&found)).map_err(|error| error.to_string())?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

fn report(folder: &Path) -> Result<ExitCode, String> {
    let found = load(folder)?;
    let mut wrong = 0;
    for policy in bulkhead_policies::ALL {
        let Some(seen) = found.get(policy.name) else {
            println!("{}: not recorded", policy.name);
            continue;
        };
        let complaints = complaints(policy, seen);
        wrong += complaints.len();
        println!("{}: {} calls allowed, {} complaints", policy.name, policy.allowed_syscalls, complaints.len());
        complaints.iter().for_each(|complaint| println!("    {complaint}"));
        refusals(policy, seen).iter().for_each(|refusal| println!("    refused {refusal}"));
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
