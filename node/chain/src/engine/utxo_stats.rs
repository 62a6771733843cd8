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

/// Adds up coins that come in the order of the database.
pub(super) struct Tally {
    stats: UtxoStats,
    hasher: Hasher,
    last: Option<Txid>,
    /// Coins of the last transaction: number and bytes. `hash_serialized_3` wants them by number, and the database's order of
    /// keys is another one from output 16,512 on.
    outputs: Vec<(u32, Vec<u8>)>,
}

impl Tally {
    pub(super) fn new(kind: HashKind, height: i32, best_block: BlockHash) -> Self {
        let stats = UtxoStats { height, best_block, outputs: 0, transactions: 0, bogo_size: 0, total_amount: 0, hash: None };
        let hasher = match kind {
            HashKind::Serialized => Hasher::Serialized(Box::new(sha256d::Hash::engine())),
            HashKind::MuHash => Hasher::MuHash(Box::default()),
            HashKind::None => Hasher::None,
        };
        Self { stats, hasher, last: None, outputs: Vec::new() }
    }

    pub(super) fn add(&mut self, outpoint: &OutPoint, coin: &Coin) {
        if self.last != Some(outpoint.txid) {
            self.hash_outputs();
            self.last = Some(outpoint.txid);
            self.stats.transactions += 1;
        }
        match &mut self.hasher {
            Hasher::Serialized(_) => self.outputs.push((outpoint.vout, serialize_coin(outpoint, coin))),
            Hasher::MuHash(set) => set.insert(&serialize_coin(outpoint, coin)),
            Hasher::None => {}
        }
        self.stats.outputs += 1;
        self.stats.bogo_size += bogo_size(coin.output.script_pubkey.len());
        self.stats.total_amount += coin.output.value.to_sat();
    }

    fn hash_outputs(&mut self) {
        self.outputs.sort_unstable_by_key(|(vout, _)| *vout);
        for (_, bytes) in self.outputs.drain(..) {
            if let Hasher::Serialized(engine) = &mut self.hasher {
                engine.input(&bytes);
            }
        }
    }

    pub(super) fn finish(mut self) -> UtxoStats {
        self.hash_outputs();
        self.stats.hash = match self.hasher {
            Hasher::Serialized(engine) => Some(sha256d::Hash::from_engine(*engine).to_byte_array()),
            Hasher::MuHash(set) => Some(set.finalize()),
            Hasher::None => None,
        };
        self.stats
    }
}

impl ChainManager {
    /// Walks over all coins. Writes the cache to disk first; validation goes on while the walk lasts.
    pub fn utxo_stats(&self, kind: HashKind) -> Result<UtxoStats, EngineError> {
        let mut state = self.lock();
        self.sync(&mut state)?;
        let (height, best_block) = state.tip().map_or((-1, BlockHash::all_zeros()), |tip| (tip.height, tip.hash));
        let database = state.coins.shared_database();
        let coins = database.iter()?;
        drop(state);
        self.tally(coins, Tally::new(kind, height, best_block))
    }

    /// Adds up `coins`.
    pub(super) fn tally(
        &self,
        coins: impl Iterator<Item = Result<(OutPoint, Coin), StoreError>>,
        mut tally: Tally,
    ) -> Result<UtxoStats, EngineError> {
        for coin in coins {
            if self.is_interrupted() {
                return Err(EngineError::Interrupted);
            }
            let (outpoint, coin) = coin?;
            tally.add(&outpoint, &coin);
        }
        Ok(tally.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::{Amount, ScriptBuf, TxOut};

    #[test]
    fn outputs_of_a_transaction_are_hashed_by_number() {
        let hash_of = |order: [u32; 3]| {
            let mut tally = Tally::new(HashKind::Serialized, 1, BlockHash::all_zeros());
            for vout in order {
                let output = TxOut { value: Amount::from_sat(vout.into()), script_pubkey: ScriptBuf::new() };
                let coin = Coin { output, height: 1, coinbase: false };
                tally.add(&OutPoint { txid: Txid::from_byte_array([1; 32]), vout }, &coin);
            }
            tally.finish().hash
        };
        // 16,512 comes before 200 in the database: keys hold the number as VARINT.
        assert_eq!(hash_of([1, 16_512, 200]), hash_of([1, 200, 16_512]));
    }
}
