//! Reading block and undo files. A reader holds paths only: it can be cloned and used on any thread while blocks are written.

use bitcoin::consensus::Decodable;
use bitcoin::hashes::{Hash, HashEngine, sha256d};
use bitcoin::{Block, BlockHash};

use crate::StoreError;
use crate::block_files::Position;
use crate::flat::FlatFiles;
use crate::undo::BlockUndo;

/// Magic and length before each record, in bytes.
pub(crate) const HEADER: u32 = 8;
/// Hash behind each undo record, in bytes.
pub(crate) const CHECKSUM: usize = 32;
/// No record is longer (Core: `MAX_SIZE`).
const MAX_RECORD: usize = 0x0200_0000;

/// Reads what [`crate::block_files::BlockFiles`] writes.
#[derive(Debug, Clone)]
pub struct BlockReader {
    pub(crate) blocks: FlatFiles,
    pub(crate) undo: FlatFiles,
    pub(crate) magic: [u8; 4],
}

impl BlockReader {
    /// Reads the bytes of a block, unchecked.
    pub fn read_raw_block(&self, position: Position) -> Result<Vec<u8>, StoreError> {
        self.read_record(&self.blocks, before_record(position)?, 0)
    }

    /// Reads `length` bytes that start `start` bytes into a block, without the rest of it.
    pub fn read_block_part(&self, position: Position, start: u32, length: u32) -> Result<Vec<u8>, StoreError> {
        before_record(position)?;
        let bad = || bad_at(position, "part of a block is too long");
        let (end, overflow) = start.overflowing_add(length);
        if overflow || end as usize > MAX_RECORD {
            return Err(bad());
        }
        let from = position.offset.checked_add(start).ok_or_else(bad)?;
        self.blocks.read(position.file, from, length as usize)
    }

    fn read_record(&self, files: &FlatFiles, position: Position, tail: usize) -> Result<Vec<u8>, StoreError> {
        let magic = self.magic;
        files.read_framed(position.file, position.offset.saturating_sub(HEADER), |header| {
            let (start, length) = header.split_at(4);
            if start != magic {
                return Err(bad_at(position, "magic mismatch"));
            }
            let length = length.iter().rev().fold(0usize, |value, byte| value << 8 | usize::from(*byte));
            if length > MAX_RECORD { Err(bad_at(position, "record is too long")) } else { Ok(length + tail) }
        })
    }

    /// Reads a block, which must have the hash `expected`.
    pub fn read_block(&self, position: Position, expected: BlockHash) -> Result<Block, StoreError> {
        let bytes = self.read_raw_block(position)?;
        let mut rest = bytes.as_slice();
        let block = Block::consensus_decode(&mut rest).map_err(|_| bad_at(position, "block cannot be decoded"))?;
        if block.block_hash() != expected { Err(bad_at(position, "block is not the one of the index")) } else { Ok(block) }
    }

    /// Reads the undo data of a block whose parent is `parent`.
    pub fn read_undo(&self, position: Position, parent: BlockHash) -> Result<BlockUndo, StoreError> {
        let bytes = self.read_record(&self.undo, position, CHECKSUM)?;
        let (payload, stored) = bytes.split_at(bytes.len() - CHECKSUM); // read_record gave at least that
        if checksum(parent, payload).as_byte_array() != stored {
            return Err(bad_at(position, "undo checksum mismatch"));
        }
        BlockUndo::decode(payload).map_err(StoreError::corrupt("undo"))
    }
}

/// Core's hash behind an undo record.
pub(crate) fn checksum(parent: BlockHash, payload: &[u8]) -> sha256d::Hash {
    let mut engine = sha256d::Hash::engine();
    engine.input(parent.as_byte_array());
    engine.input(payload);
    sha256d::Hash::from_engine(engine)
}

fn before_record(position: Position) -> Result<Position, StoreError> {
    if position.offset < HEADER { Err(bad_at(position, "block lies before the first record")) } else { Ok(position) }
}

fn bad_at(position: Position, what: &'static str) -> StoreError {
    StoreError::BadBlockFile { what, file: position.file, position: position.offset }
}
