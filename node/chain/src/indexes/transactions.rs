//! `-txindex` and `-txospenderindex`: where the transactions of the chain lie, and which spends a given output.

use bitcoin::consensus::deserialize;
use bitcoin::{BlockHash, OutPoint, Transaction, Txid, VarInt};
use bulkhead_store::StoreError;
use bulkhead_store::chain_index::Entry;
use bulkhead_store::tx_position::{PREFIX, Salt, TxPosition};

use super::contents::{BlockAt, BlockData, Contents, IndexError, Kind};
use super::index::Index;
use crate::engine::ChainManager;

/// `-txindex`.
pub const TX_INDEX: Kind =
    Kind { name: "txindex", thread: "txidx", directory: "indexes/txindex", needs_undo: false, may_prune: false };
/// `-txospenderindex`.
pub const SPENDER_INDEX: Kind = Kind {
    name: "txospenderindex",
    thread: "txospenderidx",
    directory: "indexes/txospenderindex/db",
    needs_undo: false,
    may_prune: false,
};

/// Length of a block header, in bytes.
const HEADER: u32 = 80;

/// Positions by transaction id. The coinbase of genesis is left out: it cannot be spent.
#[derive(Debug)]
pub(super) struct Transactions(pub Salt);

/// Positions by the outputs that transactions spend.
#[derive(Debug)]
pub(super) struct Spenders(pub Salt);

impl Contents for Transactions {
    fn append(&mut self, at: &BlockAt, data: &BlockData) -> Result<Vec<Entry>, IndexError> {
        if at.height == 0 {
            return Ok(Vec::new());
        }
        let key = |(tx, position): (&Transaction, TxPosition)| (position.key(self.0.of_txid(&tx.compute_txid())), Vec::new());
        Ok(positions(at, data).map(key).collect())
    }
}

impl Contents for Spenders {
    fn append(&mut self, at: &BlockAt, data: &BlockData) -> Result<Vec<Entry>, IndexError> {
        let mut entries = Vec::new();
        for (tx, position) in positions(at, data).skip(1) {
            let keys = tx.input.iter().map(|input| position.key(self.0.of_outpoint(&input.previous_output)));
            entries.extend(keys.map(|key| (key, Vec::new())));
        }
        Ok(entries)
    }
}

/// Transactions of a block with their places.
fn positions<'a>(at: &'a BlockAt, data: &'a BlockData) -> impl Iterator<Item = (&'a Transaction, TxPosition)> {
    let transactions = &data.block.txdata;
    let mut start = HEADER + VarInt::from(transactions.len()).size() as u32; // at most 9
    transactions.iter().map(move |tx| {
        let length = tx.total_size() as u32; // a block is below 2^32 bytes
        let position = TxPosition { block: at.position, start, length };
        start += length;
        (tx, position)
    })
}

/// A transaction that an index found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTx {
    /// The transaction.
    pub tx: Transaction,
    /// Its block.
    pub block: BlockHash,
    /// Whether that block is part of the chain that the index has reached. That is the active chain, except while blocks were
    /// taken back and nothing has replaced them yet (as with Core).
    pub is_indexed: bool,
}

/// Finds a transaction by its id. One of the indexed chain is preferred to one of a stale block.
///
/// # Errors
/// Database or block file.
pub fn find_transaction(index: &Index, chain: &ChainManager, txid: &Txid) -> Result<Option<FoundTx>, StoreError> {
    let salt = index.store().salt();
    find(index, chain, salt.of_txid(txid), |tx| tx.compute_txid() == *txid)
}

/// Finds the transaction of the indexed chain that spends an output.
///
/// # Errors
/// Database or block file.
pub fn find_spender(index: &Index, chain: &ChainManager, outpoint: &OutPoint) -> Result<Option<FoundTx>, StoreError> {
    let spends = |tx: &Transaction| tx.input.iter().any(|input| input.previous_output == *outpoint);
    let found = find(index, chain, index.store().salt().of_outpoint(outpoint), spends)?;
    Ok(found.filter(|found| found.is_indexed))
}

fn find(
    index: &Index,
    chain: &ChainManager,
    prefix: [u8; PREFIX],
    fits: impl Fn(&Transaction) -> bool,
) -> Result<Option<FoundTx>, StoreError> {
    let mut stale = None;
    for position in index.store().positions(prefix)? {
        let Some(block) = block_at(chain, &position)? else { continue };
        let bytes = chain.lock().files().reader().clone().read_block_part(position.block, position.start, position.length)?;
        let Ok(tx) = deserialize::<Transaction>(&bytes) else { continue };
        if !fits(&tx) {
            continue;
        }
        let is_indexed = index.covers(&chain.lock(), &block);
        let found = FoundTx { tx, block, is_indexed };
        if is_indexed {
            return Ok(Some(found));
        }
        stale = stale.or(Some(found));
    }
    Ok(stale)
}

/// The block that lies at a position; `None` if it is unknown: a crash made the node forget it, and something else may lie
/// there now.
fn block_at(chain: &ChainManager, position: &TxPosition) -> Result<Option<BlockHash>, StoreError> {
    let reader = chain.lock().files().reader().clone();
    let header = match reader.read_block_part(position.block, 0, HEADER) {
        Err(StoreError::File { source, .. }) if source.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let Ok(header) = deserialize::<bitcoin::block::Header>(&header) else { return Ok(None) };
    let hash = header.block_hash();
    Ok(chain.lock().lookup(&hash).map(|_| hash))
}
