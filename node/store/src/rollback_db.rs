//! Coins as they were at a block below the tip: what differs from the coins at the tip, in memory or in a temporary database.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bitcoin::OutPoint;

use crate::StoreError;
use crate::coin::{self, Coin};
use crate::db::{Database, DatabaseOptions, Durability};

const COINS: &str = "coins";

/// A coin that differs; `None`: it was unspent at the tip only.
pub type Difference = (OutPoint, Option<Coin>);

/// What differs. A temporary database is removed with this value.
#[derive(Debug)]
pub enum Differences {
    /// In memory, by database key.
    Memory(BTreeMap<Vec<u8>, Difference>),
    /// On disk.
    Disk(TemporaryDb),
}

/// A database that is removed when it is dropped.
#[derive(Debug)]
pub struct TemporaryDb {
    /// `None` only while it is dropped: RocksDB must be closed before its files go.
    database: Option<Database>,
    path: PathBuf,
}

impl TemporaryDb {
    /// Makes a new one in `path`, over what an earlier run has left there.
    ///
    /// # Errors
    /// The database's.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        let options = DatabaseOptions { cache: 1 << 20, write_buffer: 16 << 20, wipe: true };
        let database = Database::open(path, &[COINS], options)?;
        Ok(Self { database: Some(database), path: path.to_path_buf() })
    }

    fn database(&self) -> &Database {
        self.database.as_ref().expect("it is taken out by drop only")
    }
}

impl Drop for TemporaryDb {
    fn drop(&mut self) {
        self.database = None;
        if std::fs::remove_dir_all(&self.path).is_err() {
            tracing::info!("Failed to clean up temporary UTXO database at {}, please remove it manually.", self.path.display());
        }
    }
}

impl Differences {
    /// Notes changes; a later one of the same coin replaces an earlier one.
    ///
    /// # Errors
    /// The database's.
    pub fn note(&mut self, changes: impl IntoIterator<Item = Difference>) -> Result<(), StoreError> {
        match self {
            Differences::Memory(map) => {
                map.extend(changes.into_iter().map(|change| (coin::key(&change.0), change)));
                Ok(())
            }
            Differences::Disk(temporary) => {
                let mut batch = temporary.database().batch();
                for (outpoint, coin) in changes {
                    // No coin is stored as an empty value.
                    batch.put(COINS, &coin::key(&outpoint), &coin.map_or_else(Vec::new, |coin| coin.encode()))?;
                }
                temporary.database().write(batch, Durability::Logged)
            }
        }
    }

    /// All differences in key order.
    ///
    /// # Errors
    /// The database's.
    pub fn iter(&self) -> Result<Box<dyn Iterator<Item = Result<Difference, StoreError>> + '_>, StoreError> {
        match self {
            Differences::Memory(map) => Ok(Box::new(map.values().cloned().map(Ok))),
            Differences::Disk(temporary) => Ok(Box::new(temporary.database().entries(COINS)?.map(|entry| {
                let (key, value) = entry?;
                let outpoint = coin::decode_key(&key).map_err(StoreError::corrupt(COINS))?;
                let coin = if value.is_empty() { None } else { Some(Coin::decode(&value).map_err(StoreError::corrupt(COINS))?) };
                Ok((outpoint, coin))
            }))),
        }
    }
}

/// Coins at the tip with differences applied, in key order.
pub fn merge<'a>(
    coins: impl Iterator<Item = Result<(OutPoint, Coin), StoreError>> + 'a,
    differences: impl Iterator<Item = Result<Difference, StoreError>> + 'a,
) -> impl Iterator<Item = Result<(OutPoint, Coin), StoreError>> + 'a {
    let mut coins = coins.peekable();
    let mut differences = differences.peekable();
    std::iter::from_fn(move || {
        loop {
            let order = match (coins.peek(), differences.peek()) {
                (None, None) => return None,
                (Some(_), None) | (Some(Err(_)), _) => std::cmp::Ordering::Less,
                (None, Some(_)) | (_, Some(Err(_))) => std::cmp::Ordering::Greater,
                (Some(Ok(coin)), Some(Ok(difference))) => coin::key(&coin.0).cmp(&coin::key(&difference.0)),
            };
            if order.is_lt() {
                return coins.next();
            }
            if order.is_eq() {
                coins.next();
            }
            match differences.next()? {
                Ok((outpoint, Some(coin))) => return Some(Ok((outpoint, coin))),
                Ok((_, None)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bitcoin::hashes::Hash;
    use bitcoin::{Amount, ScriptBuf, TxOut, Txid};

    fn coin(value: u64) -> Coin {
        let output = TxOut { value: Amount::from_sat(value), script_pubkey: ScriptBuf::from_bytes(vec![0x51]) };
        Coin { output, height: 1, coinbase: false }
    }

    fn point(vout: u32) -> OutPoint {
        OutPoint { txid: Txid::from_byte_array([7; 32]), vout }
    }

    #[test]
    fn differences_replace_add_and_remove_coins_and_leave_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("temp_utxo_5");
        for mut differences in [Differences::Memory(BTreeMap::new()), Differences::Disk(TemporaryDb::create(&path).unwrap())] {
            differences.note([(point(2), Some(coin(20))), (point(3), None), (point(9), Some(coin(1)))]).unwrap();
            differences.note([(point(9), None), (point(0), Some(coin(5))), (point(200), Some(coin(6)))]).unwrap();
            let tip = [1, 2, 3, 4].map(|vout| Ok((point(vout), coin(u64::from(vout)))));
            let merged: Result<Vec<_>, _> = merge(tip.into_iter(), differences.iter().unwrap()).collect();
            let merged: Vec<_> =
                merged.unwrap().into_iter().map(|(point, coin)| (point.vout, coin.output.value.to_sat())).collect();
            assert_eq!(merged, [(0, 5), (1, 1), (2, 20), (4, 4), (200, 6)]);
        }
        assert!(!path.exists());
    }
}
