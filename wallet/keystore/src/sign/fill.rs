//! Adds scripts and key origins to a PSBT.

use super::Material;
use bitcoin::bip32::{ChildNumber, DerivationPath, KeySource};
use bitcoin::psbt::{Input, Output};
use bitcoin::taproot::{LeafVersion, TapLeafHash};
use bitcoin::{PublicKey, ScriptBuf, TxOut, XOnlyPublicKey};
use miniscript::descriptor::{ShInner, Tr};
use miniscript::{Descriptor as Miniscript, ForEachKey};
use std::collections::BTreeMap;

fn source(origin: &bulkhead_wallet_core::descriptor::DerivedKey) -> KeySource {
    let path: Vec<ChildNumber> = origin.path.iter().map(|step| ChildNumber::from(*step)).collect();
    (origin.fingerprint, DerivationPath::from(path))
}

/// Redeem script and witness script.
pub(super) fn scripts(solved: &Miniscript<PublicKey>) -> (Option<ScriptBuf>, Option<ScriptBuf>) {
    match solved {
        Miniscript::Wsh(wsh) => (None, Some(wsh.inner_script())),
        Miniscript::Sh(sh) => match sh.as_inner() {
            ShInner::Wsh(wsh) => (Some(wsh.script_pubkey()), Some(wsh.inner_script())),
            ShInner::Wpkh(wpkh) => (Some(wpkh.script_pubkey()), None),
            ShInner::SortedMulti(_) | ShInner::Ms(_) => (Some(sh.inner_script()), None),
        },
        _ => (None, None),
    }
}

/// Leaf hashes of each key of a taproot descriptor.
fn leaves(tr: &Tr<PublicKey>) -> BTreeMap<XOnlyPublicKey, Vec<TapLeafHash>> {
    let mut map: BTreeMap<XOnlyPublicKey, Vec<TapLeafHash>> = BTreeMap::new();
    map.entry(x_only(tr.internal_key())).or_default();
    for leaf in tr.leaves() {
        let hash = TapLeafHash::from_script(&leaf.miniscript().encode(), LeafVersion::TapScript);
        leaf.miniscript().for_each_key(|key| {
            map.entry(x_only(key)).or_default().push(hash);
            true
        });
    }
    map
}

pub(super) fn x_only(key: &PublicKey) -> XOnlyPublicKey {
    key.inner.x_only_public_key().0
}

/// Fills in an input.
pub(super) fn input(input: &mut Input, output: &TxOut, material: &Material, derivations: bool) {
    let Some(solved) = &material.solved else {
        if output.script_pubkey.is_p2tr() {
            input.witness_utxo.get_or_insert_with(|| output.clone());
        }
        return;
    };
    let (redeem, witness) = scripts(solved);
    if redeem.is_some() {
        input.redeem_script = redeem;
    }
    if witness.is_some() {
        input.witness_script = witness;
    }
    if let Miniscript::Tr(tr) = solved {
        input.witness_utxo.get_or_insert_with(|| output.clone());
        input.tap_internal_key = Some(x_only(tr.internal_key()));
        let info = tr.spend_info();
        input.tap_merkle_root = info.merkle_root();
        for leaf in info.leaves() {
            input.tap_scripts.insert(leaf.control_block().clone(), (leaf.script().to_owned(), leaf.leaf_version()));
        }
        if derivations {
            let hashes = leaves(tr);
            for origin in &material.origins {
                let key = x_only(&origin.key);
                let hashes = hashes.get(&key).cloned().unwrap_or_default();
                input.tap_key_origins.insert(key, (hashes, source(origin)));
            }
        }
    } else if derivations {
        for origin in &material.origins {
            input.bip32_derivation.insert(origin.key.inner, source(origin));
        }
    }
}

/// Fills in an output, so that a hardware device recognizes change.
pub(super) fn output(output: &mut Output, material: &Material, derivations: bool) {
    let Some(solved) = &material.solved else { return };
    let (redeem, witness) = scripts(solved);
    if redeem.is_some() {
        output.redeem_script = redeem;
    }
    if witness.is_some() {
        output.witness_script = witness;
    }
    if let Miniscript::Tr(tr) = solved {
        output.tap_internal_key = Some(x_only(tr.internal_key()));
        if derivations {
            let hashes = leaves(tr);
            for origin in &material.origins {
                let key = x_only(&origin.key);
                let hashes = hashes.get(&key).cloned().unwrap_or_default();
                output.tap_key_origins.insert(key, (hashes, source(origin)));
            }
        }
    } else if derivations {
        for origin in &material.origins {
            output.bip32_derivation.insert(origin.key.inner, source(origin));
        }
    }
}
