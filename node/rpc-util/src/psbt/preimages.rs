//! Preimages that do not belong to the hash they stand with. Core takes and shows them (they satisfy nothing); the `bitcoin`
//! crate refuses the whole PSBT, so they go around it.

use bitcoin::hashes::{Hash, hash160, ripemd160, sha256, sha256d};
use bitcoin::psbt::Input;

use super::records::Record;

/// Hash functions of preimages, by the number of their field (BIP174).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ripemd160,
    Sha256,
    Hash160,
    Hash256,
}

impl Kind {
    fn of_field(number: u8) -> Option<Self> {
        match number {
            0x0a => Some(Self::Ripemd160),
            0x0b => Some(Self::Sha256),
            0x0c => Some(Self::Hash160),
            0x0d => Some(Self::Hash256),
            _ => None,
        }
    }

    fn proves(self, hash: &[u8], preimage: &[u8]) -> bool {
        match self {
            Self::Ripemd160 => ripemd160::Hash::hash(preimage).as_byte_array() == hash,
            Self::Sha256 => sha256::Hash::hash(preimage).as_byte_array() == hash,
            Self::Hash160 => hash160::Hash::hash(preimage).as_byte_array() == hash,
            Self::Hash256 => sha256d::Hash::hash(preimage).as_byte_array() == hash,
        }
    }
}

/// A hash and what does not hash to it.
#[derive(Debug)]
pub(super) struct Unproven<'a> {
    kind: Kind,
    hash: &'a [u8],
    preimage: &'a [u8],
}

impl<'a> Unproven<'a> {
    /// Such a pair, if the record of an input is one.
    pub(super) fn of(&(key, preimage): &Record<'a>) -> Option<Self> {
        let (number, hash) = key.split_first()?;
        let kind = Kind::of_field(*number).filter(|kind| !kind.proves(hash, preimage))?;
        Some(Self { kind, hash, preimage })
    }

    /// Adds the pair to the input. A hash of another length is not one (such a field has been refused).
    pub(super) fn insert(&self, input: &mut Input) {
        let (hash, preimage) = (self.hash, self.preimage.to_vec());
        match self.kind {
            Kind::Ripemd160 => ripemd160::Hash::from_slice(hash).map(|hash| input.ripemd160_preimages.insert(hash, preimage)),
            Kind::Sha256 => sha256::Hash::from_slice(hash).map(|hash| input.sha256_preimages.insert(hash, preimage)),
            Kind::Hash160 => hash160::Hash::from_slice(hash).map(|hash| input.hash160_preimages.insert(hash, preimage)),
            Kind::Hash256 => sha256d::Hash::from_slice(hash).map(|hash| input.hash256_preimages.insert(hash, preimage)),
        }
        .ok();
    }
}
