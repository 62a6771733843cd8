//! A block with the hashes that validation needs many times.

use std::sync::OnceLock;

use bitcoin::hashes::Hash;
use bitcoin::{Block, BlockHash, Txid, Wtxid};

/// A block, its hash and the ids of its transactions, each computed once.
#[derive(Debug, Clone)]
pub struct PreparedBlock {
    block: Block,
    hash: BlockHash,
    txids: Vec<Txid>,
    wtxids: OnceLock<Vec<Wtxid>>,
}

impl PreparedBlock {
    /// Hashes header and transactions.
    pub fn new(block: Block) -> Self {
        let hash = block.block_hash();
        let txids = block.txdata.iter().map(|tx| tx.compute_txid()).collect();
        Self { block, hash, txids, wtxids: OnceLock::new() }
    }

    /// The block.
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// Its hash.
    pub fn hash(&self) -> BlockHash {
        self.hash
    }

    /// Transaction ids in block order; as many as transactions.
    pub fn txids(&self) -> &[Txid] {
        &self.txids
    }

    /// Witness ids in block order, made when first needed; zero for the coinbase, as the witness commitment has it.
    pub fn wtxids(&self) -> &[Wtxid] {
        self.wtxids.get_or_init(|| {
            let pairs = self.block.txdata.iter().zip(&self.txids).enumerate();
            let id = |(number, (tx, txid)): (usize, (&bitcoin::Transaction, &Txid))| match number {
                0 => Wtxid::all_zeros(),
                _ if tx.input.iter().all(|input| input.witness.is_empty()) => Wtxid::from_raw_hash(txid.to_raw_hash()),
                _ => tx.compute_wtxid(),
            };
            pairs.map(id).collect()
        })
    }
}
