//! Branches, OP_VERIFY, OP_RETURN, lock times and what has no effect yet.

use bitcoin::opcodes::all as op;

use super::{Machine, SigVersion, Step};
use crate::checker::SEQUENCE_DISABLE;
use crate::number;
use crate::{Flags, ScriptError};

impl Machine<'_> {
    /// OP_IF to OP_ENDIF. `executing`: instructions are executed here.
    pub(super) fn branch(&mut self, opcode: u8, executing: bool) -> Step {
        let known = match opcode {
            0x63 | 0x64 => {
                let taken = executing && self.condition()? == (opcode == op::OP_IF.to_u8());
                self.conditions.push(taken);
                return Ok(());
            }
            0x67 => self.conditions.toggle(),
            0x68 => self.conditions.pop(),
            _ => return Err(ScriptError::BadOpcode),
        };
        if known { Ok(()) } else { Err(ScriptError::UnbalancedConditional) }
    }

    /// Takes the argument of OP_IF.
    fn condition(&mut self) -> Result<bool, ScriptError> {
        let element = self.pop()?;
        if !matches!(element.as_slice(), [] | [1]) {
            match self.version {
                SigVersion::Tapscript => return Err(ScriptError::TapscriptMinimalIf),
                SigVersion::WitnessV0 if self.flags.intersects(Flags::MINIMALIF) => return Err(ScriptError::MinimalIf),
                _ => {}
            }
        }
        Ok(number::is_true(&element))
    }

    pub(super) fn control(&mut self, opcode: u8) -> Step {
        match opcode {
            0x61 => Ok(()),
            0x69 => self.verify_top(ScriptError::Verify),
            0x6a => Err(ScriptError::OpReturn),
            0xb1 if self.flags.intersects(Flags::CHECKLOCKTIMEVERIFY) => {
                let lock_time = self.lock_time()?;
                if self.checker.lock_time(lock_time) { Ok(()) } else { Err(ScriptError::UnsatisfiedLocktime) }
            }
            0xb2 if self.flags.intersects(Flags::CHECKSEQUENCEVERIFY) => {
                let sequence = self.lock_time()?;
                // Kept free for later rules.
                let switched_off = sequence & SEQUENCE_DISABLE != 0;
                if switched_off || self.checker.sequence(sequence) { Ok(()) } else { Err(ScriptError::UnsatisfiedLocktime) }
            }
            // Without their rules these two are OP_NOPs that nobody discourages.
            0xb1 | 0xb2 => Ok(()),
            _ if self.flags.intersects(Flags::DISCOURAGE_UPGRADABLE_NOPS) => Err(ScriptError::DiscourageUpgradableNops),
            _ => Ok(()),
        }
    }

    /// Reads the argument of a lock time; it stays on the stack.
    fn lock_time(&self) -> Result<i64, ScriptError> {
        let lock_time = number::decode(self.peek(0)?, self.requires_minimal(), number::LOCK_TIME_SIZE)?;
        if lock_time < 0 { Err(ScriptError::NegativeLocktime) } else { Ok(lock_time) }
    }
}
