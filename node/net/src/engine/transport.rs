//! The transport of each connection: which one it is, its handshake, and the way back to v1.

use bulkhead_wire::v2::Secrets;
use bulkhead_wire::{Transport, services};

use super::peer::{NewPeer, Peer, PeerId};
use super::{Effect, Engine};

/// A v1 peer that got this much of our v2 handshake has seen a whole message header, and hangs up.
const V1_HEADER: u64 = 24;

impl Engine {
    /// Whether we speak the v2 transport (`-v2transport`).
    #[must_use]
    pub fn speaks_v2(&self) -> bool {
        self.config.services & services::P2P_V2 != 0
    }

    pub(super) fn transport_for(&mut self, new: &NewPeer) -> Transport {
        let inbound = new.kind.is_inbound();
        if (inbound && self.speaks_v2()) || (!inbound && new.v2) {
            Transport::v2(self.config.magic, !inbound, Secrets::random(&mut self.rng))
        } else {
            Transport::v1(self.config.magic)
        }
    }

    /// A message as it goes over the wire to this peer; `None` when the peer is gone. Messages must be sent in the
    /// order of the calls.
    pub fn encode(&mut self, id: PeerId, command: &str, body: &[u8]) -> Option<Vec<u8>> {
        self.peers.get_mut(&id)?.transport.encode(command, body)
    }

    /// Sends what the transport has to say by itself, and then the messages that had to wait for it.
    pub(super) fn send_handshake(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let bytes = peer.transport.take_handshake();
        if !bytes.is_empty() {
            self.effects.push(Effect::Handshake { peer: id, bytes });
        }
        if peer.transport.is_ready() {
            let unsent = std::mem::take(&mut peer.unsent);
            self.effects.extend(unsent.into_iter().map(|(command, body)| Effect::Send { peer: id, command, body }));
        }
    }

    /// A peer that hung up on our v2 handshake without a word may speak v1 only.
    pub(super) fn maybe_reconnect(&mut self, gone: &Peer) {
        if !self.network_active || !gone.transport.heard_nothing() || gone.handshake_sent < V1_HEADER {
            return;
        }
        tracing::debug!(target: "net", "retrying with v1 transport protocol for peer={}", gone.id);
        let (addr, destination, kind) = (gone.addr, gone.destination.clone(), gone.kind);
        self.effects.push(Effect::Reconnect { addr, destination, kind, over_onion: gone.over_onion });
    }
}

impl Peer {
    /// Bytes of the transport's own handshake went out.
    pub(super) fn handshake_went_out(&mut self, count: u64) {
        if self.handshake_sent == 0 && !self.transport.is_ready() {
            tracing::debug!(target: "net", "start sending v2 handshake to peer={}", self.id);
        }
        self.handshake_sent += count;
    }
}
