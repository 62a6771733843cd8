//! What an input lacks before it can be finalised.

use bitcoin::hashes::{Hash, hash160, sha256};
use bitcoin::psbt::Input;
use bitcoin::{PublicKey, Script};
use bulkhead_rpc_util::{ScriptType, solve};
use miniscript::{Miniscript, Segwitv0};
use serde_json::{Map, Value, json};

/// Keys, scripts and signatures, each by its hash.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pubkeys: Vec<[u8; 20]>,
    redeem_script: Option<[u8; 20]>,
    witness_script: Option<[u8; 32]>,
    signatures: Vec<[u8; 20]>,
}

impl Needs {
    /// Whether everything else is there.
    pub(super) fn only_signatures(&self) -> bool {
        !self.signatures.is_empty() && self.pubkeys.is_empty() && self.redeem_script.is_none() && self.witness_script.is_none()
    }

    /// The object `missing`; `None` when there is nothing to name.
    pub(super) fn to_json(&self) -> Option<Value> {
        let list = |hashes: &[[u8; 20]]| hashes.iter().map(hex::encode).collect::<Vec<_>>();
        let mut out = Map::new();
        if !self.pubkeys.is_empty() {
            out.insert("pubkeys".into(), json!(list(&self.pubkeys)));
        }
        if let Some(hash) = self.redeem_script {
            out.insert("redeemscript".into(), hex::encode(hash).into());
        }
        if let Some(hash) = self.witness_script {
            out.insert("witnessscript".into(), hex::encode(hash).into());
        }
        if !self.signatures.is_empty() {
            out.insert("signatures".into(), json!(list(&self.signatures)));
        }
        (!out.is_empty()).then(|| out.into())
    }

    fn add_signature(&mut self, input: &Input, key: &PublicKey) {
        if !input.partial_sigs.contains_key(key) {
            self.signatures.push(key.pubkey_hash().to_byte_array());
        }
    }

    fn add_hashed_key(&mut self, input: &Input, hash: [u8; 20]) {
        match key_of_hash(input, hash) {
            Some(key) => self.add_signature(input, &key),
            None => self.pubkeys.push(hash),
        }
    }

    fn add_script(&mut self, input: &Input, script: &Script) {
        match solve(script.as_bytes()) {
            ScriptType::PubKey(key) => {
                if let Ok(key) = PublicKey::from_slice(&key) {
                    self.add_signature(input, &key);
                }
            }
            ScriptType::PubKeyHash(hash) | ScriptType::WitnessV0KeyHash(hash) => self.add_hashed_key(input, hash),
            ScriptType::MultiSig { keys, .. } => {
                for key in keys.iter().filter_map(|key| PublicKey::from_slice(key).ok()) {
                    self.add_signature(input, &key);
                }
            }
            ScriptType::ScriptHash(hash) => match redeem_script(input, hash) {
                Some(script) => self.add_script(input, script),
                None => self.redeem_script = Some(hash),
            },
            ScriptType::WitnessV0ScriptHash(hash) => match witness_script(input, hash) {
                Some(script) if matches!(solve(script.as_bytes()), ScriptType::NonStandard) => {
                    let parsed = Miniscript::<PublicKey, Segwitv0>::decode_consensus(script);
                    for key in parsed.iter().flat_map(|script| script.iter_pk()) {
                        self.add_signature(input, &key);
                    }
                }
                Some(script) => self.add_script(input, script),
                None => self.witness_script = Some(hash),
            },
            // Signatures of Taproot inputs are not named, nor are those of unknown scripts.
            _ => {}
        }
    }
}

/// What an input that spends `script` lacks.
pub(super) fn needs(input: &Input, script: &Script) -> Needs {
    let mut needs = Needs::default();
    needs.add_script(input, script);
    needs
}

/// The key with this hash, if the input names it.
pub(super) fn key_of_hash(input: &Input, hash: [u8; 20]) -> Option<PublicKey> {
    let derived = input.bip32_derivation.keys().map(|key| PublicKey::new(*key));
    let mut keys = input.partial_sigs.keys().copied().chain(derived);
    keys.find(|key| key.pubkey_hash().to_byte_array() == hash)
}

/// The redeem script, if it is the one with this hash.
pub(super) fn redeem_script(input: &Input, hash: [u8; 20]) -> Option<&Script> {
    let script = input.redeem_script.as_deref()?;
    (hash160::Hash::hash(script.as_bytes()).to_byte_array() == hash).then_some(script)
}

/// The witness script, if it is the one with this hash.
pub(super) fn witness_script(input: &Input, hash: [u8; 32]) -> Option<&Script> {
    let script = input.witness_script.as_deref()?;
    (sha256::Hash::hash(script.as_bytes()).to_byte_array() == hash).then_some(script)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::ScriptBuf;

    const G: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    fn key() -> PublicKey {
        G.parse().expect("the generator")
    }

    #[test]
    fn nested_scripts_are_asked_for_one_after_the_other() {
        let hash = key().pubkey_hash().to_byte_array();
        let inner = ScriptBuf::new_p2wpkh(&key().wpubkey_hash().expect("compressed"));
        let outer = ScriptBuf::new_p2sh(&inner.script_hash());
        let mut input = Input::default();
        assert_eq!(needs(&input, &outer).redeem_script, Some(inner.script_hash().to_byte_array()));
        input.redeem_script = Some(inner);
        assert_eq!(needs(&input, &outer).pubkeys, [hash]);
        assert!(!needs(&input, &outer).only_signatures());
        input.bip32_derivation.insert(key().inner, Default::default());
        assert_eq!(needs(&input, &outer), Needs { signatures: vec![hash], ..Needs::default() });
        assert!(needs(&input, &outer).only_signatures());
    }

    #[test]
    fn keys_of_miniscripts_are_named() {
        // and_v(v:pk(G),older(16))
        let script = ScriptBuf::from_hex(&format!("21{G}ad60b2")).expect("hex");
        let outer = ScriptBuf::new_p2wsh(&script.wscript_hash());
        assert_eq!(needs(&Input::default(), &outer).witness_script, Some(script.wscript_hash().to_byte_array()));
        let input = Input { witness_script: Some(script), ..Input::default() };
        assert_eq!(needs(&input, &outer).signatures, [key().pubkey_hash().to_byte_array()]);
    }
}
