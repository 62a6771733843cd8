//! Transactions whose parents are missing.

use std::collections::{HashMap, VecDeque};

use super::headers_index::Hash;
use super::peer::PeerId;

/// Orphans kept. The oldest leaves.
const MAX_ORPHANS: usize = 100;
/// Bytes of the largest orphan that is kept; larger ones are dropped.
const MAX_SIZE: usize = 100_000;

/// An orphan that a parent was found for.
#[derive(Debug, Clone)]
pub(crate) struct Orphan {
    pub(crate) peer: PeerId,
    pub(crate) txid: Hash,
    pub(crate) wtxid: Hash,
    pub(crate) bytes: Vec<u8>,
    parents: Vec<Hash>,
}

/// The bounded set of orphans, by wtxid.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    by_wtxid: HashMap<Hash, Orphan>,
    order: VecDeque<Hash>,
}

impl Orphans {
    pub(crate) fn contains(&self, hash: &Hash) -> bool {
        self.by_wtxid.contains_key(hash)
    }

    /// Whether it was kept.
    pub(crate) fn insert(&mut self, peer: PeerId, txid: Hash, wtxid: Hash, bytes: Vec<u8>, parents: Vec<Hash>) -> bool {
        if bytes.len() > MAX_SIZE || self.by_wtxid.contains_key(&wtxid) {
            return false;
        }
        self.by_wtxid.insert(wtxid, Orphan { peer, txid, wtxid, bytes, parents });
        self.order.push_back(wtxid);
        if self.order.len() > MAX_ORPHANS
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_wtxid.remove(&oldest);
        }
        true
    }

    /// Takes out the orphans that spend this transaction.
    pub(crate) fn take_children(&mut self, parent: &Hash) -> Vec<Orphan> {
        let children: Vec<Hash> =
            self.by_wtxid.values().filter(|orphan| orphan.parents.contains(parent)).map(|orphan| orphan.wtxid).collect();
        self.order.retain(|hash| !children.contains(hash));
        children.iter().filter_map(|hash| self.by_wtxid.remove(hash)).collect()
    }

    pub(crate) fn forget_peer(&mut self, peer: PeerId) {
        self.by_wtxid.retain(|_, orphan| orphan.peer != peer);
        let left = &self.by_wtxid;
        self.order.retain(|hash| left.contains_key(hash));
    }
}
