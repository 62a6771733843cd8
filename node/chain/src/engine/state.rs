//! What the engine's lock protects.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bitcoin::{Block, BlockHash, OutPoint};
use bulkhead_script::ScriptCache;
use bulkhead_store::block_files::{BlockFiles, Position};
use bulkhead_store::coins_cache::CoinsCache;
use bulkhead_store::index_db::IndexDb;
use bulkhead_store::undo::BlockUndo;
use bulkhead_store::{Coin, StoreError};

use super::background::{Background, Snapshot};
use super::index::Rank;
use super::{ActiveChain, BlockIndex, BlockNode, NodeId};

/// Index, active chain, coins and files.
#[derive(Debug)]
pub struct State {
    pub(super) index: BlockIndex,
    pub(super) active: ActiveChain,
    pub(super) coins: CoinsCache,
    pub(super) files: BlockFiles,
    pub(super) index_db: IndexDb,
    /// The snapshot that the active chain rests on.
    pub(super) snapshot: Option<Snapshot>,
    /// The chain that validates the blocks below it.
    pub(super) background: Option<Background>,
    /// Blocks that may become the tip: as good as the tip or better, with data of all blocks below.
    pub(super) candidates: BTreeMap<Rank, NodeId>,
    /// Blocks with data whose parent lacks data: parent to children.
    pub(super) unlinked: HashMap<NodeId, BTreeSet<NodeId>>,
    pub(super) best_header: Option<NodeId>,
    /// Best header that listeners were told of.
    pub(super) announced_header: Option<NodeId>,
    pub(super) best_invalid: Option<NodeId>,
    pub(super) rule_watch: super::warnings::RuleWatch,
    pub(super) next_sequence: i32,
    pub(super) precious_sequence: i32,
    pub(super) precious_work: bitcoin::Work,
    /// Latched: false once the node has caught up.
    pub(super) initial_download: bool,
    pub(super) pruned: bool,
    pub(super) prune_locks: super::prune_locks::PruneLocks,
    pub(super) blockfiles_indexed: bool,
    /// Why scripts of the last block were checked (inner `None`: were not); outer `None` before the first block.
    pub(super) script_reason: Option<Option<&'static str>>,
    pub(super) script_cache: Arc<ScriptCache>,
    /// When the next write of everything is due, in seconds of the node's clock.
    pub(super) next_write: i64,
}

impl State {
    /// All known headers.
    pub fn index(&self) -> &BlockIndex {
        &self.index
    }

    /// The active chain.
    pub fn active(&self) -> &ActiveChain {
        &self.active
    }

    /// Coins at the tip, what is not flushed included.
    pub fn coins(&self) -> &CoinsCache {
        &self.coins
    }

    /// Transactions whose scripts are known to be good.
    pub fn script_cache(&self) -> &ScriptCache {
        &self.script_cache
    }

    /// Block and undo files.
    pub fn files(&self) -> &BlockFiles {
        &self.files
    }

    /// The tip of the active chain.
    pub fn tip(&self) -> Option<&BlockNode> {
        self.active.tip().map(|id| self.index.get(id))
    }

    /// Height of the active chain; -1 before genesis is connected.
    pub fn height(&self) -> i32 {
        self.active.height()
    }

    /// A known block by hash.
    pub fn lookup(&self, hash: &BlockHash) -> Option<NodeId> {
        self.index.lookup(hash)
    }

    /// A known block by id.
    pub fn node(&self, id: NodeId) -> &BlockNode {
        self.index.get(id)
    }

    /// The block of the active chain at `height`.
    pub fn active_at(&self, height: i32) -> Option<&BlockNode> {
        self.active.at(height).map(|id| self.index.get(id))
    }

    /// Whether the block is part of the active chain.
    pub fn is_active(&self, id: NodeId) -> bool {
        self.active.contains(&self.index, id)
    }

    /// The header with the most work that is not known to be invalid.
    pub fn best_header(&self) -> Option<&BlockNode> {
        self.best_header.map(|id| self.index.get(id))
    }

    /// Its id.
    pub fn best_header_id(&self) -> Option<NodeId> {
        self.best_header
    }

    /// Whether the node still catches up (latched).
    pub fn initial_download(&self) -> bool {
        self.initial_download
    }

    /// Whether block files were ever pruned.
    pub fn is_pruned(&self) -> bool {
        self.pruned
    }

    /// An unspent output at the tip of the active chain.
    pub fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        self.coins.peek(outpoint)
    }

    /// Reads a block from its file.
    pub fn read_block(&self, id: NodeId) -> Result<Block, StoreError> {
        let node = self.index.get(id);
        self.files.read_block(data_position(node), node.hash)
    }

    /// Reads the bytes of a block from its file, unchecked.
    pub fn read_raw_block(&self, id: NodeId) -> Result<Vec<u8>, StoreError> {
        self.files.read_raw_block(data_position(self.index.get(id)))
    }

    /// Reads the coins that a block spent.
    pub fn read_undo(&self, id: NodeId) -> Result<BlockUndo, StoreError> {
        let node = self.index.get(id);
        let parent = node.prev.map(|prev| self.index.get(prev).hash);
        let position = Position { file: node.file, offset: node.undo_pos };
        match parent {
            Some(parent) if node.have_undo() => self.files.read_undo(position, parent),
            _ => Err(StoreError::BadBlockFile { what: "block has no undo data", file: position.file, position: position.offset }),
        }
    }

    /// Tips of all branches: active tip first by height, as `getchaintips` needs them.
    pub fn tips(&self) -> Vec<NodeId> {
        let mut has_child = vec![false; self.index.len()];
        let ids: Vec<NodeId> = self.index.ids().collect();
        let place: HashMap<NodeId, usize> = ids.iter().enumerate().map(|(at, id)| (*id, at)).collect();
        for id in &ids {
            if let Some(at) = self.index.get(*id).prev.and_then(|prev| place.get(&prev)) {
                has_child[*at] = true;
            }
        }
        let mut tips: Vec<NodeId> = ids.into_iter().zip(has_child).filter(|(_, child)| !child).map(|(id, _)| id).collect();
        if let Some(tip) = self.active.tip().filter(|tip| !tips.contains(tip)) {
            tips.push(tip);
        }
        tips.sort_by_key(|id| (std::cmp::Reverse(self.index.get(*id).height), self.index.get(*id).hash));
        tips
    }

    /// Locator of the given block, or of the best header.
    pub fn locator(&self, from: Option<NodeId>) -> Vec<BlockHash> {
        from.or(self.best_header).map_or_else(Vec::new, |id| self.active.locator(&self.index, id))
    }

    pub(super) fn add_candidate(&mut self, id: NodeId) {
        self.candidates.insert(self.index.rank(id), id);
    }

    pub(super) fn remove_candidate(&mut self, id: NodeId) {
        self.candidates.remove(&self.index.rank(id));
    }

    /// Forgets candidates that are worse than the tip.
    pub(super) fn prune_candidates(&mut self) {
        let Some(rank) = self.active.tip().map(|tip| self.index.rank(tip)) else { return };
        while self.candidates.first_key_value().is_some_and(|(first, _)| *first < rank) {
            self.candidates.pop_first();
        }
    }

    /// Adds a block to the candidates if it is at least as good as the tip.
    pub(super) fn try_candidate(&mut self, id: NodeId) {
        if self.active.tip().is_none_or(|tip| self.index.rank(id) >= self.index.rank(tip)) {
            self.add_candidate(id);
        }
    }

    /// Whether a block could become the tip once its chain is found valid.
    pub(super) fn is_connectable(&self, id: NodeId) -> bool {
        let node = self.index.get(id);
        node.status.is_valid_transactions() && node.have_chain_tx()
    }

    /// Finds the best header anew, after blocks were found invalid or valid again.
    pub(super) fn recalculate_best_header(&mut self) {
        let valid = self.index.ids().filter(|id| !self.index.get(*id).status.is_failed());
        self.best_header = valid.fold(self.active.tip(), |best, id| match best {
            Some(best) if self.index.get(id).chain_work <= self.index.get(best).chain_work => Some(best),
            _ => Some(id),
        });
    }
}

pub(super) fn data_position(node: &BlockNode) -> Position {
    Position { file: node.file, offset: node.data_pos }
}
