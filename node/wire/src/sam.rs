//! The I2P SAM 3.1 protocol (<https://geti2p.net/en/docs/api/samv3>), without a socket: replies, destinations.

use std::sync::LazyLock;

use base64::Engine;
use base64::alphabet::Alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use bitcoin::hashes::{Hash, sha256};
use thiserror::Error;

use crate::netaddr::{Endpoint, NetAddr};

/// Longest line of the protocol, bytes.
pub const MAX_LINE: usize = 65_536;
/// SAM 3.1 knows no ports.
pub const PORT: u16 = 0;
/// Bytes of a destination before its certificate, with the certificate's length in the last two.
const DESTINATION_BASE: usize = 387;
/// I2P's own order of the last two letters.
const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~";

/// What is wrong with a reply or a key. Core's texts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SamError {
    /// Not the base64 of I2P.
    #[error("Cannot decode Base64: \"{0}\"")]
    Base64(String),
    /// A reply lacks a value.
    #[error("Missing {key}= in the reply to \"{request}\"")]
    Missing {
        /// Which one.
        key: &'static str,
        /// What was asked.
        request: String,
    },
    /// A reply that says no.
    #[error("Reply to \"{0}\": had a RESULT not equal to OK.")]
    NotOk(String),
    /// A private key that ends before its certificate's length.
    #[error("The private key is too short ({0} < {DESTINATION_BASE})")]
    ShortKey(usize),
    /// A private key that ends within its certificate.
    #[error(
        "Certificate length ({certificate}) designates that the private key should be {expected} bytes, but it is only {found} bytes"
    )]
    ShortCertificate {
        /// Length of the certificate.
        certificate: u16,
        /// Length that the key should have at least.
        expected: usize,
        /// Length that it has.
        found: usize,
    },
}

static BASE64: LazyLock<GeneralPurpose> = LazyLock::new(|| {
    let alphabet = Alphabet::new(LETTERS).expect("64 different printable letters");
    GeneralPurpose::new(&alphabet, GeneralPurposeConfig::new())
});

/// Decodes the base64 of I2P.
///
/// # Errors
/// [`SamError::Base64`].
pub fn decode_base64(text: &str) -> Result<Vec<u8>, SamError> {
    BASE64.decode(text).map_err(|_| SamError::Base64(text.to_owned()))
}

/// Encodes with the base64 of I2P.
#[must_use]
pub fn encode_base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// The address of a destination.
#[must_use]
pub fn address(destination: &[u8]) -> Endpoint {
    Endpoint::new(NetAddr::I2p(sha256::Hash::hash(destination).to_byte_array()), PORT)
}

/// The destination that belongs to a private key: its first part.
///
/// # Errors
/// [`SamError::ShortKey`], [`SamError::ShortCertificate`].
pub fn destination(private_key: &[u8]) -> Result<&[u8], SamError> {
    let found = private_key.len();
    let Some([.., high, low]) = private_key.get(..DESTINATION_BASE) else { return Err(SamError::ShortKey(found)) };
    let certificate = u16::from_be_bytes([*high, *low]);
    let expected = DESTINATION_BASE + usize::from(certificate);
    private_key.get(..expected).ok_or(SamError::ShortCertificate { certificate, expected, found })
}

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The whole line.
    pub full: String,
    request: String,
}

impl Reply {
    /// Reads the line that answers `request`.
    #[must_use]
    pub fn new(line: String, request: &str) -> Self {
        // The request carries the private key.
        let request = if request.starts_with("SESSION CREATE") { "SESSION CREATE ..." } else { request };
        Self { full: line, request: request.to_owned() }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`SamError::Missing`].
    pub fn get(&self, key: &'static str) -> Result<&str, SamError> {
        self.full
            .split(' ')
            .find_map(|word| word.split_once('=').filter(|(name, _)| *name == key))
            .map(|(_, value)| value)
            .ok_or_else(|| SamError::Missing { key, request: self.request.clone() })
    }

    /// This reply, if it says that all went well.
    ///
    /// # Errors
    /// [`SamError::Missing`], [`SamError::NotOk`].
    pub fn checked(self) -> Result<Self, SamError> {
        if self.get("RESULT")? == "OK" { Ok(self) } else { Err(SamError::NotOk(self.request)) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn replies_are_read_by_key() {
        let reply = Reply::new("HELLO REPLY RESULT=OK VERSION=3.1".into(), "HELLO VERSION");
        assert_eq!(reply.clone().checked().unwrap().get("VERSION").unwrap(), "3.1");
        assert_eq!(reply.get("VALUE").unwrap_err().to_string(), "Missing VALUE= in the reply to \"HELLO VERSION\"");
        let refused = Reply::new("SESSION STATUS RESULT=DUPLICATED_ID".into(), "SESSION CREATE secret").checked().unwrap_err();
        assert_eq!(refused.to_string(), "Reply to \"SESSION CREATE ...\": had a RESULT not equal to OK.");
    }

    #[test]
    fn base64_has_the_letters_of_i2p() {
        assert_eq!(encode_base64(&[0xfb, 0xff]), "-~8=");
        assert_eq!(decode_base64("-~8=").unwrap(), [0xfb, 0xff]);
        assert!(decode_base64("+/8=").is_err());
    }

    #[test]
    fn destination_ends_with_its_certificate() {
        let mut key = vec![7; DESTINATION_BASE + 10];
        key[385..387].copy_from_slice(&4u16.to_be_bytes());
        assert_eq!(destination(&key).unwrap().len(), DESTINATION_BASE + 4);
        assert_eq!(destination(&key[..386]), Err(SamError::ShortKey(386)));
        key[385..387].copy_from_slice(&11u16.to_be_bytes());
        assert!(matches!(destination(&key), Err(SamError::ShortCertificate { certificate: 11, expected: 398, found: 397 })));
        assert!(address(&key).to_string().ends_with(".b32.i2p:0"));
    }
}
