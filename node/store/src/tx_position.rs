//! Where a transaction lies in the block files, and the keys under which the indexes keep that.
//!
//! A key is a short salted hash of what is looked for, followed by the position; the value is empty. Whoever looks up reads the
//! transaction and compares: a hash that fits is no proof. One hash may have several positions (a transaction in two branches,
//! a repeated coinbase, a collision), so nothing is ever overwritten or deleted, and what a crash leaves behind does no harm.

use bitcoin::hashes::{Hash, siphash24};
use bitcoin::{OutPoint, Txid};

use crate::block_files::Position;
use crate::codec::{CodecError, Reader, put_varint};

/// Length of the hash at the start of a key.
pub const PREFIX: usize = 8;

/// Place of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxPosition {
    /// Where its block starts.
    pub block: Position,
    /// Offset in the block, in bytes.
    pub start: u32,
    /// Length, in bytes.
    pub length: u32,
}

/// Secret of one database: nobody can prepare transactions whose hashes collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 16]);

impl Salt {
    /// Hash of a transaction id.
    pub fn of_txid(self, txid: &Txid) -> [u8; PREFIX] {
        self.hash(txid.as_byte_array())
    }

    /// Hash of an output.
    pub fn of_outpoint(self, outpoint: &OutPoint) -> [u8; PREFIX] {
        let mut bytes = [0u8; 36];
        bytes[..32].copy_from_slice(outpoint.txid.as_byte_array());
        bytes[32..].copy_from_slice(&outpoint.vout.to_le_bytes());
        self.hash(&bytes)
    }

    fn hash(self, bytes: &[u8]) -> [u8; PREFIX] {
        let key = u128::from_le_bytes(self.0);
        // The two halves of the salt.
        siphash24::Hash::hash_to_u64_with_keys(key as u64, (key >> 64) as u64, bytes).to_be_bytes()
    }
}

impl TxPosition {
    /// The key for a hash and this position.
    pub fn key(&self, prefix: [u8; PREFIX]) -> Vec<u8> {
        let mut key = Vec::with_capacity(PREFIX + 16);
        key.extend_from_slice(&prefix);
        for number in [self.block.file, self.block.offset, self.start, self.length] {
            put_varint(&mut key, u64::from(number));
        }
        key
    }

    /// Reads a key of which all but the position is known.
    pub fn decode_key(key: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(key);
        reader.array::<PREFIX>()?;
        let block = Position { file: reader.varint_u32()?, offset: reader.varint_u32()? };
        let position = Self { block, start: reader.varint_u32()?, length: reader.varint_u32()? };
        reader.finish()?;
        Ok(position)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_comes_back_and_corruption_is_an_error() {
        let position = TxPosition { block: Position { file: 4_000, offset: u32::MAX }, start: 81, length: 300 };
        let key = position.key([7; PREFIX]);
        assert_eq!(TxPosition::decode_key(&key).unwrap(), position);
        for cut in 0..key.len() {
            assert!(TxPosition::decode_key(&key[..cut]).is_err(), "{cut}");
        }
        assert_eq!(TxPosition::decode_key(&[key, vec![0]].concat()), Err(CodecError::Trailing));
    }

    #[test]
    fn hashes_depend_on_salt_and_output() {
        let outpoint = OutPoint::null();
        let hash = Salt([1; 16]).of_outpoint(&outpoint);
        assert_ne!(hash, Salt([2; 16]).of_outpoint(&outpoint));
        assert_ne!(hash, Salt([1; 16]).of_outpoint(&OutPoint { vout: 0, ..outpoint }));
        assert_ne!(hash, Salt([1; 16]).of_txid(&outpoint.txid));
    }
}
