//! Miniscript inside `wsh()` and `tr()`, with our own key expressions in it.

use super::key::{Key, Place};
use bitcoin::hashes::{hash160, ripemd160, sha256};
use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::{Network, PublicKey, ScriptBuf, XOnlyPublicKey};
use miniscript::{Miniscript, MiniscriptKey, Segwitv0, Tap, ToPublicKey, Translator, hash256};
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Tree {
    Segwit(Miniscript<String, Segwitv0>),
    Tap(Miniscript<String, Tap>),
}

/// A miniscript expression whose keys are descriptor keys.
#[derive(Debug, Clone)]
pub(super) struct MiniscriptPart {
    tree: Tree,
    keys: BTreeMap<String, Key>,
}

/// Replaces key texts by whatever `map` gives.
struct Map<F>(F);

/// A hash in the text that is not hex of the right length.
#[derive(Debug)]
struct Failed;

impl<T, F> Translator<String> for Map<F>
where
    F: FnMut(&str) -> Option<T>,
    T: MiniscriptKey<Sha256 = sha256::Hash, Hash256 = hash256::Hash, Ripemd160 = ripemd160::Hash, Hash160 = hash160::Hash>,
{
    type TargetPk = T;
    type Error = Failed;

    fn pk(&mut self, pk: &String) -> Result<T, Failed> {
        (self.0)(pk).ok_or(Failed)
    }

    fn sha256(&mut self, hash: &String) -> Result<sha256::Hash, Failed> {
        hash.parse().map_err(|_| Failed)
    }

    fn hash256(&mut self, hash: &String) -> Result<hash256::Hash, Failed> {
        hash.parse().map_err(|_| Failed)
    }

    fn ripemd160(&mut self, hash: &String) -> Result<ripemd160::Hash, Failed> {
        hash.parse().map_err(|_| Failed)
    }

    fn hash160(&mut self, hash: &String) -> Result<hash160::Hash, Failed> {
        hash.parse().map_err(|_| Failed)
    }
}

/// Replaces key texts by other texts.
struct Rename<F>(F);

impl<F: FnMut(&str) -> Option<String>> Translator<String> for Rename<F> {
    type TargetPk = String;
    type Error = Failed;

    fn pk(&mut self, pk: &String) -> Result<String, Failed> {
        (self.0)(pk).ok_or(Failed)
    }

    fn sha256(&mut self, hash: &String) -> Result<String, Failed> {
        Ok(hash.clone())
    }

    fn hash256(&mut self, hash: &String) -> Result<String, Failed> {
        Ok(hash.clone())
    }

    fn ripemd160(&mut self, hash: &String) -> Result<String, Failed> {
        Ok(hash.clone())
    }

    fn hash160(&mut self, hash: &String) -> Result<String, Failed> {
        Ok(hash.clone())
    }
}

impl MiniscriptPart {
    /// Parses an expression; keys are read with the rules of `place`.
    pub(super) fn parse(text: &str, place: Place, network: Network, secp: &Secp256k1<All>) -> Result<Self, String> {
        let not_valid = |_| format!("'{text}' is not a valid descriptor function");
        let tree = match place {
            Place::P2tr => Tree::Tap(text.parse().map_err(not_valid)?),
            _ => Tree::Segwit(text.parse().map_err(not_valid)?),
        };
        let names: Vec<String> = match &tree {
            Tree::Segwit(tree) => tree.iter_pk().collect(),
            Tree::Tap(tree) => tree.iter_pk().collect(),
        };
        let mut keys = BTreeMap::new();
        for name in names {
            let key = Key::parse(&name, place, network, secp)?;
            keys.insert(name, key);
        }
        let part = Self { tree, keys };
        // Hashes are only checked when real types take the place of texts.
        if part.keys.values().all(|key| !key.is_range()) && part.script(0, secp).is_none() {
            return Err(format!("'{text}' is not a valid descriptor function"));
        }
        Ok(part)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.values()
    }

    fn renamed(&self, rename: impl FnMut(&str) -> Option<String>) -> Option<String> {
        let mut rename = Rename(rename);
        match &self.tree {
            Tree::Segwit(tree) => tree.translate_pk(&mut rename).ok().map(|tree| tree.to_string()),
            Tree::Tap(tree) => tree.translate_pk(&mut rename).ok().map(|tree| tree.to_string()),
        }
    }

    pub(super) fn text(&self, network: Network) -> String {
        self.renamed(|name| self.keys.get(name).map(|key| key.public_text(network))).unwrap_or_default()
    }

    pub(super) fn derived_text(&self, position: u32, tap: bool, secp: &Secp256k1<All>) -> Option<String> {
        self.renamed(|name| self.keys.get(name)?.derived_text(position, tap, secp))
    }

    pub(super) fn script(&self, position: u32, secp: &Secp256k1<All>) -> Option<ScriptBuf> {
        let derive = |text: &str| self.keys.get(text)?.derive(position, secp);
        match &self.tree {
            Tree::Segwit(tree) => {
                let mut map = Map(|text: &str| -> Option<PublicKey> { derive(text) });
                tree.translate_pk(&mut map).ok().map(|tree| tree.encode())
            }
            Tree::Tap(tree) => {
                let mut map = Map(|text: &str| -> Option<XOnlyPublicKey> { derive(text).map(|key| key.to_x_only_pubkey()) });
                tree.translate_pk(&mut map).ok().map(|tree| tree.encode())
            }
        }
    }
}
