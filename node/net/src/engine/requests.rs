//! Blocks that peers were asked for: up to three peers for one block, when it comes in compact form.

use std::collections::HashMap;

use bulkhead_wire::inventory::{BLOCK, WITNESS_FLAG};
use bulkhead_wire::message::hash_hex;
use bulkhead_wire::{Inventory, Message};

use super::headers_index::Hash;
use super::peer::{InFlight, Partial, PeerId};
use super::{Effect, Engine};

/// Peers that one block may be asked of at once.
pub(crate) const MAX_PARALLEL: usize = 3;

/// Who was asked for which block, in the order of asking.
#[derive(Debug, Default)]
pub(crate) struct BlockRequests {
    by_hash: HashMap<Hash, Vec<PeerId>>,
}

impl BlockRequests {
    /// Whether the block was asked for.
    pub(crate) fn contains(&self, hash: &Hash) -> bool {
        self.by_hash.contains_key(hash)
    }

    /// Who was asked, first to last.
    pub(crate) fn peers(&self, hash: &Hash) -> &[PeerId] {
        self.by_hash.get(hash).map_or(&[], Vec::as_slice)
    }

    /// Whether nothing was asked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// Whether no other block was asked for.
    pub(crate) fn is_only(&self, hash: &Hash) -> bool {
        self.by_hash.keys().all(|other| other == hash)
    }
}

impl Engine {
    /// Notes that the peer is asked for a block. `false`: it was already.
    pub(crate) fn note_request(&mut self, id: PeerId, hash: Hash, height: i32) -> bool {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let asked = self.block_requests.by_hash.entry(hash).or_default();
        if asked.contains(&id) {
            return false;
        }
        asked.push(id);
        if peer.in_flight.is_empty() {
            peer.downloading_since = now;
        }
        peer.in_flight.push_back(InFlight { hash, height, partial: Partial::None });
        true
    }

    /// The block needs not come any more; from nobody, or not from this peer.
    pub(crate) fn forget_request(&mut self, hash: &Hash, from: Option<PeerId>) {
        let now = self.now;
        let Some(asked) = self.block_requests.by_hash.get_mut(hash) else { return };
        let gone: Vec<PeerId> = asked.iter().copied().filter(|id| from.is_none_or(|only| only == *id)).collect();
        asked.retain(|id| !gone.contains(id));
        if asked.is_empty() {
            self.block_requests.by_hash.remove(hash);
        }
        for id in gone {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            if peer.in_flight.front().is_some_and(|first| first.hash == *hash) {
                peer.downloading_since = peer.downloading_since.max(now);
            }
            if let Some(Partial::Waiting(key)) = peer.in_flight.iter().find(|one| one.hash == *hash).map(|one| one.partial) {
                self.effects.push(Effect::DropPartial(key));
            }
            peer.in_flight.retain(|block| block.hash != *hash);
            peer.stalling_since = 0;
        }
    }

    /// Nothing will come from a peer that left.
    pub(crate) fn forget_requests_of(&mut self, id: PeerId, in_flight: impl Iterator<Item = InFlight>) {
        for block in in_flight {
            if let Some(asked) = self.block_requests.by_hash.get_mut(&block.hash) {
                asked.retain(|other| *other != id);
                if asked.is_empty() {
                    self.block_requests.by_hash.remove(&block.hash);
                }
            }
            if let Partial::Waiting(key) = block.partial {
                self.effects.push(Effect::DropPartial(key));
            }
        }
    }

    /// Asks one peer for a block (`getblockfrompeer`), whoever was asked before.
    ///
    /// # Errors
    /// Core's text.
    pub fn fetch_block(&mut self, peer: i64, hash: Hash, height: i32) -> Result<(), &'static str> {
        if self.chain.loading {
            return Err("Loading blocks ...");
        }
        let id = PeerId::try_from(peer).ok().filter(|id| self.peers.get(id).is_some_and(|peer| !peer.disconnect));
        let Some(id) = id else { return Err("Peer does not exist") };
        if !self.peers.get(&id).is_some_and(super::peer::Peer::can_serve_witnesses) {
            return Err("Pre-SegWit peer");
        }
        self.forget_request(&hash, None);
        if !self.note_request(id, hash, height) {
            return Err("Already requested from this peer");
        }
        self.send(id, &Message::GetData(vec![Inventory::new(BLOCK | WITNESS_FLAG, hash)]));
        tracing::debug!(target: "net", "Requesting block {} from peer={id}", hash_hex(&hash));
        Ok(())
    }

    /// State of a block that this peer was asked for.
    pub(crate) fn in_flight(&mut self, id: PeerId, hash: &Hash) -> Option<&mut InFlight> {
        self.peers.get_mut(&id)?.in_flight.iter_mut().find(|block| block.hash == *hash)
    }
}
