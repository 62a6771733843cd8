//! The miniscript side of a descriptor: a tree over key numbers, and the same tree with keys filled in.

use super::{DerivedKey, DescriptorError};
use bitcoin::PublicKey;
use core::fmt;
use core::str::FromStr;
use miniscript::bitcoin::hashes::{hash160, ripemd160, sha256};
use miniscript::{Descriptor as Miniscript, MiniscriptKey, TranslateErr, Translator, hash256};

/// The number of a key expression, standing where the key will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyRef {
    /// Position in the text.
    pub number: u32,
    /// The key has 65 bytes: not allowed inside segwit.
    pub uncompressed: bool,
}

impl fmt::Display for KeyRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", if self.uncompressed { "U" } else { "K" }, self.number)
    }
}

/// The text is not a key number; can't happen, as only this crate writes them.
#[derive(Debug)]
pub struct NotAKeyRef;

impl fmt::Display for NotAKeyRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not a key number")
    }
}

impl std::error::Error for NotAKeyRef {}

impl FromStr for KeyRef {
    type Err = NotAKeyRef;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (uncompressed, number) = match text.split_at_checked(1) {
            Some(("U", number)) => (true, number),
            Some(("K", number)) => (false, number),
            _ => return Err(NotAKeyRef),
        };
        Ok(Self { number: number.parse().map_err(|_| NotAKeyRef)?, uncompressed })
    }
}

impl MiniscriptKey for KeyRef {
    fn is_uncompressed(&self) -> bool {
        self.uncompressed
    }

    type Sha256 = sha256::Hash;
    type Hash256 = hash256::Hash;
    type Ripemd160 = ripemd160::Hash;
    type Hash160 = hash160::Hash;
}

struct Filler<'a>(&'a [DerivedKey]);

impl Translator<KeyRef> for Filler<'_> {
    type TargetPk = PublicKey;
    type Error = DescriptorError;

    fn pk(&mut self, key: &KeyRef) -> Result<PublicKey, DescriptorError> {
        let number = usize::try_from(key.number).unwrap_or(usize::MAX);
        self.0.get(number).map(|derived| derived.key).ok_or_else(|| DescriptorError::Script("key number out of range".into()))
    }

    fn sha256(&mut self, hash: &sha256::Hash) -> Result<sha256::Hash, DescriptorError> {
        Ok(*hash)
    }

    fn hash256(&mut self, hash: &hash256::Hash) -> Result<hash256::Hash, DescriptorError> {
        Ok(*hash)
    }

    fn ripemd160(&mut self, hash: &ripemd160::Hash) -> Result<ripemd160::Hash, DescriptorError> {
        Ok(*hash)
    }

    fn hash160(&mut self, hash: &hash160::Hash) -> Result<hash160::Hash, DescriptorError> {
        Ok(*hash)
    }
}

/// The tree with keys in the place of numbers.
pub(super) fn fill(tree: &Miniscript<KeyRef>, keys: &[DerivedKey]) -> Result<Miniscript<PublicKey>, DescriptorError> {
    tree.translate_pk(&mut Filler(keys)).map_err(|error| match error {
        TranslateErr::TranslatorErr(error) => error,
        TranslateErr::OuterError(error) => DescriptorError::Script(error.to_string()),
    })
}

/// The scripts of `combo`: P2PK, P2PKH, and for a compressed key P2WPKH and P2SH-P2WPKH.
pub(super) fn combo(key: PublicKey) -> Result<Vec<Miniscript<PublicKey>>, DescriptorError> {
    let error = |error: miniscript::Error| DescriptorError::Script(error.to_string());
    let mut all = vec![Miniscript::new_pk(key), Miniscript::new_pkh(key).map_err(error)?];
    if key.compressed {
        all.push(Miniscript::new_wpkh(key).map_err(error)?);
        all.push(Miniscript::new_sh_wpkh(key).map_err(error)?);
    }
    Ok(all)
}
