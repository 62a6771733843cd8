//! Bare multi-signature scripts.

use bitcoin::opcodes::all::OP_CHECKMULTISIG;
use bitcoin::script::Builder;
use bitcoin::{PublicKey, ScriptBuf};

/// Bare multi-signature script.
pub fn multisig_script(required: usize, keys: &[PublicKey]) -> ScriptBuf {
    let number = |builder: Builder, number: usize| builder.push_int(number as i64); // a few keys
    let builder = keys.iter().fold(number(Builder::new(), required), |builder, key| builder.push_key(key));
    number(builder, keys.len()).push_opcode(OP_CHECKMULTISIG).into_script()
}
