//! What each block holds: which coins its transactions spend and what they make of them.

use std::collections::VecDeque;

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::script::Builder;
use bitcoin::transaction;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Target, Transaction, TxIn, TxMerkleNode, TxOut,
    Witness, WitnessMerkleNode,
};

use super::coins::{Coin, Coins};
use super::keys::{Keys, Kind, MIX};
use super::random::Random;
use super::sign::{Draft, sign_legacy, sign_witnesses};
use super::{FIRST_SPEND, Recipe};

/// Coinbases can be spent after this many blocks.
const MATURITY: usize = 100;
/// Share of transactions with so many inputs, in percent.
const INPUTS: [(u64, u64); 5] = [(68, 1), (18, 2), (7, 3), (5, 5), (2, 10)];
/// Share of transactions with so many outputs, in percent.
const OUTPUTS: [(u64, u64); 5] = [(18, 1), (67, 2), (9, 3), (5, 12), (1, 40)];
/// Outputs of a transaction that spends a coinbase: the first of all must feed its whole block.
const FIRST_FAN: u64 = 3_000;
const FAN: u64 = 100;
/// Satoshi that an output has at least.
const SMALLEST: u64 = 600;
const REGTEST_BITS: u32 = 0x207f_ffff;
/// Time of regtest's genesis block.
const GENESIS_TIME: u32 = 1_296_688_602;
const SPACING: u32 = 600;
const HALVING: u32 = 150;
const SUBSIDY: u64 = 50 * 100_000_000;
const KEYS: u64 = 1_024;

/// Makes one block after the other.
pub struct Planner {
    recipe: Recipe,
    keys: Keys,
    random: Random,
    coins: Coins,
    /// Coinbases that are not mature yet, oldest first.
    maturing: VecDeque<Coin>,
    previous: BlockHash,
    height: u32,
    /// Inputs so far, without coinbases.
    pub inputs: u64,
}

impl Planner {
    /// Starts after genesis.
    pub fn new(recipe: Recipe) -> Result<Self, String> {
        recipe.check()?;
        let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
        Ok(Self {
            recipe,
            keys: Keys::new(recipe.seed, KEYS)?,
            random: Random::new(recipe.seed),
            coins: Coins::default(),
            maturing: VecDeque::new(),
            previous: genesis.block_hash(),
            height: 0,
            inputs: 0,
        })
    }

    /// Hash of the block made last.
    pub fn tip(&self) -> BlockHash {
        self.previous
    }

    /// The next block; `None` after the last.
    pub fn next(&mut self) -> Result<Option<Block>, String> {
        if self.height == self.recipe.height() {
            return Ok(None);
        }
        self.height += 1;
        if self.maturing.len() >= MATURITY
            && let Some(coin) = self.maturing.pop_front()
        {
            self.coins.add(coin);
        }
        let count = self.recipe.transactions_at(self.height);
        let mut drafts = Vec::with_capacity(count as usize);
        for number in 0..count {
            drafts.push(self.draft(number == 0)?);
        }
        let mut transactions = self.finish(drafts)?;
        let coinbase = self.coinbase(&mut transactions);
        let coinbase_coin = Coin {
            outpoint: OutPoint { txid: coinbase.compute_txid(), vout: 0 },
            value: coinbase.output[0].value.to_sat(),
            kind: Kind::P2wpkh,
            key: self.height as usize,
        };
        self.maturing.push_back(coinbase_coin);
        transactions[0] = coinbase;
        let block = self.mine(transactions);
        self.previous = block.block_hash();
        Ok(Some(block))
    }

    /// Plans one transaction; the first of a block spreads the coinbase that has just matured.
    fn draft(&mut self, first: bool) -> Result<Draft, String> {
        let (inputs, outputs) = match first {
            true => (1, if self.height == FIRST_SPEND { FIRST_FAN } else { FAN }),
            false => (self.pick(INPUTS), self.pick(OUTPUTS)),
        };
        let coins: Vec<Coin> = match first {
            true => self.coins.youngest().into_iter().collect(),
            false => (0..inputs).map_while(|_| self.coins.pick(&mut self.random)).collect(),
        };
        let total: u64 = coins.iter().map(|coin| coin.value).sum();
        if total == 0 {
            return Err(format!("no coin is left at height {}", self.height));
        }
        self.inputs += coins.len() as u64;
        let fee = (total / 20).min(500);
        let outputs = outputs.min((total - fee) / SMALLEST).max(1);
        let places: Vec<(Kind, usize)> = (0..outputs).map(|_| self.place()).collect();
        let values = self.split(total - fee, outputs);
        let transaction = Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: coins
                .iter()
                .map(|coin| TxIn {
                    previous_output: coin.outpoint,
                    script_sig: ScriptBuf::new(),
                    sequence: Sequence::ENABLE_LOCKTIME_NO_RBF,
                    witness: Witness::new(),
                })
                .collect(),
            output: places
                .iter()
                .zip(&values)
                .map(|((kind, key), value)| TxOut {
                    value: Amount::from_sat(*value),
                    script_pubkey: self.keys.get(*key).script(*kind).clone(),
                })
                .collect(),
        };
        let mut draft = Draft { transaction, coins };
        sign_legacy(&mut draft, &self.keys)?;
        let txid = draft.transaction.compute_txid();
        for (vout, ((kind, key), value)) in (0u32..).zip(places.into_iter().zip(values)) {
            self.coins.add(Coin { outpoint: OutPoint { txid, vout }, value, kind, key });
        }
        Ok(draft)
    }

    fn pick(&mut self, table: [(u64, u64); 5]) -> u64 {
        table[self.random.choose(&table.map(|(weight, _)| weight))].1
    }

    fn place(&mut self) -> (Kind, usize) {
        let kind = MIX[self.random.choose(&MIX.map(|(_, weight)| weight))].0;
        (kind, self.random.below(self.keys.count()) as usize) // there are 1024
    }

    /// Parts of random size that add up to `total` and are at least [`SMALLEST`] if `total` allows.
    fn split(&mut self, total: u64, parts: u64) -> Vec<u64> {
        let mut left = total;
        (0..parts)
            .map(|part| {
                let rest = parts - part - 1;
                let free = left.saturating_sub(SMALLEST * (rest + 1));
                let value = if rest == 0 { left } else { SMALLEST + self.random.below(2 * free / (rest + 1) + 1).min(free) };
                left -= value;
                value
            })
            .collect()
    }

    /// Signs on all processors; gives the transactions behind an empty place for the coinbase.
    fn finish(&self, drafts: Vec<Draft>) -> Result<Vec<Transaction>, String> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = drafts.len().div_ceil(threads).max(1);
        let mut drafts = drafts;
        std::thread::scope(|scope| {
            let workers: Vec<_> = drafts
                .chunks_mut(share)
                .map(|part| scope.spawn(|| part.iter_mut().try_for_each(|draft| sign_witnesses(draft, &self.keys))))
                .collect();
            workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a signing thread ended early")?)
        })?;
        let empty = Transaction { version: transaction::Version::TWO, lock_time: LockTime::ZERO, input: vec![], output: vec![] };
        Ok(std::iter::once(empty).chain(drafts.into_iter().map(|draft| draft.transaction)).collect())
    }

    fn coinbase(&self, transactions: &mut [Transaction]) -> Transaction {
        let reward = SUBSIDY >> (self.height / HALVING);
        let script_sig = Builder::new().push_int(i64::from(self.height)).push_int(self.recipe.seed as i64).into_script();
        let mut coinbase = Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn { previous_output: OutPoint::null(), script_sig, sequence: Sequence::MAX, witness: Witness::new() }],
            output: vec![TxOut {
                value: Amount::from_sat(reward),
                script_pubkey: self.keys.get(self.height as usize).script(Kind::P2wpkh).clone(),
            }],
        };
        if transactions.len() > 1 {
            let leaves = transactions[1..].iter().map(|transaction| transaction.compute_wtxid().to_raw_hash());
            let zero = bitcoin::Wtxid::all_zeros().to_raw_hash();
            let root = bitcoin::merkle_tree::calculate_root(std::iter::once(zero).chain(leaves)).unwrap_or(zero);
            let commitment = Block::compute_witness_commitment(&WitnessMerkleNode::from_raw_hash(root), &[0; 32]);
            let mut bytes = vec![0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
            bytes.extend_from_slice(commitment.as_byte_array());
            coinbase.output.push(TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(bytes) });
            coinbase.input[0].witness = Witness::from_slice(&[[0u8; 32]]);
        }
        coinbase
    }

    fn mine(&self, txdata: Vec<Transaction>) -> Block {
        let header = Header {
            version: Version::from_consensus(0x2000_0000),
            prev_blockhash: self.previous,
            merkle_root: TxMerkleNode::all_zeros(),
            time: GENESIS_TIME + self.height * SPACING,
            bits: CompactTarget::from_consensus(REGTEST_BITS),
            nonce: 0,
        };
        let mut block = Block { header, txdata };
        block.header.merkle_root = block.compute_merkle_root().unwrap_or_else(TxMerkleNode::all_zeros);
        let target = Target::from_compact(block.header.bits);
        while !target.is_met_by(block.block_hash()) {
            block.header.nonce += 1;
        }
        block
    }
}
