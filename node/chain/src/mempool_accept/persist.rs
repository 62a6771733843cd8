//! `mempool.dat`: the mempool between two runs, in Core's format (src/node/mempool_persist.cpp), versions 1 and 2.
//!
//! The file is opened before confinement and read once. It is written under another name, which the supervisor opens and
//! then changes: a file of this name is complete.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bitcoin::consensus::encode::{Decodable, Encodable, VarInt};
use bitcoin::{Transaction, Txid};

use super::accept::AcceptOptions;
use super::listener::Pool;
use crate::engine::ChainManager;

const VERSION_PLAIN: u64 = 1;
const VERSION_OBFUSCATED: u64 = 2;
/// More than any mempool writes; the file is read into memory.
const MAX_SIZE: u64 = 4 << 30;

/// One saved transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The transaction.
    pub tx: Transaction,
    /// Time of arrival, unix seconds.
    pub time: i64,
    /// Fee adjustment, satoshi.
    pub fee_delta: i64,
}

/// What a file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Transactions, parents first.
    pub transactions: Vec<Saved>,
    /// Fee adjustments of transactions that are not in the pool.
    pub deltas: Vec<(Txid, i64)>,
    /// Transactions that no peer has asked for yet.
    pub unbroadcast: Vec<Txid>,
}

/// Bytes that are not a mempool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("end of data or a value out of range at byte {0}")]
pub struct Malformed(usize);

impl Contents {
    /// Bytes of the file; `key` obfuscates all behind the header.
    pub fn encode(&self, key: Option<[u8; 8]>) -> Vec<u8> {
        let mut out = Vec::new();
        let put = |out: &mut Vec<u8>, item: &dyn Fn(&mut Vec<u8>) -> Result<usize, std::io::Error>| {
            item(out).expect("writing to a vector cannot fail");
        };
        match key {
            None => out.extend(VERSION_PLAIN.to_le_bytes()),
            Some(key) => {
                out.extend(VERSION_OBFUSCATED.to_le_bytes());
                out.push(key.len() as u8);
                out.extend(key);
            }
        }
        let header = out.len();
        out.extend((self.transactions.len() as u64).to_le_bytes());
        for saved in &self.transactions {
            put(&mut out, &|out| saved.tx.consensus_encode(out).map_err(std::io::Error::other));
            out.extend(saved.time.to_le_bytes());
            out.extend(saved.fee_delta.to_le_bytes());
        }
        put(&mut out, &|out| VarInt::from(self.deltas.len()).consensus_encode(out).map_err(std::io::Error::other));
        for (txid, delta) in &self.deltas {
            out.extend(AsRef::<[u8]>::as_ref(txid));
            out.extend(delta.to_le_bytes());
        }
        put(&mut out, &|out| VarInt::from(self.unbroadcast.len()).consensus_encode(out).map_err(std::io::Error::other));
        for txid in &self.unbroadcast {
            out.extend(AsRef::<[u8]>::as_ref(txid));
        }
        if let Some(key) = key {
            obfuscate(&mut out, header, key);
        }
        out
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// They do not decode, or something is left over.
    pub fn decode(mut bytes: Vec<u8>) -> Result<Self, Malformed> {
        let version = bytes.first_chunk::<8>().map(|version| u64::from_le_bytes(*version)).ok_or(Malformed(0))?;
        let header = match version {
            VERSION_PLAIN => 8,
            VERSION_OBFUSCATED => {
                let key = bytes.get(8..17).filter(|key| key[0] == 8).and_then(|key| key[1..].try_into().ok());
                obfuscate(&mut bytes, 17, key.ok_or(Malformed(8))?);
                17
            }
            _ => return Err(Malformed(0)),
        };
        let total = bytes.len();
        let mut rest = &bytes[header..];
        let at = |rest: &[u8]| Malformed(total - rest.len());
        fn read<T: Decodable>(rest: &mut &[u8]) -> Option<T> {
            T::consensus_decode_from_finite_reader(rest).ok()
        }
        let mut contents = Contents::default();
        let count: u64 = read(&mut rest).ok_or_else(|| at(rest))?;
        for _ in 0..count {
            let (tx, time, fee_delta) = (read(&mut rest), read(&mut rest), read(&mut rest));
            let (Some(tx), Some(time), Some(fee_delta)) = (tx, time, fee_delta) else { return Err(at(rest)) };
            contents.transactions.push(Saved { tx, time, fee_delta });
        }
        let count: VarInt = read(&mut rest).ok_or_else(|| at(rest))?;
        for _ in 0..count.0 {
            let (Some(txid), Some(delta)) = (read(&mut rest), read(&mut rest)) else { return Err(at(rest)) };
            contents.deltas.push((txid, delta));
        }
        let count: VarInt = read(&mut rest).ok_or_else(|| at(rest))?;
        for _ in 0..count.0 {
            contents.unbroadcast.push(read(&mut rest).ok_or_else(|| at(rest))?);
        }
        if rest.is_empty() { Ok(contents) } else { Err(at(rest)) }
    }
}

/// The key repeats over the positions of the file.
fn obfuscate(bytes: &mut [u8], from: usize, key: [u8; 8]) {
    for (position, byte) in bytes.iter_mut().enumerate().skip(from) {
        *byte ^= key[position % key.len()];
    }
}

/// Which parts of a file are taken over.
#[derive(Debug, Clone, Copy)]
pub struct ImportOptions {
    /// Transactions count as new; else they keep their times of arrival.
    pub use_current_time: bool,
    /// Fee adjustments are added to those that are here.
    pub apply_fee_deltas: bool,
    /// Transactions that no peer has asked for are announced again.
    pub apply_unbroadcast: bool,
}

impl ImportOptions {
    /// What a start takes over.
    pub const ALL: Self = Self { use_current_time: false, apply_fee_deltas: true, apply_unbroadcast: true };
}

/// Opens `mempool.dat` in the network's data directory for reading; before confinement. `None` if there is none.
pub fn open(datadir: &Path) -> Option<File> {
    File::open(datadir.join("mempool.dat")).ok()
}

/// Adds what was saved to the pool. `false`: it cannot be read, which the log says.
pub fn import(file: Option<File>, chain: &ChainManager, pool: &Pool, options: ImportOptions) -> bool {
    let mut bytes = Vec::new();
    if file.and_then(|file| file.take(MAX_SIZE).read_to_end(&mut bytes).ok()).is_none() {
        tracing::info!("Failed to open mempool file. Continuing anyway.");
        return false;
    }
    match Contents::decode(bytes) {
        Ok(contents) => restore(chain, pool, contents, options),
        Err(error) => {
            tracing::info!("Failed to deserialize mempool data on file: {error}. Continuing anyway.");
            false
        }
    }
}

/// Writes the pool to a file that replaces the last one afterwards. `plain`: in the old format, without obfuscation.
///
/// # Errors
/// The file cannot be written.
pub fn save(mut file: File, pool: &Pool, plain: bool) -> std::io::Result<()> {
    let start = Instant::now();
    let contents = collect(pool);
    let copied = start.elapsed();
    tracing::info!("Writing {} mempool transactions to file...", contents.transactions.len());
    tracing::info!("Writing {} unbroadcast transactions to file.", contents.unbroadcast.len());
    let key = if plain { None } else { Some(bitcoin::secp256k1::rand::random::<[u8; 8]>()) };
    let bytes = contents.encode(key);
    file.write_all(&bytes)?;
    file.sync_all()?;
    tracing::info!(
        "Dumped mempool: {:.3}s to copy, {:.3}s to dump, {} bytes dumped to file",
        copied.as_secs_f64(),
        (start.elapsed() - copied).as_secs_f64(),
        bytes.len()
    );
    Ok(())
}

fn collect(pool: &Pool) -> Contents {
    let pool = pool.lock();
    let mut contents = Contents::default();
    for txid in pool.ordered_txids() {
        if let Some(entry) = pool.get(&txid) {
            contents.transactions.push(Saved { tx: (*entry.new.tx).clone(), time: entry.new.time, fee_delta: pool.delta(&txid) });
        }
    }
    contents.deltas = pool.deltas().iter().filter(|(txid, _)| pool.get(txid).is_none()).map(|(t, d)| (*t, *d)).collect();
    contents.unbroadcast = pool.unbroadcast().iter().copied().collect();
    contents
}

fn restore(chain: &ChainManager, pool: &Pool, contents: Contents, import: ImportOptions) -> bool {
    tracing::info!("Loading {} mempool transactions from file...", contents.transactions.len());
    let now = chain.now();
    let expiry = pool.lock().options().expiry;
    let (mut succeeded, mut failed, mut expired, mut known) = (0, 0, 0, 0);
    for saved in contents.transactions {
        if chain.is_interrupted() {
            return false;
        }
        let tx = Arc::new(saved.tx);
        let txid = tx.compute_txid();
        if saved.fee_delta != 0 && import.apply_fee_deltas {
            pool.prioritise(txid, saved.fee_delta);
        }
        let time = if import.use_current_time { now } else { saved.time };
        if time <= now - expiry {
            expired += 1;
            continue;
        }
        let options = AcceptOptions { time, ..AcceptOptions::default() };
        let state = chain.lock();
        match pool.accept(&state, &tx, &options) {
            Ok(_) => succeeded += 1,
            Err(_) if pool.lock().get(&txid).is_some() => known += 1,
            Err(_) => failed += 1,
        }
    }
    if import.apply_fee_deltas {
        for (txid, delta) in contents.deltas {
            pool.prioritise(txid, delta);
        }
    }
    let waiting = if import.apply_unbroadcast { contents.unbroadcast } else { Vec::new() };
    let mut inner = pool.lock();
    for txid in &waiting {
        inner.add_unbroadcast(*txid);
    }
    tracing::info!(
        "Imported mempool transactions from file: {succeeded} succeeded, {failed} failed, {expired} expired, {known} already there, {} waiting for initial broadcast",
        waiting.len()
    );
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bitcoin::hashes::Hash;

    fn sample() -> Contents {
        let tx = bulkhead_consensus::networks::regtest().genesis.txdata[0].clone();
        Contents {
            transactions: vec![Saved { tx, time: 7, fee_delta: -9 }],
            deltas: vec![(Txid::from_byte_array([3; 32]), 5)],
            unbroadcast: vec![Txid::from_byte_array([4; 32])],
        }
    }

    #[test]
    fn both_versions_round_trip() {
        for key in [None, Some([1, 2, 3, 4, 5, 6, 7, 8])] {
            let bytes = sample().encode(key);
            assert_eq!(Contents::decode(bytes.clone()).unwrap(), sample());
            for cut in 0..bytes.len() {
                assert!(Contents::decode(bytes[..cut].to_vec()).is_err(), "{cut}");
            }
            assert!(Contents::decode([&bytes[..], &[0]].concat()).is_err());
        }
        assert!(Contents::decode(vec![9; 40]).is_err());
    }
}
