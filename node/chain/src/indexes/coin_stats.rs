//! `-coinstatsindex`: figures about the set of unspent outputs after each block.

use bitcoin::{BlockHash, OutPoint};
use bulkhead_consensus::Params;
use bulkhead_consensus::amount::block_subsidy;
use bulkhead_store::chain_index::{BestBlock, ChainIndexDb, Entry};
use bulkhead_store::codec::{CodecError, Reader};
use bulkhead_store::{Coin, StoreError};

use super::contents::{BlockAt, BlockData, Contents, IndexError, Kind, ReadData, block_key};
use crate::engine::muhash::MuHash;
use crate::engine::utxo_stats::{bogo_size, serialize_coin};

/// `-coinstatsindex`.
pub const COIN_STATS_INDEX: Kind = Kind {
    name: "coinstatsindex",
    thread: "coinstatsidx",
    directory: "indexes/coinstatsindex/db",
    needs_undo: true,
    may_prune: true,
};

const TOTALS: u8 = b't';

/// Figures about all coins up to a block. Amounts in satoshi; those that grow with every transaction do not fit 64 bits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CoinTotals {
    /// Hash of the set, in internal byte order.
    pub muhash: [u8; 32],
    /// Unspent outputs.
    pub outputs: u64,
    /// Core's measure of size.
    pub bogo_size: u64,
    /// Sum of unspent amounts.
    pub amount: u64,
    /// Sum of block subsidies.
    pub subsidy: u64,
    /// Sum of amounts that were ever spent.
    pub prevouts_spent: u128,
    /// Sum of amounts that were ever created, except by coinbases.
    pub new_outputs: u128,
    /// Sum of amounts created by coinbases.
    pub coinbase: u128,
    /// Amounts that can never be spent.
    pub unspendable: Unspendable,
}

/// Amounts that can never be spent, by cause, in satoshi.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unspendable {
    /// The coinbase of genesis.
    pub genesis: u64,
    /// Coinbases that were overwritten before BIP30.
    pub bip30: u64,
    /// Scripts that can never succeed.
    pub scripts: u64,
    /// What miners could have claimed and did not.
    pub unclaimed: u64,
}

impl Unspendable {
    /// Sum of all causes.
    pub fn total(&self) -> u64 {
        self.genesis + self.bip30 + self.scripts + self.unclaimed // each below the 21 million coins
    }
}

/// Amounts that one block moved, in satoshi.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockChange {
    /// Spent by its transactions.
    pub prevouts_spent: u128,
    /// Created by its transactions except the coinbase.
    pub new_outputs: u128,
    /// Created by its coinbase.
    pub coinbase: u128,
    /// Lost.
    pub unspendable: Unspendable,
}

impl CoinTotals {
    fn encode(&self) -> Vec<u8> {
        let mut out = self.muhash.to_vec();
        let Unspendable { genesis, bip30, scripts, unclaimed } = self.unspendable;
        for number in [self.outputs, self.bogo_size, self.amount, self.subsidy, genesis, bip30, scripts, unclaimed] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.prevouts_spent, self.new_outputs, self.coinbase] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let muhash = reader.array()?;
        let mut small = [0u64; 8];
        for number in &mut small {
            *number = u64::from_le_bytes(reader.array()?);
        }
        let mut large = [0u128; 3];
        for number in &mut large {
            *number = u128::from_le_bytes(reader.array()?);
        }
        reader.finish()?;
        let [outputs, bogo_size, amount, subsidy, genesis, bip30, scripts, unclaimed] = small;
        let [prevouts_spent, new_outputs, coinbase] = large;
        let unspendable = Unspendable { genesis, bip30, scripts, unclaimed };
        Ok(Self { muhash, outputs, bogo_size, amount, subsidy, prevouts_spent, new_outputs, coinbase, unspendable })
    }

    /// What the last block changed in the sums that only grow; `None` if `before` is not about the block before.
    pub fn since(&self, before: &Self) -> Option<BlockChange> {
        let (now, then) = (&self.unspendable, &before.unspendable);
        Some(BlockChange {
            prevouts_spent: self.prevouts_spent.checked_sub(before.prevouts_spent)?,
            new_outputs: self.new_outputs.checked_sub(before.new_outputs)?,
            coinbase: self.coinbase.checked_sub(before.coinbase)?,
            unspendable: Unspendable {
                genesis: now.genesis.checked_sub(then.genesis)?,
                bip30: now.bip30.checked_sub(then.bip30)?,
                scripts: now.scripts.checked_sub(then.scripts)?,
                unclaimed: now.unclaimed.checked_sub(then.unclaimed)?,
            },
        })
    }

    /// Counts a coin that a block created.
    fn create(&mut self, coin: &Coin) {
        let value = coin.output.value.to_sat();
        self.outputs += 1;
        self.bogo_size += bogo_size(coin.output.script_pubkey.len());
        self.amount += value;
        if coin.coinbase {
            self.coinbase += u128::from(value);
        } else {
            self.new_outputs += u128::from(value);
        }
    }

    /// Counts a coin that a block spent; `None` if there cannot be such a coin.
    fn spend(&mut self, coin: &Coin) -> Option<()> {
        let value = coin.output.value.to_sat();
        self.prevouts_spent += u128::from(value);
        self.outputs = self.outputs.checked_sub(1)?;
        self.bogo_size = self.bogo_size.checked_sub(bogo_size(coin.output.script_pubkey.len()))?;
        self.amount = self.amount.checked_sub(value)?;
        Some(())
    }

    /// What could have been claimed up to here and was not goes to the unspendable amounts.
    fn settle_rewards(&mut self) -> Option<()> {
        let available = self.prevouts_spent + u128::from(self.subsidy);
        let used = self.new_outputs + self.coinbase + u128::from(self.unspendable.total());
        self.unspendable.unclaimed += u64::try_from(available.checked_sub(used)?).ok()?;
        Some(())
    }
}

/// Looks up the figures after a block.
///
/// # Errors
/// Database, or a value that cannot be read back.
pub fn find_totals(store: &ChainIndexDb, height: i32, hash: BlockHash) -> Result<Option<CoinTotals>, StoreError> {
    let value = store.get(&block_key(TOTALS, height, hash))?;
    let decode =
        |bytes: Vec<u8>| CoinTotals::decode(&bytes).map_err(|source| StoreError::Corrupt { table: "coin totals", source });
    value.map(decode).transpose()
}

/// What a block does to the set of coins.
enum Change {
    Created(OutPoint, Coin),
    Spent(OutPoint, Coin),
    /// An output that can never be spent, in satoshi.
    Unspendable(u64),
    /// The coinbase is lost because a later one repeats it.
    Overwritten,
}

/// The figures under construction.
pub(super) struct CoinStats {
    params: Params,
    set: MuHash,
    totals: CoinTotals,
}

impl CoinStats {
    pub fn new(params: Params) -> Self {
        Self { params, set: MuHash::default(), totals: CoinTotals::default() }
    }

    /// Visits all changes of a block after genesis; `None` if block and undo data do not belong together.
    fn each_change(&self, at: &BlockAt, data: &BlockData, mut visit: impl FnMut(Change) -> Option<()>) -> Option<()> {
        let transactions = &data.block.txdata;
        if data.undo.transactions.len() + 1 != transactions.len() {
            return None;
        }
        let height = at.height.unsigned_abs();
        for (place, tx) in transactions.iter().enumerate() {
            let coinbase = place == 0;
            if coinbase && self.params.is_bip30_unspendable(at.height, at.hash) {
                visit(Change::Overwritten)?;
                continue;
            }
            let txid = tx.compute_txid();
            for (vout, output) in (0u32..).zip(&tx.output) {
                let coin = Coin { output: output.clone(), height, coinbase };
                visit(match Coin::is_unspendable(output.script_pubkey.as_bytes()) {
                    true => Change::Unspendable(output.value.to_sat()),
                    false => Change::Created(OutPoint { txid, vout }, coin),
                })?;
            }
            if coinbase {
                continue;
            }
            let spent = data.undo.transactions.get(place - 1).filter(|coins| coins.len() == tx.input.len())?;
            for (input, coin) in tx.input.iter().zip(spent) {
                visit(Change::Spent(input.previous_output, coin.clone()))?;
            }
        }
        Some(())
    }

    fn connect(&mut self, at: &BlockAt, data: &BlockData) -> Option<()> {
        let subsidy = block_subsidy(at.height, &self.params).unsigned_abs(); // never negative
        let (mut totals, mut set) = (self.totals.clone(), std::mem::take(&mut self.set));
        totals.subsidy += subsidy;
        if at.height == 0 {
            totals.unspendable.genesis += subsidy;
        } else {
            self.each_change(at, data, |change| {
                match change {
                    Change::Created(outpoint, coin) => {
                        set.insert(&serialize_coin(&outpoint, &coin));
                        totals.create(&coin);
                    }
                    Change::Spent(outpoint, coin) => {
                        set.remove(&serialize_coin(&outpoint, &coin));
                        totals.spend(&coin)?;
                    }
                    Change::Unspendable(value) => totals.unspendable.scripts += value,
                    Change::Overwritten => totals.unspendable.bip30 += subsidy,
                }
                Some(())
            })?;
        }
        totals.settle_rewards()?;
        set.normalize();
        totals.muhash = set.finalize();
        (self.totals, self.set) = (totals, set);
        Some(())
    }

    fn disconnect(&mut self, at: &BlockAt, data: &BlockData) -> Option<()> {
        let mut set = std::mem::take(&mut self.set);
        self.each_change(at, data, |change| {
            match change {
                Change::Created(outpoint, coin) => set.remove(&serialize_coin(&outpoint, &coin)),
                Change::Spent(outpoint, coin) => set.insert(&serialize_coin(&outpoint, &coin)),
                Change::Unspendable(_) | Change::Overwritten => {}
            }
            Some(())
        })?;
        set.normalize();
        self.set = set;
        Some(())
    }

    /// Takes the stored figures of a block, which must be about the set at hand.
    fn go_to(&mut self, store: &ChainIndexDb, height: i32, hash: BlockHash) -> Result<(), IndexError> {
        let corrupt = || IndexError::State(COIN_STATS_INDEX.name);
        let totals = find_totals(store, height, hash).map_err(|error| {
            tracing::error!("{error}");
            corrupt()
        })?;
        self.totals = totals.filter(|totals| totals.muhash == self.set.finalize()).ok_or_else(corrupt)?;
        Ok(())
    }
}

impl Contents for CoinStats {
    fn restore(&mut self, best: &BestBlock, height: i32, store: &ChainIndexDb) -> Result<(), IndexError> {
        self.set = MuHash::from_bytes(&best.state).ok_or(IndexError::State(COIN_STATS_INDEX.name))?;
        self.go_to(store, height, best.hash)
    }

    fn append(&mut self, at: &BlockAt, data: &BlockData) -> Result<Vec<Entry>, IndexError> {
        self.connect(at, data).ok_or(IndexError::Inconsistent(at.hash))?;
        Ok(vec![(block_key(TOTALS, at.height, at.hash), self.totals.encode())])
    }

    fn remove(&mut self, at: &BlockAt, read: ReadData<'_>, store: &ChainIndexDb) -> Result<(), IndexError> {
        self.disconnect(at, &read()?).ok_or(IndexError::Inconsistent(at.hash))?;
        self.go_to(store, at.height - 1, at.prev)
    }

    fn state(&self) -> Vec<u8> {
        self.set.to_bytes()
    }
}
