//! Database `chainstate`: unspent outputs and the block that they belong to.

use std::path::Path;

use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, OutPoint};

use crate::StoreError;
use crate::codec::CodecError;
use crate::coin::{self, Coin};
use crate::db::{Database, DatabaseOptions};

const COINS: &str = "coins";
const BEST_BLOCK: &[u8] = b"best_block";

/// The coins on disk.
#[derive(Debug)]
pub struct CoinsDb {
    database: Database,
}

impl CoinsDb {
    /// Opens or creates it; `wipe` starts anew. `cache` is the memory for reading, in bytes.
    pub fn open(path: &Path, cache: usize, wipe: bool) -> Result<Self, StoreError> {
        let options = DatabaseOptions { cache, write_buffer: 16 << 20, wipe };
        Ok(Self { database: Database::open(path, &[COINS], options)? })
    }

    /// Block that the coins belong to; `None` in a new database.
    pub fn best_block(&self) -> Result<Option<BlockHash>, StoreError> {
        let value = self.database.get_meta(BEST_BLOCK)?;
        let parse = |bytes: Vec<u8>| bytes.try_into().map(BlockHash::from_byte_array).map_err(|_| CodecError::Truncated);
        value.map(parse).transpose().map_err(StoreError::corrupt("best_block"))
    }

    /// One coin.
    pub fn get(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        let value = self.database.get(COINS, &coin::key(outpoint))?;
        value.map(|bytes| Coin::decode(&bytes)).transpose().map_err(StoreError::corrupt(COINS))
    }

    /// Many coins at once; those that exist are handed to `found`.
    pub fn get_many(&self, outpoints: &[OutPoint], mut found: impl FnMut(OutPoint, Coin)) -> Result<(), StoreError> {
        let mut keyed: Vec<(Vec<u8>, OutPoint)> = outpoints.iter().map(|outpoint| (coin::key(outpoint), *outpoint)).collect();
        keyed.sort_unstable();
        let (keys, outpoints): (Vec<_>, Vec<_>) = keyed.into_iter().unzip();
        self.database.get_sorted(COINS, &keys, |at, bytes| {
            found(outpoints[at], Coin::decode(bytes).map_err(StoreError::corrupt(COINS))?);
            Ok(())
        })
    }

    /// Visits all coins in key order (transaction id in internal byte order, then output number).
    pub fn for_each(&self, visit: impl FnMut(OutPoint, Coin) -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.for_each_then(|| {}, visit)
    }

    /// As [`CoinsDb::for_each`]; calls `opened` once the view of the database is fixed, so that a lock can be released.
    pub fn for_each_then(
        &self,
        opened: impl FnOnce(),
        mut visit: impl FnMut(OutPoint, Coin) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.database.for_each(COINS, opened, |key, value| {
            let outpoint = coin::decode_key(key).map_err(StoreError::corrupt(COINS))?;
            visit(outpoint, Coin::decode(value).map_err(StoreError::corrupt(COINS))?)
        })
    }

    /// All coins in key order, as they are now.
    pub fn iter(&self) -> Result<impl Iterator<Item = Result<(OutPoint, Coin), StoreError>> + '_, StoreError> {
        Ok(self.database.entries(COINS)?.map(|entry| {
            let (key, value) = entry?;
            let outpoint = coin::decode_key(&key).map_err(StoreError::corrupt(COINS))?;
            Ok((outpoint, Coin::decode(&value).map_err(StoreError::corrupt(COINS))?))
        }))
    }

    /// Applies changed coins (`None`: spent) together with the block that they lead to, and waits for the disk.
    pub fn write<'a>(
        &self,
        changes: impl Iterator<Item = (&'a OutPoint, Option<&'a Coin>)>,
        best_block: BlockHash,
    ) -> Result<(), StoreError> {
        let mut batch = self.database.batch();
        for (outpoint, coin) in changes {
            let key = coin::key(outpoint);
            match coin {
                Some(coin) => batch.put(COINS, &key, &coin.encode())?,
                None => batch.delete(COINS, &key)?,
            }
        }
        batch.put_meta(BEST_BLOCK, best_block.as_byte_array());
        self.database.write(batch, true)
    }
}
