//! Latency probes.

use bitcoin::secp256k1::rand::Rng;
use bulkhead_wire::{BIP0031_VERSION, Message};

use super::kind::ConnectionKind;
use super::peer::PeerId;
use super::{Engine, SECOND};

/// Between two pings.
const PING_INTERVAL: i64 = 120 * SECOND;
/// A pong that takes longer ends the connection.
const PING_TIMEOUT: i64 = 20 * 60 * SECOND;

impl Engine {
    /// Asks every peer for a pong (the `ping` RPC).
    pub fn ping_all(&mut self) {
        for peer in self.peers.values_mut() {
            peer.ping_queued = true;
        }
        self.send_all();
    }

    pub(crate) fn maybe_ping(&mut self, id: PeerId) {
        let checks = self.runs_inactivity_checks(id);
        let now = self.now;
        let nonce = self.rng.gen_range(1..=u64::MAX);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if checks && peer.ping_nonce != 0 && now > peer.ping_start + PING_TIMEOUT {
            let micros = now - peer.ping_start;
            tracing::debug!(
                target: "net",
                "ping timeout: {}.{:06}s, {}", micros / SECOND, micros % SECOND, self.disconnect_text(id)
            );
            self.drop_peer(id);
            return;
        }
        let due = peer.ping_nonce == 0 && now > peer.ping_start + PING_INTERVAL;
        if !peer.ping_queued && !due {
            return;
        }
        peer.ping_queued = false;
        peer.ping_start = now;
        let with_nonce = peer.common_version > BIP0031_VERSION;
        peer.ping_nonce = if with_nonce { nonce } else { 0 };
        self.send(id, &Message::Ping(with_nonce.then_some(nonce)));
    }

    pub(crate) fn on_pong(&mut self, id: PeerId, nonce: Option<u64>, length: usize, received: i64) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let expected = peer.ping_nonce;
        let (finished, problem) = match nonce {
            None => (true, "Short payload"),
            Some(_) if expected == 0 => (false, "Unsolicited pong without ping"),
            Some(found) if found == expected => {
                let taken = received - peer.ping_start;
                if taken >= 0 {
                    peer.last_ping = taken;
                    peer.min_ping = peer.min_ping.min(taken);
                    if peer.is(ConnectionKind::PrivateBroadcast) {
                        self.private_arrived(id);
                    }
                    (true, "")
                } else {
                    (true, "Timing mishap")
                }
            }
            Some(0) => (true, "Nonce zero"),
            Some(_) => (false, "Nonce mismatch"),
        };
        if !problem.is_empty() {
            tracing::debug!(
                target: "net",
                "pong peer={id}: {problem}, {expected:x} expected, {:x} received, {length} bytes", nonce.unwrap_or(0)
            );
        }
        if finished && let Some(peer) = self.peers.get_mut(&id) {
            peer.ping_nonce = 0;
        }
    }
}
