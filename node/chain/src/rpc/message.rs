//! Signed messages: the public key behind a compact signature.
//!
//! The key follows from Q = r^-1 (s R - z G). libsecp256k1's recovery module is not built in, but its public arithmetic
//! is enough: inverses are powers (Fermat), and the result is verified as an ordinary signature.

use bitcoin::PublicKey;
use bitcoin::consensus::encode::VarInt;
use bitcoin::hashes::{Hash, HashEngine, sha256d};
use bitcoin::secp256k1::ecdsa::Signature;
use bitcoin::secp256k1::{self, Message, Scalar, Secp256k1, SecretKey};

/// Group order minus two, big endian.
const ORDER_MINUS_2: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf,
    0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x3f,
];

/// Hash of a message that is signed with a key of an address.
pub fn message_hash(message: &str) -> [u8; 32] {
    const MAGIC: &[u8] = b"\x18Bitcoin Signed Message:\n";
    let mut engine = sha256d::Hash::engine();
    engine.input(MAGIC);
    engine.input(&bitcoin::consensus::serialize(&VarInt::from(message.len())));
    engine.input(message.as_bytes());
    sha256d::Hash::from_engine(engine).to_byte_array()
}

/// x^-1 modulo the group order.
fn inverse(x: SecretKey) -> Option<SecretKey> {
    let mut result: Option<SecretKey> = None;
    for bit in ORDER_MINUS_2.iter().flat_map(|byte| (0..8).rev().map(move |i| byte >> i & 1)) {
        if let Some(value) = result {
            result = Some(value.mul_tweak(&Scalar::from(value)).ok()?);
        }
        if bit == 1 {
            result = match result {
                Some(value) => Some(value.mul_tweak(&Scalar::from(x)).ok()?),
                None => Some(x),
            };
        }
    }
    result
}

/// The key that made a 65-byte compact signature of a message, if it is one.
pub fn recover_message_key(signature: &[u8], message: &str) -> Option<PublicKey> {
    let bytes: &[u8; 65] = signature.try_into().ok()?;
    let id = bytes[0].checked_sub(27).filter(|id| *id < 8)?;
    let compressed = id & 4 != 0;
    // Signatures whose r was reduced by the group order do not occur in practice; Core accepts them.
    if id & 2 != 0 {
        return None;
    }
    let secp = Secp256k1::new();
    let hash = message_hash(message);
    let r = SecretKey::from_slice(&bytes[1..33]).ok()?;
    let s = SecretKey::from_slice(&bytes[33..]).ok()?;
    let mut point = [0u8; 33];
    point[0] = 2 + (id & 1);
    point[1..].copy_from_slice(&bytes[1..33]);
    let r_point = secp256k1::PublicKey::from_slice(&point).ok()?;
    let s_r = r_point.mul_tweak(&secp, &Scalar::from(s)).ok()?;
    // A hash of zero or above the order has a probability of 2^-128.
    let z = SecretKey::from_slice(&hash).ok()?;
    let minus_z_g = z.negate().public_key(&secp);
    let sum = s_r.combine(&minus_z_g).ok()?;
    let key = sum.mul_tweak(&secp, &Scalar::from(inverse(r)?)).ok()?;
    let mut checked = Signature::from_compact(&bytes[1..]).ok()?;
    checked.normalize_s();
    secp.verify_ecdsa(&Message::from_digest(hash), &checked, &key).ok()?;
    Some(PublicKey { compressed, inner: key })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn inverse_times_number_is_one() {
        let number = SecretKey::from_slice(&[7; 32]).unwrap();
        let product = inverse(number).unwrap().mul_tweak(&Scalar::from(number)).unwrap();
        assert_eq!(Scalar::from(product), Scalar::ONE);
    }

    #[test]
    fn key_is_recovered_from_a_signature() {
        let secp = Secp256k1::new();
        let secret = SecretKey::from_slice(&[9; 32]).unwrap();
        let digest = Message::from_digest(message_hash("hello"));
        let compact = secp.sign_ecdsa(&digest, &secret).serialize_compact();
        let found: Vec<_> =
            (31..33).filter_map(|first| recover_message_key(&[&[first][..], &compact].concat(), "hello")).collect();
        assert!(found.contains(&PublicKey::new(secret.public_key(&secp))));
        assert!(recover_message_key(&[&[31][..], &compact].concat(), "other") != Some(PublicKey::new(secret.public_key(&secp))));
    }
}
