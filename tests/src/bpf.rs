//! The filters of a policy, run as the kernel runs them, but here: no call is made.

use bulkhead_policies::{Condition, Instruction, Op, Policy, SyscallRule};

/// The architecture that the filters are for, as the kernel names it.
pub const X86_64: u32 = 0xc000_003e;

const LOAD_ABSOLUTE: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;

/// A call as a filter sees it.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Number; the kernel shows filters 32 bits of it.
    pub number: u32,
    /// Architecture.
    pub arch: u32,
    /// Arguments.
    pub args: [u64; 6],
}

impl Call {
    /// A call of a 64-bit program.
    #[must_use]
    pub fn new(number: i64, args: [u64; 6]) -> Self {
        Self { number: number as u32, arch: X86_64, args }
    }

    /// A word of `struct seccomp_data`. The instruction pointer is 0; no filter of ours looks at it.
    fn word(&self, offset: u32) -> Option<u32> {
        match offset {
            0 => Some(self.number),
            4 => Some(self.arch),
            8 | 12 => Some(0),
            _ => {
                let at = offset.checked_sub(16)?;
                let arg = self.args.get(at as usize / 8)?;
                (at % 4 == 0).then_some((arg >> (at % 8 * 8)) as u32)
            }
        }
    }
}

/// What a filter answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The call is made.
    Allow,
    /// It answers this error.
    Refuse(u32),
    /// The process ends.
    Kill,
}

/// Runs one program; answers the verdict and the instruction that gave it.
///
/// # Errors
/// A program that is none: the kernel would not have loaded it.
pub fn run(program: &[Instruction], call: &Call) -> Result<(Verdict, usize), String> {
    let (mut at, mut accumulator) = (0, 0u32);
    loop {
        let step = program.get(at).ok_or_else(|| format!("no instruction {at}"))?;
        at += 1;
        let jump = |taken: bool| usize::from(if taken { step.jt } else { step.jf });
        match step.code {
            LOAD_ABSOLUTE => accumulator = call.word(step.k).ok_or_else(|| format!("load of {}", step.k))?,
            AND => accumulator &= step.k,
            JUMP => at += step.k as usize,
            JUMP_EQUAL => at += jump(accumulator == step.k),
            JUMP_GREATER => at += jump(accumulator > step.k),
            JUMP_GREATER_EQUAL => at += jump(accumulator >= step.k),
            RETURN => {
                let verdict = match step.k >> 16 {
                    0x7fff => Verdict::Allow,
                    0x0005 => Verdict::Refuse(step.k & 0xffff),
                    0x8000 => Verdict::Kill,
                    other => return Err(format!("answer {other:x}")),
                };
                return Ok((verdict, at - 1));
            }
            other => return Err(format!("code {other:x}")),
        }
    }
}

/// What both filters of a policy answer together: the kernel takes the stricter one.
///
/// # Errors
/// As [`run`].
pub fn decide(policy: &Policy, call: &Call) -> Result<Verdict, String> {
    let (allow, _) = run(policy.allow, call)?;
    let kill = if policy.kill.is_empty() { Verdict::Allow } else { run(policy.kill, call)?.0 };
    Ok(if kill == Verdict::Kill { kill } else { allow })
}

/// Arguments that satisfy a rule, all others 0.
#[must_use]
pub fn satisfying(rule: &SyscallRule) -> [u64; 6] {
    let mut args = [0; 6];
    for condition in rule.args {
        args[usize::from(condition.index)] = satisfy(condition);
    }
    args
}

fn satisfy(condition: &Condition) -> u64 {
    match condition.op {
        Op::Ne | Op::Gt => condition.value.wrapping_add(1),
        Op::Lt => condition.value.wrapping_sub(1),
        Op::Eq | Op::Le | Op::Ge | Op::MaskedEq(_) => condition.value,
    }
}

/// Arguments in which one condition of a rule is looked at from everywhere: each of its bits turned, and the values around it.
#[must_use]
pub fn around(rule: &SyscallRule) -> Vec<[u64; 6]> {
    let good = satisfying(rule);
    let mut found = Vec::new();
    for condition in rule.args {
        let value = satisfy(condition);
        let turned = (0..64).map(|bit| value ^ 1 << bit);
        let near = [condition.value, condition.value.wrapping_add(1), condition.value.wrapping_sub(1), 0, u64::MAX];
        for other in turned.chain(near) {
            let mut args = good;
            args[usize::from(condition.index)] = other;
            found.push(args);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_filter_sees_both_halves_of_an_argument() {
        let step = |code, jt, jf, k| Instruction { code, jt, jf, k };
        let program = [
            step(LOAD_ABSOLUTE, 0, 0, 16 + 8 + 4),
            step(JUMP_EQUAL, 0, 1, 7),
            step(RETURN, 0, 0, 0x7fff_0000),
            step(RETURN, 0, 0, 0x0005_0000 | 13),
        ];
        assert_eq!(run(&program, &Call::new(0, [0, 7 << 32, 0, 0, 0, 0])).unwrap(), (Verdict::Allow, 2));
        assert_eq!(run(&program, &Call::new(0, [0, 7, 0, 0, 0, 0])).unwrap(), (Verdict::Refuse(13), 3));
        assert!(run(&program[..2], &Call::new(0, [0; 6])).is_err());
    }
}
