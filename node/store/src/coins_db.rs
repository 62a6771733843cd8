//! Database `chainstate`: unspent outputs and the block that they belong to.

use std::path::Path;

use bitcoin::hashes::Hash;
use bitcoin::secp256k1::rand::Rng;
use bitcoin::secp256k1::rand::rngs::OsRng;
use bitcoin::{BlockHash, OutPoint};

use crate::StoreError;
use crate::codec::CodecError;
use crate::coin::{self, Coin};
use crate::db::{Batch, Database, DatabaseOptions, Durability};

const COINS: &str = "coins";
const BEST_BLOCK: &[u8] = b"best_block";
const HEADS: &[u8] = b"heads";

/// How to keep coins.
#[derive(Debug, Clone, Copy)]
pub struct CoinsOptions {
    /// Memory for reading, in bytes.
    pub cache: usize,
    /// `-dbbatchsize`: a batch is written when it is larger, in bytes.
    pub batch: usize,
    /// `-dbcrashratio`: after one of so many batches the process ends, as if it had crashed; 0 for never.
    pub crash_ratio: u32,
    /// Start anew.
    pub wipe: bool,
}

impl CoinsOptions {
    /// Core's size of a batch, no crashes, and what is there.
    pub fn new(cache: usize) -> Self {
        Self { cache, batch: 32 << 20, crash_ratio: 0, wipe: false }
    }
}

/// The coins on disk.
#[derive(Debug)]
pub struct CoinsDb {
    database: Database,
    options: CoinsOptions,
}

impl CoinsDb {
    /// Opens or creates it.
    ///
    /// # Errors
    /// The database's.
    pub fn open(path: &Path, options: CoinsOptions) -> Result<Self, StoreError> {
        let CoinsOptions { cache, wipe, .. } = options;
        let database = Database::open(path, &[COINS], DatabaseOptions { cache, write_buffer: 16 << 20, wipe })?;
        Ok(Self { database, options })
    }

    fn maybe_crash(&self) {
        if self.options.crash_ratio != 0 && OsRng.gen_range(0..self.options.crash_ratio) == 0 {
            tracing::error!("Simulating a crash. Goodbye.");
            std::process::exit(0);
        }
    }

    /// Block that the coins belong to; `None` in a new database and while a write is unfinished.
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

    /// Blocks that an unfinished write leads to and from; `None` when the last one was finished.
    ///
    /// # Errors
    /// The database's.
    pub fn heads(&self) -> Result<Option<Heads>, StoreError> {
        let Some(value) = self.database.get_meta(HEADS)? else { return Ok(None) };
        let halves = value.split_first_chunk::<32>().zip(value.last_chunk::<32>()).filter(|_| value.len() == 64);
        let ((new, _), old) = halves.ok_or(CodecError::Truncated).map_err(StoreError::corrupt("heads"))?;
        let old = BlockHash::from_byte_array(*old);
        Ok(Some(Heads { new: BlockHash::from_byte_array(*new), old: (old != BlockHash::all_zeros()).then_some(old) }))
    }

    /// Starts to write changed coins that lead to `best_block`.
    ///
    /// # Errors
    /// The database's, or when an unfinished write led elsewhere.
    pub fn start_write(&self, best_block: BlockHash) -> Result<CoinsWriter<'_>, StoreError> {
        let unfinished = self.heads()?;
        if unfinished.is_some_and(|heads| heads.new != best_block) {
            return Err(StoreError::Unfinished);
        }
        Ok(CoinsWriter { coins: self, batch: self.database.batch(), best_block, in_parts: unfinished.is_some() })
    }
}

/// An unfinished write. Each coin that it concerns may be as before or as after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Block that the write was to lead to.
    pub new: BlockHash,
    /// Block that the coins belonged to before; `None` in a new database.
    pub old: Option<BlockHash>,
}

/// Writes changed coins in batches of bounded size. What fits into one is one atomic write.
///
/// # Correctness
///
/// Of a write in parts, the heads are on the disk before the first coin, so whatever was written when the process dies, the next start knows from
/// where to where the blocks must be applied again; that gives the same coins however many of them were written already. The
/// batches themselves need no log for that: they are in table files before the heads are replaced by the block reached.
pub struct CoinsWriter<'a> {
    coins: &'a CoinsDb,
    batch: Batch<'a>,
    best_block: BlockHash,
    /// Heads are on the disk.
    in_parts: bool,
}

impl CoinsWriter<'_> {
    /// Writes one changed coin, by and by; `None`: spent.
    ///
    /// # Errors
    /// The database's.
    pub fn note(&mut self, outpoint: &OutPoint, coin: Option<&Coin>) -> Result<(), StoreError> {
        let key = coin::key(outpoint);
        match coin {
            Some(coin) => self.batch.put(COINS, &key, &coin.encode())?,
            None => self.batch.delete(COINS, &key)?,
        }
        if self.batch.size() > self.coins.options.batch {
            tracing::debug!(target: "coindb", "Writing partial batch of {:.2} MiB", self.batch.size() as f64 / f64::from(1 << 20));
            self.write_batch()?;
            self.coins.maybe_crash();
        }
        Ok(())
    }

    fn write_batch(&mut self) -> Result<(), StoreError> {
        let database = &self.coins.database;
        if !self.in_parts {
            let old = self.coins.best_block()?.unwrap_or_else(BlockHash::all_zeros);
            let mut heads = database.batch();
            heads.delete_meta(BEST_BLOCK);
            heads.put_meta(HEADS, &[self.best_block.to_byte_array(), old.to_byte_array()].concat());
            database.write(heads, Durability::Synced)?;
            self.in_parts = true;
        }
        database.write(std::mem::replace(&mut self.batch, database.batch()), Durability::Table)
    }

    /// Writes the rest; the write stays unfinished.
    ///
    /// # Errors
    /// The database's.
    pub fn pause(mut self) -> Result<(), StoreError> {
        self.write_batch()
    }

    /// Writes the rest, brings all to the disk, and the coins belong to the new block.
    ///
    /// # Errors
    /// The database's.
    pub fn finish(mut self) -> Result<(), StoreError> {
        tracing::debug!(target: "coindb", "Writing final batch of {:.2} MiB", self.batch.size() as f64 / f64::from(1 << 20));
        let database = &self.coins.database;
        if self.in_parts {
            self.write_batch()?;
            database.flush_table(COINS)?;
            self.batch.delete_meta(HEADS);
        }
        self.batch.put_meta(BEST_BLOCK, self.best_block.as_byte_array());
        database.write(self.batch, Durability::Synced)
    }
}

impl std::fmt::Debug for CoinsWriter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CoinsWriter").field("best_block", &self.best_block).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bitcoin::{Amount, ScriptBuf, TxOut, Txid};

    #[test]
    fn a_write_in_parts_says_where_it_leads_until_it_is_finished() {
        let directory = tempfile::tempdir().unwrap();
        let options = CoinsOptions { batch: 1000, ..CoinsOptions::new(1 << 20) };
        let coin = Coin {
            output: TxOut { value: Amount::from_sat(1), script_pubkey: ScriptBuf::from_bytes(vec![0x51]) },
            height: 1,
            coinbase: false,
        };
        let point = |vout| OutPoint { txid: Txid::from_byte_array([7; 32]), vout };
        let block = |byte| BlockHash::from_byte_array([byte; 32]);
        let database = CoinsDb::open(directory.path(), options).unwrap();
        let mut small = database.start_write(block(1)).unwrap();
        small.note(&point(0), Some(&coin)).unwrap();
        small.finish().unwrap();
        assert_eq!((database.best_block().unwrap(), database.heads().unwrap()), (Some(block(1)), None));
        let mut large = database.start_write(block(2)).unwrap();
        large.note(&point(0), None).unwrap();
        for vout in 1..100 {
            large.note(&point(vout), Some(&coin)).unwrap();
        }
        drop(large); // as a crash would
        drop(database);
        let database = CoinsDb::open(directory.path(), options).unwrap();
        let heads = Heads { new: block(2), old: Some(block(1)) };
        assert_eq!((database.best_block().unwrap(), database.heads().unwrap()), (None, Some(heads)));
        assert!(matches!(database.start_write(block(3)), Err(StoreError::Unfinished)));
        let mut again = database.start_write(block(2)).unwrap();
        again.note(&point(0), None).unwrap();
        again.pause().unwrap();
        assert_eq!(database.heads().unwrap(), Some(heads));
        database.start_write(block(2)).unwrap().finish().unwrap();
        assert_eq!((database.best_block().unwrap(), database.heads().unwrap()), (Some(block(2)), None));
        assert_eq!(database.get(&point(0)).unwrap(), None);
    }
}
