//! Which transactions are standard: relayed and mined by default.

use crate::feerate::FeeRate;
use crate::options::Options;
use crate::reject::{Kind, Reject};
use bitcoin::{Script, Transaction, TxIn, TxOut};
use bulkhead_consensus::sigops;
use bulkhead_rpc_util::opcode::{self, Ops};
use bulkhead_rpc_util::solver::{ScriptType, solve, witness_program};

/// Heaviest standard transaction, weight units.
pub const MAX_STANDARD_TX_WEIGHT: i64 = 400_000;
/// Signature operation cost of a standard transaction.
pub const MAX_STANDARD_TX_SIGOPS_COST: i64 = 16_000;
const MIN_NONWITNESS_SIZE: usize = 65;
const MAX_SCRIPTSIG_SIZE: usize = 1650;
const MAX_P2SH_SIGOPS: usize = 15;
const MAX_TX_LEGACY_SIGOPS: usize = 2500;
const MAX_STACK_ITEM_SIZE: usize = 80;
const MAX_WITNESS_STACK_ITEMS: usize = 100;
const MAX_WITNESS_SCRIPT_SIZE: usize = 3600;

/// Smallest amount that is not dust for this output, satoshi.
pub fn dust_threshold(output: &TxOut, rate: FeeRate) -> i64 {
    if opcode::is_unspendable(output.script_pubkey.as_bytes()) {
        return 0;
    }
    // The output itself plus the input that spends it; a witness counts a quarter.
    let is_witness = witness_program(output.script_pubkey.as_bytes()).is_some();
    let input = if is_witness { 32 + 4 + 1 + 107 / 4 + 4 } else { 32 + 4 + 1 + 107 + 4 };
    rate.fee(output.size() as i64 + input)
}

/// Positions of dust outputs.
pub fn dust_outputs(tx: &Transaction, rate: FeeRate) -> Vec<usize> {
    let is_dust = |output: &TxOut| (output.value.to_sat() as i64) < dust_threshold(output, rate);
    tx.output.iter().enumerate().filter(|(_, output)| is_dust(output)).map(|(i, _)| i).collect()
}

fn is_standard_output(kind: &ScriptType) -> bool {
    match kind {
        ScriptType::NonStandard => false,
        ScriptType::MultiSig { keys, .. } => keys.len() <= 3,
        _ => true,
    }
}

/// Form of a transaction, without its coins.
///
/// # Errors
/// Core's one-word reasons.
pub fn check_standard(tx: &Transaction, options: &Options) -> Result<(), Reject> {
    let fail = |reason: &str| Err(Reject::new(Kind::NotStandard, reason));
    if !(1..=3).contains(&tx.version.0) {
        return fail("version");
    }
    if tx.weight().to_wu() as i64 > MAX_STANDARD_TX_WEIGHT {
        return fail("tx-size");
    }
    for input in &tx.input {
        if input.script_sig.len() > MAX_SCRIPTSIG_SIZE {
            return fail("scriptsig-size");
        }
        if !opcode::is_push_only(input.script_sig.as_bytes()) {
            return fail("scriptsig-not-pushonly");
        }
    }
    let mut data_left = options.max_datacarrier.unwrap_or(0);
    for output in &tx.output {
        let kind = solve(output.script_pubkey.as_bytes());
        if !is_standard_output(&kind) {
            return fail("scriptpubkey");
        }
        match kind {
            ScriptType::NullData => match data_left.checked_sub(output.script_pubkey.len()) {
                Some(left) => data_left = left,
                None => return fail("datacarrier"),
            },
            ScriptType::MultiSig { .. } if !options.permit_bare_multisig => return fail("bare-multisig"),
            _ => {}
        }
    }
    // One dust output is left to the rules for ephemeral dust.
    if dust_outputs(tx, options.dust).len() > 1 {
        return fail("dust");
    }
    Ok(())
}

/// Transactions of 64 bytes or less can be mistaken for inner nodes of a merkle tree (CVE-2017-12842).
pub fn check_size(tx: &Transaction) -> Result<(), Reject> {
    if tx.base_size() < MIN_NONWITNESS_SIZE {
        return Err(Reject::new(Kind::NotStandard, "tx-size-small"));
    }
    Ok(())
}

/// Last push of an input script that only pushes; pushes such as OP_1 give their byte.
fn redeem_script(input: &TxIn) -> Option<Vec<u8>> {
    let mut last = None;
    for op in Ops::new(input.script_sig.as_bytes()) {
        let op = op.ok().filter(|op| op.code <= opcode::SIXTEEN && op.code != 0x50 && op.data.len() <= 520)?;
        last = Some(match op.code {
            opcode::NEGATE_1 => vec![0x81],
            opcode::ONE..=opcode::SIXTEEN => vec![op.code - opcode::ONE + 1],
            _ => op.data.to_vec(),
        });
    }
    Some(last.unwrap_or_default())
}

/// Scripts of the spent outputs, in input order.
///
/// # Errors
/// `bad-txns-nonstandard-inputs`.
pub fn check_inputs(tx: &Transaction, spent: &[TxOut]) -> Result<(), Reject> {
    let fail = |debug: String| Err(Reject::with_debug(Kind::InputsNotStandard, "bad-txns-nonstandard-inputs", debug));
    let mut legacy = 0;
    for (input, output) in tx.input.iter().zip(spent) {
        legacy += sigops::count(input.script_sig.as_bytes(), true);
        legacy += if output.script_pubkey.is_p2sh() {
            redeem_script(input).map_or(0, |script| sigops::count(&script, true))
        } else {
            sigops::count(output.script_pubkey.as_bytes(), true)
        };
        if legacy > MAX_TX_LEGACY_SIGOPS {
            return fail("non-witness sigops exceed bip54 limit".into());
        }
    }
    for (i, (input, output)) in tx.input.iter().zip(spent).enumerate() {
        match solve(output.script_pubkey.as_bytes()) {
            ScriptType::NonStandard => return fail(format!("input {i} script unknown")),
            ScriptType::WitnessUnknown(..) => return fail(format!("input {i} witness program is undefined")),
            ScriptType::ScriptHash(_) => {
                let Some(script) = redeem_script(input) else {
                    return fail(format!("p2sh scriptsig malformed (input {i}: Opcode missing or not understood)"));
                };
                if input.script_sig.is_empty() {
                    return fail(format!("input {i} P2SH redeemscript missing"));
                }
                let count = sigops::count(&script, true);
                if count > MAX_P2SH_SIGOPS {
                    let debug = format!("p2sh redeemscript sigops exceed limit (input {i}: {count} > {MAX_P2SH_SIGOPS})");
                    return fail(debug);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Limits of witness stacks.
///
/// # Errors
/// `bad-witness-nonstandard`.
pub fn check_witness(tx: &Transaction, spent: &[TxOut]) -> Result<(), Reject> {
    let standard = tx
        .input
        .iter()
        .zip(spent)
        .all(|(input, output)| input.witness.is_empty() || is_standard_witness(input, &output.script_pubkey));
    if standard { Ok(()) } else { Err(Reject::new(Kind::WitnessMutated, "bad-witness-nonstandard")) }
}

fn is_standard_witness(input: &TxIn, script: &Script) -> bool {
    let is_p2sh = script.is_p2sh();
    let script = if is_p2sh {
        match redeem_script(input) {
            Some(script) => script,
            None => return false,
        }
    } else {
        script.to_bytes()
    };
    let Some((version, program)) = witness_program(&script) else { return false };
    let mut stack: Vec<&[u8]> = input.witness.iter().collect();
    match (version, program.len()) {
        (1, 2) if !is_p2sh && program == [0x4e, 0x73] => false,
        (0, 32) => {
            let script = stack.pop().unwrap_or_default();
            script.len() <= MAX_WITNESS_SCRIPT_SIZE
                && stack.len() <= MAX_WITNESS_STACK_ITEMS
                && stack.iter().all(|item| item.len() <= MAX_STACK_ITEM_SIZE)
        }
        (1, 32) if !is_p2sh => {
            if stack.len() < 2 {
                return stack.len() == 1;
            }
            // No meaning of an annex is defined yet.
            let Some(control) = stack.pop().filter(|last| last.first() != Some(&0x50)) else { return false };
            let Some(leaf) = control.first() else { return false };
            stack.pop();
            leaf & 0xfe != 0xc0 || stack.iter().all(|item| item.len() <= MAX_STACK_ITEM_SIZE)
        }
        _ => true,
    }
}

/// Whether an input spends a witness program, pay-to-anchor aside: then a missing witness explains a failed script.
pub fn spends_witness_program(tx: &Transaction, spent: &[TxOut]) -> bool {
    tx.input.iter().zip(spent).any(|(input, output)| match witness_program(output.script_pubkey.as_bytes()) {
        Some(program) => program != (1, &[0x4e, 0x73][..]),
        None => output.script_pubkey.is_p2sh() && redeem_script(input).is_some_and(|script| witness_program(&script).is_some()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bitcoin::{Amount, ScriptBuf};

    fn output(sat: u64, script: &str) -> TxOut {
        TxOut { value: Amount::from_sat(sat), script_pubkey: ScriptBuf::from_hex(script).unwrap() }
    }

    #[test]
    fn dust_limits_are_the_known_ones() {
        let rate = FeeRate(3000);
        assert_eq!(dust_threshold(&output(0, &format!("76a914{}88ac", "00".repeat(20))), rate), 546);
        assert_eq!(dust_threshold(&output(0, &format!("0014{}", "00".repeat(20))), rate), 294);
        assert_eq!(dust_threshold(&output(0, &format!("5120{}", "00".repeat(32))), rate), 330);
        assert_eq!(dust_threshold(&output(0, "6a"), rate), 0);
    }
}
