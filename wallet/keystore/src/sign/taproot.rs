//! Schnorr signatures for taproot: key path first, then every script path that the keys fit.

use super::Material;
use super::musig::{self, Sessions};
use super::provider::pushes;
use crate::refusal::{INVALID_PARAMETER, refuse};
use bitcoin::hashes::{Hash, hash160};
use bitcoin::key::TapTweak;
use bitcoin::secp256k1::{Keypair, Message, SecretKey, XOnlyPublicKey};
use bitcoin::sighash::{Prevouts, SighashCache, TapSighashType};
use bitcoin::taproot::{LeafVersion, Signature, TapLeafHash};
use bitcoin::{Psbt, TxOut};
use bulkhead_keystore_edge::KeystoreError;
use bulkhead_wallet_core::descriptor::{SECP, x_only};

/// As in Core: the nonce depends on key and message only.
const AUX: [u8; 32] = [0; 32];

fn schnorr(message: &Message, keypair: &mut Keypair, sighash_type: TapSighashType) -> Signature {
    let signature = SECP.sign_schnorr_with_aux_rand(message, keypair, &AUX);
    keypair.non_secure_erase();
    Signature { signature, sighash_type }
}

/// Signs one input.
pub(super) fn sign_input(
    psbt: &mut Psbt,
    index: usize,
    outputs: &[Option<TxOut>],
    sighash: u32,
    material: &Material,
    sessions: Option<&mut Sessions>,
) -> Result<(), KeystoreError> {
    let kind = u8::try_from(sighash)
        .ok()
        .and_then(|sighash| TapSighashType::from_consensus_u8(sighash).ok())
        .ok_or_else(|| refuse(INVALID_PARAMETER, format!("'{sighash}' is not a valid sighash parameter.")))?;
    let Some(own) = outputs.get(index).and_then(Option::as_ref) else { return Ok(()) };
    let Some(output_key) = own.script_pubkey.as_bytes().get(2..34).and_then(|bytes| XOnlyPublicKey::from_slice(bytes).ok())
    else {
        return Ok(());
    };
    // As Core: a signature that is there stays.
    if psbt.inputs[index].tap_key_sig.is_some() {
        return Ok(());
    }
    // A taproot signature commits to every spent output, unless it lets anybody add inputs.
    let known: Option<Vec<&TxOut>> = outputs.iter().map(Option::as_ref).collect();
    let prevouts = match (&known, sighash & 0x80 != 0) {
        (_, true) => Prevouts::One(index, own),
        (Some(known), false) => Prevouts::All(known),
        (None, false) => return Ok(()),
    };
    let tx = psbt.unsigned_tx.clone();
    let mut cache = SighashCache::new(&tx);
    let root = psbt.inputs[index].tap_merkle_root;
    for (_, secret) in material.secrets.iter() {
        let Some(mut keypair) = key_path(secret, output_key, root) else { continue };
        let Ok(hash) = cache.taproot_key_spend_signature_hash(index, &prevouts, kind) else { return Ok(()) };
        psbt.inputs[index].tap_key_sig = Some(schnorr(&Message::from_digest(hash.to_byte_array()), &mut keypair, kind));
        return Ok(());
    }
    let leaves: Vec<_> = psbt.inputs[index]
        .tap_scripts
        .iter()
        .map(|(block, (script, version))| (block.clone(), script.clone(), *version))
        .collect();
    for (block, script, version) in leaves {
        // The leaf must really be in the output that is spent.
        if version != LeafVersion::TapScript || !block.verify_taproot_commitment(&SECP, output_key, &script) {
            continue;
        }
        let leaf = TapLeafHash::from_script(&script, version);
        for (public, secret) in material.secrets.iter() {
            let key = x_only(public);
            // A script may hold only the hash of a key (miniscript's pkh).
            let (bytes, hash) = (key.serialize(), hash160::Hash::hash(&key.serialize()));
            if !pushes(&script).any(|push| push == bytes || push == hash.as_byte_array()) {
                continue;
            }
            if psbt.inputs[index].tap_script_sigs.contains_key(&(key, leaf)) {
                continue;
            }
            let Ok(hash) = cache.taproot_script_spend_signature_hash(index, &prevouts, leaf, kind) else { return Ok(()) };
            let mut keypair = Keypair::from_secret_key(&SECP, secret);
            let signature = schnorr(&Message::from_digest(hash.to_byte_array()), &mut keypair, kind);
            psbt.inputs[index].tap_script_sigs.insert((key, leaf), signature);
        }
    }
    musig::sign_input(psbt, index, outputs, kind, material, sessions);
    Ok(())
}

/// The key pair of the output key, when the secret is its internal key or the output key itself.
fn key_path(secret: &SecretKey, output_key: XOnlyPublicKey, root: Option<bitcoin::TapNodeHash>) -> Option<Keypair> {
    let plain = Keypair::from_secret_key(&SECP, secret);
    let tweaked = plain.tap_tweak(&SECP, root).to_keypair();
    [tweaked, plain].into_iter().find(|keypair| keypair.x_only_public_key().0 == output_key)
}
