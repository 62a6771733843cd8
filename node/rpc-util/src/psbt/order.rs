//! The order in which Core writes records of one field: that of the maps that it keeps them in.

use bitcoin::hashes::{Hash, hash160};

/// What records are compared by, part for part.
pub(super) type Place = Vec<Vec<u8>>;

const KEY: usize = 33;
const HASH: usize = 32;

/// By the key.
pub(super) fn by_key(key: &[u8], _: &[u8]) -> Place {
    vec![key.to_vec()]
}

/// Signatures: by the hash of the public key in the key.
pub(super) fn by_key_hash(key: &[u8], _: &[u8]) -> Place {
    vec![hash160::Hash::hash(key).to_byte_array().to_vec()]
}

/// Extended keys: by fingerprint, length and steps of their origin, then by public key and chain code.
pub(super) fn by_origin(key: &[u8], value: &[u8]) -> Place {
    let (fingerprint, path) = value.split_at_checked(4).unwrap_or((value, &[]));
    let steps = path.chunks(4).flat_map(|step| step.iter().rev().copied()).collect();
    // version, depth, fingerprint and number stand before the chain code
    let (_, codes) = key.split_at_checked(13).unwrap_or((&[], key));
    let (chain_code, pubkey) = codes.split_at_checked(HASH).unwrap_or((&[], codes));
    let length = (path.len() as u64).to_be_bytes();
    vec![fingerprint.to_vec(), length.to_vec(), steps, pubkey.to_vec(), chain_code.to_vec()]
}

/// Leaves of Taproot: by script and version, then the control blocks, short ones first.
pub(super) fn by_leaf(key: &[u8], value: &[u8]) -> Place {
    let (version, script) = value.split_last().map_or((0, value), |(version, script)| (*version, script));
    let length = (key.len() as u64).to_be_bytes();
    vec![script.to_vec(), vec![version], length.to_vec(), key.to_vec()]
}

/// Contributions to MuSig2: by aggregate key and leaf, none first, then by participant.
pub(super) fn by_aggregate(key: &[u8], _: &[u8]) -> Place {
    let (participant, rest) = key.split_at_checked(KEY).unwrap_or((key, &[]));
    let (aggregate, leaf) = rest.split_at_checked(KEY).unwrap_or((rest, &[]));
    let leaf = if leaf.is_empty() { &[0; HASH] } else { leaf };
    vec![aggregate.to_vec(), leaf.to_vec(), participant.to_vec()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_paths_and_short_control_blocks_stand_first() {
        let key = [7; 78];
        let origin =
            |path: &[u32]| by_origin(&key, &[vec![9; 4], path.iter().flat_map(|step| step.to_le_bytes()).collect()].concat());
        assert!(origin(&[256]) > origin(&[255]), "steps are numbers");
        assert!(origin(&[1, 1]) > origin(&[2]), "length before steps");
        assert!(by_leaf(&[2; 65], &[1, 0xc0]) > by_leaf(&[3; 33], &[1, 0xc0]));
        assert!(by_leaf(&[2; 33], &[1, 0xc0, 0xc0]) > by_leaf(&[2; 33], &[1, 0xfe]), "the script before its version");
    }

    #[test]
    fn contributions_stand_by_aggregate_key_before_participant() {
        let key = |participant: u8, aggregate: u8, leaf: &[u8]| {
            by_aggregate(&[&[participant; KEY], &[aggregate; KEY], leaf].concat(), &[])
        };
        assert!(key(9, 2, &[]) < key(1, 3, &[]));
        assert!(key(9, 2, &[]) < key(1, 2, &[1; HASH]));
    }
}
