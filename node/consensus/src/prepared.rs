//! A block with the hashes that validation needs many times.

use bitcoin::{Block, BlockHash, Txid};

/// A block, its hash and the ids of its transactions, each computed once.
#[derive(Debug, Clone)]
pub struct PreparedBlock {
    block: Block,
    hash: BlockHash,
    txids: Vec<Txid>,
}

impl PreparedBlock {
    /// Hashes header and transactions.
    pub fn new(block: Block) -> Self {
        let hash = block.block_hash();
        let txids = block.txdata.iter().map(|tx| tx.compute_txid()).collect();
        Self { block, hash, txids }
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

    /// Gives the block back.
    pub fn into_block(self) -> Block {
        self.block
    }
}
