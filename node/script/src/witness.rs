//! Witness programs (BIP141, BIP341; Core: `VerifyWitnessProgram`).

use bitcoin::Witness;
use bitcoin::hashes::{Hash, sha256};

use crate::checker::Checker;
use crate::eval::{self, MAX_ELEMENT_SIZE, MAX_STACK_SIZE, SigVersion, Stack};
use crate::instruction::{Reader, is_op_success};
use crate::number;
use crate::taproot::{self, ExecutionData};
use crate::{Flags, ScriptError};

/// Validation weight that every input has for free (BIP342).
const WEIGHT_OFFSET: i64 = 50;
/// Program of a pay-to-anchor output.
const ANCHOR: [u8; 2] = [0x4e, 0x73];

/// Checks a witness against a program. `nested`: the program stands behind a script hash.
pub fn verify(
    witness: &Witness,
    version: u8,
    program: &[u8],
    flags: Flags,
    checker: &Checker<'_>,
    nested: bool,
) -> Result<(), ScriptError> {
    let elements: Vec<&[u8]> = witness.iter().collect();
    match (version, program.len()) {
        (0, 32) => {
            let (script, stack) = elements.split_last().ok_or(ScriptError::WitnessProgramWitnessEmpty)?;
            if sha256::Hash::hash(script).as_byte_array() != program {
                return Err(ScriptError::WitnessProgramMismatch);
            }
            execute(stack, script, flags, SigVersion::WitnessV0, checker, &mut ExecutionData::default())
        }
        (0, 20) => {
            if elements.len() != 2 {
                return Err(ScriptError::WitnessProgramMismatch);
            }
            let script = [&[0x76, 0xa9, 0x14], program, &[0x88, 0xac]].concat();
            execute(&elements, &script, flags, SigVersion::WitnessV0, checker, &mut ExecutionData::default())
        }
        (0, _) => Err(ScriptError::WitnessProgramWrongLength),
        (1, 32) if !nested => {
            if flags.intersects(Flags::TAPROOT) {
                verify_taproot(&elements, witness.size(), program, flags, checker)
            } else {
                Ok(())
            }
        }
        (1, _) if !nested && program == ANCHOR => Ok(()),
        _ if flags.intersects(Flags::DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM) => {
            Err(ScriptError::DiscourageUpgradableWitnessProgram)
        }
        _ => Ok(()),
    }
}

/// `size`: bytes of the whole witness in the network's form.
fn verify_taproot(
    elements: &[&[u8]],
    size: usize,
    program: &[u8],
    flags: Flags,
    checker: &Checker<'_>,
) -> Result<(), ScriptError> {
    let mut execution = ExecutionData::default();
    let elements = match elements {
        [] => return Err(ScriptError::WitnessProgramWitnessEmpty),
        [rest @ .., annex] if !rest.is_empty() && annex.first() == Some(&taproot::ANNEX_TAG) => {
            execution.annex = Some(taproot::annex_hash(annex));
            rest
        }
        all => all,
    };
    let (stack, script, control) = match elements {
        [signature] => return checker.schnorr(signature, program, &execution),
        [stack @ .., script, control] => (stack, script, control),
        [] => return Err(ScriptError::WitnessProgramWitnessEmpty),
    };
    if !taproot::is_control_size(control.len()) {
        return Err(ScriptError::TaprootWrongControlSize);
    }
    let leaf_version = control[0] & taproot::LEAF_MASK;
    let leaf = taproot::leaf_hash(leaf_version, script);
    if !taproot::commits(control, program, leaf) {
        return Err(ScriptError::WitnessProgramMismatch);
    }
    if leaf_version == taproot::LEAF_TAPSCRIPT {
        execution.leaf = Some(leaf);
        execution.weight_left = i64::try_from(size).unwrap_or(i64::MAX - WEIGHT_OFFSET) + WEIGHT_OFFSET;
        return execute(stack, script, flags, SigVersion::Tapscript, checker, &mut execution);
    }
    if flags.intersects(Flags::DISCOURAGE_UPGRADABLE_TAPROOT_VERSION) {
        return Err(ScriptError::DiscourageUpgradableTaprootVersion);
    }
    Ok(())
}

/// Core: `ExecuteWitnessScript`.
fn execute(
    elements: &[&[u8]],
    script: &[u8],
    flags: Flags,
    version: SigVersion,
    checker: &Checker<'_>,
    execution: &mut ExecutionData,
) -> Result<(), ScriptError> {
    if version == SigVersion::Tapscript {
        for instruction in Reader::new(script) {
            let instruction = instruction.map_err(|_| ScriptError::BadOpcode)?;
            if is_op_success(instruction.opcode) {
                let discouraged = flags.intersects(Flags::DISCOURAGE_OP_SUCCESS);
                return if discouraged { Err(ScriptError::DiscourageOpSuccess) } else { Ok(()) };
            }
        }
        if elements.len() > MAX_STACK_SIZE {
            return Err(ScriptError::StackSize);
        }
    }
    if elements.iter().any(|element| element.len() > MAX_ELEMENT_SIZE) {
        return Err(ScriptError::PushSize);
    }
    let mut stack: Stack = elements.iter().map(|element| element.to_vec()).collect();
    eval::run(&mut stack, script, flags, checker, version, execution)?;
    match stack.as_slice() {
        [result] if number::is_true(result) => Ok(()),
        [_] => Err(ScriptError::EvalFalse),
        _ => Err(ScriptError::CleanStack),
    }
}
