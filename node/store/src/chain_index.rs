//! The database of one optional index (Core: `BaseIndex::DB`).
//!
//! # Correctness
//!
//! Entries are written as blocks are indexed; the block that they lead to, with whatever the index needs to go on from it, is
//! written with or after them. The log keeps the order of batches, so after a crash the entries of all blocks up to the
//! recorded one are there. Entries of later blocks may be there too; their keys name the block or its place, so that they do
//! not change the answer for any other block.

use std::path::Path;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::rand::{RngCore, rngs::OsRng};

use crate::StoreError;
use crate::codec::{CodecError, Reader};
use crate::db::{Database, DatabaseOptions, Durability};
use crate::tx_position::{PREFIX, Salt, TxPosition};

const ENTRIES: &str = "entries";
const BEST: &[u8] = b"best";
const SALT: &[u8] = b"salt";
const WRITE_BUFFER: usize = 8 << 20;

/// The block that an index has reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BestBlock {
    /// Its hash.
    pub hash: BlockHash,
    /// What the index needs to go on from here.
    pub state: Vec<u8>,
}

/// Key and value of an entry.
pub type Entry = (Vec<u8>, Vec<u8>);

/// One index on disk.
#[derive(Debug)]
pub struct ChainIndexDb {
    database: Database,
    salt: Salt,
}

impl ChainIndexDb {
    /// Opens or creates it; `wipe` starts anew. `cache` is the memory for reading, in bytes.
    pub fn open(path: &Path, cache: usize, wipe: bool) -> Result<Self, StoreError> {
        let options = DatabaseOptions { cache, write_buffer: WRITE_BUFFER, wipe };
        let database = Database::open(path, &[ENTRIES], options)?;
        let salt = load_salt(&database)?;
        Ok(Self { database, salt })
    }

    /// The block recorded last; `None` in a new database.
    pub fn best(&self) -> Result<Option<BestBlock>, StoreError> {
        let parse = |bytes: Vec<u8>| {
            let mut reader = Reader::new(&bytes);
            let hash = BlockHash::from_byte_array(reader.array()?);
            Ok(BestBlock { hash, state: reader.take(reader.remaining())?.to_vec() })
        };
        self.database.get_meta(BEST)?.map(parse).transpose().map_err(StoreError::corrupt("best"))
    }

    /// One entry.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.database.get(ENTRIES, key)
    }

    /// Visits entries from `start` on in key order, until `visit` gives false.
    pub fn visit_from(
        &self,
        start: &[u8],
        visit: impl FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        self.database.visit_from(ENTRIES, start, visit)
    }

    /// Secret for the hashes in keys.
    pub fn salt(&self) -> Salt {
        self.salt
    }

    /// Positions of transactions under a hash.
    pub fn positions(&self, prefix: [u8; PREFIX]) -> Result<Vec<TxPosition>, StoreError> {
        let mut found = Vec::new();
        self.visit_from(&prefix, |key, _| {
            let same = key.starts_with(&prefix);
            if same {
                found.push(TxPosition::decode_key(key).map_err(StoreError::corrupt(ENTRIES))?);
            }
            Ok(same)
        })?;
        Ok(found)
    }

    /// Writes entries, and with them the block that they lead to if `best` is given.
    pub fn write(&self, entries: &[Entry], best: Option<&BestBlock>) -> Result<(), StoreError> {
        let mut batch = self.database.batch();
        for (key, value) in entries {
            batch.put(ENTRIES, key, value)?;
        }
        if let Some(best) = best {
            batch.put_meta(BEST, &[best.hash.as_byte_array().as_slice(), &best.state].concat());
        }
        self.database.write(batch, Durability::Logged)
    }
}

fn load_salt(database: &Database) -> Result<Salt, StoreError> {
    if let Some(bytes) = database.get_meta(SALT)? {
        let salt = bytes.try_into().map_err(|_| CodecError::Truncated).map_err(StoreError::corrupt("salt"))?;
        return Ok(Salt(salt));
    }
    let mut salt = [0u8; 16];
    OsRng.fill_bytes(&mut salt);
    let mut batch = database.batch();
    batch.put_meta(SALT, &salt);
    database.write(batch, Durability::Synced)?;
    Ok(Salt(salt))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::block_files::Position;

    fn best(byte: u8) -> BestBlock {
        BestBlock { hash: BlockHash::from_byte_array([byte; 32]), state: vec![byte; 3] }
    }

    #[test]
    fn entries_and_the_block_that_they_lead_to_come_back() {
        let directory = tempfile::tempdir().unwrap();
        let index = ChainIndexDb::open(directory.path(), 1 << 20, false).unwrap();
        assert_eq!(index.best().unwrap(), None);
        index.write(&[(vec![1], vec![10])], Some(&best(1))).unwrap();
        index.write(&[(vec![2], vec![20])], None).unwrap();
        let salt = index.salt();
        drop(index);
        let index = ChainIndexDb::open(directory.path(), 1 << 20, false).unwrap();
        assert_eq!((index.best().unwrap(), index.salt()), (Some(best(1)), salt));
        assert_eq!(index.get(&[2]).unwrap(), Some(vec![20]));
        drop(index);
        let index = ChainIndexDb::open(directory.path(), 1 << 20, true).unwrap();
        assert_eq!((index.best().unwrap(), index.get(&[1]).unwrap()), (None, None));
        assert_ne!(index.salt(), salt);
    }

    #[test]
    fn positions_of_one_hash_are_found_and_those_of_its_neighbours_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let index = ChainIndexDb::open(directory.path(), 1 << 20, false).unwrap();
        let at = |file| TxPosition { block: Position { file, offset: 8 }, start: 81, length: 100 };
        let (low, hash, high) = ([0x41; 8], [0x42; 8], [0x43; 8]);
        let entries = [(low, at(1)), (hash, at(2)), (hash, at(3)), (high, at(4))];
        let entries: Vec<Entry> = entries.into_iter().map(|(prefix, position)| (position.key(prefix), Vec::new())).collect();
        index.write(&entries, None).unwrap();
        assert_eq!(index.positions(hash).unwrap(), [at(2), at(3)]);
        index.write(&[([hash.as_slice(), &[0xff]].concat(), Vec::new())], None).unwrap();
        assert!(matches!(index.positions(hash), Err(StoreError::Corrupt { .. })));
    }

    #[test]
    fn a_cut_record_of_the_best_block_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let index = ChainIndexDb::open(directory.path(), 1 << 20, false).unwrap();
        let mut batch = index.database.batch();
        batch.put_meta(BEST, &[1; 31]);
        index.database.write(batch, Durability::Logged).unwrap();
        assert!(matches!(index.best(), Err(StoreError::Corrupt { table: "best", .. })));
    }
}
