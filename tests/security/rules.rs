//! Every rule of every policy against the program that it became, condition by condition and bit by bit. Nothing is executed, so
//! this covers what `sandbox/tests/rules.rs` cannot let the kernel decide: the allowed forms of `write`, `prctl` and `exit_group`,
//! which its children need themselves, and calls of other architectures.

use bulkhead_policies::{ALL, COMMANDS, Policy};
use bulkhead_tests::bpf::{Call, Verdict, X86_64, around, decide, run, satisfying};
use nix::libc;

/// Numbers from here on are newer than the lists.
const FIRST_UNKNOWN: i64 = 463;
/// The same call as 32-bit programs and as programs with short pointers make it.
const I386: u32 = 0x4000_0003;
const X32: i64 = 0x4000_0000;

fn verdict(policy: &Policy, call: &Call) -> Verdict {
    decide(policy, call).unwrap_or_else(|error| panic!("{}: {call:?}: {error}", policy.name))
}

/// What the lists say, without any program.
fn expected(policy: &Policy, number: i64, args: &[u64; 6]) -> Verdict {
    if policy.deadly.iter().any(|rule| rule.admits(number, args)) {
        Verdict::Kill
    } else if policy.rules.iter().any(|rule| rule.admits(number, args)) {
        Verdict::Allow
    } else if number >= FIRST_UNKNOWN || number == libc::SYS_clone3 {
        Verdict::Refuse(libc::ENOSYS.cast_unsigned())
    } else {
        Verdict::Refuse(libc::EPERM.cast_unsigned())
    }
}

#[test]
fn each_rule_admits_its_call_and_no_neighbour_of_it() {
    let (mut rules, mut refused) = (0, 0);
    for policy in ALL {
        for rule in policy.rules {
            rules += 1;
            let name = format!("{}: {}", policy.name, bulkhead_tests::proof::describe(rule));
            assert_eq!(verdict(policy, &Call::new(rule.number, satisfying(rule))), Verdict::Allow, "{name}");
            let before = refused;
            for args in around(rule) {
                let wanted = expected(policy, rule.number, &args);
                assert_eq!(verdict(policy, &Call::new(rule.number, args)), wanted, "{name}: {args:x?}");
                refused += usize::from(wanted != Verdict::Allow);
            }
            // A rule whose neighbours all pass limits nothing.
            assert!(rule.args.is_empty() || refused > before, "{name} refuses nothing");
        }
    }
    assert!(rules > 400 && refused > 3000, "{rules} rules, {refused} neighbours");
}

#[test]
fn what_no_rule_names_is_refused_whatever_its_arguments() {
    for policy in ALL {
        for number in (0..=600).chain([X32, X32 + 1, X32 + 59, i64::from(u32::MAX)]) {
            if policy.rules.iter().any(|rule| rule.number == number) {
                continue;
            }
            for args in [[0; 6], [1; 6], [u64::MAX; 6]] {
                let answer = verdict(policy, &Call::new(number, args));
                assert_eq!(answer, expected(policy, number, &args), "{}: {number} {args:x?}", policy.name);
                assert_ne!(answer, Verdict::Allow, "{}: {number}", policy.name);
            }
        }
    }
}

#[test]
fn a_call_of_another_architecture_ends_the_process() {
    for policy in ALL {
        for rule in policy.rules {
            let call = Call { arch: I386, ..Call::new(rule.number, satisfying(rule)) };
            assert_eq!(verdict(policy, &call), Verdict::Kill, "{}: {}", policy.name, rule.name);
        }
    }
    let call = |arch| run(COMMANDS, &Call { arch, ..Call::new(libc::SYS_read, [0; 6]) }).unwrap().0;
    assert_eq!((call(X86_64), call(I386)), (Verdict::Allow, Verdict::Kill));
}
