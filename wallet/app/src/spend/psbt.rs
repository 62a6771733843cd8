//! Drafts for the key store: a PSBT with every spent output and what the wallet knows about scripts and keys.

use bitcoin::psbt::PsbtSighashType;
use bitcoin::{Psbt, Script, ScriptBuf, Transaction, TxOut, psbt};
use bulkhead_rpc_util::psbt::{Version, VersionedPsbt, is_final};

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
pub fn unsigned(tx: &Transaction, version: Version) -> Result<VersionedPsbt, DraftError> {
    let mut bare = tx.clone();
    for input in &mut bare.input {
        input.script_sig = bitcoin::ScriptBuf::new();
        input.witness.clear();
    }
    VersionedPsbt::new(bare, version).map_err(|_| DraftError::Signed)
}

/// Notes the flag that signatures are wanted with, as Core does whether or not there is a key. False: another one is noted.
fn note_sighash(input: &mut psbt::Input, output: &TxOut, wanted: u32) -> bool {
    let usual = u32::from(!output.script_pubkey.is_p2tr()); // SIGHASH_DEFAULT or SIGHASH_ALL
    let sighash = if wanted == 0 { usual } else { wanted };
    let noted = input.sighash_type.map(PsbtSighashType::to_u32);
    if noted.is_some_and(|noted| noted != sighash && !(wanted == 0 && noted == 0)) {
        return false;
    }
    if sighash != usual {
        input.sighash_type = Some(PsbtSighashType::from_u32(sighash));
    }
    true
}

/// Fills a draft of our own, which notes no flags.
pub fn fill(wallet: &Wallet, psbt: &mut Psbt, bip32: bool) {
    let usual = fill_for(wallet, psbt, bip32, 0);
    debug_assert!(usual, "a draft notes no flags");
}

/// Fills in what the wallet knows: previous transactions and outputs, scripts, and key origins with `bip32`
/// (Core: `CWallet::FillPSBT`). False: an input wants signatures with another flag than `sighash` (0: the usual one).
#[must_use]
pub fn fill_for(wallet: &Wallet, psbt: &mut Psbt, bip32: bool, sighash: u32) -> bool {
    for (input, unsigned) in psbt.inputs.iter_mut().zip(&psbt.unsigned_tx.input) {
        if is_final(input) {
            continue;
        }
        let outpoint = unsigned.previous_output;
        if input.non_witness_utxo.is_none()
            && let Some(wtx) = wallet.txs.get(&outpoint.txid)
        {
            input.non_witness_utxo = Some((*wtx.tx).clone());
        }
        let Some(output) = spent_output(input, outpoint.vout) else { continue };
        if !note_sighash(input, &output, sighash) {
            return false;
        }
        // As Core: an input that needs its previous transaction and lacks it is left as it is.
        let proven = input.non_witness_utxo.is_some();
        if let Some(solution) = wallet.solution(&output.script_pubkey).filter(|solution| proven || solution.is_segwit()) {
            solution.fill_input(input, &output, bip32);
        }
        if spends_witness(&output.script_pubkey, input) {
            input.witness_utxo = Some(output);
        }
    }
    for (output, filled) in psbt.unsigned_tx.output.iter().zip(&mut psbt.outputs) {
        if let Some(solution) = wallet.solution(&output.script_pubkey) {
            solution.fill_output(filled, bip32);
        }
    }
    drop_previous_transactions(psbt);
    true
}

/// Whether an input has a witness, as far as its scripts are known.
fn spends_witness(script: &Script, input: &psbt::Input) -> bool {
    let program = match &input.redeem_script {
        Some(redeem) if script.is_p2sh() && redeem.to_p2sh() == *script => redeem.as_script(),
        _ => script,
    };
    let known = |witness: &ScriptBuf| witness.to_p2wsh() == *program;
    program.is_p2wpkh() || script.is_p2tr() || program.is_p2wsh() && input.witness_script.as_ref().is_some_and(known)
}

/// The output that an input spends, as the PSBT says.
pub fn spent_output(input: &psbt::Input, vout: u32) -> Option<TxOut> {
    let previous = input.non_witness_utxo.as_ref().and_then(|previous| previous.output.get(vout as usize));
    previous.cloned().or_else(|| input.witness_utxo.clone())
}

/// Drops previous transactions when no input needs one: when all are segwit version 1 or later, and no signature lets others
/// add inputs (Core: `RemoveUnnecessaryTransactions`).
pub fn drop_previous_transactions(psbt: &mut Psbt) {
    const ANYONE_CAN_PAY: u32 = 0x80;
    let droppable = |input: &psbt::Input| {
        let version = input.witness_utxo.as_ref().and_then(|output| output.script_pubkey.witness_version());
        let shared = input.sighash_type.is_some_and(|sighash| sighash.to_u32() & ANYONE_CAN_PAY != 0);
        version.is_some_and(|version| version.to_num() > 0) && !shared
    };
    if psbt.inputs.iter().all(droppable) {
        for input in &mut psbt.inputs {
            input.non_witness_utxo = None;
        }
    }
}
