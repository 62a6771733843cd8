//! What the four indexes have in common: which blocks they see, and what they make of them.

use bitcoin::{Block, BlockHash};
use bulkhead_store::StoreError;
use bulkhead_store::block_files::Position;
use bulkhead_store::chain_index::{BestBlock, ChainIndexDb, Entry};
use bulkhead_store::undo::BlockUndo;

/// Facts about one index that never change.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Name, as the log and `getindexinfo` show it.
    pub name: &'static str,
    /// Name of its thread.
    pub thread: &'static str,
    /// Its database, below the data directory.
    pub directory: &'static str,
    /// Whether it needs to know what blocks spent.
    pub needs_undo: bool,
    /// Whether it works on a pruned node: then pruning waits for it.
    pub may_prune: bool,
}

/// Place of a block in the chain and on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockAt {
    /// Its hash.
    pub hash: BlockHash,
    /// Hash of its parent; zero for genesis.
    pub prev: BlockHash,
    /// Its height.
    pub height: i32,
    /// Where it lies in the block files.
    pub position: Position,
    /// Where its undo data lies; `None` for genesis.
    pub undo: Option<Position>,
}

/// What is on disk of a block.
#[derive(Debug)]
pub struct BlockData {
    /// The block.
    pub block: Block,
    /// What it spent; empty if the index does not need it.
    pub undo: BlockUndo,
}

/// Why an index cannot go on. The texts are Core's.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The block that the index ended at is unknown: another network's index, or a chain that was thrown away.
    #[error("best block of {0} not found. Please rebuild the index.")]
    UnknownBest(&'static str),
    /// What the index needs to go on does not fit the block that it ended at.
    #[error("Cannot read current {0} state; index may be corrupted")]
    State(&'static str),
    /// The database cannot be opened.
    #[error("{name}: {source}")]
    Open {
        /// The index.
        name: &'static str,
        /// Cause.
        source: StoreError,
    },
    /// A block is gone.
    #[error("Failed to read block {0} from disk")]
    ReadBlock(BlockHash, #[source] StoreError),
    /// What a block spent is gone.
    #[error("Failed to read undo block data {0} from disk")]
    ReadUndo(BlockHash, #[source] StoreError),
    /// The database refuses to take a block.
    #[error("Failed to write block {0} to index database")]
    Write(BlockHash, #[source] StoreError),
    /// Block and undo data or the entries of the index contradict each other.
    #[error("Failed to write block {0} to index database")]
    Inconsistent(BlockHash),
    /// A block cannot be taken back.
    #[error("Failed to rewind {0} to a previous chain tip")]
    Rewind(&'static str, #[source] Box<IndexError>),
    /// A block that the index still needs was pruned.
    #[error(
        "{name} best block of the index goes beyond pruned data{}. Please disable the index or reindex (which will download the whole blockchain again)",
        if *.undo { " (including undo data)" } else { "" }
    )]
    Pruned {
        /// The index.
        name: &'static str,
        /// Whether undo data is needed too.
        undo: bool,
    },
    /// A thread cannot be started.
    #[error("Failed to start indexes, shutting down…")]
    Thread(#[source] std::io::Error),
}

/// Reads the data of the block that is being taken back; not every index needs it.
pub type ReadData<'a> = &'a mut dyn FnMut() -> Result<BlockData, IndexError>;

/// What one index keeps. Entries are keyed by the block or by the place of what they are about, so that they stay true when
/// the block is not part of the chain any more.
pub trait Contents: Send {
    /// Goes on from where the last run ended: the recorded block and its height.
    ///
    /// # Errors
    /// [`IndexError::State`] if entries and record do not fit.
    fn restore(&mut self, _best: &BestBlock, _height: i32, _store: &ChainIndexDb) -> Result<(), IndexError> {
        Ok(())
    }

    /// Entries of the next block of the chain.
    ///
    /// # Errors
    /// [`IndexError::Inconsistent`].
    fn append(&mut self, at: &BlockAt, data: &BlockData) -> Result<Vec<Entry>, IndexError>;

    /// Takes the last block back.
    ///
    /// # Errors
    /// Data of the block or the entry of its parent is missing.
    fn remove(&mut self, _at: &BlockAt, _read: ReadData<'_>, _store: &ChainIndexDb) -> Result<(), IndexError> {
        Ok(())
    }

    /// What [`Contents::restore`] needs, as of the last block.
    fn state(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// Key of an entry about a block: sorted by table, then by height.
pub fn block_key(table: u8, height: i32, hash: BlockHash) -> Vec<u8> {
    use bitcoin::hashes::Hash;
    let mut key = Vec::with_capacity(37);
    key.push(table);
    key.extend_from_slice(&height.to_be_bytes());
    key.extend_from_slice(hash.as_byte_array());
    key
}
