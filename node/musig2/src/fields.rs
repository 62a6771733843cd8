//! The fields of BIP373. The `bitcoin` crate keeps them among the fields that it does not know.

use bitcoin::psbt::raw;
use bitcoin::secp256k1::PublicKey;
use bitcoin::taproot::TapLeafHash;
use std::collections::BTreeMap;

/// Fields that the `bitcoin` crate does not know.
type Unknown = BTreeMap<raw::Key, Vec<u8>>;

const IN_PARTICIPANTS: u8 = 0x1a;
const IN_PUBLIC_NONCE: u8 = 0x1b;
const IN_PARTIAL_SIGNATURE: u8 = 0x1c;
const OUT_PARTICIPANTS: u8 = 0x08;
const KEY: usize = 33;

fn key(bytes: &[u8]) -> Option<PublicKey> {
    (bytes.len() == KEY).then(|| PublicKey::from_slice(bytes).ok()).flatten()
}

/// Aggregate keys of an input with the keys that they consist of, in their order. What is malformed is left out.
#[must_use]
pub fn participants(unknown: &Unknown) -> Vec<(PublicKey, Vec<PublicKey>)> {
    let entry = |(field, value): (&raw::Key, &Vec<u8>)| {
        let (keys, rest) = value.as_chunks::<KEY>();
        let keys: Vec<PublicKey> = keys.iter().map(|bytes| key(bytes)).collect::<Option<_>>()?;
        (rest.is_empty() && !keys.is_empty()).then_some((key(&field.key)?, keys))
    };
    unknown.iter().filter(|(field, _)| field.type_value == IN_PARTICIPANTS).filter_map(entry).collect()
}

/// Adds an aggregate key to the fields of an input or, with `output`, of an output.
pub fn put_participants(unknown: &mut Unknown, output: bool, aggregate: &PublicKey, participants: &[PublicKey]) {
    let type_value = if output { OUT_PARTICIPANTS } else { IN_PARTICIPANTS };
    let value = participants.iter().flat_map(PublicKey::serialize).collect();
    unknown.insert(raw::Key { type_value, key: aggregate.serialize().to_vec() }, value);
}

/// What contributions belong together: the key that signs, and the leaf unless it signs for the key path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// The key that the signature is for: the aggregate key after derivation and, in the key path, after the tweak.
    pub key: PublicKey,
    /// The leaf.
    pub leaf: Option<TapLeafHash>,
}

impl Contribution {
    fn field(&self, type_value: u8, participant: &PublicKey) -> raw::Key {
        let mut key = [participant.serialize(), self.key.serialize()].concat();
        key.extend(self.leaf.iter().flat_map(|leaf| <TapLeafHash as AsRef<[u8]>>::as_ref(leaf).to_vec()));
        raw::Key { type_value, key }
    }

    /// Files a participant's public nonce.
    pub(crate) fn put_nonce(&self, unknown: &mut Unknown, participant: &PublicKey, nonce: [u8; 66]) {
        unknown.insert(self.field(IN_PUBLIC_NONCE, participant), nonce.to_vec());
    }

    /// Files a participant's partial signature.
    pub(crate) fn put_signature(&self, unknown: &mut Unknown, participant: &PublicKey, signature: [u8; 32]) {
        unknown.insert(self.field(IN_PARTIAL_SIGNATURE, participant), signature.to_vec());
    }

    fn read<const N: usize>(&self, unknown: &Unknown, type_value: u8, of: &[PublicKey]) -> BTreeMap<PublicKey, [u8; N]> {
        let one = |participant: &PublicKey| {
            let value = unknown.get(&self.field(type_value, participant))?;
            Some((*participant, value.as_slice().try_into().ok()?))
        };
        of.iter().filter_map(one).collect()
    }
}

/// Public nonces of participants.
#[must_use]
pub fn nonces(unknown: &Unknown, of: &Contribution, participants: &[PublicKey]) -> BTreeMap<PublicKey, [u8; 66]> {
    of.read(unknown, IN_PUBLIC_NONCE, participants)
}

/// Partial signatures of participants.
#[must_use]
pub fn partial_signatures(unknown: &Unknown, of: &Contribution, participants: &[PublicKey]) -> BTreeMap<PublicKey, [u8; 32]> {
    of.read(unknown, IN_PARTIAL_SIGNATURE, participants)
}

/// Drops every MuSig2 field of an input: it is final.
pub fn forget(unknown: &mut Unknown) {
    unknown.retain(|field, _| !(IN_PARTICIPANTS..=IN_PARTIAL_SIGNATURE).contains(&field.type_value));
}
