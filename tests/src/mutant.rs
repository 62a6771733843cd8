//! Binaries whose filter lacks one rule. No hook is needed for it, and none is there: the program of a filter is plain data in the
//! binary, and the one answer that belongs to a rule is changed in place.

use bulkhead_policies::{Instruction, Policy};

use crate::bpf::{Call, Verdict, run, satisfying};

/// What a mutant answers where the rule admitted a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Instead {
    /// EPERM, as the filter would without the rule.
    Refuse = 0x0005_0001,
    /// The process ends, so that nobody can make the call unnoticed.
    Kill = 0x8000_0000,
}

/// The filter of a policy without one of its rules, and where it differs.
///
/// # Errors
/// When the rule's answer cannot be told from others'.
pub fn without(policy: &Policy, rule: usize, instead: Instead) -> Result<(Vec<Instruction>, usize), String> {
    let removed = policy.rules.get(rule).ok_or("no such rule")?;
    let mut program = policy.allow.to_vec();
    // A call may be admitted by several rules: all but the first of these stay as they are, so look for an own answer.
    let (verdict, at) = run(&program, &Call::new(removed.number, satisfying(removed)))?;
    if verdict != Verdict::Allow {
        return Err(format!("the rule answers {verdict:?}"));
    }
    program[at].k = instead as u32;
    for (index, other) in policy.rules.iter().enumerate().filter(|(index, _)| *index != rule) {
        let (verdict, _) = run(&program, &Call::new(other.number, satisfying(other)))?;
        if verdict != Verdict::Allow {
            return Err(format!("rule {index} goes with it"));
        }
    }
    Ok((program, at))
}

fn bytes(program: &[Instruction]) -> Vec<u8> {
    let bytes = program.iter().flat_map(|step| {
        let [code, more] = step.code.to_le_bytes();
        let operand = step.k.to_le_bytes();
        [code, more, step.jt, step.jf, operand[0], operand[1], operand[2], operand[3]]
    });
    bytes.collect()
}

/// Takes one rule out of the filter in a binary.
///
/// # Errors
/// As [`without`]; or when the filter is not in the binary exactly once.
pub fn mutate(binary: &mut [u8], policy: &Policy, rule: usize, instead: Instead) -> Result<(), String> {
    let (program, _) = without(policy, rule, instead)?;
    let (original, mutant) = (bytes(policy.allow), bytes(&program));
    let mut places = Vec::new();
    let mut from = 0;
    while let Some(found) = find(&binary[from..], &original) {
        places.push(from + found);
        from += found + 8;
    }
    let [place] = places[..] else { return Err(format!("the filter is {} times in the binary", places.len())) };
    binary[place..place + mutant.len()].copy_from_slice(&mutant);
    Ok(())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_rule_can_be_taken_out_alone() {
        for policy in bulkhead_policies::ALL {
            for rule in 0..policy.rules.len() {
                let (program, at) = without(policy, rule, Instead::Refuse)
                    .unwrap_or_else(|error| unreachable!("{} {}: {error}", policy.name, policy.rules[rule].name));
                assert_eq!(program.iter().zip(policy.allow).filter(|(one, other)| one != other).count(), 1);
                assert_eq!(program[at].k, Instead::Refuse as u32);
            }
        }
    }
}
