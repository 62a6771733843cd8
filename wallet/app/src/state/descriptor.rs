//! Public descriptors of a wallet: from the text in a `walletdescriptor` record and the cached extended keys to output
//! scripts (Core: `script/descriptor.cpp`).
//!
//! Descriptors that Core generates name the master key and hardened steps (`wpkh(xpub/84h/1h/0h/0/*)`).
//! Only the key store can take hardened steps; it leaves the keys after them in the file, and with these the
//! descriptor is expanded and shown without a private key.

use bitcoin::{NetworkKind, ScriptBuf};
use bulkhead_wallet_core::Descriptor;
use bulkhead_wallet_core::descriptor::{Cache, DescriptorError, Form, Keys, Solution};

use super::OutputType;

/// One output script of a descriptor at one index.
#[derive(Debug, Clone)]
pub struct Expanded {
    /// The output script.
    pub script: ScriptBuf,
    /// How it is satisfied; `None` for `addr()` and `raw()`, which only watch.
    pub solution: Option<Solution>,
}

/// A parsed public descriptor with its cached keys.
#[derive(Debug, Clone)]
pub struct PublicDescriptor {
    parsed: Descriptor,
    cache: Cache,
    normalized: String,
}

/// Splits off a checksum without verifying it.
pub fn without_checksum(text: &str) -> &str {
    text.split('#').next().unwrap_or(text)
}

impl PublicDescriptor {
    /// Parses the text of a record (with or without checksum).
    ///
    /// # Errors
    /// The text does not parse, or a key that a hardened step needs is not cached.
    pub fn new(text: &str, cache: Cache, network: NetworkKind) -> Result<PublicDescriptor, DescriptorError> {
        let parsed = Descriptor::parse(text, &mut Keys::default())?;
        let normalized =
            parsed.print(Form::Normalized(&Keys::default(), &cache), network).ok_or(DescriptorError::NeedsPrivateKeys)?;
        Ok(PublicDescriptor { parsed, cache, normalized })
    }

    /// Normalized text with checksum, as `listdescriptors` and `parent_descs` show it.
    pub fn normalized(&self) -> String {
        self.normalized.clone()
    }

    /// The parsed form.
    pub fn parsed(&self) -> &Descriptor {
        &self.parsed
    }

    /// Keys that were derived with private keys.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Whether the descriptor has a wildcard.
    pub fn is_ranged(&self) -> bool {
        self.parsed.is_range()
    }

    /// The address type that the descriptor makes, if it makes one.
    pub fn output_type(&self) -> Option<OutputType> {
        OutputType::parse(self.parsed.output_type()?.name())
    }

    /// Output scripts at an index (0 for descriptors without wildcard).
    ///
    /// # Errors
    /// The index is hardened, or a cached key is missing.
    pub fn expand(&self, index: u32) -> Result<Vec<Expanded>, DescriptorError> {
        let expansion = self.parsed.expand(index, &self.cache)?;
        let solved = (0..expansion.scripts.len()).map(|position| expansion.solution(position)).collect::<Vec<_>>();
        Ok(expansion.scripts.into_iter().zip(solved).map(|(script, solution)| Expanded { script, solution }).collect())
    }

    /// The same without what is needed to spend them.
    ///
    /// # Errors
    /// As [`PublicDescriptor::expand`].
    pub fn scripts(&self, index: u32) -> Result<Vec<ScriptBuf>, DescriptorError> {
        Ok(self.parsed.expand(index, &self.cache)?.scripts)
    }
}

/// Address type of an output script.
pub fn output_type_of(script: &bitcoin::Script) -> Option<OutputType> {
    if script.is_p2pkh() {
        Some(OutputType::Legacy)
    } else if script.is_p2sh() {
        Some(OutputType::P2shSegwit)
    } else if script.is_p2wpkh() || script.is_p2wsh() {
        Some(OutputType::Bech32)
    } else {
        script.is_p2tr().then_some(OutputType::Bech32m)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bitcoin::Network;
    use bitcoin::bip32::{DerivationPath, Xpriv, Xpub};
    use bitcoin::secp256k1::Secp256k1;
    use std::str::FromStr;

    #[test]
    fn a_descriptor_with_hardened_steps_expands_through_the_cache() {
        let secp = Secp256k1::new();
        let master = Xpriv::new_master(Network::Regtest, &[7; 32]).unwrap();
        let derive = |path: &str| master.derive_priv(&secp, &DerivationPath::from_str(path).unwrap()).unwrap();
        let account = derive("84h/1h/0h");
        let text = format!("wpkh({}/84h/1h/0h/0/*)", Xpub::from_priv(&secp, &master));
        let missing = PublicDescriptor::new(&text, Cache::default(), NetworkKind::Test);
        assert!(matches!(missing, Err(DescriptorError::NeedsPrivateKeys)));

        let mut cache = Cache::default();
        cache.last_hardened.insert(0, Xpub::from_priv(&secp, &account));
        cache.parent.insert(0, Xpub::from_priv(&secp, &derive("84h/1h/0h/0")));
        let descriptor = PublicDescriptor::new(&text, cache, NetworkKind::Test).unwrap();
        let want = format!("wpkh([{}/84h/1h/0h]{}/0/*)", master.fingerprint(&secp), Xpub::from_priv(&secp, &account));
        assert_eq!(without_checksum(&descriptor.normalized()), want);
        assert_eq!(descriptor.output_type(), Some(OutputType::Bech32));
        let key = bitcoin::CompressedPublicKey(derive("84h/1h/0h/0/5").private_key.public_key(&secp));
        let expanded = descriptor.expand(5).unwrap();
        assert_eq!(expanded[0].script, ScriptBuf::new_p2wpkh(&key.wpubkey_hash()));
        let inferred = expanded[0].solution.as_ref().unwrap().descriptor();
        assert_eq!(without_checksum(&inferred), format!("wpkh([{}/84h/1h/0h/0/5]{key})", master.fingerprint(&secp)));
    }

    #[test]
    fn combo_stands_for_four_scripts() {
        let key = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5";
        let combo = PublicDescriptor::new(&format!("combo({key})"), Cache::default(), NetworkKind::Test).unwrap();
        assert_eq!(combo.expand(0).unwrap().len(), 4);
        assert_eq!(combo.output_type(), None);
        assert!(!combo.is_ranged());
        let raw = PublicDescriptor::new("raw(51)", Cache::default(), NetworkKind::Test).unwrap();
        let expanded = raw.expand(0).unwrap();
        assert_eq!(expanded[0].script.as_bytes(), [0x51]);
        assert!(expanded[0].solution.is_none());
    }
}
