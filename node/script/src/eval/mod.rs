//! Running one script on a stack (Core: `EvalScript`).

mod arithmetic;
mod control;
mod hashing;
mod signatures;
mod stack_ops;

use bitcoin::opcodes::all as op;

use crate::checker::Checker;
use crate::conditions::Conditions;
use crate::instruction::{Instruction, Reader, is_minimal_push};
use crate::number;
use crate::taproot::ExecutionData;
use crate::{Flags, ScriptError};

/// Bytes of an element.
pub const MAX_ELEMENT_SIZE: usize = 520;
/// Bytes of a script outside of tapscript.
pub const MAX_SCRIPT_SIZE: usize = 10_000;
/// Elements on both stacks together.
pub const MAX_STACK_SIZE: usize = 1000;
/// Instructions other than pushes, outside of tapscript.
const MAX_OPS: usize = 201;

/// Which rules a script runs under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigVersion {
    /// Bare scripts, and scripts behind a script hash.
    Base,
    /// Segwit v0 (BIP141, BIP143).
    WitnessV0,
    /// Leaves of version 0xc0 (BIP342).
    Tapscript,
}

/// The elements that scripts work on, the top last.
pub type Stack = Vec<Vec<u8>>;

type Step = Result<(), ScriptError>;

struct Machine<'a> {
    stack: &'a mut Stack,
    alt_stack: Stack,
    conditions: Conditions,
    operations: usize,
    script: &'a [u8],
    /// Behind the last OP_CODESEPARATOR that was executed: what signatures commit to.
    code_start: usize,
    flags: Flags,
    version: SigVersion,
    checker: &'a Checker<'a>,
    execution: &'a mut ExecutionData,
}

/// Runs `script` on `stack`. An error leaves the stack in any state.
pub fn run(
    stack: &mut Stack,
    script: &[u8],
    flags: Flags,
    checker: &Checker<'_>,
    version: SigVersion,
    execution: &mut ExecutionData,
) -> Result<(), ScriptError> {
    if version != SigVersion::Tapscript && script.len() > MAX_SCRIPT_SIZE {
        return Err(ScriptError::ScriptSize);
    }
    execution.code_separator = None;
    let machine = Machine {
        stack,
        alt_stack: Vec::new(),
        conditions: Conditions::default(),
        operations: 0,
        script,
        code_start: 0,
        flags,
        version,
        checker,
        execution,
    };
    machine.run()
}

impl Machine<'_> {
    fn run(mut self) -> Step {
        let mut reader = Reader::new(self.script);
        let mut number = 0u32;
        while let Some(read) = reader.next() {
            let instruction = read.map_err(|_| ScriptError::BadOpcode)?;
            self.step(instruction, reader.position(), number)?;
            if self.stack.len() + self.alt_stack.len() > MAX_STACK_SIZE {
                return Err(ScriptError::StackSize);
            }
            number = number.wrapping_add(1);
        }
        if self.conditions.is_empty() { Ok(()) } else { Err(ScriptError::UnbalancedConditional) }
    }

    /// Runs instruction `number` of the script, behind which stands `next`.
    fn step(&mut self, instruction: Instruction<'_>, next: usize, number: u32) -> Step {
        let Instruction { opcode, data } = instruction;
        if data.len() > MAX_ELEMENT_SIZE {
            return Err(ScriptError::PushSize);
        }
        if self.version != SigVersion::Tapscript && opcode > op::OP_PUSHNUM_16.to_u8() {
            self.count_operations(1)?;
        }
        if is_disabled(opcode) {
            return Err(ScriptError::DisabledOpcode);
        }
        let is_separator = opcode == op::OP_CODESEPARATOR.to_u8();
        if is_separator && self.version == SigVersion::Base && self.flags.intersects(Flags::CONST_SCRIPTCODE) {
            return Err(ScriptError::OpCodeSeparator);
        }
        if !self.conditions.all_true() {
            // OP_VERIF and OP_VERNOTIF lie between these, and are refused also where nothing is executed.
            return if (0x63..=0x68).contains(&opcode) { self.branch(opcode, false) } else { Ok(()) };
        }
        match opcode {
            0..=0x4e => {
                if self.requires_minimal() && !is_minimal_push(instruction) {
                    return Err(ScriptError::MinimalData);
                }
                self.stack.push(data.to_vec());
                Ok(())
            }
            0x4f => self.push_number(-1),
            0x51..=0x60 => self.push_number(i64::from(opcode - 0x50)),
            0x63..=0x68 => self.branch(opcode, true),
            0x61 | 0x69 | 0x6a | 0xb0..=0xb9 => self.control(opcode),
            0x6b..=0x7d | 0x82 => self.stack_operation(opcode),
            0x87 | 0x88 | 0x8b | 0x8c | 0x8f..=0x94 | 0x9a..=0xa5 => self.arithmetic(opcode),
            0xa6..=0xaa => self.hash(opcode),
            _ if is_separator => {
                self.code_start = next;
                self.execution.code_separator = Some(number);
                Ok(())
            }
            0xac..=0xaf | 0xba => self.signature(opcode),
            _ => Err(ScriptError::BadOpcode),
        }
    }

    fn count_operations(&mut self, count: usize) -> Step {
        self.operations += count;
        if self.operations > MAX_OPS { Err(ScriptError::OpCount) } else { Ok(()) }
    }

    fn requires_minimal(&self) -> bool {
        self.flags.intersects(Flags::MINIMALDATA)
    }

    fn push_number(&mut self, value: i64) -> Step {
        self.stack.push(number::encode(value));
        Ok(())
    }

    fn push_bool(&mut self, value: bool) {
        self.stack.push(number::from_bool(value));
    }

    /// Makes sure of `count` elements.
    fn need(&self, count: usize) -> Step {
        if self.stack.len() < count { Err(ScriptError::InvalidStackOperation) } else { Ok(()) }
    }

    /// The element `depth` below the top, which is 0.
    fn peek(&self, depth: usize) -> Result<&[u8], ScriptError> {
        let at = self.stack.len().checked_sub(depth + 1).ok_or(ScriptError::InvalidStackOperation)?;
        Ok(&self.stack[at])
    }

    fn pop(&mut self) -> Result<Vec<u8>, ScriptError> {
        self.stack.pop().ok_or(ScriptError::InvalidStackOperation)
    }

    fn drop_top(&mut self, count: usize) {
        self.stack.truncate(self.stack.len().saturating_sub(count));
    }

    fn peek_number(&self, depth: usize) -> Result<i64, ScriptError> {
        number::decode(self.peek(depth)?, self.requires_minimal(), number::DEFAULT_SIZE)
    }

    /// The VERIFY form of an opcode: takes the result off again, or fails with `error`.
    fn verify_top(&mut self, error: ScriptError) -> Step {
        if number::is_true(&self.pop()?) { Ok(()) } else { Err(error) }
    }
}

/// Opcodes that fail also where nothing is executed (CVE-2010-5137).
fn is_disabled(opcode: u8) -> bool {
    matches!(opcode, 0x7e..=0x81 | 0x83..=0x86 | 0x8d | 0x8e | 0x95..=0x99)
}
