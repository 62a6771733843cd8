//! "mkey": the key that encrypts all private keys, itself encrypted with the passphrase (src/wallet/crypter.h).

use crate::codec::{CodecError, Reader, Write};

/// A master key record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterKey {
    /// AES-256-CBC of the 32-byte master key: 48 bytes with padding.
    pub crypted_key: Vec<u8>,
    /// 8 bytes.
    pub salt: Vec<u8>,
    /// 0: SHA512 over and over (OpenSSL's EVP_BytesToKey).
    pub method: u32,
    /// How often.
    pub iterations: u32,
    /// Not used.
    pub other: Vec<u8>,
}

impl MasterKey {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            crypted_key: reader.vector()?.to_vec(),
            salt: reader.vector()?.to_vec(),
            method: reader.u32()?,
            iterations: reader.u32()?,
            other: reader.vector()?.to_vec(),
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.vector(&self.crypted_key);
        out.vector(&self.salt);
        out.extend_from_slice(&self.method.to_le_bytes());
        out.extend_from_slice(&self.iterations.to_le_bytes());
        out.vector(&self.other);
    }
}
