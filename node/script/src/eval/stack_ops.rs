//! Moving and copying elements.

use bitcoin::opcodes::Opcode;
use bitcoin::opcodes::all as op;

use super::{Machine, Step};
use crate::ScriptError;
use crate::number;

impl Machine<'_> {
    pub(super) fn stack_operation(&mut self, opcode: u8) -> Step {
        match Opcode::from(opcode) {
            op::OP_TOALTSTACK => {
                let element = self.pop()?;
                self.alt_stack.push(element);
                Ok(())
            }
            op::OP_FROMALTSTACK => {
                let element = self.alt_stack.pop().ok_or(ScriptError::InvalidAltstackOperation)?;
                self.stack.push(element);
                Ok(())
            }
            op::OP_2DROP => self.need(2).map(|()| self.drop_top(2)),
            op::OP_2DUP => self.copy(2, 2),
            op::OP_3DUP => self.copy(3, 3),
            op::OP_2OVER => self.copy(4, 2),
            op::OP_2ROT => self.rotate(6, 2),
            op::OP_2SWAP => self.rotate(4, 2),
            op::OP_IFDUP => {
                if number::is_true(self.peek(0)?) {
                    self.copy(1, 1)
                } else {
                    Ok(())
                }
            }
            op::OP_DEPTH => self.push_number(self.stack.len() as i64), // at most a thousand
            op::OP_DROP => self.pop().map(drop),
            op::OP_DUP => self.copy(1, 1),
            op::OP_NIP => {
                self.need(2)?;
                let below = self.stack.len() - 2;
                self.stack.remove(below);
                Ok(())
            }
            op::OP_OVER => self.copy(2, 1),
            op::OP_PICK => self.reach().map(|at| {
                let element = self.stack[at].clone();
                self.stack.push(element);
            }),
            op::OP_ROLL => self.reach().map(|at| {
                let element = self.stack.remove(at);
                self.stack.push(element);
            }),
            op::OP_ROT => self.rotate(3, 1),
            op::OP_SWAP => self.rotate(2, 1),
            op::OP_TUCK => {
                self.need(2)?;
                let top = self.peek(0)?.to_vec();
                let below = self.stack.len() - 2;
                self.stack.insert(below, top);
                Ok(())
            }
            op::OP_SIZE => {
                let size = self.peek(0)?.len();
                self.push_number(size as i64) // at most 520
            }
            _ => Err(ScriptError::BadOpcode),
        }
    }

    /// Copies the lowest `count` of the top `depth` elements onto the top.
    fn copy(&mut self, depth: usize, count: usize) -> Step {
        self.need(depth)?;
        let start = self.stack.len() - depth;
        self.stack.extend_from_within(start..start + count);
        Ok(())
    }

    /// Moves the lowest `count` of the top `depth` elements to the top.
    fn rotate(&mut self, depth: usize, count: usize) -> Step {
        self.need(depth)?;
        let start = self.stack.len() - depth;
        self.stack[start..].rotate_left(count);
        Ok(())
    }

    /// Takes a number off and gives the place of the element that is so far below the top.
    fn reach(&mut self) -> Result<usize, ScriptError> {
        self.need(2)?;
        let depth = self.peek_number(0)?;
        self.drop_top(1);
        let depth = usize::try_from(depth).map_err(|_| ScriptError::InvalidStackOperation)?;
        self.stack.len().checked_sub(depth).and_then(|above| above.checked_sub(1)).ok_or(ScriptError::InvalidStackOperation)
    }
}
