//! Compact blocks that others send (BIP 152): put together of what the mempool has and what is fetched.

use std::collections::HashMap;
use std::sync::Arc;

use bitcoin::bip152::{HeaderAndShortIds, ShortId};
use bitcoin::block::Header;
use bitcoin::{Block, Transaction, Wtxid};

/// Most transactions that any block may have (Core: `MAX_BLOCK_WEIGHT / MIN_SERIALIZABLE_TRANSACTION_WEIGHT`).
const MAX_TRANSACTIONS: usize = 100_000;

/// Why a compact block cannot be put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It breaks the rules of BIP 152.
    Invalid,
    /// Short ids collide: the whole block is needed.
    Failed,
}

/// A block of which some transactions are here.
#[derive(Debug)]
pub struct Partial {
    header: Header,
    available: Vec<Option<Arc<Transaction>>>,
    prefilled: usize,
    from_pool: usize,
    from_extra: usize,
}

/// Where a short id belongs, while transactions are compared with it.
struct Slot {
    place: usize,
    seen: bool,
}

impl Partial {
    /// Matches short ids with the mempool's transactions and with those kept beside it.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn new<'a>(
        compact: &HeaderAndShortIds,
        pool: impl Iterator<Item = (Wtxid, &'a Arc<Transaction>)>,
        extra: &[(Wtxid, Arc<Transaction>)],
    ) -> Result<Self, Failure> {
        let count = compact.short_ids.len() + compact.prefilled_txs.len();
        if count == 0 || count > MAX_TRANSACTIONS {
            return Err(Failure::Invalid);
        }
        let mut partial = Self {
            header: compact.header,
            available: vec![None; count],
            prefilled: compact.prefilled_txs.len(),
            from_pool: 0,
            from_extra: 0,
        };
        let mut next = 0;
        for (number, prefilled) in compact.prefilled_txs.iter().enumerate() {
            let place = next + usize::from(prefilled.idx);
            // Between two prefilled transactions there must be enough short ids.
            if place > usize::from(u16::MAX) || place > compact.short_ids.len() + number {
                return Err(Failure::Invalid);
            }
            if prefilled.tx.input.is_empty() && prefilled.tx.output.is_empty() {
                return Err(Failure::Invalid);
            }
            partial.available[place] = Some(Arc::new(prefilled.tx.clone()));
            next = place + 1;
        }
        let mut slots = partial.slots(&compact.short_ids)?;
        let keys = ShortId::calculate_siphash_keys(&compact.header, compact.nonce);
        let short = |wtxid: &Wtxid| ShortId::with_siphash_keys(wtxid, keys);
        for (wtxid, tx) in pool {
            if partial.from_pool == slots.len() {
                return Ok(partial);
            }
            let Some(slot) = slots.get_mut(&short(&wtxid)) else { continue };
            let place = &mut partial.available[slot.place];
            if !slot.seen {
                slot.seen = true;
                *place = Some(Arc::clone(tx));
                partial.from_pool += 1;
            } else if place.take().is_some() {
                // Two of the mempool look alike: fetch it.
                partial.from_pool -= 1;
            }
        }
        for (wtxid, tx) in extra {
            if partial.from_pool == slots.len() {
                break;
            }
            let Some(slot) = slots.get_mut(&short(wtxid)) else { continue };
            let place = &mut partial.available[slot.place];
            if !slot.seen {
                slot.seen = true;
                *place = Some(Arc::clone(tx));
                partial.from_pool += 1;
                partial.from_extra += 1;
            } else if place.as_ref().is_some_and(|other| other.compute_wtxid() != *wtxid) {
                *place = None;
                partial.from_pool -= 1;
                partial.from_extra = partial.from_extra.saturating_sub(1);
            }
        }
        Ok(partial)
    }

    /// Places of the short ids.
    fn slots(&self, short_ids: &[ShortId]) -> Result<HashMap<ShortId, Slot>, Failure> {
        let mut slots = HashMap::with_capacity(short_ids.len());
        let open = self.available.iter().enumerate().filter(|(_, tx)| tx.is_none()).map(|(place, _)| place);
        for (place, id) in open.zip(short_ids) {
            slots.insert(*id, Slot { place, seen: false });
        }
        if slots.len() == short_ids.len() { Ok(slots) } else { Err(Failure::Failed) }
    }

    /// Places of the transactions that are missing, rising.
    pub fn missing(&self) -> Vec<u16> {
        let open = self.available.iter().enumerate().filter(|(_, tx)| tx.is_none());
        open.filter_map(|(place, _)| u16::try_from(place).ok()).collect()
    }

    /// The whole block with what was fetched, in order.
    ///
    /// # Errors
    /// [`Failure::Invalid`]: too few or too many transactions. Whether the result is the block of this header is to be
    /// checked by the caller.
    pub fn fill(self, fetched: Vec<Transaction>) -> Result<Block, Failure> {
        let (number, bytes) = (fetched.len(), fetched.iter().map(Transaction::total_size).sum::<usize>());
        let names: Vec<String> =
            if number < 5 { fetched.iter().map(|tx| tx.compute_txid().to_string()).collect() } else { Vec::new() };
        let mut fetched = fetched.into_iter();
        let mut transactions = Vec::with_capacity(self.available.len());
        for slot in self.available {
            let tx = match slot {
                Some(tx) => Arc::unwrap_or_clone(tx),
                None => fetched.next().ok_or(Failure::Invalid)?,
            };
            transactions.push(tx);
        }
        if fetched.next().is_some() {
            return Err(Failure::Invalid);
        }
        let hash = self.header.block_hash();
        tracing::debug!(
            target: "cmpctblock",
            "Successfully reconstructed block {hash} with {} txn prefilled, {} txn from mempool (incl at least {} from extra pool) and {number} txn ({bytes} bytes) requested",
            self.prefilled, self.from_pool, self.from_extra
        );
        for name in names {
            tracing::debug!(target: "cmpctblock", "Reconstructed block {hash} required tx {name}");
        }
        Ok(Block { header: self.header, txdata: transactions })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bitcoin::constants::genesis_block;

    fn block(count: u32) -> Block {
        let mut block = genesis_block(bitcoin::Network::Regtest);
        for lock in 1..count {
            let mut tx = block.txdata[0].clone();
            tx.lock_time = bitcoin::absolute::LockTime::from_consensus(lock);
            block.txdata.push(tx);
        }
        block
    }

    fn shared(block: &Block) -> Vec<(Wtxid, Arc<Transaction>)> {
        block.txdata.iter().map(|tx| (tx.compute_wtxid(), Arc::new(tx.clone()))).collect()
    }

    fn partial(
        compact: &HeaderAndShortIds,
        pool: &[(Wtxid, Arc<Transaction>)],
        extra: &[(Wtxid, Arc<Transaction>)],
    ) -> Result<Partial, Failure> {
        Partial::new(compact, pool.iter().map(|(wtxid, tx)| (*wtxid, tx)), extra)
    }

    #[test]
    fn block_is_put_together_of_pool_extra_and_fetched() {
        let block = block(5);
        let all = shared(&block);
        let compact = HeaderAndShortIds::from_block(&block, 3, 2, &[]).unwrap();
        let one = partial(&compact, &all[2..3], &all[4..5]).unwrap();
        assert_eq!(one.missing(), [1, 3]);
        let fetched = vec![block.txdata[1].clone(), block.txdata[3].clone()];
        assert_eq!(one.fill(fetched).unwrap(), block);
        let whole = partial(&compact, &all, &[]).unwrap();
        assert!(whole.missing().is_empty());
        assert_eq!(whole.fill(Vec::new()).unwrap(), block);
    }

    #[test]
    fn too_few_and_too_many_transactions_are_invalid() {
        let block = block(3);
        let compact = HeaderAndShortIds::from_block(&block, 3, 2, &[]).unwrap();
        let one = || partial(&compact, &[], &[]).unwrap();
        assert_eq!(one().fill(vec![block.txdata[1].clone()]).unwrap_err(), Failure::Invalid);
        assert_eq!(one().fill(block.txdata.clone()).unwrap_err(), Failure::Invalid);
    }

    #[test]
    fn malformed_compact_blocks_are_told_from_unlucky_ones() {
        let mut compact = HeaderAndShortIds::from_block(&block(3), 3, 2, &[]).unwrap();
        compact.short_ids[1] = compact.short_ids[0];
        assert_eq!(partial(&compact, &[], &[]).unwrap_err(), Failure::Failed);
        compact.prefilled_txs[0].idx = 3;
        assert_eq!(partial(&compact, &[], &[]).unwrap_err(), Failure::Invalid);
        compact.short_ids.clear();
        compact.prefilled_txs.clear();
        assert_eq!(partial(&compact, &[], &[]).unwrap_err(), Failure::Invalid);
    }
}
