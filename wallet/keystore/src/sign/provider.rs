//! Where keys come from: the wallet's descriptors, or a one-shot request.

use super::musig::Sessions;
use crate::loaded::Loaded;
use crate::residue;
use crate::vault::Vault;
use bitcoin::psbt::Input;
use bitcoin::script::Instruction;
use bitcoin::secp256k1::{PublicKey as RawPublicKey, SecretKey};
use bitcoin::{PublicKey, Script, ScriptBuf};
use bulkhead_wallet_core::Descriptor;
use bulkhead_wallet_core::descriptor::{Cache, Expansion, Keys, Solution};
use std::collections::{BTreeMap, HashMap};

/// What is known about a script. Private keys are wiped when dropped.
#[derive(Clone, Debug, Default)]
pub struct Material {
    /// How to spend it.
    pub solution: Option<Solution>,
    /// Private keys, of this script or of keys that the PSBT names.
    pub secrets: Keys,
}

impl Material {
    /// Whether any private key is there.
    #[must_use]
    pub fn can_sign(&self) -> bool {
        !self.secrets.is_empty()
    }
}

/// Finds material.
pub trait Provider {
    /// Public material of a script that belongs to the provider: proves that an output is our own.
    fn public(&mut self, script: &Script) -> Option<Material>;
    /// Material with private keys for a script.
    fn private(&mut self, script: &Script) -> Option<Material>;
    /// The private key of a public key that is not part of an own script (a key of a shared script).
    fn key(&mut self, key: &RawPublicKey) -> Option<(PublicKey, SecretKey)>;

    /// Where secret nonces of MuSig2 are kept; `None`: none are made.
    fn sessions(&mut self) -> Option<&mut Sessions> {
        None
    }

    /// Material to sign an input: of its script, or of the keys that its fields name.
    fn for_input(&mut self, script: &Script, input: &Input) -> Material {
        let mut material = self.private(script).unwrap_or_default();
        if material.solution.is_none() || material.secrets.is_empty() {
            for key in named_keys(script, input) {
                if let Some((public, mut secret)) = self.key(&key) {
                    material.secrets.insert(public, secret);
                    secret.non_secure_erase();
                }
            }
        }
        material
    }
}

/// Keys that the PSBT names for an input: in derivations and in scripts.
fn named_keys(script: &Script, input: &Input) -> Vec<RawPublicKey> {
    let mut keys: Vec<RawPublicKey> = input.bip32_derivation.keys().copied().collect();
    keys.extend(bulkhead_musig2::participants(&input.unknown).into_iter().flat_map(|(_, participants)| participants));
    let mut x_only: Vec<[u8; 32]> =
        input.tap_key_origins.keys().chain(&input.tap_internal_key).map(|key| key.serialize()).collect();
    if script.is_p2tr()
        && let Some(key) = script.as_bytes().get(2..34).and_then(|bytes| bytes.try_into().ok())
    {
        x_only.push(key);
    }
    let leaves = input.tap_scripts.values().map(|(script, _)| script.as_script());
    let plain = [Some(script), input.redeem_script.as_deref(), input.witness_script.as_deref()].into_iter().flatten();
    for script in plain.chain(leaves) {
        for bytes in pushes(script) {
            match bytes.len() {
                33 | 65 => keys.extend(RawPublicKey::from_slice(bytes)),
                32 => x_only.extend(<[u8; 32]>::try_from(bytes)),
                _ => {}
            }
        }
    }
    for bytes in x_only {
        for parity in [2, 3] {
            keys.extend(RawPublicKey::from_slice(&[&[parity][..], &bytes].concat()));
        }
    }
    keys
}

/// Data that a script pushes; what follows a malformed push is ignored.
pub(super) fn pushes(script: &Script) -> impl Iterator<Item = &[u8]> {
    script.instructions().map_while(Result::ok).filter_map(|instruction| match instruction {
        Instruction::PushBytes(bytes) => Some(bytes.as_bytes()),
        Instruction::Op(_) => None,
    })
}

/// The solved form of one script of an expansion, with private keys.
fn material(descriptor: &Descriptor, expansion: Expansion, script: &Script, index: u32, keys: &Keys) -> Option<Material> {
    let position = expansion.scripts.iter().position(|candidate| candidate.as_script() == script)?;
    let mut secrets = Keys::default();
    for (expression, derived) in descriptor.keys().iter().zip(&expansion.keys) {
        if let Some(mut secret) = expression.derive_private(index, keys) {
            secrets.insert(derived.key, secret);
            secret.non_secure_erase();
        }
    }
    if !secrets.is_empty() {
        residue::wipe();
    }
    Some(Material { solution: expansion.solution(position), secrets })
}

/// The keys of a loaded wallet.
#[derive(Debug)]
pub struct WalletProvider<'a> {
    /// Descriptors.
    pub loaded: &'a mut Loaded,
    /// Keys.
    pub vault: &'a Vault,
    /// Secret nonces.
    pub sessions: Option<&'a mut Sessions>,
}

impl WalletProvider<'_> {
    fn find(&mut self, script: &Script, private: bool) -> Option<Material> {
        let (id, index) = self.loaded.find(&script.to_owned())?;
        let entry = self.loaded.entries.get(&id)?;
        let expansion = entry.descriptor.expand(index, &entry.cache).ok()?;
        let keys = if private { self.vault.keys(&id) } else { Keys::default() };
        material(&entry.descriptor, expansion, script, index, &keys)
    }
}

impl Provider for WalletProvider<'_> {
    fn public(&mut self, script: &Script) -> Option<Material> {
        self.find(script, false)
    }

    fn private(&mut self, script: &Script) -> Option<Material> {
        self.find(script, true)
    }

    fn sessions(&mut self) -> Option<&mut Sessions> {
        self.sessions.as_deref_mut()
    }

    fn key(&mut self, key: &RawPublicKey) -> Option<(PublicKey, SecretKey)> {
        let (id, index) = self.loaded.find_key(key)?;
        let entry = self.loaded.entries.get(&id)?;
        let expansion = entry.descriptor.expand(index, &entry.cache).ok()?;
        let keys = self.vault.keys(&id);
        let place = expansion.keys.iter().position(|derived| derived.key.inner == *key)?;
        let secret = entry.descriptor.keys().get(place)?.derive_private(index, &keys)?;
        Some((expansion.keys.get(place)?.key, secret))
    }
}

/// Keys that came with a request.
#[derive(Debug, Default)]
pub struct OneShotProvider {
    scripts: HashMap<ScriptBuf, Material>,
    secrets: Keys,
}

impl OneShotProvider {
    /// Adds a descriptor at the indexes of a range.
    ///
    /// # Errors
    /// A key can't be derived.
    pub fn add(
        &mut self,
        descriptor: &Descriptor,
        keys: &Keys,
        range: std::ops::Range<u32>,
    ) -> Result<(), bulkhead_wallet_core::descriptor::DescriptorError> {
        let mut cache = Cache::default();
        for index in range {
            descriptor.fill_cache(index, keys, &mut cache)?;
            let expansion = descriptor.expand(index, &cache)?;
            for script in expansion.scripts.clone() {
                if let Some(material) = material(descriptor, expansion.clone(), &script, index, keys) {
                    self.secrets.extend(&material.secrets);
                    self.scripts.insert(script, material);
                }
            }
        }
        Ok(())
    }

    /// Adds a key: it signs for every script that it is in.
    pub fn add_key(&mut self, public: PublicKey, secret: SecretKey) {
        self.secrets.insert(public, secret);
    }
}

impl Provider for OneShotProvider {
    fn public(&mut self, script: &Script) -> Option<Material> {
        let found = self.scripts.get(script)?;
        Some(Material { solution: found.solution.clone(), secrets: Keys::default() })
    }

    fn private(&mut self, script: &Script) -> Option<Material> {
        if let Some(found) = self.scripts.get(script) {
            return Some(found.clone());
        }
        // Scripts that only hold the hash of a key.
        let mut secrets = Keys::default();
        for (public, secret) in self.secrets.iter().filter(|(public, _)| pays_to_key(script, public)) {
            secrets.insert(*public, *secret);
        }
        (!secrets.is_empty()).then_some(Material { solution: None, secrets })
    }

    /// All keys, when the script is not known: a script that was given may hold only the hash of one, and what signs
    /// looks for the key in the script anyway.
    fn for_input(&mut self, script: &Script, _: &Input) -> Material {
        let material = self.private(script).unwrap_or_default();
        if material.secrets.is_empty() { Material { secrets: self.secrets.clone(), ..material } } else { material }
    }

    fn key(&mut self, key: &RawPublicKey) -> Option<(PublicKey, SecretKey)> {
        let mut found: BTreeMap<PublicKey, SecretKey> = BTreeMap::new();
        for (public, secret) in self.secrets.iter().filter(|(public, _)| public.inner == *key) {
            found.insert(*public, *secret);
        }
        found.pop_first()
    }
}

fn pays_to_key(script: &Script, public: &PublicKey) -> bool {
    if *script == *ScriptBuf::new_p2pkh(&public.pubkey_hash()) {
        return true;
    }
    let Ok(hash) = public.wpubkey_hash() else { return false };
    let segwit = ScriptBuf::new_p2wpkh(&hash);
    *script == *segwit || *script == *segwit.to_p2sh()
}
