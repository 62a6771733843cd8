//! What the database keeps of a block (Core: `CDiskBlockIndex`) and of a block file (`CBlockFileInfo`).

use bitcoin::block::Header;
use bitcoin::consensus::{deserialize, serialize};

use crate::codec::{CodecError, Reader, put_varint};

/// Version of the encoding below.
const VERSION: u8 = 1;

/// How far a block is validated and which of its data is on disk; bits as in Core's `BlockStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(u32);

impl Status {
    /// Header is valid and connected.
    pub const VALID_TREE: Status = Status(2);
    const VALID_TRANSACTIONS: u32 = 3;
    const VALID_CHAIN: u32 = 4;
    const VALID_SCRIPTS: u32 = 5;
    const LEVEL_MASK: u32 = 7;
    const HAVE_DATA: u32 = 8;
    const HAVE_UNDO: u32 = 16;
    const FAILED: u32 = 32;
    const OPT_WITNESS: u32 = 128;

    /// Bits as stored.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// From stored bits.
    pub fn from_bits(bits: u32) -> Self {
        Status(bits)
    }

    /// Transactions are sensible and all ancestors' are known.
    pub fn is_valid_transactions(self) -> bool {
        self.level() >= Self::VALID_TRANSACTIONS
    }

    /// Outputs and coins were checked.
    pub fn is_valid_chain(self) -> bool {
        self.level() >= Self::VALID_CHAIN
    }

    /// Scripts were checked too.
    pub fn is_valid_scripts(self) -> bool {
        self.level() >= Self::VALID_SCRIPTS
    }

    fn level(self) -> u32 {
        if self.is_failed() { 0 } else { self.0 & Self::LEVEL_MASK }
    }

    /// Invalid itself or below an invalid block.
    pub fn is_failed(self) -> bool {
        self.0 & Self::FAILED != 0
    }

    /// Block data is on disk.
    pub fn have_data(self) -> bool {
        self.0 & Self::HAVE_DATA != 0
    }

    /// Undo data is on disk.
    pub fn have_undo(self) -> bool {
        self.0 & Self::HAVE_UNDO != 0
    }

    /// Data was received with witnesses.
    pub fn has_witness(self) -> bool {
        self.0 & Self::OPT_WITNESS != 0
    }

    /// Raises validity to "transactions".
    #[must_use]
    pub fn with_valid_transactions(self) -> Self {
        self.raised(Self::VALID_TRANSACTIONS)
    }

    /// Raises validity to "scripts".
    #[must_use]
    pub fn with_valid_scripts(self) -> Self {
        self.raised(Self::VALID_SCRIPTS)
    }

    fn raised(self, level: u32) -> Self {
        if self.is_failed() || self.0 & Self::LEVEL_MASK >= level { self } else { Status(self.0 & !Self::LEVEL_MASK | level) }
    }

    /// Sets or clears "failed".
    #[must_use]
    pub fn with_failed(self, failed: bool) -> Self {
        self.with(Self::FAILED, failed)
    }

    /// Sets or clears "data on disk" and "with witnesses".
    #[must_use]
    pub fn with_data(self, data: bool, witness: bool) -> Self {
        self.with(Self::HAVE_DATA, data).with(Self::OPT_WITNESS, witness)
    }

    /// Sets "with witnesses", whether data is there or not.
    #[must_use]
    pub fn with_witness(self) -> Self {
        self.with(Self::OPT_WITNESS, true)
    }

    /// Sets or clears "undo data on disk".
    #[must_use]
    pub fn with_undo(self, undo: bool) -> Self {
        self.with(Self::HAVE_UNDO, undo)
    }

    fn with(self, bit: u32, set: bool) -> Self {
        Status(if set { self.0 | bit } else { self.0 & !bit })
    }
}

/// A block as the database keeps it; the key is its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRecord {
    /// The header.
    pub header: Header,
    /// Height.
    pub height: u32,
    /// Validity and data.
    pub status: Status,
    /// Transactions; 0 while the data was never seen.
    pub n_tx: u32,
    /// Block file.
    pub file: u32,
    /// Offset of the block, in bytes.
    pub data_pos: u32,
    /// Offset of the undo data, in bytes.
    pub undo_pos: u32,
}

impl BlockRecord {
    /// Stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&serialize(&self.header));
        for number in [self.height, self.status.bits(), self.n_tx, self.file, self.data_pos, self.undo_pos] {
            put_varint(&mut out, u64::from(number));
        }
        out
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        match reader.byte()? {
            VERSION => {}
            other => return Err(CodecError::Version(other)),
        }
        let header = deserialize(reader.take(80)?).map_err(|_| CodecError::Truncated)?;
        let record = Self {
            header,
            height: reader.varint_u32()?,
            status: Status::from_bits(reader.varint_u32()?),
            n_tx: reader.varint_u32()?,
            file: reader.varint_u32()?,
            data_pos: reader.varint_u32()?,
            undo_pos: reader.varint_u32()?,
        };
        reader.finish()?;
        Ok(record)
    }
}

/// What is known of one pair of block and undo file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileInfo {
    /// Blocks in the file.
    pub blocks: u32,
    /// Used bytes of the block file.
    pub size: u32,
    /// Used bytes of the undo file.
    pub undo_size: u32,
    /// Lowest height in the file.
    pub height_first: u32,
    /// Highest height in the file.
    pub height_last: u32,
    /// Earliest time stamp, in seconds.
    pub time_first: u64,
    /// Latest time stamp, in seconds.
    pub time_last: u64,
}

impl FileInfo {
    /// Counts one more block.
    pub fn add_block(&mut self, height: u32, time: u64) {
        if self.blocks == 0 || self.height_first > height {
            self.height_first = height;
        }
        if self.blocks == 0 || self.time_first > time {
            self.time_first = time;
        }
        self.blocks += 1;
        self.height_last = self.height_last.max(height);
        self.time_last = self.time_last.max(time);
    }

    /// Stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        for number in [self.blocks, self.size, self.undo_size, self.height_first, self.height_last] {
            put_varint(&mut out, u64::from(number));
        }
        put_varint(&mut out, self.time_first);
        put_varint(&mut out, self.time_last);
        out
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        match reader.byte()? {
            VERSION => {}
            other => return Err(CodecError::Version(other)),
        }
        let info = Self {
            blocks: reader.varint_u32()?,
            size: reader.varint_u32()?,
            undo_size: reader.varint_u32()?,
            height_first: reader.varint_u32()?,
            height_last: reader.varint_u32()?,
            time_first: reader.varint()?,
            time_last: reader.varint()?,
        };
        reader.finish()?;
        Ok(info)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn records_come_back_and_other_versions_are_errors() {
        let record = BlockRecord {
            header: bulkhead_consensus::networks::regtest().genesis.header,
            height: 300,
            status: Status::VALID_TREE.with_data(true, true).with_valid_transactions(),
            n_tx: 3,
            file: 1,
            data_pos: 70_000,
            undo_pos: 8,
        };
        let mut bytes = record.encode();
        assert_eq!(BlockRecord::decode(&bytes).unwrap(), record);
        for cut in 0..bytes.len() {
            assert!(BlockRecord::decode(&bytes[..cut]).is_err());
        }
        bytes[0] = 9;
        assert_eq!(BlockRecord::decode(&bytes), Err(CodecError::Version(9)));
    }

    #[test]
    fn a_failed_block_is_not_valid_at_any_level() {
        let status = Status::VALID_TREE.with_valid_scripts();
        assert!(status.is_valid_scripts());
        assert!(!status.with_failed(true).is_valid_transactions());
        assert!(status.with_failed(true).with_failed(false).is_valid_scripts());
    }
}
