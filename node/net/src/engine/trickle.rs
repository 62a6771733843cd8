//! Announcing transactions, asking for them, and telling our fee filter.

use bitcoin::secp256k1::rand::Rng;
use bulkhead_wire::inventory::{BLOCK, TX, WITNESS_FLAG, WTX};
use bulkhead_wire::message::{MAX_INV, hash_hex};
use bulkhead_wire::{FEEFILTER_VERSION, Inventory, Message, services};

use super::answers::Continuation;
use super::chain_view::{AcceptedTx, Question};
use super::headers_index::Hash;
use super::kind::ConnectionKind;
use super::peer::PeerId;
use super::permission::Permissions;
use super::{Engine, SECOND};

const INBOUND_INTERVAL: i64 = 5 * SECOND;
const OUTBOUND_INTERVAL: i64 = 2 * SECOND;
/// Transactions announced at once when few wait.
const TARGET: usize = 70;
/// Transactions announced at once at most.
const MAX_AT_ONCE: usize = 1000;
/// Entries of one request.
const MAX_GETDATA: usize = 1000;
/// Transactions that chain is asked for at once.
const MAX_FETCHED: usize = 1000;
const FILTER_INTERVAL: i64 = 600 * SECOND;
const FILTER_CHANGE_DELAY: i64 = 300 * SECOND;
/// Steps of the fee filter: from half of 100 satoshi up to 0.1 coin by factors of 1.1.
const FILTER_LEAST: f64 = 50.0;
const FILTER_MOST: f64 = 1e7;

/// Satoshis for `vsize` at `rate` per 1000 vbyte, rounded up.
fn fee(rate: i64, vsize: u32) -> i64 {
    (rate.saturating_mul(i64::from(vsize)) + 999) / 1000
}

/// Rounds a fee rate to a coarse step, so that it does not identify us (Core: `FeeFilterRounder`).
fn round_filter(rate: i64, keep: bool) -> i64 {
    #[allow(clippy::cast_precision_loss)]
    let rate = rate as f64;
    let mut steps = vec![0.0];
    let mut step = FILTER_LEAST;
    while step <= FILTER_MOST {
        steps.push(step);
        step *= 1.1;
    }
    let at = steps.iter().position(|step| *step >= rate).unwrap_or(steps.len());
    let at = if at == steps.len() || (at > 0 && !keep) { at - 1 } else { at };
    // Below 10^7, so the cast is exact after truncation.
    #[allow(clippy::cast_possible_truncation)]
    let rounded = steps[at] as i64;
    rounded
}

impl Engine {
    pub(crate) fn maybe_send_inventory(&mut self, id: PeerId) {
        let (now, sequence) = (self.now, self.mempool.sequence);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let mut entries: Vec<Inventory> =
            std::mem::take(&mut peer.announce_inv).into_iter().map(|hash| Inventory::new(BLOCK, hash)).collect();
        let inbound = peer.kind.is_inbound();
        let mut trickle = peer.may(Permissions::NO_BAN);
        if peer.tx.as_ref().is_some_and(|tx| tx.next_send < now) {
            trickle = true;
            let next = if inbound { self.next_inbound_time() } else { now + self.exponential(OUTBOUND_INTERVAL) };
            if let Some(tx) = self.peers.get_mut(&id).and_then(|peer| peer.tx.as_mut()) {
                tx.next_send = next.max(1);
            }
        }
        if trickle {
            self.answer_mempool_request(id);
            let transactions = self.transactions_to_announce(id);
            if let Some(tx) = self.peers.get_mut(&id).and_then(|peer| peer.tx.as_mut()) {
                tx.last_sequence = sequence;
                if tx.bloom.is_none() {
                    entries.extend(transactions);
                } else {
                    self.announce_by_filter(id, transactions);
                }
            }
        }
        for part in entries.chunks(MAX_INV) {
            self.send(id, &Message::Inv(part.to_vec()));
        }
    }

    /// One timer for all inbound peers, so that connecting twice does not help to find the origin of a transaction.
    fn next_inbound_time(&mut self) -> i64 {
        if self.next_inbound_send < self.now {
            self.next_inbound_send = self.now + self.exponential(INBOUND_INTERVAL);
        }
        self.next_inbound_send
    }

    /// What the peer is told now: parents before children, and otherwise by fee rate, so that the order says nothing of when
    /// we heard of a transaction.
    fn transactions_to_announce(&mut self, id: PeerId) -> Vec<Inventory> {
        let Some(peer) = self.peers.get_mut(&id) else { return Vec::new() };
        let wtxid_relay = peer.wtxid_relay;
        let Some(tx) = &mut peer.tx else { return Vec::new() };
        if !tx.relay {
            tx.to_send.clear();
            return Vec::new();
        }
        let most = (TARGET + tx.to_send.len() / 1000 * 5).min(MAX_AT_ONCE);
        let mut waiting: Vec<AcceptedTx> = tx.to_send.iter().filter_map(|wtxid| self.mempool.by_wtxid(wtxid)).collect();
        waiting.sort_unstable_by_key(|info| (info.ancestors, std::cmp::Reverse(info.fee_rate), info.wtxid));
        // What is no longer in the mempool is not worth a message.
        tx.to_send.retain(|wtxid| self.mempool.by_wtxid(wtxid).is_some());
        let mut out = Vec::new();
        for info in waiting {
            if out.len() >= most {
                break;
            }
            tx.to_send.remove(&info.wtxid);
            let entry = if wtxid_relay { Inventory::new(WTX, info.wtxid) } else { Inventory::new(TX, info.txid) };
            let rate = i64::try_from(info.fee_rate).unwrap_or(i64::MAX);
            if tx.known.contains(&entry.hash) || fee(rate, info.vsize) < fee(tx.fee_filter, info.vsize) {
                continue;
            }
            if tx.bloom.is_none() {
                tx.known.insert(entry.hash);
            }
            out.push(entry);
        }
        out
    }

    /// Announces what matches the peer's filter: chain has the transactions.
    fn announce_by_filter(&mut self, id: PeerId, entries: Vec<Inventory>) {
        for part in entries.chunks(MAX_FETCHED) {
            let names = part.iter().map(|entry| (entry.hash, entry.kind == WTX)).collect();
            let then = Continuation::Matching { peer: id, entries: part.to_vec() };
            self.ask(Question::Transactions(names, u64::MAX), then, Some(id));
        }
    }

    pub(crate) fn on_mempool(&mut self, id: PeerId) {
        let reached = self.upload_reached(false);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let permitted = peer.may(Permissions::MEMPOOL);
        let refused = if permitted {
            None
        } else if peer.our_services & services::BLOOM == 0 {
            Some("bloom filters disabled")
        } else {
            reached.then_some("bandwidth limit reached")
        };
        if let Some(why) = refused {
            if !peer.may(Permissions::NO_BAN) {
                tracing::debug!(target: "net", "mempool request with {why}, {}", self.disconnect_text(id));
                self.drop_peer(id);
            }
            return;
        }
        if let Some(tx) = &mut peer.tx {
            tx.send_mempool = true;
        }
    }

    fn answer_mempool_request(&mut self, id: PeerId) {
        let Some(tx) = self.peers.get_mut(&id).and_then(|peer| peer.tx.as_mut()) else { return };
        if std::mem::take(&mut tx.send_mempool) {
            let least = u64::try_from(tx.fee_filter).unwrap_or(0);
            self.ask(Question::MempoolIds(least), Continuation::Mempool { peer: id }, None);
        }
    }

    pub(crate) fn mempool_listed(&mut self, id: PeerId, wtxids: &[Hash]) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let wtxid_relay = peer.wtxid_relay;
        let Some(tx) = &mut peer.tx else { return };
        let mut entries = Vec::new();
        for wtxid in wtxids {
            let info = self.mempool.by_wtxid(wtxid);
            let entry = match info {
                _ if wtxid_relay => Inventory::new(WTX, *wtxid),
                Some(info) => Inventory::new(TX, info.txid),
                None => continue,
            };
            tx.to_send.remove(wtxid);
            entries.push(entry);
        }
        if tx.bloom.is_some() {
            self.announce_by_filter(id, entries);
            return;
        }
        for entry in &entries {
            tx.known.insert(entry.hash);
        }
        for part in entries.chunks(MAX_INV) {
            self.send(id, &Message::Inv(part.to_vec()));
        }
    }

    pub(crate) fn maybe_request_transactions(&mut self, id: PeerId) {
        let now = self.now;
        for (peer, due) in self.tx_requests.advance(now) {
            let kind = if due.by_wtxid { "wtx" } else { "tx" };
            tracing::debug!(target: "net", "timeout of inflight {kind} {} from peer={peer}", hash_hex(&due.hash));
        }
        let Some(peer) = self.peers.get(&id) else { return };
        let by_txid = if peer.can_serve_witnesses() { TX | WITNESS_FLAG } else { TX };
        let mut entries = Vec::new();
        for due in self.tx_requests.due(id) {
            if self.tx_is_known(&due.hash, false) {
                self.tx_requests.forget(&due.hash);
                continue;
            }
            let kind = if due.by_wtxid { "wtx" } else { "tx" };
            tracing::debug!(target: "net", "Requesting {kind} {} peer={id}", hash_hex(&due.hash));
            self.tx_requests.requested(id, &due.hash, now);
            entries.push(Inventory::new(if due.by_wtxid { WTX } else { by_txid }, due.hash));
        }
        for part in entries.chunks(MAX_GETDATA) {
            self.send(id, &Message::GetData(part.to_vec()));
        }
    }

    pub(crate) fn maybe_send_fee_filter(&mut self, id: PeerId) {
        const MAX_MONEY: i64 = 21_000_000 * 100_000_000;
        let now = self.now;
        let highest = round_filter(MAX_MONEY, true);
        let initial = self.chain.tip.initial_download;
        let current = if initial { MAX_MONEY } else { i64::try_from(self.chain.mempool_min_fee).unwrap_or(MAX_MONEY) };
        let least = self.config.min_relay_fee;
        // A pool that asks for no more than everybody does not show that it has room.
        let current = if current <= least { 0 } else { current };
        let ignores = self.config.blocks_only;
        let keep = self.rng.gen_range(0..3) == 0;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if ignores
            || peer.common_version < FEEFILTER_VERSION
            || peer.may(Permissions::FORCE_RELAY)
            || peer.is(ConnectionKind::BlockRelay)
        {
            return;
        }
        if !initial && peer.fee_filter_sent == highest {
            // Out of initial download: tell at once that transactions are welcome.
            peer.next_fee_filter = 0;
        }
        if now > peer.next_fee_filter {
            let filter = round_filter(current, keep).max(least);
            let changed = filter != peer.fee_filter_sent;
            peer.fee_filter_sent = filter;
            if changed {
                self.send(id, &Message::FeeFilter(filter));
            }
            let next = now + self.exponential(FILTER_INTERVAL);
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.next_fee_filter = next;
            }
        } else if now + FILTER_CHANGE_DELAY < peer.next_fee_filter
            && (current < peer.fee_filter_sent / 4 * 3 || current > peer.fee_filter_sent / 3 * 4)
        {
            peer.next_fee_filter = now + self.rng.gen_range(0..FILTER_CHANGE_DELAY);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn filter_steps_are_below_or_at_the_rate() {
        assert_eq!(round_filter(0, true), 0);
        assert_eq!(round_filter(21_000_000 * 100_000_000, true), round_filter(21_000_000 * 100_000_000, false));
        assert!(round_filter(1000, false) <= 1000 && round_filter(1000, false) > 900);
        assert!(round_filter(1000, true) >= 1000);
    }
}
