//! How an output of a descriptor is spent: scripts, keys and where they come from.

use super::{DerivedAggregate, DerivedKey};
use bitcoin::bip32::{ChildNumber, DerivationPath, KeySource};
use bitcoin::psbt::{Input, Output};
use bitcoin::taproot::{LeafVersion, TapLeafHash};
use bitcoin::{PublicKey, ScriptBuf, TxOut, XOnlyPublicKey};
use miniscript::descriptor::{ShInner, Tr};
use miniscript::{Descriptor as Miniscript, ForEachKey, Translator};
use std::collections::BTreeMap;
use std::convert::Infallible;

/// What the output script stands for.
#[derive(Clone, Debug)]
pub enum Form {
    /// A script, a key hash, or taproot with an internal key.
    Script(Box<Miniscript<PublicKey>>),
    /// `rawtr`: this key is the output key.
    RawTaproot(PublicKey),
}

/// How an output is spent.
#[derive(Clone, Debug)]
pub struct Solution {
    /// What the script stands for.
    pub form: Form,
    /// The key of each key expression of its descriptor.
    pub keys: Vec<DerivedKey>,
    /// Each `musig()` of its descriptor.
    pub aggregates: Vec<DerivedAggregate>,
}

/// The x coordinate of a key.
#[must_use]
pub fn x_only(key: &PublicKey) -> XOnlyPublicKey {
    key.inner.x_only_public_key().0
}

fn source(key: &DerivedKey) -> KeySource {
    let path: Vec<ChildNumber> = key.path.iter().map(|step| ChildNumber::from(*step)).collect();
    (key.fingerprint, DerivationPath::from(path))
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

/// Writes keys with their origins.
struct WithOrigins<'a> {
    solution: &'a Solution,
    x_only: bool,
}

impl WithOrigins<'_> {
    fn text(&self, key: &PublicKey) -> String {
        let mut text = String::new();
        if let Some(known) = self.solution.all_keys().find(|known| known.key.inner == key.inner) {
            text = known.origin_text();
        }
        let hex = key.to_string();
        text.push_str(if self.x_only { hex.get(2..).unwrap_or_default() } else { &hex });
        text
    }
}

impl Translator<PublicKey> for WithOrigins<'_> {
    type TargetPk = String;
    type Error = Infallible;

    fn pk(&mut self, key: &PublicKey) -> Result<String, Infallible> {
        Ok(self.text(key))
    }

    fn sha256(&mut self, hash: &bitcoin::hashes::sha256::Hash) -> Result<String, Infallible> {
        Ok(hash.to_string())
    }

    fn hash256(&mut self, hash: &miniscript::hash256::Hash) -> Result<String, Infallible> {
        Ok(hash.to_string())
    }

    fn ripemd160(&mut self, hash: &bitcoin::hashes::ripemd160::Hash) -> Result<String, Infallible> {
        Ok(hash.to_string())
    }

    fn hash160(&mut self, hash: &bitcoin::hashes::hash160::Hash) -> Result<String, Infallible> {
        Ok(hash.to_string())
    }
}

impl Solution {
    /// The keys of all expressions, and those of each `musig()`.
    fn all_keys(&self) -> impl Iterator<Item = &DerivedKey> {
        self.keys.iter().chain(self.aggregates.iter().map(|aggregate| &aggregate.key))
    }

    /// Origins of all keys, with the leaves that each is in.
    fn tap_origins(&self) -> impl Iterator<Item = (XOnlyPublicKey, (Vec<TapLeafHash>, KeySource))> + '_ {
        let hashes = match &self.form {
            Form::Script(script) => match script.as_ref() {
                Miniscript::Tr(tr) => leaves(tr),
                _ => BTreeMap::new(),
            },
            Form::RawTaproot(_) => BTreeMap::new(),
        };
        self.all_keys().map(move |key| {
            let point = x_only(&key.key);
            (point, (hashes.get(&point).cloned().unwrap_or_default(), source(key)))
        })
    }

    /// The script behind a script hash.
    #[must_use]
    pub fn redeem_script(&self) -> Option<ScriptBuf> {
        let Form::Script(script) = &self.form else { return None };
        let Miniscript::Sh(sh) = script.as_ref() else { return None };
        Some(match sh.as_inner() {
            ShInner::Wsh(wsh) => wsh.script_pubkey(),
            ShInner::Wpkh(wpkh) => wpkh.script_pubkey(),
            ShInner::SortedMulti(_) | ShInner::Ms(_) => sh.inner_script(),
        })
    }

    /// The script behind a witness script hash.
    #[must_use]
    pub fn witness_script(&self) -> Option<ScriptBuf> {
        let Form::Script(script) = &self.form else { return None };
        match script.as_ref() {
            Miniscript::Wsh(wsh) => Some(wsh.inner_script()),
            Miniscript::Sh(sh) => match sh.as_inner() {
                ShInner::Wsh(wsh) => Some(wsh.inner_script()),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether its input has a witness.
    #[must_use]
    pub fn is_segwit(&self) -> bool {
        let Form::Script(script) = &self.form else { return true };
        match script.as_ref() {
            Miniscript::Wsh(_) | Miniscript::Wpkh(_) | Miniscript::Tr(_) => true,
            Miniscript::Sh(sh) => matches!(sh.as_inner(), ShInner::Wsh(_) | ShInner::Wpkh(_)),
            Miniscript::Bare(_) | Miniscript::Pkh(_) => false,
        }
    }

    /// The descriptor of this one output, as Core infers it: plain keys with their origins; with checksum.
    #[must_use]
    pub fn descriptor(&self) -> String {
        let text = match &self.form {
            Form::RawTaproot(key) => format!("rawtr({})", WithOrigins { solution: self, x_only: true }.text(key)),
            Form::Script(script) => {
                let mut translator = WithOrigins { solution: self, x_only: matches!(script.as_ref(), Miniscript::Tr(_)) };
                match script.translate_pk(&mut translator) {
                    Ok(script) => format!("{script:#}"),
                    Err(_) => return String::new(),
                }
            }
        };
        super::with_checksum(&text)
    }

    /// Adds scripts, and with `derivations` key origins, to the input that spends the output.
    pub fn fill_input(&self, input: &mut Input, output: &TxOut, derivations: bool) {
        for DerivedAggregate { aggregate, participants, .. } in &self.aggregates {
            bulkhead_musig2::put_participants(&mut input.unknown, false, aggregate, participants);
        }
        let script = match &self.form {
            Form::Script(script) => script,
            Form::RawTaproot(_) => {
                input.witness_utxo.get_or_insert_with(|| output.clone());
                if derivations {
                    input.tap_key_origins.extend(self.tap_origins());
                }
                return;
            }
        };
        if let Some(script) = self.redeem_script() {
            input.redeem_script = Some(script);
        }
        if let Some(script) = self.witness_script() {
            input.witness_script = Some(script);
        }
        if let Miniscript::Tr(tr) = script.as_ref() {
            input.witness_utxo.get_or_insert_with(|| output.clone());
            input.tap_internal_key = Some(x_only(tr.internal_key()));
            let info = tr.spend_info();
            input.tap_merkle_root = info.merkle_root();
            for leaf in info.leaves() {
                input.tap_scripts.insert(leaf.control_block().clone(), (leaf.script().to_owned(), leaf.leaf_version()));
            }
            if derivations {
                input.tap_key_origins.extend(self.tap_origins());
            }
        } else if derivations {
            input.bip32_derivation.extend(self.keys.iter().map(|key| (key.key.inner, source(key))));
        }
    }

    /// Adds the same to an output, so that a signing device recognizes change.
    pub fn fill_output(&self, output: &mut Output, derivations: bool) {
        if let Some(script) = self.redeem_script() {
            output.redeem_script = Some(script);
        }
        if let Some(script) = self.witness_script() {
            output.witness_script = Some(script);
        }
        for DerivedAggregate { aggregate, participants, .. } in &self.aggregates {
            bulkhead_musig2::put_participants(&mut output.unknown, true, aggregate, participants);
        }
        let Form::Script(script) = &self.form else {
            if derivations {
                output.tap_key_origins.extend(self.tap_origins());
            }
            return;
        };
        if let Miniscript::Tr(tr) = script.as_ref() {
            output.tap_internal_key = Some(x_only(tr.internal_key()));
            if let Some(tree) = tap_tree(tr) {
                output.tap_tree = Some(tree);
            }
            if derivations {
                output.tap_key_origins.extend(self.tap_origins());
            }
        } else if derivations {
            output.bip32_derivation.extend(self.keys.iter().map(|key| (key.key.inner, source(key))));
        }
    }
}

fn tap_tree(tr: &Tr<PublicKey>) -> Option<bitcoin::taproot::TapTree> {
    let mut builder = bitcoin::taproot::TaprootBuilder::new();
    for leaf in tr.leaves() {
        builder = builder.add_leaf(leaf.depth(), leaf.miniscript().encode()).ok()?;
    }
    bitcoin::taproot::TapTree::try_from(builder).ok()
}
