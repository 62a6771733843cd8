//! Checking an input against the output that it spends, in Rust (Core: `VerifyScript`).

use bitcoin::{Script, Witness};

use crate::checker::Checker;
use crate::eval::{self, SigVersion, Stack};
use crate::instruction::push_of;
use crate::sighash::TxData;
use crate::taproot::ExecutionData;
use crate::{Flags, ScriptError, number, witness};

/// Checks one input of a transaction under any set of rules. An input number that does not exist is an unsatisfied script.
pub fn interpret(data: &TxData<'_>, input: usize, flags: Flags) -> Result<(), ScriptError> {
    let (Some(txin), Some(spent)) = (data.tx.input.get(input), data.spent.get(input)) else {
        return Err(ScriptError::EvalFalse);
    };
    let checker = Checker::new(data, input);
    verify_script(&txin.script_sig, &spent.script_pubkey, &txin.witness, flags, &checker)
}

/// Version and program of a witness program (BIP141).
fn witness_program(script: &Script) -> Option<(u8, &[u8])> {
    script.witness_version().map(|version| (version.to_num(), &script.as_bytes()[2..]))
}

fn run_base(stack: &mut Stack, script: &[u8], flags: Flags, checker: &Checker<'_>) -> Result<(), ScriptError> {
    eval::run(stack, script, flags, checker, SigVersion::Base, &mut ExecutionData::default())
}

fn require_true(stack: &Stack) -> Result<(), ScriptError> {
    let is_true = stack.last().is_some_and(|top| number::is_true(top));
    if is_true { Ok(()) } else { Err(ScriptError::EvalFalse) }
}

/// `script_sig` and `witness` unlock `script_pubkey`.
pub fn verify_script(
    script_sig: &Script,
    script_pubkey: &Script,
    witness: &Witness,
    flags: Flags,
    checker: &Checker<'_>,
) -> Result<(), ScriptError> {
    if flags.intersects(Flags::SIGPUSHONLY) && !script_sig.is_push_only() {
        return Err(ScriptError::SigPushOnly);
    }
    let is_script_hash = flags.intersects(Flags::P2SH) && script_pubkey.is_p2sh();
    // One after the other on the same stack, never joined (CVE-2010-5141).
    let mut stack = Stack::new();
    run_base(&mut stack, script_sig.as_bytes(), flags, checker)?;
    let pushed = if is_script_hash { stack.clone() } else { Stack::new() };
    run_base(&mut stack, script_pubkey.as_bytes(), flags, checker)?;
    require_true(&stack)?;
    let mut had_witness = false;
    if flags.intersects(Flags::WITNESS)
        && let Some((version, program)) = witness_program(script_pubkey)
    {
        had_witness = true;
        if !script_sig.is_empty() {
            return Err(ScriptError::WitnessMalleated);
        }
        witness::verify(witness, version, program, flags, checker, false)?;
        // The program itself is what was left.
        stack.truncate(1);
    }
    if is_script_hash {
        if !script_sig.is_push_only() {
            return Err(ScriptError::SigPushOnly);
        }
        stack = pushed;
        let redeem_script = stack.pop().ok_or(ScriptError::EvalFalse)?;
        run_base(&mut stack, &redeem_script, flags, checker)?;
        require_true(&stack)?;
        if flags.intersects(Flags::WITNESS)
            && let Some((version, program)) = witness_program(Script::from_bytes(&redeem_script))
        {
            had_witness = true;
            if script_sig.as_bytes() != push_of(&redeem_script) {
                return Err(ScriptError::WitnessMalleatedP2sh);
            }
            witness::verify(witness, version, program, flags, checker, true)?;
            stack.truncate(1);
        }
    }
    if flags.intersects(Flags::CLEANSTACK) && stack.len() != 1 {
        return Err(ScriptError::CleanStack);
    }
    if flags.intersects(Flags::WITNESS) && !had_witness && !witness.is_empty() {
        return Err(ScriptError::WitnessUnexpected);
    }
    Ok(())
}
