//! Misbehaviour and its consequences.

use super::Engine;
use super::chain_view::{Verdict, VerdictKind};
use super::kind::ConnectionKind;
use super::peer::PeerId;
use super::permission::Permissions;

impl Engine {
    /// Marks the peer for disconnection and discouragement.
    pub(crate) fn misbehaving(&mut self, id: PeerId, text: &str) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.should_discourage = true;
            let shown = if text.is_empty() { String::new() } else { format!(": {text}") };
            tracing::debug!(target: "net", "Misbehaving: peer={id}{shown}");
        }
    }

    /// What a rejected block or header means for the peer that sent it.
    pub(crate) fn punish_for_block(&mut self, id: PeerId, verdict: &Verdict, via_compact: bool, text: &str) {
        let inbound = self.peers.get(&id).is_some_and(|peer| peer.kind.is_inbound());
        let punish = match verdict.kind {
            VerdictKind::Consensus | VerdictKind::Mutated => !via_compact,
            VerdictKind::CachedInvalid => !via_compact && !inbound,
            VerdictKind::InvalidHeader | VerdictKind::InvalidPrevious | VerdictKind::MissingPrevious => true,
            _ => false,
        };
        if punish {
            self.misbehaving(id, text);
        } else if !text.is_empty() {
            tracing::debug!(target: "net", "peer={id}: {text}");
        }
    }

    /// Carries out what [`Engine::misbehaving`] asked for.
    pub(crate) fn maybe_discourage(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if !peer.should_discourage {
            return;
        }
        peer.should_discourage = false;
        if peer.may(Permissions::NO_BAN) {
            tracing::warn!(target: "net", "Not punishing noban peer {id}!");
            return;
        }
        if peer.is(ConnectionKind::Manual) {
            tracing::warn!(target: "net", "Not punishing manually connected peer {id}!");
            return;
        }
        let addr = peer.addr.addr;
        if addr.is_local() {
            let what = if peer.inbound_onion { "inbound onion" } else { "local" };
            tracing::debug!(target: "net", "Warning: disconnecting but not discouraging {what} peer {id}!");
            self.drop_peer(id);
            return;
        }
        tracing::debug!(target: "net", "Disconnecting and discouraging peer {id}!");
        self.bans.discourage(&addr);
        self.disconnect_where(|peer| peer.addr.addr == addr);
    }
}
