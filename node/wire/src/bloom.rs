//! Bloom filters of light clients (BIP 37).

use bitcoin::consensus::encode::serialize;
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, Script, Transaction};

use crate::reader::{DecodeError, Reader};

/// Largest filter, bytes.
pub const MAX_FILTER: usize = 36_000;
/// Most hash functions.
pub const MAX_HASH_FUNCTIONS: u32 = 50;
/// Largest element of `filteradd`: the largest thing that a script can push.
pub const MAX_ELEMENT: usize = 520;

/// Outputs that match are followed: all of them.
const UPDATE_ALL: u8 = 1;
/// Outputs that match are followed: those to public keys.
const UPDATE_PUBKEYS: u8 = 2;
const UPDATE_MASK: u8 = 3;

/// A filter that a peer loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BloomFilter {
    data: Vec<u8>,
    functions: u32,
    tweak: u32,
    flags: u8,
}

impl BloomFilter {
    /// Reads a `filterload`. The filter may be larger than allowed: see [`BloomFilter::is_allowed`].
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let data = reader.bytes()?.to_vec();
        Ok(Self { data, functions: reader.u32()?, tweak: reader.u32()?, flags: reader.u8()? })
    }

    /// Body of a `filterload`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.data.len() + 14);
        crate::reader::put_length(&mut out, self.data.len());
        out.extend_from_slice(&self.data);
        out.extend_from_slice(&self.functions.to_le_bytes());
        out.extend_from_slice(&self.tweak.to_le_bytes());
        out.push(self.flags);
        out
    }

    /// Whether size and number of functions keep to the limits.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.data.len() <= MAX_FILTER && self.functions <= MAX_HASH_FUNCTIONS
    }

    fn bit(&self, function: u32, element: &[u8]) -> (usize, u8) {
        let seed = function.wrapping_mul(0xfba4_c795).wrapping_add(self.tweak);
        let bits = u32::try_from(self.data.len() * 8).unwrap_or(u32::MAX);
        let bit = murmur3(seed, element) % bits;
        (usize::try_from(bit / 8).unwrap_or(0), 1 << (bit % 8))
    }

    /// Adds an element. An empty filter matches everything already.
    pub fn insert(&mut self, element: &[u8]) {
        if self.data.is_empty() {
            return;
        }
        for function in 0..self.functions {
            let (byte, mask) = self.bit(function, element);
            self.data[byte] |= mask;
        }
    }

    /// Whether an element was added, or looks so.
    #[must_use]
    pub fn contains(&self, element: &[u8]) -> bool {
        self.data.is_empty()
            || (0..self.functions).all(|function| {
                let (byte, mask) = self.bit(function, element);
                self.data[byte] & mask != 0
            })
    }

    /// Whether a transaction concerns the owner of the filter. Its matching outputs are added as the filter asks, so
    /// that spending them matches too.
    pub fn matches(&mut self, tx: &Transaction) -> bool {
        if self.data.is_empty() {
            return true;
        }
        let txid = tx.compute_txid();
        let mut found = self.contains(txid.as_byte_array());
        for (vout, output) in (0..).zip(&tx.output) {
            if !self.matches_push(&output.script_pubkey) {
                continue;
            }
            found = true;
            let follow = match self.flags & UPDATE_MASK {
                UPDATE_ALL => true,
                UPDATE_PUBKEYS => output.script_pubkey.is_p2pk() || output.script_pubkey.is_multisig(),
                _ => false,
            };
            if follow {
                self.insert(&serialize(&OutPoint { txid, vout }));
            }
        }
        found
            || tx
                .input
                .iter()
                .any(|input| self.contains(&serialize(&input.previous_output)) || self.matches_push(&input.script_sig))
    }

    fn matches_push(&self, script: &Script) -> bool {
        // What comes before the first malformed instruction counts, as in Core.
        script
            .instructions()
            .map_while(Result::ok)
            .any(|instruction| instruction.push_bytes().is_some_and(|data| !data.is_empty() && self.contains(data.as_bytes())))
    }
}

/// MurmurHash3, 32 bits.
fn murmur3(seed: u32, data: &[u8]) -> u32 {
    const C1: u32 = 0xcc9e_2d51;
    const C2: u32 = 0x1b87_3593;
    let mix = |word: u32| word.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2);
    let (chunks, tail) = data.as_chunks::<4>();
    let mut hash = seed;
    for chunk in chunks {
        hash = (hash ^ mix(u32::from_le_bytes(*chunk))).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let last = tail.iter().rev().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
    if !tail.is_empty() {
        hash ^= mix(last);
    }
    hash ^= u32::try_from(data.len()).unwrap_or(u32::MAX);
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bitcoin::hex::FromHex;
    use proptest::prelude::*;

    fn bytes(hex: &str) -> Vec<u8> {
        Vec::from_hex(hex).unwrap()
    }

    #[test]
    fn murmur_agrees_with_known_values() {
        assert_eq!(murmur3(0, b""), 0);
        assert_eq!(murmur3(0xfba4_c795, b""), 0x6a39_6f08);
        assert_eq!(murmur3(0, &[0]), 0x514e_28b7);
        assert_eq!(murmur3(0, &bytes("0011")), 0x16c6_b7ab);
        assert_eq!(murmur3(0, &bytes("00112233445566")), 0xb074_502c);
        assert_eq!(murmur3(0, &bytes("0011223344556677")), 0x8034_d2a0);
    }

    #[test]
    fn elements_are_found_again() {
        // The example of BIP 37's implementations: three elements, five functions.
        let mut filter = BloomFilter { data: vec![0; 3], functions: 5, tweak: 0, flags: 1 };
        for element in [
            "99108ad8ed9bb6274d3980bab5a85c048f0950c8",
            "b5a2c786d9ef4658287ced5914b37a1b4aa32eee",
            "b9300670b4c5366e95b2699e8b18bc75e5f729c5",
        ] {
            filter.insert(&bytes(element));
            assert!(filter.contains(&bytes(element)));
        }
        assert!(!filter.contains(&bytes("19108ad8ed9bb6274d3980bab5a85c048f0950c8")));
        assert_eq!(filter.encode(), bytes("03614e9b050000000000000001"));
        assert_eq!(BloomFilter::decode(&filter.encode()), Ok(filter));
    }

    #[test]
    fn empty_filter_matches_and_takes_everything() {
        let mut filter = BloomFilter { data: Vec::new(), functions: 1, tweak: 0, flags: 0 };
        filter.insert(b"letstrytocrashthisnode");
        assert!(filter.contains(b"anything"));
    }

    #[test]
    fn spending_a_followed_output_matches() {
        let block = bitcoin::blockdata::constants::genesis_block(bitcoin::Network::Regtest);
        let tx = &block.txdata[0];
        let key = tx.output[0].script_pubkey.instructions().next().unwrap().unwrap().push_bytes().unwrap().as_bytes().to_vec();
        let mut filter = BloomFilter { data: vec![0; 100], functions: 10, tweak: 0, flags: UPDATE_PUBKEYS };
        assert!(!filter.matches(tx));
        filter.insert(&key);
        assert!(filter.matches(tx));
        let mut spender = tx.clone();
        spender.output.clear();
        spender.input[0].script_sig = bitcoin::ScriptBuf::new();
        spender.input[0].previous_output = OutPoint { txid: tx.compute_txid(), vout: 0 };
        assert!(filter.matches(&spender));
        spender.input[0].previous_output.vout = 1;
        assert!(!filter.matches(&spender));
    }

    proptest! {
        #[test]
        fn any_filter_is_survived(body in proptest::collection::vec(any::<u8>(), 0..80), element in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(mut filter) = BloomFilter::decode(&body)
                && filter.is_allowed()
            {
                filter.insert(&element);
                prop_assert!(filter.contains(&element));
            }
        }
    }
}
