//! Announcements that come in.

use bulkhead_wire::message::{MAX_INV, hash_hex};
use bulkhead_wire::{Inventory, Kind};

use super::Engine;
use super::answers::Continuation;
use super::chain_view::{HeaderFacts, Question};
use super::headers_index::Hash;
use super::peer::PeerId;

impl Engine {
    pub(crate) fn on_inv(&mut self, id: PeerId, entries: &[Inventory]) {
        if entries.len() > MAX_INV {
            self.misbehaving(id, &format!("inv message size = {}", entries.len()));
            return;
        }
        let rejects = self.rejects_transactions(id);
        let (mut blocks, mut transactions) = (Vec::new(), Vec::new());
        for entry in entries {
            let Some(peer) = self.peers.get_mut(&id) else { return };
            match entry.kind() {
                // The other form than negotiated is ignored.
                Kind::Tx if peer.wtxid_relay => {}
                Kind::Wtx if !peer.wtxid_relay => {}
                Kind::Block => blocks.push(entry.hash),
                Kind::Tx | Kind::WitnessTx | Kind::Wtx => {
                    if rejects {
                        tracing::debug!(
                            target: "net",
                            "transaction ({}) inv sent in violation of protocol, {}",
                            hash_hex(&entry.hash), self.disconnect_text(id)
                        );
                        self.drop_peer(id);
                        return;
                    }
                    peer.add_known_tx(entry.hash);
                    transactions.push(*entry);
                }
                _ => tracing::debug!(target: "net", "Unknown inv type \"{entry}\" received from peer={id}"),
            }
        }
        if !blocks.is_empty() {
            self.inv_blocks(id, blocks);
        }
        if !transactions.is_empty() && !self.chain.tip.initial_download {
            let names = transactions.iter().map(|entry| (entry.hash, entry.kind() == Kind::Wtx)).collect();
            self.ask(Question::HaveTransactions(names), Continuation::InvTxs { peer: id, entries: transactions }, Some(id));
        }
    }

    fn inv_blocks(&mut self, id: PeerId, hashes: Vec<Hash>) {
        if hashes.iter().all(|hash| self.headers.get(hash).is_some()) {
            self.inv_blocks_checked(id, &hashes);
        } else {
            self.ask(Question::HeaderInfo(hashes.clone()), Continuation::InvBlocks { peer: id, hashes }, Some(id));
        }
    }

    pub(crate) fn inv_blocks_known(&mut self, id: PeerId, hashes: &[Hash], facts: &[Option<HeaderFacts>]) {
        for (hash, facts) in hashes.iter().zip(facts) {
            if let Some(facts) = facts
                && facts.tip.at.hash == *hash
            {
                self.headers.insert_bare(facts.tip.at);
            }
        }
        self.inv_blocks_checked(id, hashes);
    }

    fn inv_blocks_checked(&mut self, id: PeerId, hashes: &[Hash]) {
        let mut newest = None;
        for hash in hashes {
            let have = self.headers.get(hash).is_some();
            let text = if have { "have" } else { "new" };
            tracing::debug!(target: "net", "got inv: {} {text} peer={id}", Inventory::new(bulkhead_wire::inventory::BLOCK, *hash));
            self.update_availability(id, hash);
            if !have && !self.chain.loading && !self.block_requests.contains(hash) {
                newest = Some(*hash);
            }
        }
        let Some(newest) = newest else { return };
        let Some(peer) = self.peers.get(&id) else { return };
        let started = peer.sync_started;
        if !started && (peer.inv_triggered_getheaders || self.last_inv_block == Some(newest)) {
            return;
        }
        let height = self.chain.best_header.at.height;
        if self.maybe_send_getheaders(id, None, false, true) {
            tracing::debug!(target: "net", "getheaders ({height}) {} to peer={id}", hash_hex(&newest));
        }
        if !started {
            self.last_inv_block = Some(newest);
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.inv_triggered_getheaders = true;
            }
        }
    }

    pub(crate) fn inv_txs_known(&mut self, id: PeerId, entries: &[Inventory], have: &[bool]) {
        for (index, entry) in entries.iter().enumerate() {
            let have = have.get(index).copied().unwrap_or(false);
            let have = self.tx_announced(id, entry.hash, entry.kind() == Kind::Wtx, have);
            let text = if have { "have" } else { "new" };
            tracing::debug!(target: "net", "got inv: {entry} {text} peer={id}");
        }
    }

    pub(crate) fn on_notfound(&mut self, id: PeerId, entries: &[Inventory]) {
        // As many as we could have asked for at once.
        if entries.len() > 5000 + 16 {
            return;
        }
        for entry in entries.iter().filter(|entry| entry.is_transaction()) {
            self.tx_requests.failed(id, &entry.hash);
        }
    }
}
