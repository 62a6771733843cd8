//! Who brought which block: a block may turn out to be invalid long after it was stored, when its branch becomes the best.

use std::collections::{HashMap, VecDeque};

use super::headers_index::Hash;
use super::peer::PeerId;

/// Blocks that are remembered, the newest.
const MAX_BLOCKS: usize = 1024;

/// Who sent a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    /// The peer.
    pub(super) peer: PeerId,
    /// It is to blame for what is in the block. Compact blocks may be passed on before they were validated.
    pub(super) punish: bool,
}

/// Peers by the blocks that they sent.
#[derive(Debug, Default)]
pub(super) struct BlockSources {
    peers: HashMap<Hash, Source>,
    /// Oldest first; holds every key of `peers`, and some that were taken out since.
    order: VecDeque<Hash>,
}

impl BlockSources {
    /// Notes who sent a block; the first sender counts.
    pub(super) fn note(&mut self, hash: Hash, peer: PeerId, punish: bool) {
        if self.peers.contains_key(&hash) {
            return;
        }
        if self.order.len() >= MAX_BLOCKS
            && let Some(oldest) = self.order.pop_front()
        {
            self.peers.remove(&oldest);
        }
        self.peers.insert(hash, Source { peer, punish });
        self.order.push_back(hash);
    }

    /// Forgets a block; gives who sent it.
    pub(super) fn take(&mut self, hash: &Hash) -> Option<Source> {
        self.peers.remove(hash)
    }

    /// Who sent a block.
    pub(super) fn peer(&self, hash: &Hash) -> Option<PeerId> {
        self.peers.get(hash).map(|source| source.peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sender_counts_and_old_blocks_are_forgotten() {
        let mut sources = BlockSources::default();
        sources.note([1; 32], 7, false);
        sources.note([1; 32], 8, true);
        assert_eq!(sources.take(&[1; 32]), Some(Source { peer: 7, punish: false }));
        assert_eq!(sources.take(&[1; 32]), None);
        sources.note([2; 32], 7, true);
        for number in 0..MAX_BLOCKS as u64 {
            let mut hash = [3; 32];
            hash[..8].copy_from_slice(&number.to_le_bytes());
            sources.note(hash, 9, true);
        }
        assert_eq!(sources.take(&[2; 32]), None);
        assert!(sources.order.len() <= MAX_BLOCKS);
    }
}
