//! Comparison and arithmetic.

use bitcoin::opcodes::Opcode;
use bitcoin::opcodes::all as op;
use bulkhead_planted::{Fault, planted};

use super::{Machine, Step};
use crate::ScriptError;

impl Machine<'_> {
    pub(super) fn arithmetic(&mut self, opcode: u8) -> Step {
        match Opcode::from(opcode) {
            op::OP_EQUAL => self.equal(),
            op::OP_EQUALVERIFY => {
                self.equal()?;
                self.verify_top(ScriptError::EqualVerify)
            }
            op::OP_1ADD | op::OP_1SUB | op::OP_NEGATE | op::OP_ABS | op::OP_NOT | op::OP_0NOTEQUAL => self.unary(opcode),
            op::OP_NUMEQUALVERIFY => {
                self.binary(opcode)?;
                self.verify_top(ScriptError::NumEqualVerify)
            }
            op::OP_WITHIN => {
                self.need(3)?;
                let (value, low, high) = (self.peek_number(2)?, self.peek_number(1)?, self.peek_number(0)?);
                self.drop_top(3);
                self.push_bool((low..high).contains(&value) || (planted(Fault::WithinInclusive) && value == high));
                Ok(())
            }
            _ => self.binary(opcode),
        }
    }

    fn equal(&mut self) -> Step {
        self.need(2)?;
        let equal = self.peek(0)? == self.peek(1)?;
        self.drop_top(2);
        self.push_bool(equal);
        Ok(())
    }

    fn unary(&mut self, opcode: u8) -> Step {
        let value = self.peek_number(0)?;
        let result = match Opcode::from(opcode) {
            op::OP_1ADD => value + 1,
            op::OP_1SUB => value - 1,
            op::OP_NEGATE => -value,
            op::OP_ABS => value.abs(),
            op::OP_NOT => i64::from(value == 0),
            op::OP_0NOTEQUAL => i64::from(value != 0),
            _ => return Err(ScriptError::BadOpcode),
        };
        self.drop_top(1);
        self.push_number(result)
    }

    fn binary(&mut self, opcode: u8) -> Step {
        self.need(2)?;
        let (a, b) = (self.peek_number(1)?, self.peek_number(0)?);
        let result = match Opcode::from(opcode) {
            // Operands have four bytes: no overflow.
            op::OP_ADD => a + b,
            op::OP_SUB => a - b,
            op::OP_BOOLAND => i64::from(a != 0 && b != 0),
            op::OP_BOOLOR => i64::from(a != 0 || b != 0),
            op::OP_NUMEQUAL | op::OP_NUMEQUALVERIFY => i64::from(a == b),
            op::OP_NUMNOTEQUAL => i64::from(a != b),
            op::OP_LESSTHAN => i64::from(a < b),
            op::OP_GREATERTHAN => i64::from(a > b),
            op::OP_LESSTHANOREQUAL => i64::from(a <= b),
            op::OP_GREATERTHANOREQUAL => i64::from(a >= b),
            op::OP_MIN => a.min(b),
            op::OP_MAX => a.max(b),
            _ => return Err(ScriptError::BadOpcode),
        };
        self.drop_top(2);
        self.push_number(result)
    }
}
