//! MuHash3072: a hash of a set that can be updated one element at a time (Core: `crypto/muhash.cpp`).
//!
//! An element is mapped to a number below 2^3072 by SHA-256 and ChaCha20; a set is the product of its elements modulo
//! 2^3072 - 1103717.

use bitcoin::hashes::{Hash, sha256};
use num_bigint::BigUint;

/// Distance of the modulus from 2^3072.
const GAP: u32 = 1_103_717;
const BITS: u64 = 3072;
const BYTES: usize = 384;

/// A set under construction.
#[derive(Debug, Clone)]
pub struct MuHash {
    numerator: BigUint,
    denominator: BigUint,
    gap: BigUint,
}

impl Default for MuHash {
    fn default() -> Self {
        Self { numerator: BigUint::from(1u32), denominator: BigUint::from(1u32), gap: BigUint::from(GAP) }
    }
}

impl MuHash {
    /// Adds an element.
    pub fn insert(&mut self, element: &[u8]) {
        let product = &self.numerator * number_of(element);
        self.numerator = reduce(product, &self.gap);
    }

    /// Removes an element.
    pub fn remove(&mut self, element: &[u8]) {
        let product = &self.denominator * number_of(element);
        self.denominator = reduce(product, &self.gap);
    }

    /// Brings the set to the form that [`MuHash::to_bytes`] writes: one inversion, after which [`MuHash::finalize`] is cheap.
    pub fn normalize(&mut self) {
        self.numerator = self.quotient();
        self.denominator = BigUint::from(1u32);
    }

    /// The set as bytes; an inversion unless [`MuHash::normalize`] was called.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.quotient().to_bytes_le();
        bytes.resize(BYTES, 0);
        bytes
    }

    /// Reads what [`MuHash::to_bytes`] gave; `None` if the length is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == BYTES).then(|| Self { numerator: BigUint::from_bytes_le(bytes), ..Self::default() })
    }

    /// Hash of the set, in internal byte order.
    pub fn finalize(&self) -> [u8; 32] {
        sha256::Hash::hash(&self.to_bytes()).to_byte_array()
    }

    fn quotient(&self) -> BigUint {
        let modulus = (BigUint::from(1u32) << BITS) - &self.gap;
        let one = BigUint::from(1u32);
        let numerator = &self.numerator % &modulus;
        if self.denominator == one {
            return numerator;
        }
        // The modulus is prime; a product of its elements is never a multiple of it except with negligible chance.
        let inverse = self.denominator.modinv(&modulus).unwrap_or_default();
        numerator * inverse % &modulus
    }
}

/// Brings a product back to at most a little more than 3072 bits.
fn reduce(product: BigUint, gap: &BigUint) -> BigUint {
    let mask = (BigUint::from(1u32) << BITS) - 1u32;
    let mut value = product;
    while value.bits() > BITS {
        let high = &value >> BITS;
        value = (value & &mask) + high * gap;
    }
    value
}

fn number_of(element: &[u8]) -> BigUint {
    let key = sha256::Hash::hash(element).to_byte_array();
    let mut stream = [0u8; BYTES];
    for (counter, block) in (0u32..).zip(stream.chunks_exact_mut(64)) {
        block.copy_from_slice(&chacha20_block(&key, counter));
    }
    BigUint::from_bytes_le(&stream)
}

/// One block of ChaCha20 key stream with a zero nonce (RFC 8439).
fn chacha20_block(key: &[u8; 32], counter: u32) -> [u8; 64] {
    let mut start = [0u32; 16];
    start[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
    for (word, bytes) in start[4..12].iter_mut().zip(key.chunks_exact(4)) {
        *word = bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
    }
    start[12] = counter;
    let mut x = start;
    for _ in 0..10 {
        for [a, b, c, d] in [
            [0, 4, 8, 12],
            [1, 5, 9, 13],
            [2, 6, 10, 14],
            [3, 7, 11, 15],
            [0, 5, 10, 15],
            [1, 6, 11, 12],
            [2, 7, 8, 13],
            [3, 4, 9, 14],
        ] {
            x[a] = x[a].wrapping_add(x[b]);
            x[d] = (x[d] ^ x[a]).rotate_left(16);
            x[c] = x[c].wrapping_add(x[d]);
            x[b] = (x[b] ^ x[c]).rotate_left(12);
            x[a] = x[a].wrapping_add(x[b]);
            x[d] = (x[d] ^ x[a]).rotate_left(8);
            x[c] = x[c].wrapping_add(x[d]);
            x[b] = (x[b] ^ x[c]).rotate_left(7);
        }
    }
    let mut out = [0u8; 64];
    for ((bytes, value), start) in out.chunks_exact_mut(4).zip(x).zip(start) {
        bytes.copy_from_slice(&value.wrapping_add(start).to_le_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex_reversed(bytes: [u8; 32]) -> String {
        bytes.iter().rev().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The vector of Core's functional framework (`test_framework/crypto/muhash.py`).
    #[test]
    fn known_set_has_its_known_hash() {
        let mut set = MuHash::default();
        let element = |byte: u8| {
            let mut data = [0u8; 32];
            data[0] = byte;
            data
        };
        set.insert(&element(0));
        set.insert(&element(1));
        set.remove(&element(2));
        assert_eq!(hex_reversed(set.finalize()), "10d312b100cbd32ada024a6646e40d3482fcff103668d2625f10002a607d5863");
    }

    #[test]
    fn a_stored_set_goes_on_where_it_ended() {
        let mut set = MuHash::default();
        set.insert(b"a");
        set.remove(b"b");
        let hash = set.finalize();
        set.normalize();
        assert_eq!(set.finalize(), hash);
        let mut restored = MuHash::from_bytes(&set.to_bytes()).expect("the length is right");
        assert_eq!(restored.finalize(), hash);
        set.insert(b"c");
        restored.insert(b"c");
        assert_eq!(restored.finalize(), set.finalize());
        assert!(MuHash::from_bytes(&[1; 383]).is_none());
    }

    #[test]
    fn removing_what_was_inserted_gives_the_empty_set() {
        let mut set = MuHash::default();
        set.insert(b"a");
        set.remove(b"a");
        assert_eq!(set.finalize(), MuHash::default().finalize());
    }
}
