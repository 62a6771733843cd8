//! Final scripts from collected signatures, through miniscript's satisfier.

use super::Material;
use bitcoin::hashes::{Hash, hash160};
use bitcoin::taproot::LeafVersion;
use bitcoin::{Psbt, PublicKey, ScriptBuf, TxOut, Witness, XOnlyPublicKey};
use bulkhead_wallet_core::descriptor::SolutionForm;
use miniscript::psbt::PsbtInputSatisfier;
use miniscript::{BareCtx, Descriptor as Miniscript, Legacy, Miniscript as Script, Segwitv0, Tap};

/// Finalizes an input, if its signatures are enough. Like Core, clears what is not needed any more.
pub(super) fn input(psbt: &mut Psbt, index: usize, output: &TxOut, material: &Material) {
    let Some((witness, script_sig)) = satisfaction(psbt, index, output, material) else { return };
    let input = &mut psbt.inputs[index];
    if !script_sig.is_empty() {
        input.final_script_sig = Some(script_sig);
    }
    if !witness.is_empty() {
        input.final_script_witness = Some(Witness::from_slice(&witness));
    }
    input.partial_sigs.clear();
    input.sighash_type = None;
    input.redeem_script = None;
    input.witness_script = None;
    input.bip32_derivation.clear();
    input.tap_key_sig = None;
    input.tap_script_sigs.clear();
    input.tap_scripts.clear();
    input.tap_key_origins.clear();
    input.tap_internal_key = None;
    input.tap_merkle_root = None;
    input.ripemd160_preimages.clear();
    input.sha256_preimages.clear();
    input.hash160_preimages.clear();
    input.hash256_preimages.clear();
    bulkhead_musig2::forget(&mut input.unknown);
}

fn satisfaction(psbt: &Psbt, index: usize, output: &TxOut, material: &Material) -> Option<(Vec<Vec<u8>>, ScriptBuf)> {
    if output.script_pubkey.is_p2tr() {
        return taproot(psbt, index).map(|witness| (witness, ScriptBuf::new()));
    }
    let satisfier = PsbtInputSatisfier::new(psbt, index);
    let described;
    let descriptor = match material.solution.as_ref().map(|solution| &solution.form) {
        Some(SolutionForm::Script(script)) => script.as_ref(),
        _ => {
            described = describe(psbt, index, output)?;
            &described
        }
    };
    descriptor.get_satisfaction(&satisfier).or_else(|_| descriptor.get_satisfaction_mall(&satisfier)).ok()
}

fn taproot(psbt: &Psbt, index: usize) -> Option<Vec<Vec<u8>>> {
    let input = psbt.inputs.get(index)?;
    if let Some(signature) = &input.tap_key_sig {
        return Some(vec![signature.to_vec()]);
    }
    let satisfier = PsbtInputSatisfier::new(psbt, index);
    // A script may hold only the hash of a key: the signatures say which key it is.
    let signers = input.tap_script_sigs.keys().map(|(key, _)| (hash160::Hash::hash(&key.serialize()), *key)).collect();
    // The cheapest of the leaves that can be satisfied.
    input
        .tap_scripts
        .iter()
        .filter(|(_, (_, version))| *version == LeafVersion::TapScript)
        .filter_map(|(block, (script, _))| {
            let leaf = Script::<XOnlyPublicKey, Tap>::decode_consensus(script).ok()?.substitute_raw_pkh(&signers);
            let mut witness = leaf.satisfy(&satisfier).or_else(|_| leaf.satisfy_malleable(&satisfier)).ok()?;
            witness.push(script.to_bytes());
            witness.push(block.serialize());
            Some(witness)
        })
        .min_by_key(|witness| witness.iter().map(Vec::len).sum::<usize>())
}

/// The script of an input that is not of this wallet, from the PSBT's fields.
fn describe(psbt: &Psbt, index: usize, output: &TxOut) -> Option<Miniscript<PublicKey>> {
    let input = psbt.inputs.get(index)?;
    let script = &output.script_pubkey;
    // A script may hold only the hash of a key: the signatures say which key it is.
    let hashes = input.partial_sigs.keys().map(|key| (key.pubkey_hash().to_raw_hash(), *key)).collect();
    let signer = |matches: &dyn Fn(&PublicKey) -> bool| input.partial_sigs.keys().find(|key| matches(key)).copied();
    let key_hash =
        |wanted: &ScriptBuf| signer(&|key| key.wpubkey_hash().is_ok_and(|hash| ScriptBuf::new_p2wpkh(&hash) == *wanted));
    if script.is_p2pk() {
        return Some(Miniscript::new_pk(script.p2pk_public_key()?));
    }
    if script.is_p2pkh() {
        return Miniscript::new_pkh(signer(&|key| ScriptBuf::new_p2pkh(&key.pubkey_hash()) == *script)?).ok();
    }
    if script.is_p2wpkh() {
        return Miniscript::new_wpkh(key_hash(script)?).ok();
    }
    if script.is_p2wsh() {
        let witness = input.witness_script.as_ref().filter(|witness| witness.to_p2wsh() == *script)?;
        return Miniscript::new_wsh(Script::<PublicKey, Segwitv0>::decode_consensus(witness).ok()?.substitute_raw_pkh(&hashes))
            .ok();
    }
    if script.is_p2sh() {
        let redeem = input.redeem_script.as_ref().filter(|redeem| redeem.to_p2sh() == *script)?;
        if redeem.is_p2wpkh() {
            return Miniscript::new_sh_wpkh(key_hash(redeem)?).ok();
        }
        if redeem.is_p2wsh() {
            let witness = input.witness_script.as_ref().filter(|witness| witness.to_p2wsh() == *redeem)?;
            return Miniscript::new_sh_wsh(
                Script::<PublicKey, Segwitv0>::decode_consensus(witness).ok()?.substitute_raw_pkh(&hashes),
            )
            .ok();
        }
        return Miniscript::new_sh(Script::<PublicKey, Legacy>::decode_consensus(redeem).ok()?.substitute_raw_pkh(&hashes)).ok();
    }
    Miniscript::new_bare(Script::<PublicKey, BareCtx>::decode_consensus(script).ok()?.substitute_raw_pkh(&hashes)).ok()
}
