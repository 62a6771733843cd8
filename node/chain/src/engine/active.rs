//! The active chain by height, and block locators.

use bitcoin::BlockHash;

use super::index::{BlockIndex, NodeId};

/// The chain that the coins belong to.
#[derive(Debug, Default, Clone)]
pub struct ActiveChain {
    nodes: Vec<NodeId>,
}

impl ActiveChain {
    /// Last block; `None` before genesis is connected.
    pub fn tip(&self) -> Option<NodeId> {
        self.nodes.last().copied()
    }

    /// Height of the tip; -1 before genesis is connected.
    pub fn height(&self) -> i32 {
        self.nodes.len() as i32 - 1 // heights are 32-bit everywhere
    }

    /// The block at `height`.
    pub fn at(&self, height: i32) -> Option<NodeId> {
        usize::try_from(height).ok().and_then(|height| self.nodes.get(height)).copied()
    }

    /// Whether the block is part of the chain.
    pub fn contains(&self, index: &BlockIndex, id: NodeId) -> bool {
        self.at(index.get(id).height) == Some(id)
    }

    /// The block after `id`, if `id` is part of the chain and not its tip.
    pub fn next(&self, index: &BlockIndex, id: NodeId) -> Option<NodeId> {
        if self.contains(index, id) { self.at(index.get(id).height + 1) } else { None }
    }

    /// The last block of this chain that is `id` or an ancestor of it.
    pub fn find_fork(&self, index: &BlockIndex, id: NodeId) -> Option<NodeId> {
        let mut at = id;
        if index.get(at).height > self.height() {
            at = index.ancestor(at, self.height())?;
        }
        while !self.contains(index, at) {
            at = index.get(at).prev?;
        }
        Some(at)
    }

    /// Makes `tip` the last block.
    pub fn set_tip(&mut self, index: &BlockIndex, tip: Option<NodeId>) {
        let Some(tip) = tip else {
            self.nodes.clear();
            return;
        };
        let height = index.get(tip).height;
        let mut path = Vec::new();
        let mut at = Some(tip);
        while let Some(id) = at.filter(|id| self.at(index.get(*id).height) != Some(*id)) {
            path.push(id);
            at = index.get(id).prev;
        }
        let keep = usize::try_from(height).unwrap_or(0) + 1 - path.len();
        self.nodes.truncate(keep);
        self.nodes.extend(path.into_iter().rev());
    }

    /// Hashes from `from` back to genesis, first one by one, then with doubling steps (Core: `LocatorEntries`).
    pub fn locator(&self, index: &BlockIndex, from: NodeId) -> Vec<BlockHash> {
        let mut hashes = Vec::with_capacity(32);
        let mut at = Some(from);
        let mut step = 1;
        while let Some(id) = at {
            let node = index.get(id);
            hashes.push(node.hash);
            if node.height == 0 {
                break;
            }
            let height = (node.height - step).max(0);
            at = index.ancestor(id, height);
            if hashes.len() > 10 {
                step = step.saturating_mul(2);
            }
        }
        hashes
    }

    /// The best block of this chain that the locator knows; genesis when it knows none (Core: `FindForkInGlobalIndex`).
    pub fn find_fork_of_locator(&self, index: &BlockIndex, locator: &[BlockHash]) -> Option<NodeId> {
        for hash in locator {
            if let Some(id) = index.lookup(hash) {
                if self.contains(index, id) {
                    return Some(id);
                }
                if self.tip().is_some_and(|tip| index.ancestor(id, index.get(tip).height) == Some(tip)) {
                    return self.tip();
                }
            }
        }
        self.at(0)
    }
}
