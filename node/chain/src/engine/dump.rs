//! Writing the set of unspent outputs to a file (`dumptxoutset`), at the tip or at a block below it.
//!
//! # Correctness
//! The view of the database is fixed with the state locked, so that it belongs to the tip; blocks are taken back from there
//! with the state locked for one block at a time. What differs at the target is kept aside: the chain stays as it is.

use std::collections::BTreeMap;
use std::io::{Seek, SeekFrom, Write};

use bitcoin::{BlockHash, OutPoint};
use bulkhead_consensus::PreparedBlock;
use bulkhead_store::rollback_db::{Difference, Differences, TemporaryDb, merge};
use bulkhead_store::snapshot::{HEADER, Metadata, Writer};
use bulkhead_store::undo::BlockUndo;
use bulkhead_store::{Coin, StoreError};

use super::utxo_stats::{HashKind, Tally, UtxoStats};
use super::{ChainManager, EngineError, NodeId};

/// Why a set was not written. The file holds some of it then.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// Disk, database or the end of the program.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The output refuses.
    #[error("{0}")]
    Output(#[from] std::io::Error),
    /// The target is no ancestor of the tip.
    #[error("the block is not in the active chain")]
    NotActive,
    /// A block on the way cannot be read. Core's text.
    #[error("Failed to read block at height {0}")]
    Read(i32),
    /// Block and undo data do not fit. Core's text.
    #[error("Failed to roll back block at height {0}")]
    RollBack(i32),
}

impl From<StoreError> for DumpError {
    fn from(error: StoreError) -> Self {
        DumpError::Engine(error.into())
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dumped {
    /// Figures of the set, with its `hash_serialized_3`.
    pub stats: UtxoStats,
    /// Transactions in the chain up to the block.
    pub chain_tx: u64,
}

impl ChainManager {
    /// Writes the set at `target` (`None`: the tip) to `out`. What differs from the tip is collected in memory or in a
    /// temporary database.
    pub fn dump_utxo_set(
        &self,
        target: Option<NodeId>,
        in_memory: bool,
        mut out: impl Write + Seek,
    ) -> Result<Dumped, DumpError> {
        let mut state = self.lock();
        self.sync(&mut state)?;
        let tip = state.active.tip().ok_or(DumpError::NotActive)?;
        let target = target.unwrap_or(tip);
        if !state.is_active(target) {
            return Err(DumpError::NotActive);
        }
        let node = state.node(target);
        let (height, hash, chain_tx) = (node.height, node.hash, node.chain_tx);
        let database = state.coins.shared_database();
        let coins = database.iter()?;
        drop(state);
        let differences = if target == tip || in_memory {
            Differences::Memory(BTreeMap::new())
        } else {
            let path = self.options().data_dir.join(format!("chainstate/temp_utxo_{height}"));
            Differences::Disk(TemporaryDb::create(&path)?)
        };
        let differences = self.roll_back(tip, target, differences)?;
        let coins = merge(coins, differences.iter()?);
        let started = std::time::Instant::now();
        let stats = self.write_snapshot(coins, hash, height, &mut out)?;
        tracing::info!("writing UTXO snapshot at height {height} ({hash}) completed ({:.2}s)", started.elapsed().as_secs_f64());
        Ok(Dumped { stats, chain_tx })
    }

    /// The count in the header is known in the end only.
    fn write_snapshot(
        &self,
        coins: impl Iterator<Item = Result<(OutPoint, Coin), StoreError>>,
        base: BlockHash,
        height: i32,
        out: &mut (impl Write + Seek),
    ) -> Result<UtxoStats, DumpError> {
        let mut tally = Tally::new(HashKind::Serialized, height, base);
        out.write_all(&[0; HEADER])?;
        let mut writer = Writer::new(&mut *out);
        for coin in coins {
            if self.is_interrupted() {
                return Err(EngineError::Interrupted.into());
            }
            let (outpoint, coin) = coin?;
            tally.add(&outpoint, &coin);
            writer.add(&outpoint, &coin)?;
        }
        let (_, coins) = writer.finish()?;
        out.seek(SeekFrom::Start(0))?;
        out.write_all(&Metadata { base, coins }.encode(self.params().magic))?;
        out.flush()?;
        Ok(tally.finish())
    }

    /// Takes blocks back from `tip` until `target` is left, in `differences`.
    fn roll_back(&self, tip: NodeId, target: NodeId, mut differences: Differences) -> Result<Differences, DumpError> {
        let (target_height, tip_height) = {
            let state = self.lock();
            (state.node(target).height, state.node(tip).height)
        };
        if tip != target {
            tracing::info!("Rolling back from height {tip_height} to {target_height}");
        }
        let mut reported = 0;
        let mut at = tip;
        while at != target {
            if self.is_interrupted() {
                return Err(EngineError::Interrupted.into());
            }
            let state = self.lock();
            let height = state.node(at).height;
            let block = state.read_block(at).map_err(|_| DumpError::Read(height))?;
            let undo = state.read_undo(at).map_err(|_| DumpError::RollBack(height))?;
            let below = state.node(at).prev.ok_or(DumpError::NotActive)?;
            drop(state);
            let changes = undo_changes(&PreparedBlock::new(block), undo).ok_or(DumpError::RollBack(height))?;
            differences.note(changes)?;
            let percent = i64::from(tip_height - height + 1) * 100 / i64::from(tip_height - target_height);
            if percent >= reported + 5 {
                tracing::info!("Rolled back {percent}% of blocks.");
                reported = percent;
            }
            at = below;
        }
        Ok(differences)
    }
}

/// What taking a block back does to the coins, in order; `None` when block and undo data do not fit.
fn undo_changes(prepared: &PreparedBlock, undo: BlockUndo) -> Option<Vec<Difference>> {
    let block = prepared.block();
    if undo.transactions.len() + 1 != block.txdata.len() {
        return None;
    }
    let mut changes = Vec::new();
    let spent = std::iter::once(Vec::new()).chain(undo.transactions);
    let transactions: Vec<_> = block.txdata.iter().zip(prepared.txids()).zip(spent).collect();
    for ((tx, txid), coins) in transactions.into_iter().rev() {
        let outputs = 0..tx.output.len() as u32; // bounded by the block's weight
        changes.extend(outputs.map(|vout| (OutPoint { txid: *txid, vout }, None)));
        if tx.is_coinbase() {
            continue;
        }
        if coins.len() != tx.input.len() {
            return None;
        }
        changes.extend(tx.input.iter().zip(coins).map(|(input, coin)| (input.previous_output, Some(coin))));
    }
    Some(changes)
}
