//! Who brought which block: a block may turn out to be invalid long after it was stored, when its branch becomes the best.

use std::collections::{HashMap, VecDeque};

use super::headers_index::Hash;
use super::peer::PeerId;

/// Blocks that are remembered, the newest.
const MAX_BLOCKS: usize = 1024;

/// Peers by the blocks that they sent.
#[derive(Debug, Default)]
pub(super) struct BlockSources {
    peers: HashMap<Hash, PeerId>,
    /// Oldest first; holds every key of `peers`, and some that were taken out since.
    order: VecDeque<Hash>,
}

impl BlockSources {
    /// Notes who sent a block; the first sender counts.
    pub(super) fn note(&mut self, hash: Hash, id: PeerId) {
        if self.peers.contains_key(&hash) {
            return;
        }
        if self.order.len() >= MAX_BLOCKS
            && let Some(oldest) = self.order.pop_front()
        {
            self.peers.remove(&oldest);
        }
        self.peers.insert(hash, id);
        self.order.push_back(hash);
    }

    /// Forgets a block; gives who sent it.
    pub(super) fn take(&mut self, hash: &Hash) -> Option<PeerId> {
        self.peers.remove(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sender_counts_and_old_blocks_are_forgotten() {
        let mut sources = BlockSources::default();
        sources.note([1; 32], 7);
        sources.note([1; 32], 8);
        assert_eq!(sources.take(&[1; 32]), Some(7));
        assert_eq!(sources.take(&[1; 32]), None);
        sources.note([2; 32], 7);
        for number in 0..MAX_BLOCKS as u64 {
            let mut hash = [3; 32];
            hash[..8].copy_from_slice(&number.to_le_bytes());
            sources.note(hash, 9);
        }
        assert_eq!(sources.take(&[2; 32]), None);
        assert!(sources.order.len() <= MAX_BLOCKS);
    }
}
