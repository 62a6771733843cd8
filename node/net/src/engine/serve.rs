//! Answering requests: headers, block hashes, blocks and transactions.

use bulkhead_wire::inventory::BLOCK;
use bulkhead_wire::message::{Locator, MAX_HEADERS, MAX_INV, MAX_LOCATOR, hash_hex};
use bulkhead_wire::skim::{self, header_hash, strip_block, strip_transaction};
use bulkhead_wire::{Inventory, Kind, Message, services};

use super::Engine;
use super::answers::Continuation;
use super::chain_view::{HeaderFacts, Question};
use super::headers_index::Hash;
use super::kind::ConnectionKind;
use super::peer::PeerId;
use super::permission::Permissions;

/// Transactions that are fetched from chain in one go.
const TX_BATCH: usize = 100;
/// Hashes in one answer to `getblocks`.
const MAX_HASHES: u32 = 500;
/// Blocks off the main chain are served only while they are younger than this, seconds.
const STALE_AGE_LIMIT: i64 = 30 * 24 * 60 * 60;
/// Older blocks count against the upload target, seconds.
const HISTORICAL_AGE: i64 = 7 * 24 * 60 * 60;
/// A pruned node serves this many blocks below its tip, and two to spare.
const LIMITED_DEPTH: i32 = 290;

/// Whether peers may learn of a block: it is in the active chain, or it was validated fully and is not so old that knowing
/// it would identify us (Core: `BlockRequestAllowed`).
pub(crate) fn may_be_told(facts: &HeaderFacts, best_time: i64) -> bool {
    facts.active || (facts.valid && best_time - facts.tip.time < STALE_AGE_LIMIT)
}

fn stop_text(stop: &Hash) -> String {
    if *stop == [0; 32] { "end".to_owned() } else { hash_hex(stop) }
}

impl Engine {
    pub(crate) fn on_getdata(&mut self, id: PeerId, entries: Vec<Inventory>) {
        if entries.len() > MAX_INV {
            self.misbehaving(id, &format!("getdata message size = {}", entries.len()));
            return;
        }
        tracing::debug!(target: "net", "received getdata ({} invsz) peer={id}", entries.len());
        if let Some(first) = entries.first() {
            tracing::debug!(target: "net", "received getdata for: {first} peer={id}");
        }
        if self.peers.get(&id).is_some_and(|peer| peer.is(ConnectionKind::PrivateBroadcast)) {
            self.serve_private(id, &entries);
            return;
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.getdata.extend(entries);
        }
    }

    /// Works on the front of the peer's requests: some transactions, or one block.
    pub(crate) fn serve_getdata(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let wanted = peer.getdata.iter().take(TX_BATCH).take_while(|entry| entry.is_transaction()).count();
        if wanted > 0 {
            let entries: Vec<Inventory> = peer.getdata.drain(..wanted).collect();
            if peer.tx.is_some() {
                let names = entries.iter().map(|entry| (entry.hash, entry.kind() == Kind::Wtx)).collect();
                let before = peer.tx.as_ref().map_or(0, |tx| tx.last_sequence);
                self.ask(Question::Transactions(names, before), Continuation::ServeTxs { peer: id, entries }, Some(id));
            }
            return;
        }
        let Some(entry) = peer.getdata.pop_front() else { return };
        let newest = self.recent_block.as_ref().filter(|recent| recent.at.hash == entry.hash);
        if let Some(recent) = newest.filter(|recent| entry.is_block() && recent.at.hash == self.chain.tip.at.hash) {
            // The tip needs no question to chain.
            let bytes = std::rc::Rc::clone(&recent.bytes);
            let facts = HeaderFacts { tip: self.chain.tip, have_data: true, active: true, valid: true, had_data: true };
            self.block_found(id, entry, Some(facts), &bytes);
        } else if entry.is_block() {
            self.ask(Question::Block(entry.hash), Continuation::ServeBlock { peer: id, entry }, Some(id));
        }
    }

    pub(crate) fn transactions_found(&mut self, id: PeerId, entries: &[Inventory], found: Vec<Vec<u8>>) {
        let (mut missing, mut seen) = (Vec::new(), Vec::new());
        let mut found = found.into_iter();
        for entry in entries {
            let Some(bytes) = found.next().filter(|bytes| !bytes.is_empty()) else {
                missing.push(*entry);
                continue;
            };
            if let Ok(names) = skim::transaction(&bytes) {
                seen.push(names.txid);
            }
            let served = if entry.kind() == Kind::Tx { strip_transaction(&bytes).ok() } else { Some(bytes) };
            match served {
                Some(bytes) => self.send(id, &Message::Tx(bytes)),
                None => missing.push(*entry),
            }
        }
        if !seen.is_empty() {
            self.ask(Question::BroadcastSeen(seen), Continuation::Nothing, None);
        }
        if !missing.is_empty() {
            self.send(id, &Message::NotFound(missing));
        }
    }

    pub(crate) fn block_found(&mut self, id: PeerId, entry: Inventory, facts: Option<HeaderFacts>, block: &[u8]) {
        let Some(facts) = facts else { return };
        let Some(peer) = self.peers.get(&id) else { return };
        if !may_be_told(&facts, self.chain.best_header.time) {
            tracing::debug!(
                target: "net",
                "ProcessGetBlockData: ignoring request from peer={id} for old block that isn't in the main chain"
            );
            return;
        }
        let historical = self.chain.best_header.time - facts.tip.time > HISTORICAL_AGE;
        if (historical || entry.kind() == Kind::FilteredBlock) && !peer.may(Permissions::DOWNLOAD) && self.upload_reached(true) {
            tracing::debug!(target: "net", "historical block serving limit reached, {}", self.disconnect_text(id));
            self.drop_peer(id);
            return;
        }
        let pruned = peer.our_services & services::NETWORK == 0 && peer.our_services & services::NETWORK_LIMITED != 0;
        let depth = self.chain.tip.at.height - facts.tip.at.height;
        if pruned && depth > LIMITED_DEPTH && !peer.may(Permissions::NO_BAN) {
            tracing::debug!(
                target: "net",
                "Ignore block request below NODE_NETWORK_LIMITED threshold, {}", self.disconnect_text(id)
            );
            self.drop_peer(id);
            return;
        }
        if !facts.have_data || block.is_empty() {
            return;
        }
        match entry.kind() {
            Kind::CompactBlock if self.serves_compact(facts.tip.at.height) => {
                let recent = self.recent_block.as_ref().filter(|recent| recent.at.hash == entry.hash);
                match recent.map(super::compact::RecentBlock::body) {
                    Some(body) => {
                        self.send_raw(id, "cmpctblock", body);
                    }
                    None => self.send_compact(id, block),
                }
            }
            Kind::WitnessBlock | Kind::CompactBlock => self.send(id, &Message::Block(block.to_vec())),
            Kind::FilteredBlock => self.send_filtered_block(id, block),
            Kind::Block => match strip_block(block) {
                Ok(bytes) => self.send(id, &Message::Block(bytes)),
                Err(error) => tracing::warn!(target: "net", "chain sent a malformed block: {error}"),
            },
            _ => {}
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.continuation == Some(entry.hash) {
            peer.continuation = None;
            let tip = self.chain.tip.at.hash;
            self.send(id, &Message::Inv(vec![Inventory::new(BLOCK, tip)]));
        }
    }

    fn locator_too_long(&mut self, id: PeerId, command: &str, locator: &Locator) -> bool {
        let size = locator.have.len();
        let too_long = size > MAX_LOCATOR;
        if too_long {
            tracing::debug!(target: "net", "{command} locator size {size} > {MAX_LOCATOR}, {}", self.disconnect_text(id));
            self.drop_peer(id);
        }
        too_long
    }

    pub(crate) fn on_getheaders(&mut self, id: PeerId, locator: Locator) {
        if self.locator_too_long(id, "getheaders", &locator) {
            return;
        }
        if self.chain.loading {
            // Core lets it fall. What we know of chain is a moment old, so the import may be over: answered when it is.
            tracing::debug!(target: "net", "Ignoring getheaders from peer={id} while importing/reindexing");
            // An import may take hours: who left is forgotten, so that there are never more of them than peers.
            self.getheaders_while_loading.retain(|id, _| self.peers.contains_key(id));
            self.getheaders_while_loading.insert(id, locator);
            return;
        }
        let trusted = self.peers.get(&id).is_some_and(|peer| peer.may(Permissions::DOWNLOAD));
        if !self.chain.has_minimum_work() && !trusted {
            tracing::debug!(
                target: "net",
                "Ignoring getheaders from peer={id} because active chain has too little work; sending empty response"
            );
            self.send(id, &Message::Headers(Ok(Vec::new())));
            return;
        }
        self.find_headers(id, locator, false);
    }

    /// Answers who asked while chain was importing: the newest question of each peer.
    pub(crate) fn serve_waiting_getheaders(&mut self) {
        for (id, locator) in std::mem::take(&mut self.getheaders_while_loading) {
            if self.peers.contains_key(&id) {
                self.on_getheaders(id, locator);
            }
        }
    }

    fn find_headers(&mut self, id: PeerId, locator: Locator, again: bool) {
        let limit = u32::try_from(MAX_HEADERS).unwrap_or(u32::MAX);
        let question = Question::FindHeaders(locator.have.clone(), locator.stop, limit);
        self.ask(question, Continuation::ServeHeaders { peer: id, locator, again }, Some(id));
    }

    pub(crate) fn headers_found(&mut self, id: PeerId, headers: Vec<[u8; 80]>, locator: Locator, again: bool) {
        let (by_hash, stop) = (locator.have.is_empty(), locator.stop);
        if by_hash && headers.is_empty() {
            // Core stays silent about a block that it does not know or does not tell.
            return;
        }
        let first = headers.first().map(header_hash).and_then(|hash| self.headers.get(&hash));
        let height = match first {
            Some(at) => at.height,
            None if headers.is_empty() => -1,
            // A run that ends at the tip can be counted back from there.
            None if headers.len() < MAX_HEADERS => self.chain.tip.at.height - i32::try_from(headers.len()).unwrap_or(0) + 1,
            None => 0,
        };
        tracing::debug!(target: "net", "getheaders {height} to {} from peer={id}", stop_text(&stop));
        let last = headers.last().map(header_hash);
        let cut = headers.len() >= MAX_HEADERS || last == Some(stop);
        if !cut && !again && last.is_some_and(|last| last != self.chain.tip.at.hash) {
            // The tip has changed since chain looked, and the peer has been told: it must not hear an older answer after that.
            self.find_headers(id, locator, true);
            return;
        }
        // Deliberately not the maximum of old and new: after this answer the peer knows no more than this.
        let sent = match last {
            Some(last) if cut => self.headers.get(&last),
            _ => Some(self.chain.tip.at),
        };
        if !cut && last == Some(self.chain.tip.at.hash) {
            self.headers.insert_run(&headers, self.chain.tip.at);
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.best_sent = sent;
        }
        self.send(id, &Message::Headers(Ok(headers)));
    }

    pub(crate) fn on_getblocks(&mut self, id: PeerId, locator: Locator) {
        if self.locator_too_long(id, "getblocks", &locator) {
            return;
        }
        let then = Continuation::ServeHashes { peer: id, stop: locator.stop };
        self.ask(Question::FindHashes(locator.have, locator.stop, MAX_HASHES), then, Some(id));
    }

    pub(crate) fn hashes_found(&mut self, id: PeerId, hashes: Vec<Hash>, stop: Hash) {
        let height = hashes.first().and_then(|hash| self.headers.get(hash)).map_or(-1, |at| at.height);
        tracing::debug!(target: "net", "getblocks {height} to {} limit {MAX_HASHES} from peer={id}", stop_text(&stop));
        let limit = usize::try_from(MAX_HASHES).unwrap_or(usize::MAX);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        for hash in hashes.iter().take(limit) {
            if *hash == stop {
                tracing::debug!(target: "net", " getblocks stopping at {}", hash_hex(hash));
                return;
            }
            peer.announce_inv.push(*hash);
        }
        if hashes.len() >= limit {
            peer.continuation = hashes.get(limit - 1).copied();
        }
    }
}
