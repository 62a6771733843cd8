//! The handshake of transaction reconciliation (BIP 330, `-txreconciliation`). As in Core, nothing is reconciled yet.

use bitcoin::secp256k1::rand::Rng;
use bulkhead_wire::{Reader, WTXID_RELAY_VERSION};

use super::Engine;
use super::kind::ConnectionKind;
use super::peer::PeerId;

/// Version that we speak.
const VERSION: u32 = 1;

/// How far the two sides agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Reconciliation {
    /// We did not offer it, or gave it up.
    #[default]
    None,
    /// We did.
    Offered,
    /// The peer did, too.
    Agreed,
}

impl Engine {
    /// Offers it to a peer whose `version` came.
    pub(crate) fn maybe_offer_reconciliation(&mut self, id: PeerId) {
        let salt: u64 = self.rng.r#gen();
        let enabled = self.config.tx_reconciliation && !self.config.blocks_only;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let relays = peer.tx.as_ref().is_some_and(|tx| tx.relay);
        if !enabled || peer.common_version < WTXID_RELAY_VERSION || !relays || peer.kind == ConnectionKind::AddrFetch {
            return;
        }
        peer.reconciliation = Reconciliation::Offered;
        tracing::debug!(target: "txreconciliation", "Pre-register peer={id}");
        self.send_raw(id, "sendtxrcncl", [&VERSION.to_le_bytes()[..], &salt.to_le_bytes()].concat());
    }

    pub(crate) fn on_sendtxrcncl(&mut self, id: PeerId, body: &[u8]) {
        if !self.config.tx_reconciliation {
            tracing::debug!(
                target: "net",
                "sendtxrcncl from peer={id} ignored, as our node does not have txreconciliation enabled"
            );
            return;
        }
        let rejects = self.rejects_transactions(id);
        let text = self.disconnect_text(id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let problem = if peer.handshaken {
            Some("sendtxrcncl received after verack")
        } else if rejects {
            Some("sendtxrcncl received to which we indicated no tx relay")
        } else if !peer.tx.as_ref().is_some_and(|tx| tx.relay) {
            Some("sendtxrcncl received which indicated no tx relay to us")
        } else {
            None
        };
        if let Some(problem) = problem {
            tracing::debug!(target: "net", "{problem}, {text}");
            self.drop_peer(id);
            return;
        }
        let mut reader = Reader::new(body);
        let version = match reader.u32().and_then(|version| reader.u64().map(|_| version)) {
            Ok(version) => version,
            Err(error) => {
                tracing::debug!(
                    target: "net",
                    "ProcessMessages(sendtxrcncl, {} bytes): Exception '{error}: iostream error' (std::ios_base::failure) caught",
                    body.len()
                );
                return;
            }
        };
        match peer.reconciliation {
            Reconciliation::None => {
                tracing::debug!(target: "net", "Ignore unexpected txreconciliation signal from peer={id}");
            }
            Reconciliation::Agreed => {
                tracing::debug!(
                    target: "net",
                    "txreconciliation protocol violation (sendtxrcncl received from already registered peer), {text}"
                );
                self.drop_peer(id);
            }
            Reconciliation::Offered if version == 0 => {
                tracing::debug!(target: "net", "txreconciliation protocol violation, {text}");
                self.drop_peer(id);
            }
            Reconciliation::Offered => {
                peer.reconciliation = Reconciliation::Agreed;
                let inbound = u8::from(peer.kind.is_inbound());
                tracing::debug!(target: "txreconciliation", "Register peer={id} (inbound={inbound})");
            }
        }
    }

    /// At `verack`, or when the peer is gone: without agreement there is nothing to remember.
    pub(crate) fn settle_reconciliation(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let agreed = peer.reconciliation == Reconciliation::Agreed && peer.wtxid_relay;
        if !agreed && std::mem::take(&mut peer.reconciliation) != Reconciliation::None {
            tracing::debug!(target: "txreconciliation", "Forget txreconciliation state of peer={id}");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::super::tests::{connect, engine, push, sent, version};
    use super::*;
    use bulkhead_wire::Message;

    fn offer() -> [u8; 12] {
        [1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]
    }

    fn begun() -> (Engine, PeerId) {
        let mut engine = engine();
        engine.config.tx_reconciliation = true;
        let id = connect(&mut engine, ConnectionKind::Inbound);
        push(&mut engine, id, &version());
        (engine, id)
    }

    #[test]
    fn offered_before_verack_and_agreed_once() {
        let (mut engine, id) = begun();
        let commands = sent(&engine.take_effects());
        assert_eq!(commands, ["version", "wtxidrelay", "sendaddrv2", "sendtxrcncl", "verack"]);
        engine.on_sendtxrcncl(id, &offer());
        assert_eq!(engine.peers[&id].reconciliation, Reconciliation::Agreed);
        engine.on_sendtxrcncl(id, &offer());
        assert!(engine.peers[&id].disconnect);
    }

    #[test]
    fn forgotten_at_verack_without_wtxidrelay() {
        let (mut engine, id) = begun();
        engine.on_sendtxrcncl(id, &offer());
        push(&mut engine, id, &Message::Verack);
        assert_eq!(engine.peers[&id].reconciliation, Reconciliation::None);
        engine.on_sendtxrcncl(id, &offer());
        assert!(engine.peers[&id].disconnect);
    }
}
