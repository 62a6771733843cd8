//! Figures about the set of unspent outputs (`gettxoutsetinfo`; Core: `kernel/coinstats.cpp`).

use bitcoin::hashes::{Hash, HashEngine, sha256d};
use bitcoin::{BlockHash, OutPoint, Txid};
use bulkhead_store::{Coin, StoreError};

use super::muhash::MuHash;
use super::{ChainManager, EngineError};

/// Which hash of the set to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashKind {
    /// `hash_serialized_3`: over all coins in order.
    Serialized,
    /// `muhash`.
    MuHash,
    /// None.
    None,
}

/// Figures about the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UtxoStats {
    /// Height of the block that the set belongs to.
    pub height: i32,
    /// That block.
    pub best_block: BlockHash,
    /// Unspent outputs.
    pub outputs: u64,
    /// Transactions that have some.
    pub transactions: u64,
    /// Core's measure of size.
    pub bogo_size: u64,
    /// Sum of amounts, in satoshi.
    pub total_amount: u64,
    /// The hash that was asked for, in internal byte order.
    pub hash: Option<[u8; 32]>,
}

/// Bytes of a coin as the hashes see it.
pub fn serialize_coin(outpoint: &OutPoint, coin: &Coin) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(outpoint.txid.as_byte_array());
    out.extend_from_slice(&outpoint.vout.to_le_bytes());
    out.extend_from_slice(&(coin.height << 1 | u32::from(coin.coinbase)).to_le_bytes());
    out.extend_from_slice(&bitcoin::consensus::serialize(&coin.output));
    out
}

/// Core's measure of the size of a coin, in bytes.
pub fn bogo_size(script_length: usize) -> u64 {
    32 + 4 + 4 + 8 + 2 + script_length as u64
}

enum Hasher {
    Serialized(Box<bitcoin::hashes::sha256::HashEngine>),
    MuHash(Box<MuHash>),
    None,
}

impl ChainManager {
    /// Walks over all coins. Writes the cache to disk first; validation goes on while the walk lasts.
    pub fn utxo_stats(&self, kind: HashKind) -> Result<UtxoStats, EngineError> {
        let mut state = self.lock();
        self.sync(&mut state)?;
        let (height, best_block) = state.tip().map_or((-1, BlockHash::all_zeros()), |tip| (tip.height, tip.hash));
        let mut stats = UtxoStats { height, best_block, outputs: 0, transactions: 0, bogo_size: 0, total_amount: 0, hash: None };
        let mut hasher = match kind {
            HashKind::Serialized => Hasher::Serialized(Box::new(sha256d::Hash::engine())),
            HashKind::MuHash => Hasher::MuHash(Box::default()),
            HashKind::None => Hasher::None,
        };
        let mut last: Option<Txid> = None;
        let database = state.coins.shared_database();
        database.for_each_then(
            || drop(state),
            |outpoint, coin| {
                if self.is_interrupted() {
                    return Err(StoreError::Interrupted);
                }
                match &mut hasher {
                    Hasher::Serialized(engine) => engine.input(&serialize_coin(&outpoint, &coin)),
                    Hasher::MuHash(set) => set.insert(&serialize_coin(&outpoint, &coin)),
                    Hasher::None => {}
                }
                stats.outputs += 1;
                stats.transactions += u64::from(last != Some(outpoint.txid));
                last = Some(outpoint.txid);
                stats.bogo_size += bogo_size(coin.output.script_pubkey.len());
                stats.total_amount += coin.output.value.to_sat();
                Ok(())
            },
        )?;
        stats.hash = match hasher {
            Hasher::Serialized(engine) => Some(sha256d::Hash::from_engine(*engine).to_byte_array()),
            Hasher::MuHash(set) => Some(set.finalize()),
            Hasher::None => None,
        };
        Ok(stats)
    }
}
