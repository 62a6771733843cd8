//! Announcing transactions, asking for them, and telling our fee filter.

use bitcoin::secp256k1::rand::Rng;
use bulkhead_wire::inventory::{BLOCK, TX, WITNESS_FLAG, WTX};
use bulkhead_wire::message::MAX_INV;
use bulkhead_wire::{FEEFILTER_VERSION, Inventory, Message, services};

use super::answers::Continuation;
use super::chain_view::Question;
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
            entries.extend(self.transactions_to_announce(id));
            if let Some(tx) = self.peers.get_mut(&id).and_then(|peer| peer.tx.as_mut()) {
                tx.last_sequence = sequence;
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

    fn transactions_to_announce(&mut self, id: PeerId) -> Vec<Inventory> {
        let mut out = Vec::new();
        let Some(peer) = self.peers.get_mut(&id) else { return out };
        let wtxid_relay = peer.wtxid_relay;
        let Some(tx) = &mut peer.tx else { return out };
        if !tx.relay {
            tx.to_send.clear();
            return out;
        }
        let most = (TARGET + tx.to_send.len() / 1000 * 5).min(MAX_AT_ONCE);
        while out.len() < most {
            let Some((sequence, wtxid)) = tx.to_send.pop_first() else { break };
            let Some(info) = self.mempool.by_sequence(sequence) else { continue };
            let entry = if wtxid_relay { Inventory::new(WTX, wtxid) } else { Inventory::new(TX, info.txid) };
            let rate = i64::try_from(info.fee_rate).unwrap_or(i64::MAX);
            if tx.known.contains(&entry.hash) || fee(rate, info.vsize) < fee(tx.fee_filter, info.vsize) {
                continue;
            }
            tx.known.insert(entry.hash);
            out.push(entry);
        }
        out
    }

    pub(crate) fn on_mempool(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.our_services & services::BLOOM == 0 && !peer.may(Permissions::MEMPOOL) {
            if !peer.may(Permissions::NO_BAN) {
                tracing::debug!(target: "net", "mempool request with bloom filters disabled, {}", self.disconnect_text(id));
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
            let info = self.mempool.by_hash(wtxid);
            let entry = match info {
                _ if wtxid_relay => Inventory::new(WTX, *wtxid),
                Some((_, info)) => Inventory::new(TX, info.txid),
                None => continue,
            };
            if let Some((sequence, _)) = info {
                tx.to_send.remove(&sequence);
            }
            tx.known.insert(entry.hash);
            entries.push(entry);
        }
        for part in entries.chunks(MAX_INV) {
            self.send(id, &Message::Inv(part.to_vec()));
        }
    }

    pub(crate) fn maybe_request_transactions(&mut self, id: PeerId) {
        let now = self.now;
        loop {
            let due = self.tx_requests.due(id, now, MAX_GETDATA);
            let Some(peer) = self.peers.get(&id).filter(|_| !due.is_empty()) else { return };
            let by_txid = if peer.can_serve_witnesses() { TX | WITNESS_FLAG } else { TX };
            let full = due.len() == MAX_GETDATA;
            let entries = due.into_iter().map(|(hash, wtxid)| Inventory::new(if wtxid { WTX } else { by_txid }, hash)).collect();
            self.send(id, &Message::GetData(entries));
            if !full {
                return;
            }
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
