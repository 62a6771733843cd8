//! Signs a PSBT: fills in what is known, checks the spending rules on what it derived itself, signs, finalizes.

mod ecdsa;
mod finalize;
mod musig;
mod provider;
mod raw;
mod taproot;

pub use musig::Sessions;
pub use provider::{Material, OneShotProvider, Provider, WalletProvider};
pub use raw::sign_raw;

use crate::refusal::{DESERIALIZATION, INVALID_PARAMETER, refuse};
use bitcoin::psbt::{Input, PsbtSighashType};
use bitcoin::{Amount, Psbt, TxOut};
use bulkhead_keystore_edge::{KeystoreError, Signed};
use bulkhead_spend_policy::{History, Output, Rules, Spend};
use bulkhead_wallet_core::descriptor::Solution;

/// `RPC_TRANSACTION_ERROR`
const TRANSACTION: i32 = -25;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// 0: default of the script type.
    pub sighash: u32,
    /// Build final scripts.
    pub finalize: bool,
    /// Add key origins.
    pub derivations: bool,
    /// The PSBT stands for a raw transaction: what it says of legacy amounts is taken on trust, unless the owner set
    /// spending rules; signatures that are there may have other flags.
    pub raw: bool,
}

/// Rules and what they look at besides the transaction.
#[derive(Clone, Copy, Debug)]
pub struct Guard<'a> {
    /// The rules.
    pub rules: &'a Rules,
    /// What left before.
    pub history: &'a History,
    /// Seconds.
    pub now: i64,
}

/// Parses the PSBT of a request.
///
/// # Errors
/// -22 with the reason.
pub fn parse(bytes: &[u8]) -> Result<Psbt, KeystoreError> {
    Psbt::deserialize(bytes).map_err(|error| refuse(DESERIALIZATION, format!("TX decode failed {error}")))
}

/// The output that an input spends: from the previous transaction, whose id proves it, or else as the PSBT says,
/// which is safe for segwit only, because its signatures commit to the amount.
///
/// # Errors
/// The previous transaction is not the one that is spent, or says something else than the PSBT.
pub fn spent_output(psbt: &Psbt, index: usize) -> Result<Option<TxOut>, KeystoreError> {
    let missing = || refuse(TRANSACTION, "Inputs missing or spent");
    let (Some(input), Some(txin)) = (psbt.inputs.get(index), psbt.unsigned_tx.input.get(index)) else { return Err(missing()) };
    let Some(previous) = &input.non_witness_utxo else { return Ok(input.witness_utxo.clone()) };
    if previous.compute_txid() != txin.previous_output.txid {
        return Err(missing());
    }
    let position = usize::try_from(txin.previous_output.vout).unwrap_or(usize::MAX);
    let output = previous.output.get(position).ok_or_else(missing)?;
    if input.witness_utxo.as_ref().is_some_and(|said| said != output) {
        return Err(missing());
    }
    Ok(Some(output.clone()))
}

/// The bit of a flag that lets others add inputs.
const ANYONE_CAN_PAY: u32 = 0x80;

fn is_final(input: &Input) -> bool {
    input.final_script_sig.is_some() || input.final_script_witness.is_some()
}

/// The flag itself, or the default of the script type.
fn default_sighash(output: &TxOut, wanted: u32) -> u32 {
    if wanted == 0 && !output.script_pubkey.is_p2tr() { 1 } else { wanted }
}

/// The flag that an input is signed with, after the checks of Core's `SignPSBTInput`.
fn sighash_of(input: &mut Input, output: &TxOut, wanted: u32) -> Result<u32, KeystoreError> {
    let mismatch = || refuse(DESERIALIZATION, "Specified sighash value does not match value stored in PSBT");
    let taproot = output.script_pubkey.is_p2tr();
    let sighash = default_sighash(output, wanted);
    if input.sighash_type.is_some_and(|stored| stored.to_u32() != sighash && !(wanted == 0 && stored.to_u32() == 0)) {
        return Err(mismatch());
    }
    if if taproot { sighash != 0 } else { sighash != 1 } {
        input.sighash_type = Some(PsbtSighashType::from_u32(sighash));
    }
    let schnorr = input.tap_key_sig.iter().chain(input.tap_script_sigs.values());
    if schnorr.into_iter().any(|signature| signature.sighash_type as u32 != sighash) {
        return Err(mismatch());
    }
    if input.partial_sigs.values().any(|signature| signature.sighash_type as u32 != sighash) {
        return Err(mismatch());
    }
    Ok(sighash)
}

/// Whether a flag makes a signature commit to every output.
fn commits_to_outputs(sighash: u32) -> bool {
    matches!(sighash & 0x1f, 0 | 1)
}

/// Signs what the provider's keys can sign. Answers the PSBT and what would leave the wallet.
///
/// # Errors
/// The PSBT contradicts itself, the flag is unknown, or a spending rule would be broken: nothing was signed then.
pub fn sign(
    psbt: Psbt,
    provider: &mut impl Provider,
    options: Options,
    guard: Option<Guard<'_>>,
) -> Result<(Signed, Amount), KeystoreError> {
    let Worked { psbt, outputs, outflow } = work(psbt, provider, options, guard)?;
    let errors = (0..psbt.inputs.len())
        .filter(|index| !is_final(&psbt.inputs[*index]))
        .map(|index| complaint(&psbt.inputs[index], outputs[index].as_ref(), index));
    let errors: Vec<(u32, String)> = errors.collect();
    Ok((Signed { complete: errors.is_empty(), psbt: psbt.serialize(), errors }, outflow))
}

/// A PSBT after the work, what its inputs spend, and what leaves the wallet.
struct Worked {
    psbt: Psbt,
    outputs: Vec<Option<TxOut>>,
    outflow: Amount,
}

fn work(
    mut psbt: Psbt,
    provider: &mut impl Provider,
    options: Options,
    guard: Option<Guard<'_>>,
) -> Result<Worked, KeystoreError> {
    if !matches!(options.sighash, 0..=3 | 0x81..=0x83) {
        return Err(refuse(INVALID_PARAMETER, format!("'{}' is not a valid sighash parameter.", options.sighash)));
    }
    let count = psbt.inputs.len();
    let mut outputs = Vec::with_capacity(count);
    for index in 0..count {
        outputs.push(spent_output(&psbt, index)?);
    }
    let unproven = options.raw && guard.is_none_or(|guard| guard.rules.is_default());
    let mut work = Vec::with_capacity(count);
    for (index, output) in outputs.iter().enumerate() {
        let Some(output) = output.clone() else { continue };
        if is_final(&psbt.inputs[index]) {
            continue;
        }
        let sighash = if options.raw {
            default_sighash(&output, options.sighash)
        } else {
            sighash_of(&mut psbt.inputs[index], &output, options.sighash)?
        };
        let material = provider.for_input(&output.script_pubkey, &psbt.inputs[index]);
        // As Core: an input that needs its previous transaction and lacks it is left as it is.
        if !unproven && psbt.inputs[index].non_witness_utxo.is_none() && !takes_witness(&psbt.inputs[index], &output, &material) {
            continue;
        }
        fill(&mut psbt.inputs[index], &output, &material, options.derivations);
        work.push((index, output, sighash, material));
    }
    for (output, txout) in psbt.outputs.iter_mut().zip(&psbt.unsigned_tx.output) {
        if let Some(solution) = provider.public(&txout.script_pubkey).and_then(|material| material.solution) {
            solution.fill_output(output, options.derivations);
        }
    }
    let spend = spend(&psbt, &outputs, &work, provider);
    if let Some(guard) = guard.filter(|_| work.iter().any(|(_, _, _, material)| material.can_sign())) {
        guard.rules.check(&spend, guard.history, guard.now).map_err(|violation| KeystoreError {
            code: crate::refusal::WALLET,
            message: violation.text.clone(),
            policy: violation.tag.as_str().to_owned(),
        })?;
    }
    for (index, output, sighash, material) in &work {
        // A raw transaction gets no signature for an output that is not there; a PSBT may still get the output.
        if options.raw && sighash & 0x1f == 3 && *index >= psbt.unsigned_tx.output.len() {
            continue;
        }
        if output.script_pubkey.is_p2tr() {
            taproot::sign_input(&mut psbt, *index, &outputs, *sighash, material, provider.sessions())?;
        } else {
            ecdsa::sign_input(&mut psbt, *index, output, *sighash, material, unproven)?;
        }
        if options.finalize {
            finalize::input(&mut psbt, *index, output, material);
        }
    }
    // Final inputs have forgotten their flag.
    if work.iter().all(|(_, _, sighash, _)| sighash & ANYONE_CAN_PAY == 0) {
        drop_previous_transactions(&mut psbt);
    }
    Ok(Worked { psbt, outputs, outflow: spend.outflow() })
}

fn fill(input: &mut Input, output: &TxOut, material: &Material, derivations: bool) {
    if let Some(solution) = &material.solution {
        solution.fill_input(input, output, derivations);
    } else if output.script_pubkey.is_p2tr() {
        input.witness_utxo.get_or_insert_with(|| output.clone());
    }
}

/// Whether an output is spent by a witness, whose signatures commit to its amount.
fn takes_witness(input: &Input, output: &TxOut, material: &Material) -> bool {
    let script = &output.script_pubkey;
    let nested = |redeem: &bitcoin::ScriptBuf| redeem.is_witness_program() && redeem.to_p2sh() == *script;
    script.is_witness_program()
        || material.solution.as_ref().is_some_and(Solution::is_segwit)
        || input.redeem_script.as_ref().is_some_and(nested)
        // A key that came with the request may be that of a nested key hash; the signer looks for it.
        || (script.is_p2sh() && material.solution.is_none() && material.can_sign())
}

fn complaint(input: &Input, output: Option<&TxOut>, index: usize) -> (u32, String) {
    let text = match output {
        None => "Input not found or already spent",
        Some(_) if !input.partial_sigs.is_empty() => {
            "CHECK(MULTI)SIG failing with non-zero signature (possibly need more signatures)"
        }
        Some(output) if spends_key_hash(input, output) => "Witness program hash mismatch",
        Some(output) if output.script_pubkey.is_witness_program() => "Witness program was passed an empty witness",
        Some(_) => "Unable to sign input, invalid stack size (possibly missing key)",
    };
    (u32::try_from(index).unwrap_or(u32::MAX), text.to_owned())
}

/// Whether a witness that is not there would be that of a key hash, which must have two items.
fn spends_key_hash(input: &Input, output: &TxOut) -> bool {
    output.script_pubkey.is_p2wpkh() || input.redeem_script.as_ref().is_some_and(|script| script.is_p2wpkh())
}

/// The sum, when every amount is known.
fn total(mut amounts: impl Iterator<Item = Option<Amount>>) -> Option<Amount> {
    amounts.try_fold(Amount::ZERO, |sum, amount| sum.checked_add(amount?))
}

fn spend(psbt: &Psbt, outputs: &[Option<TxOut>], work: &[(usize, TxOut, u32, Material)], provider: &mut impl Provider) -> Spend {
    let own = work.iter().filter(|(_, _, _, material)| material.can_sign()).map(|(_, output, _, _)| Some(output.value));
    Spend {
        own_inputs: total(own).unwrap_or(Amount::MAX),
        // Core's stand-in for an amount that nobody gave; no coin holds all the money there is.
        all_inputs: total(
            outputs.iter().map(|output| output.as_ref().map(|output| output.value).filter(|value| *value != Amount::MAX_MONEY)),
        ),
        outputs: psbt
            .unsigned_tx
            .output
            .iter()
            .map(|output| Output {
                script: output.script_pubkey.clone(),
                amount: output.value,
                own: provider.public(&output.script_pubkey).is_some(),
            })
            .collect(),
        commits_to_outputs: work.iter().all(|(_, _, sighash, _)| commits_to_outputs(*sighash)),
    }
}

/// As Core: previous transactions are dropped when every input is segwit version 1 or later and commits to all inputs.
fn drop_previous_transactions(psbt: &mut Psbt) {
    let droppable = psbt.inputs.iter().all(|input| {
        let later = input
            .witness_utxo
            .as_ref()
            .and_then(|output| output.script_pubkey.witness_version())
            .is_some_and(|version| version.to_num() > 0);
        later && input.sighash_type.is_none_or(|sighash| sighash.to_u32() & ANYONE_CAN_PAY == 0)
    });
    if droppable {
        for input in &mut psbt.inputs {
            input.non_witness_utxo = None;
        }
    }
}

#[cfg(test)]
mod raw_tests;
#[cfg(test)]
mod tests;
