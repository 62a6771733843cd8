//! Raw transactions: no PSBT carries partial signatures, so they are read from and written into the scripts of the
//! transaction, as Core does (`DataFromTransaction`, `SignStep`, `UpdateInput` of script/sign.cpp).

use super::provider::{Provider, pushes};
use super::{Guard, Options, complaint, ecdsa as ecdsa_input, is_final, work};
use crate::refusal::{DESERIALIZATION, refuse};
use bitcoin::hashes::Hash;
use bitcoin::opcodes::all::OP_CHECKMULTISIG;
use bitcoin::psbt::Input;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::sighash::Prevouts;
use bitcoin::{Amount, OutPoint, Psbt, PublicKey, Script, ScriptBuf, Transaction, TxIn, TxOut, Txid, Witness, ecdsa};
use bulkhead_keystore_edge::{KeystoreError, RawTransaction, Signed, SpentCoin};
use bulkhead_wallet_core::descriptor::SECP;
use miniscript::interpreter::Interpreter;
use std::collections::HashMap;

/// Core's pay-to-anchor script: spent without any signature.
const ANCHOR: [u8; 4] = [0x51, 2, 0x4e, 0x73];

/// Signs what the provider's keys can sign in a raw transaction. Answers the transaction, and what would leave the
/// wallet. An input is complaint-free when its signatures are known to hold; scripts beyond miniscript's reach are for
/// the caller to judge.
///
/// # Errors
/// The transaction or a previous one does not parse, the flag is unknown, or a spending rule would be broken.
pub fn sign_raw(
    raw: &RawTransaction,
    provider: &mut impl Provider,
    guard: Option<Guard<'_>>,
) -> Result<(Signed, Amount), KeystoreError> {
    let mut tx = parse(&raw.transaction)?;
    let copies = raw.copies.iter().map(|copy| parse(copy)).collect::<Result<Vec<_>, _>>()?;
    if copies.iter().any(|copy| copy.input.len() != tx.input.len() || copy.compute_ntxid() != tx.compute_ntxid()) {
        return Err(refuse(DESERIALIZATION, "key store: a copy is of another transaction"));
    }
    let psbt = draft(&tx, &copies, &raw.coins)?;
    let options = Options { sighash: raw.sighash, finalize: true, derivations: false, raw: true };
    let done = work(psbt, provider, options, guard)?;
    let mut errors = Vec::new();
    for (index, txin) in tx.input.iter_mut().enumerate() {
        let (input, output) = (&done.psbt.inputs[index], done.outputs[index].as_ref());
        if is_final(input) {
            txin.script_sig = input.final_script_sig.clone().unwrap_or_default();
            txin.witness = input.final_script_witness.clone().unwrap_or_default();
            continue;
        }
        if output.is_some_and(|output| output.script_pubkey.as_bytes() == ANCHOR) {
            continue;
        }
        if let Some((script_sig, witness)) = output.and_then(|output| partial(input, output, txin)) {
            txin.script_sig = script_sig;
            txin.witness = witness;
        }
        errors.push(complaint(input, output, index));
    }
    let signed = Signed { complete: errors.is_empty(), psbt: bitcoin::consensus::serialize(&tx), errors };
    Ok((signed, done.outflow))
}

fn parse(bytes: &[u8]) -> Result<Transaction, KeystoreError> {
    bitcoin::consensus::deserialize(bytes)
        .map_err(|_| refuse(DESERIALIZATION, "TX decode failed. Make sure the tx has at least one input."))
}

/// A PSBT of the transaction with everything that is known: coins, scripts, and the signatures that are there.
fn draft(tx: &Transaction, copies: &[Transaction], coins: &[SpentCoin]) -> Result<Psbt, KeystoreError> {
    let mut bare = tx.clone();
    for input in &mut bare.input {
        input.script_sig = ScriptBuf::new();
        input.witness = Witness::new();
    }
    let mut psbt = Psbt::from_unsigned_tx(bare).map_err(|error| refuse(DESERIALIZATION, error.to_string()))?;
    let by_outpoint: HashMap<OutPoint, &SpentCoin> =
        coins.iter().map(|coin| (OutPoint { txid: Txid::from_byte_array(coin.txid), vout: coin.vout }, coin)).collect();
    let output =
        |coin: &SpentCoin| TxOut { value: Amount::from_sat(coin.amount), script_pubkey: ScriptBuf::from(coin.script.clone()) };
    let outputs: Vec<Option<TxOut>> =
        tx.input.iter().map(|input| by_outpoint.get(&input.previous_output).map(|coin| output(coin))).collect();
    for (index, txin) in tx.input.iter().enumerate() {
        let Some(coin) = by_outpoint.get(&txin.previous_output) else { continue };
        let output = output(coin);
        let given = |bytes: &[u8]| (!bytes.is_empty()).then(|| ScriptBuf::from(bytes.to_vec()));
        let input = &mut psbt.inputs[index];
        if !coin.previous.is_empty() {
            let previous = bitcoin::consensus::deserialize(&coin.previous);
            input.non_witness_utxo = Some(previous.map_err(|error| refuse(DESERIALIZATION, error.to_string()))?);
        }
        input.redeem_script = given(&coin.redeem_script);
        input.witness_script = given(&coin.witness_script);
        input.witness_utxo = Some(output.clone());
        let variants = std::iter::once(tx).chain(copies);
        if let Some(whole) = variants.clone().find(|variant| verifies(variant, index, &outputs)) {
            let txin = &whole.input[index];
            input.final_script_sig = Some(txin.script_sig.clone()).filter(|script| !script.is_empty());
            input.final_script_witness = Some(txin.witness.clone()).filter(|witness| !witness.is_empty());
        } else {
            variants.for_each(|variant| recover(&mut psbt, index, &variant.input[index], &output));
        }
    }
    Ok(psbt)
}

/// Takes the scripts and ECDSA signatures out of an input that is signed in part.
fn recover(psbt: &mut Psbt, index: usize, txin: &TxIn, output: &TxOut) {
    let pushed: Vec<Vec<u8>> = pushes(&txin.script_sig).map(<[u8]>::to_vec).collect();
    let input = &mut psbt.inputs[index];
    if output.script_pubkey.is_p2sh() && input.redeem_script.is_none() {
        let last = pushed.last().map(|bytes| ScriptBuf::from(bytes.clone()));
        input.redeem_script = last.filter(|script| script.to_p2sh() == output.script_pubkey);
    }
    let program = input.redeem_script.clone().unwrap_or_else(|| output.script_pubkey.clone());
    if program.is_p2wsh() && input.witness_script.is_none() {
        let last = txin.witness.last().map(|bytes| ScriptBuf::from(bytes.to_vec()));
        input.witness_script = last.filter(|script| script.to_p2wsh() == program);
    }
    let script = input.witness_script.clone().unwrap_or(program);
    let stack: Vec<&[u8]> = pushed.iter().map(Vec::as_slice).chain(txin.witness.iter()).collect();
    let in_scripts = pushes(&script).chain(stack.iter().copied());
    let keys: Vec<PublicKey> = in_scripts.filter_map(|bytes| PublicKey::from_slice(bytes).ok()).collect();
    let mut found = Vec::new();
    for signature in stack.iter().filter_map(|bytes| ecdsa::Signature::from_slice(bytes).ok()) {
        let Some(message) = ecdsa_input::message(psbt, index, output, signature.sighash_type) else { continue };
        if let Some(key) = keys.iter().find(|key| key.verify(&SECP, &message, &signature).is_ok()) {
            found.push((*key, signature));
        }
    }
    psbt.inputs[index].partial_sigs.extend(found);
}

/// Scripts of an input that lacks signatures: of a multisig those that are there, in the order of its keys, with empty ones
/// behind them; else what is known without them. Nothing: the input stays as it is.
fn partial(input: &Input, output: &TxOut, txin: &TxIn) -> Option<(ScriptBuf, Witness)> {
    let program = match &input.redeem_script {
        _ if output.script_pubkey.is_p2tr() => return None,
        Some(redeem) => redeem,
        None if output.script_pubkey.is_p2sh() => return None,
        None => &output.script_pubkey,
    };
    let script = input.witness_script.as_ref().unwrap_or(program);
    let one_key = script.is_p2pk() || script.is_p2pkh() || script.is_p2wpkh();
    let mut stack = match threshold(script) {
        Some(required) => multisig_stack(input, script, required),
        // Its signatures may hold although no key is known here.
        None if !(one_key || txin.script_sig.is_empty() && txin.witness.is_empty()) => return None,
        None => Vec::new(),
    };
    let push = |builder: Builder, bytes: &[u8]| match PushBytesBuf::try_from(bytes.to_vec()) {
        Ok(bytes) => builder.push_slice(bytes),
        Err(_) => builder,
    };
    let redeem = |builder: Builder| input.redeem_script.iter().fold(builder, |builder, redeem| push(builder, redeem.as_bytes()));
    if program.is_witness_program() {
        stack.extend(input.witness_script.iter().map(|script| script.to_bytes()));
        return Some((redeem(Builder::new()).into_script(), Witness::from_slice(&stack)));
    }
    let signatures = stack.iter().fold(Builder::new(), |builder, item| push(builder, item));
    Some((redeem(signatures).into_script(), Witness::new()))
}

fn multisig_stack(input: &Input, script: &Script, required: usize) -> Vec<Vec<u8>> {
    let mut stack = vec![Vec::new()];
    for key in pushes(script).filter_map(|bytes| PublicKey::from_slice(bytes).ok()) {
        if let Some(signature) = input.partial_sigs.get(&key).filter(|_| stack.len() <= required) {
            stack.push(signature.to_vec());
        }
    }
    // Core's loop counts towards what it adds: it fills half of the places, the odd one too.
    let missing = (required + 1).saturating_sub(stack.len());
    stack.resize(stack.len() + missing.div_ceil(2), Vec::new());
    stack
}

/// The number of signatures that a multisig script asks for.
fn threshold(script: &Script) -> Option<usize> {
    let bytes = script.as_bytes();
    if bytes.last() != Some(&OP_CHECKMULTISIG.to_u8()) {
        return None;
    }
    match bytes {
        [first @ 0x51..=0x60, ..] => Some(usize::from(first - 0x50)),
        // Numbers above 16 are pushed.
        [1, number @ 17..=20, ..] => Some(usize::from(*number)),
        _ => None,
    }
}

/// Whether an input is complete as it is: its signatures hold.
fn verifies(tx: &Transaction, index: usize, outputs: &[Option<TxOut>]) -> bool {
    let (Some(txin), Some(Some(output))) = (tx.input.get(index), outputs.get(index)) else { return false };
    if txin.script_sig.is_empty() && txin.witness.is_empty() {
        return false;
    }
    let known: Option<Vec<&TxOut>> = outputs.iter().map(Option::as_ref).collect();
    let prevouts = match &known {
        Some(known) => Prevouts::All(known.as_slice()),
        None => Prevouts::One(index, output),
    };
    let interpreter =
        Interpreter::from_txdata(&output.script_pubkey, &txin.script_sig, &txin.witness, txin.sequence, tx.lock_time);
    let Ok(interpreter) = interpreter else { return false };
    let mut steps = interpreter.iter(&SECP, tx, index, &prevouts).peekable();
    steps.peek().is_some() && steps.all(|step| step.is_ok())
}
