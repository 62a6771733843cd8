//! Plays an older or stricter kernel: runs a program in a world where some system calls do not exist or are refused.
//!
//! `bulkhead-mask FEATURE PROGRAM ARGS...`, FEATURE being one of
//! `landlock` (the calls do not exist), `namespaces` (none can be made), `filters` (none can be installed).
//! The mask is a filter and therefore inherited by all that the program starts.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use seccompiler::{TargetArch, apply_filter, compile_from_json};
use serde_json::{Value, json};

const ENOSYS: i32 = 38;
const EPERM: i32 = 1;
const EINVAL: i32 = 22;
const PR_SET_SECCOMP: u32 = 22;
/// CLONE_NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWNS, in the order of `sched.h`.
const NEW_NAMESPACES: [u64; 7] = [0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000, 0x0002_0000];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [feature, program, rest @ ..] = &args[..] else {
        eprintln!("usage: bulkhead-mask landlock|namespaces|filters PROGRAM ARGS...");
        return ExitCode::FAILURE;
    };
    if let Err(error) = mask(feature) {
        eprintln!("bulkhead-mask: {error}");
        return ExitCode::FAILURE;
    }
    let error = Command::new(program).args(rest).exec();
    eprintln!("bulkhead-mask: {program}: {error}");
    ExitCode::FAILURE
}

/// Installs the filters of a feature, those that would stop further ones last.
fn mask(feature: &str) -> Result<(), String> {
    let filters = match feature {
        "landlock" => {
            let calls = ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"];
            vec![(ENOSYS, calls.map(|call| json!({"syscall": call})).to_vec())]
        }
        "namespaces" => {
            let mut rules = vec![json!({"syscall": "unshare"})];
            rules.extend(NEW_NAMESPACES.map(|flag| {
                json!({"syscall": "clone", "args": [{"index": 0, "type": "qword", "op": {"masked_eq": flag}, "val": flag}]})
            }));
            // The flags of clone3 are in memory, so it does not exist.
            vec![(ENOSYS, vec![json!({"syscall": "clone3"})]), (EPERM, rules)]
        }
        "filters" => {
            let install = json!([{"index": 0, "type": "dword", "op": "eq", "val": PR_SET_SECCOMP}]);
            let rules = vec![json!({"syscall": "prctl", "args": install}), json!({"syscall": "seccomp"})];
            vec![(EINVAL, rules)]
        }
        other => return Err(format!("unknown feature {other}")),
    };
    filters.into_iter().try_for_each(|(errno, rules)| install(errno, &rules))
}

fn install(errno: i32, rules: &[Value]) -> Result<(), String> {
    let text = json!({"mask": {"mismatch_action": "allow", "match_action": {"errno": errno}, "filter": rules}}).to_string();
    let mut compiled = compile_from_json(text.as_bytes(), TargetArch::x86_64).map_err(|error| error.to_string())?;
    let program = compiled.remove("mask").ok_or("no program")?;
    apply_filter(&program).map_err(|error| error.to_string())
}
