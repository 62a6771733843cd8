//! `-blockfilterindex`: the filters of BIP158 and the headers that chain them (BIP157).

use bitcoin::bip158::{BlockFilter, BlockFilterWriter, FilterHash, FilterHeader};
use bitcoin::hashes::Hash;
use bitcoin::{Block, BlockHash};
use bulkhead_store::StoreError;
use bulkhead_store::chain_index::{BestBlock, ChainIndexDb, Entry};
use bulkhead_store::codec::{CodecError, Reader};
use bulkhead_store::undo::BlockUndo;

use super::contents::{BlockAt, BlockData, Contents, IndexError, Kind, ReadData, block_key};

/// `-blockfilterindex=basic`.
pub const FILTER_INDEX: Kind = Kind {
    name: "basic block filter index",
    thread: "blkfltbscidx",
    directory: "indexes/blockfilter/basic/db",
    needs_undo: true,
    may_prune: true,
};

/// Table of hashes and headers.
const HEADERS: u8 = b'h';
/// Table of filters.
const FILTERS: u8 = b'f';

/// The basic filter of a block: the scripts of its outputs, without those that carry data, and of the coins that it spent.
pub fn basic_filter(block: &Block, undo: &BlockUndo) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = BlockFilterWriter::new(&mut bytes, block);
    writer.add_output_scripts();
    for coin in undo.transactions.iter().flatten() {
        writer.add_element(coin.output.script_pubkey.as_bytes());
    }
    writer.finish().expect("a vector takes all bytes");
    bytes
}

/// Hash of a filter and its place in the chain of filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterRecord {
    /// Hash of the filter.
    pub hash: FilterHash,
    /// Header: hash of this hash and the header before.
    pub header: FilterHeader,
}

impl FilterRecord {
    fn encode(&self) -> Vec<u8> {
        [self.hash.to_byte_array(), self.header.to_byte_array()].concat()
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let hash = FilterHash::from_byte_array(reader.array()?);
        let header = FilterHeader::from_byte_array(reader.array()?);
        reader.finish()?;
        Ok(Self { hash, header })
    }
}

/// Looks up the record of a block.
///
/// # Errors
/// Database, or a value that cannot be read back.
pub fn find_record(store: &ChainIndexDb, height: i32, hash: BlockHash) -> Result<Option<FilterRecord>, StoreError> {
    let value = store.get(&block_key(HEADERS, height, hash))?;
    let decode =
        |bytes: Vec<u8>| FilterRecord::decode(&bytes).map_err(|source| StoreError::Corrupt { table: "filter headers", source });
    value.map(decode).transpose()
}

/// Looks up the filter of a block and checks it against its hash.
///
/// # Errors
/// Database, or a value that cannot be read back.
pub fn find_filter(
    store: &ChainIndexDb,
    height: i32,
    hash: BlockHash,
) -> Result<Option<(BlockFilter, FilterRecord)>, StoreError> {
    let Some(record) = find_record(store, height, hash)? else { return Ok(None) };
    let Some(content) = store.get(&block_key(FILTERS, height, hash))? else { return Ok(None) };
    if FilterHash::hash(&content) != record.hash {
        tracing::error!("Checksum mismatch in filter decode.");
        return Ok(None);
    }
    Ok(Some((BlockFilter { content }, record)))
}

/// Filters under construction: each header needs the one before.
#[derive(Debug)]
pub(super) struct Filters {
    last: FilterHeader,
}

impl Default for Filters {
    fn default() -> Self {
        Self { last: FilterHeader::all_zeros() }
    }
}

impl Filters {
    fn go_to(&mut self, store: &ChainIndexDb, height: i32, hash: BlockHash) -> Result<(), IndexError> {
        match find_record(store, height, hash) {
            Ok(Some(record)) => {
                self.last = record.header;
                Ok(())
            }
            other => {
                tracing::error!("Cannot read last block filter header; index may be corrupted: {other:?}");
                Err(IndexError::State(FILTER_INDEX.name))
            }
        }
    }
}

impl Contents for Filters {
    fn restore(&mut self, best: &BestBlock, height: i32, store: &ChainIndexDb) -> Result<(), IndexError> {
        self.go_to(store, height, best.hash)
    }

    fn append(&mut self, at: &BlockAt, data: &BlockData) -> Result<Vec<Entry>, IndexError> {
        let filter = basic_filter(&data.block, &data.undo);
        let hash = FilterHash::hash(&filter);
        self.last = hash.filter_header(&self.last);
        let record = FilterRecord { hash, header: self.last };
        Ok(vec![(block_key(HEADERS, at.height, at.hash), record.encode()), (block_key(FILTERS, at.height, at.hash), filter)])
    }

    fn remove(&mut self, at: &BlockAt, _: ReadData<'_>, store: &ChainIndexDb) -> Result<(), IndexError> {
        self.go_to(store, at.height - 1, at.prev)
    }
}
