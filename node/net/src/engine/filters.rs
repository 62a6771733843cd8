//! Services for light clients: bloom filters (BIP 37) and block filters (BIP 157).

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::{Block, MerkleBlock, Transaction};
use bulkhead_wire::bloom::{BloomFilter, MAX_ELEMENT};
use bulkhead_wire::filters::{self as wire, BASIC, CHECKPOINT_INTERVAL, FilterRequest, MAX_FILTERS, MAX_HASHES};
use bulkhead_wire::message::hash_hex;
use bulkhead_wire::skim::strip_transaction;
use bulkhead_wire::{Inventory, Message, services};

use super::Engine;
use super::answers::Continuation;
use super::chain_view::{BlockFilter, FilterPart, HeaderFacts, Question};
use super::headers_index::Hash;
use super::peer::PeerId;
use super::serve::may_be_told;

/// What a peer wants of block filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Filters,
    Hashes,
    Checkpoints,
}

impl Wanted {
    fn most(self) -> u32 {
        match self {
            Self::Filters => MAX_FILTERS,
            Self::Hashes => MAX_HASHES,
            Self::Checkpoints => u32::MAX,
        }
    }
}

impl Engine {
    /// Whether the peer may use bloom filters; else it is disconnected.
    pub(crate) fn offers_bloom(&mut self, id: PeerId, command: &str) -> bool {
        let offered = self.peers.get(&id).is_some_and(|peer| peer.our_services & services::BLOOM != 0);
        if !offered {
            tracing::debug!(target: "net", "{command} received despite not offering bloom services, {}", self.disconnect_text(id));
            self.drop_peer(id);
        }
        offered
    }

    fn set_bloom(&mut self, id: PeerId, filter: Option<BloomFilter>) {
        if let Some(tx) = self.peers.get_mut(&id).and_then(|peer| peer.tx.as_mut()) {
            tx.bloom = filter;
            tx.relay = true;
        }
    }

    pub(crate) fn on_filterload(&mut self, id: PeerId, filter: BloomFilter) {
        if filter.is_allowed() {
            self.set_bloom(id, Some(filter));
        } else {
            self.misbehaving(id, "too-large bloom filter");
        }
    }

    pub(crate) fn on_filteradd(&mut self, id: PeerId, element: &[u8]) {
        let tx = self.peers.get_mut(&id).and_then(|peer| peer.tx.as_mut());
        let good = match tx {
            _ if element.len() > MAX_ELEMENT => false,
            Some(tx) => match &mut tx.bloom {
                Some(filter) => {
                    filter.insert(element);
                    true
                }
                None => false,
            },
            None => true,
        };
        if !good {
            self.misbehaving(id, "bad filteradd message");
        }
    }

    pub(crate) fn on_filterclear(&mut self, id: PeerId) {
        self.set_bloom(id, None);
    }

    /// Announces those of these transactions that match the peer's filter.
    pub(crate) fn announce_matching(&mut self, id: PeerId, entries: &[Inventory], found: &[Vec<u8>]) {
        let Some(tx) = self.peers.get_mut(&id).and_then(|peer| peer.tx.as_mut()) else { return };
        let mut matching = Vec::new();
        for (entry, bytes) in entries.iter().zip(found) {
            let Ok(transaction) = deserialize::<Transaction>(bytes) else { continue };
            if tx.bloom.as_mut().is_none_or(|filter| filter.matches(&transaction)) {
                tx.known.insert(entry.hash);
                matching.push(*entry);
            }
        }
        if !matching.is_empty() {
            self.send(id, &Message::Inv(matching));
        }
    }

    /// Sends a block as the peer's filter sees it, and the transactions that match. Nothing without a filter.
    pub(crate) fn send_filtered_block(&mut self, id: PeerId, bytes: &[u8]) {
        let tx = self.peers.get_mut(&id).and_then(|peer| peer.tx.as_mut());
        let Some(filter) = tx.and_then(|tx| tx.bloom.as_mut()) else { return };
        let Ok(block) = deserialize::<Block>(bytes) else {
            tracing::warn!(target: "net", "chain sent a malformed block");
            return;
        };
        let matching: Vec<&Transaction> = block.txdata.iter().filter(|tx| filter.matches(tx)).collect();
        let names: std::collections::HashSet<_> = matching.iter().map(|tx| tx.compute_txid()).collect();
        let bodies: Vec<Vec<u8>> = matching.iter().filter_map(|tx| strip_transaction(&serialize(*tx)).ok()).collect();
        let merkle = MerkleBlock::from_block_with_predicate(&block, |txid| names.contains(txid));
        self.send_raw(id, "merkleblock", serialize(&merkle));
        for body in bodies {
            self.send(id, &Message::Tx(body));
        }
    }

    pub(crate) fn on_filter_request(&mut self, id: PeerId, wanted: Wanted, request: FilterRequest) {
        let offered = self.peers.get(&id).is_some_and(|peer| peer.our_services & services::COMPACT_FILTERS != 0);
        if request.kind != BASIC || !offered {
            tracing::debug!(
                target: "net",
                "peer requested unsupported block filter type: {}, {}", request.kind, self.disconnect_text(id)
            );
            self.drop_peer(id);
            return;
        }
        let then = Continuation::FilterRange { peer: id, wanted, request };
        self.ask(Question::HeaderInfo(vec![request.stop]), then, Some(id));
    }

    pub(crate) fn filter_range_known(&mut self, id: PeerId, wanted: Wanted, request: FilterRequest, facts: Option<HeaderFacts>) {
        let best_time = self.chain.best_header.time;
        let Some(facts) = facts.filter(|facts| may_be_told(facts, best_time)) else {
            tracing::debug!(
                target: "net",
                "peer requested invalid block hash: {}, {}", hash_hex(&request.stop), self.disconnect_text(id)
            );
            self.drop_peer(id);
            return;
        };
        let stop = u32::try_from(facts.tip.at.height).unwrap_or(0);
        if request.start > stop {
            tracing::debug!(
                target: "net",
                "peer sent invalid getcfilters/getcfheaders with start height {} and stop height {stop}, {}",
                request.start, self.disconnect_text(id)
            );
            self.drop_peer(id);
            return;
        }
        let count = u64::from(stop - request.start) + 1;
        if count > u64::from(wanted.most()) {
            tracing::debug!(
                target: "net",
                "peer requested too many cfilters/cfheaders: {count} / {}, {}", wanted.most(), self.disconnect_text(id)
            );
            self.drop_peer(id);
            return;
        }
        match wanted {
            Wanted::Filters => self.ask_for_filters(id, request.start, request.stop, stop),
            Wanted::Hashes => {
                // The header before the first belongs to the answer.
                let question = Question::BlockFilters(request.start.saturating_sub(1), request.stop, FilterPart::Hashes);
                let then = Continuation::FilterHashes { peer: id, stop: request.stop, from_genesis: request.start == 0, count };
                self.ask(question, then, Some(id));
            }
            Wanted::Checkpoints => {
                let question = Question::BlockFilters(0, request.stop, FilterPart::Checkpoints);
                let then = Continuation::FilterCheckpoints { peer: id, stop: request.stop, count: stop / CHECKPOINT_INTERVAL };
                self.ask(question, then, Some(id));
            }
        }
    }

    fn ask_for_filters(&mut self, id: PeerId, from: u32, stop: Hash, stop_height: u32) {
        let question = Question::BlockFilters(from, stop, FilterPart::Contents);
        self.ask(question, Continuation::Filters { peer: id, from, stop, stop_height }, Some(id));
    }

    fn filters_missing(&self, what: &str, stop: &Hash) {
        tracing::debug!(
            target: "net",
            "Failed to find {what} in index: filter_type=basic, stop_hash={}", hash_hex(stop)
        );
    }

    pub(crate) fn filters_found(&mut self, id: PeerId, from: u32, stop: Hash, stop_height: u32, found: &[BlockFilter]) {
        if found.is_empty() {
            self.filters_missing("block filter", &stop);
            return;
        }
        for filter in found {
            self.send_raw(id, "cfilter", wire::filter(&filter.block, &filter.content));
        }
        let next = from.saturating_add(u32::try_from(found.len()).unwrap_or(u32::MAX));
        if next <= stop_height {
            self.ask_for_filters(id, next, stop, stop_height);
        }
    }

    pub(crate) fn filter_hashes_found(&mut self, id: PeerId, stop: Hash, from_genesis: bool, count: u64, found: &[BlockFilter]) {
        let (previous, rest) = match found.split_first() {
            Some((first, rest)) if !from_genesis => (first.header, rest),
            _ => ([0; 32], found),
        };
        let hashes: Vec<Hash> = rest.iter().map(|filter| filter.hash).collect();
        if u64::try_from(hashes.len()) != Ok(count) {
            self.filters_missing("block filter hashes", &stop);
            return;
        }
        self.send_raw(id, "cfheaders", wire::hashes(&stop, &previous, &hashes));
    }

    pub(crate) fn filter_checkpoints_found(&mut self, id: PeerId, stop: Hash, count: u32, found: &[BlockFilter]) {
        let headers: Vec<Hash> = found.iter().map(|filter| filter.header).collect();
        if u32::try_from(headers.len()) != Ok(count) {
            self.filters_missing("block filter header", &stop);
            return;
        }
        self.send_raw(id, "cfcheckpt", wire::checkpoints(&stop, &headers));
    }
}
