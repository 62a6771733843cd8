//! The tree of all known headers (Core: `CBlockIndex`, `BlockManager::m_block_index`).

use std::collections::{BTreeSet, HashMap};

use bitcoin::block::Header;
use bitcoin::{BlockHash, Work};
use bulkhead_consensus::{HeaderFacts, HeaderView, compact};
use bulkhead_store::block_index::{BlockRecord, Status};

/// A block in the tree. Ids stay valid as long as the tree: nothing is ever removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// Place in the order of arrival, from 0.
    pub(super) fn place(self) -> usize {
        self.0 as usize
    }
}

/// What is known of a block.
#[derive(Debug, Clone)]
pub struct BlockNode {
    /// Hash of the header.
    pub hash: BlockHash,
    /// The header.
    pub header: Header,
    /// Parent; `None` for genesis only.
    pub prev: Option<NodeId>,
    skip: Option<NodeId>,
    /// Distance from genesis.
    pub height: i32,
    /// Work of this block and all before it.
    pub chain_work: Work,
    /// Largest time stamp up to here, in seconds.
    pub time_max: u32,
    /// How far it is validated and what is on disk.
    pub status: Status,
    /// Transactions in the block; 0 while its data was never seen.
    pub n_tx: u32,
    /// Transactions in the chain up to here; 0 while data of the block or of one before it was never seen.
    pub chain_tx: u64,
    /// Block file.
    pub file: u32,
    /// Offset of the block in the file, in bytes.
    pub data_pos: u32,
    /// Offset of its undo data in the undo file, in bytes.
    pub undo_pos: u32,
    /// Order of arrival: with equal work the block whose data came first wins. Negative for `preciousblock`.
    pub sequence: i32,
}

impl BlockNode {
    /// Time stamp, in seconds.
    pub fn time(&self) -> u32 {
        self.header.time
    }

    /// Whether the block's data is on disk.
    pub fn have_data(&self) -> bool {
        self.status.have_data()
    }

    /// Whether undo data is on disk.
    pub fn have_undo(&self) -> bool {
        self.status.have_undo()
    }

    /// Whether data of this and all blocks before it was seen (Core: `HaveNumChainTxs`).
    pub fn have_chain_tx(&self) -> bool {
        self.chain_tx != 0
    }

    /// What the database keeps.
    pub fn record(&self) -> BlockRecord {
        BlockRecord {
            header: self.header,
            height: self.height.unsigned_abs(), // never negative
            status: self.status,
            n_tx: self.n_tx,
            file: self.file,
            data_pos: self.data_pos,
            undo_pos: self.undo_pos,
        }
    }
}

/// The tree.
#[derive(Debug, Default)]
pub struct BlockIndex {
    nodes: Vec<BlockNode>,
    by_hash: HashMap<BlockHash, NodeId>,
    dirty: BTreeSet<NodeId>,
}

/// Sequence number of blocks loaded from disk; newer ones count up from 1 (Core: `SEQ_ID_INIT_FROM_DISK`).
pub const SEQUENCE_FROM_DISK: i32 = 1;

impl BlockIndex {
    /// Number of known headers.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether not even genesis is known.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Finds a block by hash.
    pub fn lookup(&self, hash: &BlockHash) -> Option<NodeId> {
        self.by_hash.get(hash).copied()
    }

    /// The block behind an id.
    pub fn get(&self, id: NodeId) -> &BlockNode {
        &self.nodes[id.0 as usize]
    }

    /// The block behind an id, to change; it will be written with the next flush.
    pub fn get_mut(&mut self, id: NodeId) -> &mut BlockNode {
        self.dirty.insert(id);
        &mut self.nodes[id.0 as usize]
    }

    /// The block behind an id, to change what is not stored.
    pub fn get_volatile(&mut self, id: NodeId) -> &mut BlockNode {
        &mut self.nodes[id.0 as usize]
    }

    /// All ids, parents before children where headers arrived in order.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId) // there are fewer than 2^32 headers
    }

    /// Adds a header whose parent is known (or genesis); gives the existing id if the header is known.
    pub fn insert(&mut self, header: Header) -> NodeId {
        let hash = header.block_hash();
        if let Some(id) = self.lookup(&hash) {
            return id;
        }
        let id = self.insert_loaded(hash, header);
        self.dirty.insert(id);
        id
    }

    /// Adds a header that is stored already.
    pub fn insert_loaded(&mut self, hash: BlockHash, header: Header) -> NodeId {
        let prev = self.lookup(&header.prev_blockhash);
        let own_work = compact::work_of(header.bits.to_consensus());
        let (height, chain_work, time_max) = match prev {
            Some(prev) => {
                let node = self.get(prev);
                (node.height + 1, node.chain_work + own_work, node.time_max.max(header.time))
            }
            None => (0, own_work, header.time),
        };
        let skip = prev.and_then(|prev| self.ancestor(prev, skip_height(height)));
        let id = NodeId(self.nodes.len() as u32); // there are fewer than 2^32 headers
        self.nodes.push(BlockNode {
            hash,
            header,
            prev,
            skip,
            height,
            chain_work,
            time_max,
            status: Status::VALID_TREE,
            n_tx: 0,
            chain_tx: 0,
            file: 0,
            data_pos: 0,
            undo_pos: 0,
            sequence: 0,
        });
        self.by_hash.insert(hash, id);
        id
    }

    /// The ancestor of `id` at `height`, `id` itself included; `None` above it or below genesis.
    pub fn ancestor(&self, id: NodeId, height: i32) -> Option<NodeId> {
        let mut at = id;
        if height > self.get(at).height || height < 0 {
            return None;
        }
        while self.get(at).height > height {
            let node = self.get(at);
            let skip_target = skip_height(node.height);
            let previous_skip = skip_height(node.height - 1);
            let use_skip = node.skip.filter(|_| {
                skip_target == height || (skip_target > height && !(previous_skip < skip_target - 2 && previous_skip >= height))
            });
            at = use_skip.or(node.prev)?;
        }
        Some(at)
    }

    /// The last block that both chains share.
    pub fn last_common_ancestor(&self, one: NodeId, other: NodeId) -> Option<NodeId> {
        let height = self.get(one).height.min(self.get(other).height);
        let mut one = self.ancestor(one, height)?;
        let mut other = self.ancestor(other, height)?;
        while one != other {
            one = self.get(one).prev?;
            other = self.get(other).prev?;
        }
        Some(one)
    }

    /// Median time of the block and the ten before it, in seconds.
    pub fn median_time_past(&self, id: NodeId) -> i64 {
        let mut times = [0u32; 11];
        let mut count = 0;
        let mut at = Some(id);
        while let Some(node) = at.map(|id| self.get(id)).filter(|_| count < times.len()) {
            times[count] = node.header.time;
            count += 1;
            at = node.prev;
        }
        times[..count].sort_unstable();
        i64::from(times[count / 2])
    }

    /// The chain of headers that ends in `tip`, for the consensus rules.
    pub fn view(&self, tip: Option<NodeId>) -> IndexView<'_> {
        IndexView { index: self, tip }
    }

    /// Blocks changed since the last call, as the database keeps them.
    pub fn take_dirty(&mut self) -> Vec<(BlockHash, BlockRecord)> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().map(|id| (self.get(id).hash, self.get(id).record())).collect()
    }

    /// Whether a flush would write anything.
    pub fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Stable total order of candidates: more work, then earlier arrival, then lower id (Core: `CBlockIndexWorkComparator`).
    /// Greater is better.
    pub fn rank(&self, id: NodeId) -> Rank {
        let node = self.get(id);
        Rank { work: node.chain_work, earlier: std::cmp::Reverse(node.sequence), id: std::cmp::Reverse(id) }
    }
}

/// See [`BlockIndex::rank`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// Work of the chain.
    pub work: Work,
    earlier: std::cmp::Reverse<i32>,
    id: std::cmp::Reverse<NodeId>,
}

/// Height that a block's skip pointer goes to (Core: `GetSkipHeight`).
fn skip_height(height: i32) -> i32 {
    let clear_lowest = |n: i32| n & (n - 1);
    if height < 2 {
        0
    } else if height & 1 == 1 {
        clear_lowest(clear_lowest(height - 1)) + 1
    } else {
        clear_lowest(height)
    }
}

/// A chain of headers inside the tree.
#[derive(Debug, Clone, Copy)]
pub struct IndexView<'a> {
    index: &'a BlockIndex,
    tip: Option<NodeId>,
}

impl HeaderView for IndexView<'_> {
    fn height(&self) -> i32 {
        self.tip.map_or(-1, |tip| self.index.get(tip).height)
    }

    fn header_at(&self, height: i32) -> Option<HeaderFacts> {
        let node = self.index.get(self.index.ancestor(self.tip?, height)?);
        Some(HeaderFacts {
            version: node.header.version.to_consensus(),
            time: node.header.time,
            bits: node.header.bits.to_consensus(),
        })
    }

    fn median_time_past(&self, height: i32) -> i64 {
        let at = self.tip.and_then(|tip| self.index.ancestor(tip, height));
        at.map_or(0, |id| self.index.median_time_past(id))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bulkhead_consensus::networks;

    fn chain_of(length: u32) -> (BlockIndex, Vec<NodeId>) {
        let mut index = BlockIndex::default();
        let genesis = networks::regtest().genesis.header;
        let mut ids = vec![index.insert(genesis)];
        for nonce in 1..length {
            let previous = index.get(ids[nonce as usize - 1]).hash;
            ids.push(index.insert(Header { prev_blockhash: previous, nonce, ..genesis }));
        }
        (index, ids)
    }

    #[test]
    fn ancestors_are_found_at_every_height() {
        let (index, ids) = chain_of(700);
        for from in [699usize, 512, 513, 1, 0] {
            for height in 0..=from {
                assert_eq!(index.ancestor(ids[from], height as i32), Some(ids[height]));
            }
            assert_eq!(index.ancestor(ids[from], from as i32 + 1), None);
        }
    }

    #[test]
    fn forks_meet_in_their_last_common_block() {
        let (mut index, ids) = chain_of(50);
        let base = index.get(ids[20]).hash;
        let header = index.get(ids[0]).header;
        let fork = index.insert(Header { prev_blockhash: base, nonce: 9999, ..header });
        assert_eq!(index.last_common_ancestor(fork, ids[49]), Some(ids[20]));
        assert_eq!(index.get(fork).height, 21);
    }
}
