//! Signed messages: Core's compact form in base64 (src/common/signmessage.cpp).

use bitcoin::hashes::Hash;
use bitcoin::secp256k1::{Message, SecretKey};
use bitcoin::sign_message::{MessageSignature, signed_msg_hash};
use bulkhead_wallet_core::descriptor::SECP;

/// The signature of a message.
#[must_use]
pub fn sign(secret: &SecretKey, compressed: bool, message: &str) -> String {
    let digest = Message::from_digest(signed_msg_hash(message).to_byte_array());
    let signature = SECP.sign_ecdsa_recoverable(&digest, secret);
    base64(&MessageSignature::new(signature, compressed).serialize())
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for position in 0..4 {
            let index = usize::try_from(word >> (18 - 6 * position) & 63).unwrap_or(0);
            text.push(if position <= chunk.len() { char::from(ALPHABET[index]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bitcoin::PrivateKey;

    #[test]
    fn base64_pads() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    /// Key, message and signature of Core's rpc_signmessagewithprivkey.py.
    #[test]
    fn signature_is_core_s() {
        let key = PrivateKey::from_wif("cUeKHd5orzT3mz8P9pxyREHfsWtVfgsfDjiZZBcjUBAaGk1BTj7N").unwrap();
        let signature = sign(&key.inner, key.compressed, "This is just a test message");
        assert_eq!(signature, "INbVnW4e6PeRmsv2Qgu8NuopvrVjkcxob+sX8OcZG0SALhWybUjzMLPdAsXI46YZGb0KQTRii+wWIQzRpG/U+S0=");
    }
}
