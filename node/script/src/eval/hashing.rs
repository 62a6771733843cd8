//! Hashes of elements.

use bitcoin::hashes::{Hash, hash160, ripemd160, sha1, sha256, sha256d};
use bitcoin::opcodes::Opcode;
use bitcoin::opcodes::all as op;

use super::{Machine, Step};
use crate::ScriptError;

impl Machine<'_> {
    pub(super) fn hash(&mut self, opcode: u8) -> Step {
        let element = self.pop()?;
        let hash = match Opcode::from(opcode) {
            op::OP_RIPEMD160 => ripemd160::Hash::hash(&element).to_byte_array().to_vec(),
            op::OP_SHA1 => sha1::Hash::hash(&element).to_byte_array().to_vec(),
            op::OP_SHA256 => sha256::Hash::hash(&element).to_byte_array().to_vec(),
            op::OP_HASH160 => hash160::Hash::hash(&element).to_byte_array().to_vec(),
            op::OP_HASH256 => sha256d::Hash::hash(&element).to_byte_array().to_vec(),
            _ => return Err(ScriptError::BadOpcode),
        };
        self.stack.push(hash);
        Ok(())
    }
}
