//! Private keys as Core stores them unencrypted: SEC1 in DER with the parameters of secp256k1 spelt out, as
//! OpenSSL wrote them.

use bitcoin::PublicKey;
use bitcoin::secp256k1::constants::{CURVE_ORDER, GENERATOR_X, GENERATOR_Y};
use bitcoin::secp256k1::{Secp256k1, SecretKey, Signing};
use zeroize::Zeroizing;

const FIELD_PRIME: [u8; 32] = {
    let mut prime = [0xff; 32];
    prime[27] = 0xfe;
    prime[30] = 0xfc;
    prime[31] = 0x2f;
    prime
};

/// Tag, length (short, or long with one or two bytes) and content.
fn element(tag: u8, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(length + 4));
    out.push(tag);
    let bytes = length.to_be_bytes();
    match length {
        0..0x80 => out.push(bytes[7]),
        0x80..0x100 => out.extend_from_slice(&[0x81, bytes[7]]),
        _ => out.extend_from_slice(&[0x82, bytes[6], bytes[7]]),
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// The DER form.
#[must_use]
pub fn encode(secret: &SecretKey, public: &PublicKey) -> Zeroizing<Vec<u8>> {
    const ONE: [u8; 3] = [2, 1, 1];
    const PRIME_FIELD: [u8; 9] = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 1, 1];
    let generator =
        if public.compressed { [&[2][..], &GENERATOR_X].concat() } else { [&[4][..], &GENERATOR_X, &GENERATOR_Y].concat() };
    let prime = element(2, &[&[0], &FIELD_PRIME]);
    let field = element(0x30, &[&PRIME_FIELD, &prime]);
    let curve = element(0x30, &[&[4, 1, 0], &[4, 1, 7]]);
    let order = element(2, &[&[0], &CURVE_ORDER]);
    let parameters = element(0x30, &[&ONE, &field, &curve, &element(4, &[&generator]), &order, &ONE]);
    let bytes = Zeroizing::new(secret.secret_bytes());
    let bits = element(3, &[&[0], &public.to_bytes()]);
    element(0x30, &[&ONE, &element(4, &[bytes.as_slice()]), &element(0xa0, &[&parameters]), &element(0xa1, &[&bits])])
}

/// Reads a key: it must be exactly the form that belongs to the public key.
#[must_use]
pub fn decode<C: Signing>(secp: &Secp256k1<C>, der: &[u8], public: &PublicKey) -> Option<SecretKey> {
    let start = if public.compressed { 8 } else { 9 };
    let secret = SecretKey::from_slice(der.get(start..start + 32)?).ok()?;
    (secret.public_key(secp) == public.inner && encode(&secret, public).as_slice() == der).then_some(secret)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn both_forms_have_core_s_length_and_come_back() {
        let secp = Secp256k1::new();
        let secret = SecretKey::from_slice(&[0x11; 32]).unwrap();
        let mut public = PublicKey::new(secret.public_key(&secp));
        for (compressed, length, head) in [(true, 214, "3081d30201010420"), (false, 279, "308201130201010420")] {
            public.compressed = compressed;
            let der = encode(&secret, &public);
            assert_eq!(der.len(), length);
            assert!(hex::encode(der.as_slice()).starts_with(head));
            assert_eq!(decode(&secp, &der, &public), Some(secret));
            let mut broken = der.to_vec();
            broken[length - 50] ^= 1;
            assert_eq!(decode(&secp, &broken, &public), None);
            assert_eq!(decode(&secp, &der[..20], &public), None);
        }
    }
}
