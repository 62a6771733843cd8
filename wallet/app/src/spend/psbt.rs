//! Drafts for the key store: a PSBT with every spent output and what the wallet knows about scripts and keys.

use bitcoin::{Psbt, Transaction, TxOut, psbt};
use miniscript::psbt::{PsbtInputExt, PsbtOutputExt};

use crate::state::Wallet;

/// Why a draft cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// The transaction has signatures already.
    #[error("transaction is signed already")]
    Signed,
}

/// A PSBT of a transaction whose signatures are dropped.
///
/// # Errors
/// Only if the transaction cannot be one without signatures.
pub fn unsigned(tx: &Transaction) -> Result<Psbt, DraftError> {
    let mut bare = tx.clone();
    for input in &mut bare.input {
        input.script_sig = bitcoin::ScriptBuf::new();
        input.witness.clear();
    }
    Psbt::from_unsigned_tx(bare).map_err(|_| DraftError::Signed)
}

/// Fills in what the wallet knows: previous transactions and outputs, scripts, and key origins with `bip32`.
pub fn fill(wallet: &Wallet, psbt: &mut Psbt, bip32: bool) {
    for index in 0..psbt.inputs.len() {
        let Some(outpoint) = psbt.unsigned_tx.input.get(index).map(|input| input.previous_output) else { continue };
        let input = &mut psbt.inputs[index];
        if input.final_script_sig.is_some() || input.final_script_witness.is_some() {
            continue;
        }
        if let Some(wtx) = wallet.txs.get(&outpoint.txid)
            && let Some(output) = wallet.output(&outpoint)
        {
            fill_utxo(input, &wtx.tx, output);
        }
        let Some(output) = spent_output(input, outpoint.vout) else { continue };
        if let Some(solution) = wallet.solution(&output.script_pubkey) {
            // A solution of ours whose scripts don't fit the input is left out: the key store would refuse it too.
            let mut filled = input.clone();
            if filled.update_with_descriptor_unchecked(&solution).is_ok() {
                if !bip32 {
                    filled.bip32_derivation.clone_from(&input.bip32_derivation);
                    filled.tap_key_origins.clone_from(&input.tap_key_origins);
                }
                *input = filled;
            }
        }
    }
    for (output, filled) in psbt.unsigned_tx.output.iter().zip(&mut psbt.outputs) {
        if let Some(solution) = wallet.solution(&output.script_pubkey) {
            let mut new = filled.clone();
            if bip32 && new.update_with_descriptor_unchecked(&solution).is_ok() {
                *filled = new;
            }
        }
    }
}

/// Previous transaction for all but taproot, previous output for witness programs (as Core does).
pub fn fill_utxo(input: &mut psbt::Input, previous: &Transaction, output: &TxOut) {
    let script = &output.script_pubkey;
    if !script.is_p2tr() && input.non_witness_utxo.is_none() {
        input.non_witness_utxo = Some(previous.clone());
    }
    if (script.witness_version().is_some() || script.is_p2sh()) && input.witness_utxo.is_none() {
        input.witness_utxo = Some(output.clone());
    }
    if script.is_p2sh() && input.redeem_script.as_ref().is_none_or(|redeem| redeem.witness_version().is_none()) {
        // Only a nested witness program may stand with its output alone; the filler decides below.
        input.witness_utxo = None;
    }
}

/// The output that an input spends, as the PSBT says.
pub fn spent_output(input: &psbt::Input, vout: u32) -> Option<TxOut> {
    input.witness_utxo.clone().or_else(|| input.non_witness_utxo.as_ref()?.output.get(vout as usize).cloned())
}

/// Drops previous transactions where the previous output is enough: when all inputs are taproot.
pub fn trim(psbt: &mut Psbt) {
    let all_taproot =
        psbt.inputs.iter().all(|input| input.witness_utxo.as_ref().is_some_and(|output| output.script_pubkey.is_p2tr()));
    if all_taproot {
        for input in &mut psbt.inputs {
            input.non_witness_utxo = None;
        }
    }
}
