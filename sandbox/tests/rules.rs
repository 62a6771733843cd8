//! Every rule of every policy, both ways, decided by the kernel.
//!
//! A tripwire filter under the policy's filters answers a number of its own to every call, so no call is ever
//! executed: TRIPWIRE means "the policy allows it", EPERM and ENOSYS that it refuses, a death by SIGSYS that the
//! call is on the deadly list.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod common;

use bulkhead_policies::{ALL, Instruction, Op, Policy, SyscallRule};
use common::in_child;
use nix::sys::{signal::Signal, wait::WaitStatus};
use seccompiler::{SeccompAction, SeccompFilter, TargetArch, apply_filter, sock_filter};
use std::{collections::BTreeMap, fmt::Write as _};

const TRIPWIRE: i32 = 3000;
const LAST_CALL: i64 = 475;
const X32: i64 = 0x4000_0000;

/// One probe: number and arguments.
type Call = (i64, [u64; 6]);

fn load(program: &[Instruction]) {
    let program: Vec<_> = program.iter().map(|i| sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
    apply_filter(&program).unwrap();
}

/// Installs tripwire and policy in a child and answers the errno of each call. `None`: it was killed.
fn decide(policy: &Policy, calls: &[Call]) -> Option<Vec<i32>> {
    let ended = in_child(|| {
        // The child must still install filters, tell the result and leave.
        let open = [libc::SYS_prctl, libc::SYS_seccomp, libc::SYS_exit_group, libc::SYS_write].map(|nr| (nr, Vec::new()));
        let tripwire = SeccompFilter::new(
            BTreeMap::from(open),
            SeccompAction::Errno(TRIPWIRE as u32),
            SeccompAction::Allow,
            TargetArch::x86_64,
        );
        // Reserved now: the allocator cannot ask for memory later.
        let mut results = String::with_capacity(calls.len() * 8);
        let tripwire: Vec<sock_filter> = tripwire.unwrap().try_into().unwrap();
        apply_filter(&tripwire).unwrap();
        load(policy.kill);
        load(policy.allow);
        for (number, a) in calls {
            // SAFETY: the tripwire keeps the kernel from executing the call.
            let answer = unsafe { libc::syscall(*number, a[0], a[1], a[2], a[3], a[4], a[5]) };
            let errno = if answer == -1 { std::io::Error::last_os_error().raw_os_error().unwrap() } else { 0 };
            write!(results, "{errno} ").unwrap();
        }
        results
    });
    match ended.status {
        WaitStatus::Exited(_, 0) => Some(ended.text.split_whitespace().map(|word| word.parse().unwrap()).collect()),
        WaitStatus::Signaled(_, Signal::SIGSYS, _) => None,
        other => panic!("{}: child ended with {other:?}: {}", policy.name, ended.text),
    }
}

/// Calls that the tripwire has to let through: their allowed form is executed, so choose harmless arguments.
fn executed(number: i64) -> bool {
    [libc::SYS_prctl, libc::SYS_seccomp, libc::SYS_exit_group, libc::SYS_write].contains(&number)
}

fn allowed(policy: &Policy, number: i64, args: &[u64; 6]) -> bool {
    policy.rules.iter().any(|rule| rule.admits(number, args))
}

/// Arguments that satisfy a rule.
fn satisfying(rule: &SyscallRule) -> [u64; 6] {
    let mut args = [0; 6];
    for c in rule.args {
        args[usize::from(c.index)] = match c.op {
            Op::Ne | Op::Gt => c.value.wrapping_add(1),
            Op::Lt => c.value - 1,
            Op::Eq | Op::Le | Op::Ge | Op::MaskedEq(_) => c.value,
        };
    }
    args
}

/// Arguments that fail exactly one condition by the least: one bit or one step away.
fn near_misses(rule: &SyscallRule) -> Vec<[u64; 6]> {
    let good = satisfying(rule);
    let mut found = Vec::new();
    for c in rule.args {
        let value = c.value;
        let misses = match c.op {
            Op::Eq => vec![value ^ 1, value ^ 0x8000_0000, value.wrapping_add(1)],
            Op::Ne => vec![value],
            Op::Lt | Op::Gt => vec![value],
            Op::Le => vec![value + 1],
            Op::Ge => vec![value.wrapping_sub(1)],
            Op::MaskedEq(mask) => (0..32).filter(|bit| mask >> bit & 1 == 1).map(|bit| value ^ 1 << bit).collect(),
        };
        for miss in misses {
            let mut args = good;
            args[usize::from(c.index)] = miss;
            found.push(args);
        }
    }
    found
}

#[test]
fn every_rule_allows_what_it_says() {
    for policy in ALL {
        let calls: Vec<Call> =
            policy.rules.iter().filter(|rule| !executed(rule.number)).map(|rule| (rule.number, satisfying(rule))).collect();
        let results = decide(policy, &calls).unwrap_or_else(|| panic!("{}: an allowed call kills", policy.name));
        for (call, result) in calls.iter().zip(results) {
            assert_eq!(result, TRIPWIRE, "{}: call {call:?} is refused", policy.name);
        }
    }
}

#[test]
fn every_near_miss_of_a_condition_is_refused() {
    for policy in ALL {
        let rules = policy.rules.iter().filter(|rule| !executed(rule.number) || rule.name == "prctl");
        let calls: Vec<Call> = rules
            .flat_map(|rule| near_misses(rule).into_iter().map(|args| (rule.number, args)))
            .filter(|(number, args)| !allowed(policy, *number, args))
            .collect();
        assert!(policy.filtered_syscalls == 0 || !calls.is_empty(), "{}: nothing was tried", policy.name);
        let results = decide(policy, &calls).unwrap_or_else(|| panic!("{}: a near miss kills", policy.name));
        for (call, result) in calls.iter().zip(results) {
            assert_eq!(result, libc::EPERM, "{}: near miss {call:?}", policy.name);
        }
    }
}

#[test]
fn every_call_beside_the_list_is_refused() {
    for policy in ALL {
        let listed = |number| policy.rules.iter().any(|rule| rule.number == number);
        let deadly = |number| policy.deadly.iter().any(|rule| rule.number == number);
        // 335 and 336 are return points of kernel probes: the kernel lets them pass every filter and raises SIGILL
        // for a caller that is not a probe. 337 to 423 are not assigned.
        let numbers = (0..=LAST_CALL).filter(|n| !(335..424).contains(n) && !listed(*n) && !deadly(*n));
        let calls: Vec<Call> = numbers.chain([X32, X32 + 1, i64::from(u32::MAX)]).map(|n| (n, [0; 6])).collect();
        let results = decide(policy, &calls).unwrap_or_else(|| panic!("{}: a call kills unexpectedly", policy.name));
        for ((number, _), result) in calls.iter().zip(results) {
            let expected = if *number > 462 || *number == libc::SYS_clone3 { libc::ENOSYS } else { libc::EPERM };
            assert_eq!(result, expected, "{}: call {number}", policy.name);
        }
    }
}

#[test]
fn every_deadly_call_kills() {
    for policy in ALL {
        assert!(policy.name == "spawner" || policy.deadly.iter().any(|rule| rule.name == "execve"), "{}", policy.name);
        for rule in policy.deadly {
            assert_eq!(decide(policy, &[(rule.number, [0; 6])]), None, "{}: {} does not kill", policy.name, rule.name);
        }
    }
}

#[test]
fn counts_and_reasons_are_what_the_lists_say() {
    for policy in ALL {
        let mut names: Vec<_> = policy.rules.iter().map(|rule| rule.name).collect();
        names.dedup();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), policy.allowed_syscalls as usize, "{}", policy.name);
        assert_eq!(policy.filter_hash.len(), 64);
        for rule in policy.rules.iter().chain(policy.deadly) {
            assert!(rule.reason.len() > 5, "{}: {} needs a reason", policy.name, rule.name);
        }
    }
}

#[test]
fn limits_of_the_design_hold() {
    for (name, most, fewest) in [
        ("keystore", 25, 8),
        ("rpc", 40, 8),
        ("net", 45, 8),
        ("wallet", 30, 8),
        ("chain", 60, 8),
        ("notify", 45, 0),
        ("node", 60, 8),
    ] {
        let policy = bulkhead_policies::policy(name).unwrap();
        assert!(policy.allowed_syscalls <= most, "{name} allows {}", policy.allowed_syscalls);
        assert!(policy.filtered_syscalls >= fewest, "{name} has conditions on {}", policy.filtered_syscalls);
    }
}
