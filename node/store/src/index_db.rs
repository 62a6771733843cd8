//! Database `blocks/index`: known blocks, block files and flags.

use std::path::Path;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;

use crate::StoreError;
use crate::block_index::{BlockRecord, FileInfo};
use crate::codec::CodecError;
use crate::db::{Database, DatabaseOptions, Durability};

const BLOCKS: &str = "blocks";
const FILES: &str = "files";
const REINDEXING: &[u8] = b"reindexing";
const PRUNED: &[u8] = b"pruned";

/// The block index on disk.
#[derive(Debug)]
pub struct IndexDb {
    database: Database,
}

impl IndexDb {
    /// Opens or creates it; `wipe` starts anew.
    pub fn open(path: &Path, cache: usize, wipe: bool) -> Result<Self, StoreError> {
        let options = DatabaseOptions { cache, write_buffer: 4 << 20, wipe };
        Ok(Self { database: Database::open(path, &[BLOCKS, FILES], options)? })
    }

    /// All blocks, in order of hash.
    pub fn blocks(&self) -> Result<Vec<(BlockHash, BlockRecord)>, StoreError> {
        let mut blocks = Vec::new();
        self.database.for_each(
            BLOCKS,
            || {},
            |key, value| {
                let hash = key
                    .try_into()
                    .map(BlockHash::from_byte_array)
                    .map_err(|_| CodecError::Truncated)
                    .map_err(StoreError::corrupt(BLOCKS))?;
                blocks.push((hash, BlockRecord::decode(value).map_err(StoreError::corrupt(BLOCKS))?));
                Ok(())
            },
        )?;
        Ok(blocks)
    }

    /// All block files, by number.
    pub fn files(&self) -> Result<Vec<FileInfo>, StoreError> {
        let mut files = Vec::new();
        self.database.for_each(
            FILES,
            || {},
            |key, value| {
                let number = key
                    .try_into()
                    .map(u32::from_be_bytes)
                    .map_err(|_| CodecError::Truncated)
                    .map_err(StoreError::corrupt(FILES))?;
                let info = FileInfo::decode(value).map_err(StoreError::corrupt(FILES))?;
                let number = number as usize;
                if number > files.len() + 1_000_000 {
                    return Err(StoreError::Corrupt { table: FILES, source: CodecError::Overflow });
                }
                if files.len() <= number {
                    files.resize(number + 1, FileInfo::default());
                }
                files[number] = info;
                Ok(())
            },
        )?;
        Ok(files)
    }

    /// Writes changed blocks and files together, and waits for the disk.
    pub fn write(&self, blocks: &[(BlockHash, BlockRecord)], files: &[(u32, FileInfo)]) -> Result<(), StoreError> {
        let mut batch = self.database.batch();
        for (hash, record) in blocks {
            batch.put(BLOCKS, hash.as_byte_array(), &record.encode())?;
        }
        for (number, info) in files {
            batch.put(FILES, &number.to_be_bytes(), &info.encode())?;
        }
        self.database.write(batch, Durability::Synced)
    }

    /// Whether a `-reindex` was started and not finished.
    pub fn is_reindexing(&self) -> Result<bool, StoreError> {
        self.flag(REINDEXING)
    }

    /// Notes start or end of a `-reindex`.
    pub fn set_reindexing(&self, on: bool) -> Result<(), StoreError> {
        self.set_flag(REINDEXING, on)
    }

    /// Whether block files were ever pruned.
    pub fn is_pruned(&self) -> Result<bool, StoreError> {
        self.flag(PRUNED)
    }

    /// Notes that block files were pruned.
    pub fn set_pruned(&self) -> Result<(), StoreError> {
        self.set_flag(PRUNED, true)
    }

    fn flag(&self, key: &[u8]) -> Result<bool, StoreError> {
        Ok(self.database.get_meta(key)?.is_some_and(|value| value == [1]))
    }

    fn set_flag(&self, key: &[u8], on: bool) -> Result<(), StoreError> {
        let mut batch = self.database.batch();
        batch.put_meta(key, &[u8::from(on)]);
        self.database.write(batch, Durability::Synced)
    }
}
