//! Compact blocks (BIP 152, version 2): `cmpctblock`, `getblocktxn`, `blocktxn`.
//!
//! Transactions stay bytes: net builds compact blocks of whole blocks and passes those of others on to chain, which
//! has the transactions that they leave out.

use bitcoin::hashes::{Hash, HashEngine, sha256, siphash24};
use bulkhead_planted::{Fault, planted};

use crate::reader::{DecodeError, Reader, put_compact, put_length};
use crate::skim;

/// Most transactions that any block may have (Core: `MAX_BLOCK_WEIGHT / MIN_SERIALIZABLE_TRANSACTION_WEIGHT`).
pub const MAX_TRANSACTIONS: usize = 100_000;

/// Bytes of a short transaction id.
pub const SHORT_ID: usize = 6;

/// What is to be known of a `cmpctblock` before chain sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactBlock {
    /// Header of the block.
    pub header: [u8; 80],
    /// Transactions of the block: named and sent.
    pub transactions: usize,
    /// The message without trailing bytes, header included.
    pub bytes: Vec<u8>,
}

/// Keys of the hash that shortens transaction ids.
#[must_use]
pub fn short_id_keys(header: &[u8; 80], nonce: u64) -> (u64, u64) {
    let mut engine = sha256::Hash::engine();
    engine.input(header);
    engine.input(&nonce.to_le_bytes());
    let hash = sha256::Hash::from_engine(engine).to_byte_array();
    let word = |at: usize| hash[at..at + 8].iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    (word(0), word(8))
}

/// Short id of a transaction by its wtxid.
#[must_use]
pub fn short_id((k0, k1): (u64, u64), wtxid: &[u8; 32]) -> [u8; SHORT_ID] {
    let hash = siphash24::Hash::hash_to_u64_with_keys(k0, k1, wtxid).to_le_bytes();
    let mut id = [0; SHORT_ID];
    id.copy_from_slice(&hash[..SHORT_ID]);
    id
}

impl CompactBlock {
    /// Reads a `cmpctblock`.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let header = reader.array()?;
        reader.take(8)?;
        let short = reader.count(SHORT_ID)?;
        reader.take(short * SHORT_ID)?;
        let prefilled = reader.count(1 + skim::LEAST_TRANSACTION)?;
        for _ in 0..prefilled {
            index(&mut reader)?;
            skim::skip_transaction(&mut reader)?;
        }
        let transactions = short + prefilled;
        if transactions > usize::from(u16::MAX) {
            return Err(DecodeError::IndexOverflow);
        }
        Ok(Self { header, transactions, bytes: body[..reader.position()].to_vec() })
    }

    /// The compact form of a block: the coinbase in full, all others by short id.
    ///
    /// # Errors
    /// [`DecodeError`]: that is no block.
    pub fn of_block(block: &[u8], nonce: u64) -> Result<Vec<u8>, DecodeError> {
        let (header, transactions) = skim::block_transactions(block)?;
        let keys = short_id_keys(&header, nonce);
        let mut out = Vec::with_capacity(100 + transactions.len() * SHORT_ID);
        out.extend_from_slice(&header);
        out.extend_from_slice(&nonce.to_le_bytes());
        put_length(&mut out, transactions.len().saturating_sub(1));
        for transaction in transactions.iter().skip(1) {
            out.extend_from_slice(&short_id(keys, &transaction.names.wtxid));
        }
        put_length(&mut out, transactions.len().min(1));
        if let Some(coinbase) = transactions.first() {
            put_compact(&mut out, 0);
            out.extend_from_slice(&block[coinbase.start..coinbase.start + coinbase.names.length]);
        }
        Ok(out)
    }
}

/// A compact size that must fit 16 bits.
fn index(reader: &mut Reader<'_>) -> Result<u16, DecodeError> {
    u16::try_from(reader.compact()?).map_err(|_| DecodeError::CompactLimit)
}

/// Which transactions of a block are wanted (`getblocktxn`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransactionsRequest {
    /// Block, internal order.
    pub block: [u8; 32],
    /// Places in the block, rising.
    pub indexes: Vec<u16>,
}

impl TransactionsRequest {
    /// Reads a `getblocktxn`.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let block = reader.array()?;
        let count = reader.count(1)?;
        let mut indexes = Vec::with_capacity(count);
        let mut next: u64 = 0;
        for _ in 0..count {
            let at = next.saturating_add(reader.compact()?);
            let index = if planted(Fault::IndexTruncated) { Ok(at as u16) } else { u16::try_from(at) };
            indexes.push(index.map_err(|_| DecodeError::DifferenceOverflow)?);
            next = at + 1;
        }
        Ok(Self { block, indexes })
    }

    /// Body of a `getblocktxn`. `indexes` must rise.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(40 + self.indexes.len() * 3);
        out.extend_from_slice(&self.block);
        put_length(&mut out, self.indexes.len());
        let mut next = 0u64;
        for index in &self.indexes {
            let index = u64::from(*index);
            put_compact(&mut out, index.saturating_sub(next));
            next = index + 1;
        }
        out
    }
}

/// Transactions of a block (`blocktxn`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlockTransactions {
    /// Block, internal order.
    pub block: [u8; 32],
    /// Transactions with witness, in the order of the block.
    pub transactions: Vec<Vec<u8>>,
}

impl BlockTransactions {
    /// Reads a `blocktxn`.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let block = reader.array()?;
        let count = reader.count(skim::LEAST_TRANSACTION)?;
        let mut transactions = Vec::with_capacity(count);
        for _ in 0..count {
            let start = reader.position();
            skim::skip_transaction(&mut reader)?;
            transactions.push(body[start..reader.position()].to_vec());
        }
        Ok(Self { block, transactions })
    }

    /// Body of a `blocktxn`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let size: usize = self.transactions.iter().map(Vec::len).sum();
        let mut out = Vec::with_capacity(41 + size);
        out.extend_from_slice(&self.block);
        put_length(&mut out, self.transactions.len());
        for transaction in &self.transactions {
            out.extend_from_slice(transaction);
        }
        out
    }

    /// Answers a request from a block; `None`: an index lies beyond the block.
    ///
    /// # Errors
    /// [`DecodeError`]: that is no block.
    pub fn answer(request: &TransactionsRequest, block: &[u8]) -> Result<Option<Self>, DecodeError> {
        let (_, all) = skim::block_transactions(block)?;
        let pick = |index: &u16| {
            let found = all.get(usize::from(*index))?;
            Some(block[found.start..found.start + found.names.length].to_vec())
        };
        let transactions: Option<Vec<_>> = request.indexes.iter().map(pick).collect();
        Ok(transactions.map(|transactions| Self { block: request.block, transactions }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bitcoin::bip152::HeaderAndShortIds;
    use bitcoin::consensus::{deserialize, serialize};
    use proptest::prelude::*;

    fn block() -> bitcoin::Block {
        let mut block = bitcoin::blockdata::constants::genesis_block(bitcoin::Network::Regtest);
        for lock in 1..5u32 {
            let mut tx = block.txdata[0].clone();
            tx.lock_time = bitcoin::absolute::LockTime::from_consensus(lock);
            block.txdata.push(tx);
        }
        block
    }

    #[test]
    fn compact_form_agrees_with_the_bitcoin_crate() {
        let block = block();
        let bytes = CompactBlock::of_block(&serialize(&block), 7).unwrap();
        let theirs = HeaderAndShortIds::from_block(&block, 7, 2, &[]).unwrap();
        assert_eq!(bytes, serialize(&theirs));
        let decoded = CompactBlock::decode(&bytes).unwrap();
        assert_eq!((decoded.transactions, &decoded.bytes), (5, &bytes));
        assert_eq!(serialize(&block.header), decoded.header);
    }

    #[test]
    fn requests_are_differences() {
        let request = TransactionsRequest { block: [3; 32], indexes: vec![0, 1, 5, 300] };
        let body = request.encode();
        assert_eq!(body[32..], [4, 0, 0, 3, 0xfd, 0x26, 1]);
        assert_eq!(TransactionsRequest::decode(&body), Ok(request));
        let mut overflow = vec![0; 32];
        overflow.extend([2, 0xfd, 0xff, 0xff, 0]);
        assert_eq!(TransactionsRequest::decode(&overflow), Err(DecodeError::DifferenceOverflow));
    }

    #[test]
    fn wanted_transactions_are_cut_out_of_the_block() {
        let bytes = serialize(&block());
        let request = TransactionsRequest { block: [3; 32], indexes: vec![1, 4] };
        let answer = BlockTransactions::answer(&request, &bytes).unwrap().unwrap();
        let tx: bitcoin::Transaction = deserialize(&answer.transactions[1]).unwrap();
        assert_eq!(tx.lock_time.to_consensus_u32(), 4);
        assert_eq!(BlockTransactions::decode(&answer.encode()), Ok(answer));
        let beyond = TransactionsRequest { block: [3; 32], indexes: vec![5] };
        assert_eq!(BlockTransactions::answer(&beyond, &bytes), Ok(None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..400) {
            let _ = CompactBlock::decode(&bytes);
            let _ = BlockTransactions::decode(&bytes);
            if let Ok(request) = TransactionsRequest::decode(&bytes) {
                prop_assert_eq!(TransactionsRequest::decode(&request.encode()), Ok(request));
            }
            let whole = CompactBlock::of_block(&serialize(&block()), 1).unwrap();
            let short = &whole[..cut.min(whole.len())];
            prop_assert_eq!(CompactBlock::decode(short).is_ok(), short.len() == whole.len());
        }
    }
}
