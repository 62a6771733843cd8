//! ECDSA signatures for legacy scripts and segwit version 0.

use super::Material;
use super::provider::pushes;
use crate::refusal::{INVALID_PARAMETER, refuse};
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::Message;
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::{Psbt, PublicKey, Script, ScriptBuf, Transaction, TxOut, ecdsa};
use bulkhead_keystore_edge::KeystoreError;
use bulkhead_wallet_core::descriptor::SECP;

/// What is hashed instead of the spent script, and whether by the rules of segwit.
enum Code {
    Legacy(ScriptBuf),
    KeyHash(ScriptBuf),
    Witness(ScriptBuf),
}

fn code(script: &Script, redeem: Option<&ScriptBuf>, witness: Option<&ScriptBuf>) -> Option<Code> {
    let inner = if script.is_p2sh() {
        let redeem = redeem.filter(|redeem| *redeem.to_p2sh() == *script)?;
        redeem.as_script()
    } else {
        script
    };
    if inner.is_p2wpkh() {
        Some(Code::KeyHash(inner.to_owned()))
    } else if inner.is_p2wsh() {
        witness.filter(|witness| *witness.to_p2wsh() == *inner).cloned().map(Code::Witness)
    } else if inner.is_witness_program() {
        None
    } else {
        Some(Code::Legacy(inner.to_owned()))
    }
}

/// Whether a script holds the key or its hash.
fn mentions(script: &Script, key: &PublicKey) -> bool {
    let (bytes, hash) = (key.to_bytes(), key.pubkey_hash().to_byte_array());
    pushes(script).any(|push| push == bytes || push == hash)
}

/// What a signature of an input signs; nothing when its script is not known.
pub(super) fn message(psbt: &Psbt, index: usize, output: &TxOut, kind: EcdsaSighashType) -> Option<Message> {
    let input = psbt.inputs.get(index)?;
    let code = code(&output.script_pubkey, input.redeem_script.as_ref(), input.witness_script.as_ref())?;
    code.hash(&mut SighashCache::new(&psbt.unsigned_tx), index, output, kind)
}

impl Code {
    fn script(&self) -> &Script {
        match self {
            Self::Legacy(script) | Self::KeyHash(script) | Self::Witness(script) => script,
        }
    }

    fn hash(
        &self,
        cache: &mut SighashCache<&Transaction>,
        index: usize,
        output: &TxOut,
        kind: EcdsaSighashType,
    ) -> Option<Message> {
        let digest = match self {
            Self::Legacy(script) => cache.legacy_signature_hash(index, script, kind.to_u32()).ok()?.to_byte_array(),
            Self::KeyHash(script) => cache.p2wpkh_signature_hash(index, script, output.value, kind).ok()?.to_byte_array(),
            Self::Witness(script) => cache.p2wsh_signature_hash(index, script, output.value, kind).ok()?.to_byte_array(),
        };
        Some(Message::from_digest(digest))
    }
}

/// Signs one input with every key that its script mentions. `unproven`: the amount of a legacy input is taken on
/// trust.
pub(super) fn sign_input(
    psbt: &mut Psbt,
    index: usize,
    output: &TxOut,
    sighash: u32,
    material: &Material,
    unproven: bool,
) -> Result<(), KeystoreError> {
    let input = &psbt.inputs[index];
    // One-shot keys know the script of a nested key only by its hash.
    let nested = material.secrets.iter().find_map(|(key, _)| {
        let script = ScriptBuf::new_p2wpkh(&key.wpubkey_hash().ok()?);
        (output.script_pubkey == script.to_p2sh()).then_some(script)
    });
    let redeem = input.redeem_script.clone().or(nested);
    let Some(code) = code(&output.script_pubkey, redeem.as_ref(), input.witness_script.as_ref()) else { return Ok(()) };
    // Without the previous transaction nothing proves the amount to a legacy signature, which does not commit to it.
    if matches!(code, Code::Legacy(_)) && input.non_witness_utxo.is_none() && !unproven {
        return Ok(());
    }
    let kind = EcdsaSighashType::from_standard(if sighash == 0 { 1 } else { sighash })
        .map_err(|_| refuse(INVALID_PARAMETER, format!("'{sighash}' is not a valid sighash parameter.")))?;
    let tx = psbt.unsigned_tx.clone();
    let mut cache = SighashCache::new(&tx);
    let mut signed = Vec::new();
    for (public, secret) in material.secrets.iter() {
        // Segwit knows compressed keys only.
        let fits = public.compressed || matches!(code, Code::Legacy(_));
        // As Core: a signature that is there stays.
        if !fits || !mentions(code.script(), public) || input.partial_sigs.contains_key(public) {
            continue;
        }
        if let Some(message) = code.hash(&mut cache, index, output, kind) {
            // Grinds for a low R as Core does: the same signatures, and never longer than 71 bytes.
            let signature = SECP.sign_ecdsa_low_r(&message, secret);
            signed.push((*public, ecdsa::Signature { signature, sighash_type: kind }));
        }
    }
    let input = &mut psbt.inputs[index];
    if !signed.is_empty() {
        if !matches!(code, Code::Legacy(_)) {
            input.witness_utxo.get_or_insert_with(|| output.clone());
        }
        if input.redeem_script.is_none() {
            input.redeem_script = redeem;
        }
    }
    input.partial_sigs.extend(signed);
    Ok(())
}
