//! Checking an input against the output that it spends, in Rust (Core: `VerifyScript`).

use bitcoin::{Script, Witness};

use crate::cache::SignatureCache;
use crate::checker::Checker;
use crate::eval::{self, SigVersion, Stack};
use crate::instruction::{is_pay_to_script_hash, is_push_only, push_of, witness_program};
use crate::sighash::TxData;
use crate::taproot::ExecutionData;
use crate::{Flags, ScriptError, number, witness};

/// Checks one input of a transaction under any set of rules. An input number that does not exist is an unsatisfied script.
pub fn interpret(data: &TxData<'_>, input: usize, flags: Flags, cache: Option<&SignatureCache>) -> Result<(), ScriptError> {
    let (Some(txin), Some(spent)) = (data.tx.input.get(input), data.spent.get(input)) else {
        return Err(ScriptError::EvalFalse);
    };
    let checker = Checker::new(data, input, cache);
    verify_script(&txin.script_sig, &spent.script_pubkey, &txin.witness, flags, &checker)
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
    let (script_sig, script_pubkey) = (script_sig.as_bytes(), script_pubkey.as_bytes());
    if flags.intersects(Flags::SIGPUSHONLY) && !is_push_only(script_sig) {
        return Err(ScriptError::SigPushOnly);
    }
    let is_script_hash = flags.intersects(Flags::P2SH) && is_pay_to_script_hash(script_pubkey);
    // One after the other on the same stack, never joined (CVE-2010-5141).
    let mut stack = Stack::new();
    run_base(&mut stack, script_sig, flags, checker)?;
    let pushed = if is_script_hash { stack.clone() } else { Stack::new() };
    run_base(&mut stack, script_pubkey, flags, checker)?;
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
        if !is_push_only(script_sig) {
            return Err(ScriptError::SigPushOnly);
        }
        stack = pushed;
        let redeem_script = stack.pop().ok_or(ScriptError::EvalFalse)?;
        run_base(&mut stack, &redeem_script, flags, checker)?;
        require_true(&stack)?;
        if flags.intersects(Flags::WITNESS)
            && let Some((version, program)) = witness_program(&redeem_script)
        {
            had_witness = true;
            if script_sig != push_of(&redeem_script) {
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
