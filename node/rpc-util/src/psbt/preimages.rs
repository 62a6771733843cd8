//! Preimages that do not belong to the hash they stand with. Core takes and shows them (they satisfy nothing); the `bitcoin`
//! crate refuses the whole PSBT, so they go around it.

use bitcoin::hashes::{Hash, hash160, ripemd160, sha256, sha256d};
use bitcoin::psbt::Input;

use super::{MAGIC, UNSIGNED_TX, values::bytes};
use crate::codec;

/// Hash functions of preimages, by the number of their field (BIP174).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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

    /// Adds the pair to the input. A hash of another length is not one (`check` has refused it).
    pub(super) fn insert(self, input: &mut Input, hash: &[u8], preimage: Vec<u8>) {
        match self {
            Self::Ripemd160 => ripemd160::Hash::from_slice(hash).map(|hash| input.ripemd160_preimages.insert(hash, preimage)),
            Self::Sha256 => sha256::Hash::from_slice(hash).map(|hash| input.sha256_preimages.insert(hash, preimage)),
            Self::Hash160 => hash160::Hash::from_slice(hash).map(|hash| input.hash160_preimages.insert(hash, preimage)),
            Self::Hash256 => sha256d::Hash::from_slice(hash).map(|hash| input.hash256_preimages.insert(hash, preimage)),
        }
        .ok();
    }
}

/// A hash and what does not hash to it.
#[derive(Debug)]
pub(super) struct Unproven<'a> {
    /// Number of the input.
    pub input: usize,
    pub kind: Kind,
    pub hash: &'a [u8],
    pub preimage: &'a [u8],
}

/// The PSBT without such pairs, and the pairs. `None` when its frame is broken.
pub(super) fn without_unproven(psbt: &[u8]) -> Option<(Vec<u8>, Vec<Unproven<'_>>)> {
    let mut rest = psbt.strip_prefix(MAGIC)?;
    let (mut kept, mut unproven) = (MAGIC.to_vec(), Vec::new());
    let (mut map, mut inputs) = (0usize, 0);
    while !rest.is_empty() {
        let record = rest;
        let key = bytes(&mut rest).ok()?;
        if key.is_empty() {
            map += 1;
        } else {
            let value = bytes(&mut rest).ok()?;
            if map == 0 && key == UNSIGNED_TX {
                inputs = codec::decode_tx(value, true, false)?.input.len();
            }
            let is_input = (1..=inputs).contains(&map);
            if let [number, hash @ ..] = key
                && let Some(kind) = Kind::of_field(*number).filter(|kind| is_input && !kind.proves(hash, value))
            {
                unproven.push(Unproven { input: map - 1, kind, hash, preimage: value });
                continue;
            }
        }
        kept.extend_from_slice(record.get(..record.len() - rest.len())?);
    }
    Some((kept, unproven))
}
