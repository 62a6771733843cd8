//! Sending transactions of the user over connections that serve nothing else (`-privatebroadcast`; Core:
//! `net_processing.cpp`, `net.cpp`).
//!
//! # Correctness
//! A peer of such a connection learns one transaction and nothing else of us: what we say of ourselves is the same for all
//! nodes, nothing but what the transfer needs is sent, and what it says changes no state that others can see.

use bitcoin::secp256k1::rand::seq::SliceRandom;
use bulkhead_wire::message::hash_hex;
use bulkhead_wire::skim::{self, TxNames};
use bulkhead_wire::version::Version;
use bulkhead_wire::{DecodeError, Endpoint, Inventory, Message, Network, PeerAddress, WTXID_RELAY_VERSION, inventory};

use super::answers::Continuation;
use super::chain_view::{Question, Verdict};
use super::headers_index::Hash;
use super::kind::ConnectionKind;
use super::peer::PeerId;
use super::private_queue::{Addition, MAX_TRANSACTIONS, PrivateQueue, Queued};
use super::{Effect, Engine, SECOND};

/// Peers that a transaction is sent to, unless it comes back sooner.
const PEERS_PER_TRANSACTION: usize = 3;
/// Such connections at once.
const MAX_CONNECTIONS: usize = 64;
/// A connection must be done after so long.
const MAX_LIFETIME: i64 = 3 * 60 * SECOND;
/// Addresses that are looked at before giving up for now.
const MAX_TRIES: usize = 100;
/// Neither ours nor the user's (Core's constant).
const USER_AGENT: &[u8] = b"/pynode:0.0.1/";

/// Queue, and connections to come.
#[derive(Debug, Default)]
pub(crate) struct PrivateBroadcast {
    queue: PrivateQueue,
    /// Connections to open.
    to_open: usize,
    /// A peer behind the onion proxy has answered: it is Tor, so it hides us from other networks, too.
    onion_proxy_works: bool,
}

/// What became of a transaction of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivateOutcome {
    /// It is, or was, queued.
    Queued,
    /// There are too many.
    Full,
    /// No network that hides us can be reached.
    Unreachable,
}

/// The connection to make next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivateChoice {
    /// None is wanted.
    Nothing,
    /// No network that hides us can be reached.
    NoNetwork,
    /// No address fits for now.
    NoAddress,
    /// This one.
    Peer {
        /// To whom.
        address: PeerAddress,
        /// Through the onion proxy, whatever the network.
        over_onion: bool,
    },
}

fn names_text(names: &TxNames) -> String {
    format!("txid={}, wtxid={}", hash_hex(&names.txid), hash_hex(&names.wtxid))
}

/// Whether a message may go to such a peer.
pub(super) fn may_send(command: &str) -> bool {
    matches!(command, "version" | "verack" | "inv" | "tx" | "ping")
}

/// What we say of ourselves.
pub(super) fn version(nonce: u64) -> Version {
    Version {
        version: WTXID_RELAY_VERSION,
        services: 0,
        time: 0,
        receiver_services: 0,
        receiver: Endpoint::NONE,
        nonce,
        user_agent: USER_AGENT.to_vec(),
        height: 0,
        relay: false,
    }
}

impl Engine {
    fn open_private(&mut self, count: usize) {
        self.private.to_open += count;
        if self.private.to_open > 0 {
            self.effects.push(Effect::PrivateWanted);
        }
    }

    /// Takes a transaction of the user that chain has found to be acceptable.
    ///
    /// # Errors
    /// It is malformed.
    pub fn broadcast_privately(&mut self, bytes: Vec<u8>) -> Result<PrivateOutcome, DecodeError> {
        let names = skim::facts(&bytes)?.names;
        let hides = |network: &Network| matches!(network, Network::Onion | Network::I2p);
        if !self.config.reachable.iter().any(hides) {
            return Ok(PrivateOutcome::Unreachable);
        }
        let text = names_text(&names);
        Ok(match self.private.queue.add(names, bytes, self.now) {
            Addition::Added => {
                tracing::debug!(
                    target: "privatebroadcast",
                    "Requesting {PEERS_PER_TRANSACTION} new connections due to {text}"
                );
                self.open_private(PEERS_PER_TRANSACTION);
                PrivateOutcome::Queued
            }
            Addition::Present => {
                tracing::debug!(
                    target: "privatebroadcast",
                    "Ignoring unnecessary request to schedule an already scheduled transaction: {text}"
                );
                PrivateOutcome::Queued
            }
            Addition::Full => {
                tracing::debug!(
                    target: "privatebroadcast",
                    "Rejecting private broadcast, queue full (cap={MAX_TRANSACTIONS}): {text}"
                );
                PrivateOutcome::Full
            }
        })
    }

    /// What is being broadcast.
    pub fn private_broadcasts(&self) -> impl Iterator<Item = &Queued> {
        self.private.queue.iter()
    }

    /// Forgets all transactions with this txid or wtxid; gives them.
    pub fn abort_private(&mut self, id: &Hash) -> Vec<Queued> {
        let named = |queued: &&Queued| queued.names.txid == *id || queued.names.wtxid == *id;
        let wtxids: Vec<Hash> = self.private.queue.iter().filter(named).map(|queued| queued.names.wtxid).collect();
        wtxids.iter().filter_map(|wtxid| self.forget_private(wtxid)).collect()
    }

    /// Connections for it that were not made yet are not needed any more.
    fn forget_private(&mut self, wtxid: &Hash) -> Option<Queued> {
        let removed = self.private.queue.remove(wtxid)?;
        let spare = PEERS_PER_TRANSACTION.saturating_sub(removed.confirmations());
        self.private.to_open = self.private.to_open.saturating_sub(spare);
        Some(removed)
    }

    /// A transaction came from a peer: if it is one of ours, the network has it.
    pub(crate) fn private_came_back(&mut self, id: PeerId, names: &TxNames) {
        if self.forget_private(&names.wtxid).is_some()
            && let Some(peer) = self.peers.get(&id)
        {
            tracing::debug!(
                target: "privatebroadcast",
                "Received our privately broadcast transaction (txid={}) from the network from {}; stopping private broadcast attempts",
                hash_hex(&names.txid), self.log_peer(peer)
            );
        }
    }

    /// Looks which transactions must be tried again, and whether there is still a point. Called every few minutes.
    pub fn retry_private(&mut self) {
        let stale: Vec<(TxNames, Vec<u8>)> =
            self.private.queue.stale(self.now).into_iter().map(|queued| (queued.names, queued.bytes.clone())).collect();
        for (names, bytes) in stale {
            self.ask(Question::TestTransaction(bytes), Continuation::Retry { names }, None);
        }
    }

    pub(crate) fn retry_judged(&mut self, names: &TxNames, verdict: &Verdict) {
        let (txid, wtxid) = (hash_hex(&names.txid), hash_hex(&names.wtxid));
        if verdict.accepted {
            tracing::debug!(target: "privatebroadcast", "Reattempting broadcast of stale txid={txid} wtxid={wtxid}");
            self.open_private(1);
        } else {
            tracing::debug!(
                target: "privatebroadcast",
                "Giving up broadcast attempts for txid={txid} wtxid={wtxid}: {}", verdict.text()
            );
            self.private.queue.remove(&names.wtxid);
        }
    }

    /// The connection to make now. `onion_proxy`: there is a proxy for onion addresses.
    pub fn choose_private(&mut self, onion_proxy: bool) -> PrivateChoice {
        if self.private.to_open == 0 || self.count_kind(ConnectionKind::PrivateBroadcast) >= MAX_CONNECTIONS {
            return PrivateChoice::Nothing;
        }
        let over_onion = |network: &Network| matches!(network, Network::Ipv4 | Network::Ipv6);
        let onion = self.config.reachable.contains(&Network::Onion);
        let clearnet = onion && onion_proxy && self.private.onion_proxy_works;
        let mut networks = self.config.reachable.clone();
        networks.retain(|network| matches!(network, Network::Onion | Network::I2p) || (clearnet && over_onion(network)));
        let now = self.seconds();
        for _ in 0..MAX_TRIES {
            let Some(network) = networks.choose(&mut self.rng).copied() else { return PrivateChoice::NoNetwork };
            let selected = self.addrman.select(false, &[network], now);
            if let Some((address, _)) = selected.filter(|(address, _)| !self.is_local(&address.endpoint)) {
                return PrivateChoice::Peer { address, over_onion: over_onion(&network) };
            }
        }
        PrivateChoice::NoAddress
    }

    /// How many connections are still to be made after an attempt.
    pub fn private_attempted(&mut self, opened: bool) -> usize {
        self.private.to_open = self.private.to_open.saturating_sub(usize::from(opened));
        self.private.to_open
    }

    pub(crate) fn note_onion_proxy(&mut self, id: PeerId) {
        let onion = self.peers.get(&id).is_some_and(|peer| !peer.kind.is_inbound() && peer.addr.addr.network() == Network::Onion);
        self.private.onion_proxy_works |= onion;
    }

    pub(crate) fn private_version_came(&mut self, id: PeerId, relays: bool) {
        if relays {
            self.send(id, &Message::Verack);
            return;
        }
        self.end_private(id, "does not support transaction relay (connected in vain)");
    }

    /// The peer is ready: tell it of a transaction.
    pub(crate) fn send_private(&mut self, id: PeerId) {
        let now = self.now;
        let Some(peer) = self.peers.get(&id) else { return };
        let shown = self.log_peer(peer);
        let Some(queued) = self.private.queue.pick(id, peer.addr, now) else {
            self.end_private(id, "no more transactions for private broadcast (connected in vain)");
            return;
        };
        let names = queued.names;
        let wtxid = if names.wtxid == names.txid { String::new() } else { format!(", wtxid={}", hash_hex(&names.wtxid)) };
        tracing::debug!(
            target: "privatebroadcast",
            "P2P handshake completed, sending INV for txid={}{wtxid}, {shown}", hash_hex(&names.txid)
        );
        self.send(id, &Message::Inv(vec![Inventory::new(inventory::TX, names.txid)]));
    }

    /// The peer asks for something; it may only be what it was told of.
    pub(crate) fn serve_private(&mut self, id: PeerId, entries: &[Inventory]) {
        let Some(queued) = self.private.queue.of_peer(id) else {
            self.end_private(id, "got GETDATA without sending an INV");
            return;
        };
        let [entry] = entries else {
            self.end_private(id, "got an unexpected GETDATA message");
            return;
        };
        // Without the flag for witnesses: we said that we have no services, that one included.
        if entry.kind != inventory::TX || entry.hash != queued.names.txid {
            self.end_private(id, "got an unexpected GETDATA message");
            return;
        }
        let bytes = queued.bytes.clone();
        self.send_raw(id, "tx", bytes);
        if let Some(peer) = self.peers.get_mut(&id) {
            // The pong will tell that the transaction arrived.
            peer.ping_queued = true;
        }
        self.maybe_ping(id);
    }

    /// The peer answered the ping that followed the transaction.
    pub(crate) fn private_arrived(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get(&id) else { return };
        tracing::debug!(
            target: "privatebroadcast",
            "Got a PONG (the transaction will probably reach the network), marking for disconnect, {}", self.log_peer(peer)
        );
        self.private.queue.confirm(id, self.now);
        self.drop_peer(id);
    }

    /// Ends a connection that takes too long.
    pub(crate) fn watch_private(&mut self, id: PeerId) {
        if self.peers.get(&id).is_some_and(|peer| peer.connected_at + MAX_LIFETIME < self.now) {
            let text = format!("did not complete the transaction send within {} seconds", MAX_LIFETIME / SECOND);
            self.end_private(id, &text);
        }
    }

    fn end_private(&mut self, id: PeerId, why: &str) {
        if let Some(peer) = self.peers.get(&id) {
            tracing::debug!(target: "privatebroadcast", "Disconnecting: {why}, {}", self.log_peer(peer));
        }
        self.drop_peer(id);
    }

    /// A connection is over; another one takes its place if it was of no use.
    pub(crate) fn private_closed(&mut self, id: PeerId) {
        let another = !self.private.queue.is_confirmed(id) && !self.private.queue.is_empty();
        self.open_private(usize::from(another));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::super::chain_view::{Answer, VerdictKind};
    use super::super::tests::{START, asked, connect, engine, push, sent, version as theirs};
    use super::*;
    use bulkhead_wire::{Message, services};

    /// A transaction with one input and one output; its names.
    fn transaction(number: u8) -> (Vec<u8>, TxNames) {
        let mut bytes = vec![2, 0, 0, 0, 1];
        bytes.extend([number; 36]);
        bytes.extend([0, 0xff, 0xff, 0xff, 0xff, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x51, 0, 0, 0, 0]);
        let names = skim::facts(&bytes).unwrap().names;
        (bytes, names)
    }

    fn reachable(networks: &[Network]) -> Engine {
        let mut engine = engine();
        engine.config.reachable = networks.to_vec();
        engine
    }

    fn queued(engine: &mut Engine, number: u8) -> TxNames {
        let (bytes, names) = transaction(number);
        assert_eq!(engine.broadcast_privately(bytes), Ok(PrivateOutcome::Queued));
        names
    }

    fn peer(engine: &mut Engine) -> PeerId {
        let id = connect(engine, ConnectionKind::PrivateBroadcast);
        engine.tick();
        push(engine, id, &theirs());
        push(engine, id, &Message::WtxidRelay);
        push(engine, id, &Message::Verack);
        id
    }

    fn is_open(engine: &Engine, id: PeerId) -> bool {
        engine.peers.get(&id).is_some_and(|peer| !peer.disconnect)
    }

    fn get(names: &TxNames) -> Message {
        Message::GetData(vec![Inventory::new(inventory::TX, names.txid)])
    }

    fn pong(engine: &mut Engine, id: PeerId) {
        let nonce = engine.peers.get(&id).unwrap().ping_nonce;
        push(engine, id, &Message::Pong(Some(nonce), 8));
    }

    #[test]
    fn whole_transfer_sends_five_messages_and_no_more() {
        let mut engine = reachable(&[Network::Onion]);
        let names = queued(&mut engine, 1);
        assert!(engine.take_effects().contains(&Effect::PrivateWanted));
        let id = peer(&mut engine);
        push(&mut engine, id, &Message::Ping(Some(5)));
        push(&mut engine, id, &Message::GetAddr);
        push(&mut engine, id, &get(&names));
        engine.set_now(START + SECOND);
        pong(&mut engine, id);
        assert_eq!(sent(&engine.take_effects()), ["version", "verack", "inv", "tx", "ping"]);
        assert!(!is_open(&engine, id));
        let before = engine.private.to_open;
        engine.closed(id, "");
        assert_eq!(engine.private.to_open, before);
        let shown: Vec<&Queued> = engine.private_broadcasts().collect();
        assert_eq!(shown[0].attempts[0].confirmed, Some(START + SECOND));
    }

    #[test]
    fn peer_that_wants_something_else_is_left_and_replaced() {
        let mut engine = reachable(&[Network::Onion]);
        let names = queued(&mut engine, 1);
        let other = TxNames { txid: [9; 32], ..names };
        let witness = Message::GetData(vec![Inventory::new(inventory::TX | inventory::WITNESS_FLAG, names.txid)]);
        for request in [get(&other), witness, Message::GetData(Vec::new())] {
            let id = peer(&mut engine);
            let before = engine.private.to_open;
            push(&mut engine, id, &request);
            assert!(!is_open(&engine, id));
            engine.closed(id, "");
            assert_eq!(engine.private.to_open, before + 1);
        }
        assert!(!sent(&engine.take_effects()).contains(&"tx".to_owned()));
    }

    #[test]
    fn slow_peers_and_those_without_relay_are_left() {
        let mut engine = reachable(&[Network::Onion]);
        queued(&mut engine, 1);
        let id = peer(&mut engine);
        engine.set_now(START + MAX_LIFETIME + 1);
        engine.tick();
        assert!(!is_open(&engine, id));
        let id = connect(&mut engine, ConnectionKind::PrivateBroadcast);
        engine.tick();
        let Message::Version(mut silent) = theirs() else { panic!() };
        silent.relay = false;
        push(&mut engine, id, &Message::Version(silent));
        assert!(!is_open(&engine, id));
    }

    #[test]
    fn what_comes_back_is_done_and_what_is_aborted_too() {
        let mut engine = reachable(&[Network::Onion]);
        let names = queued(&mut engine, 1);
        queued(&mut engine, 2);
        let other = connect(&mut engine, ConnectionKind::OutboundFullRelay);
        engine.private_came_back(other, &names);
        assert_eq!((engine.private_broadcasts().count(), engine.private.to_open), (1, PEERS_PER_TRANSACTION));
        let second = transaction(2).1;
        assert_eq!(engine.abort_private(&second.txid).len(), 1);
        assert!(engine.abort_private(&second.txid).is_empty());
        assert_eq!(engine.choose_private(true), PrivateChoice::Nothing);
    }

    #[test]
    fn stale_transactions_are_tried_again_while_chain_would_take_them() {
        let mut engine = reachable(&[Network::Onion]);
        queued(&mut engine, 1);
        queued(&mut engine, 2);
        engine.private.to_open = 0;
        engine.take_effects().clear();
        engine.retry_private();
        assert!(asked(&engine.take_effects()).is_empty());
        engine.set_now(START + 3600 * SECOND);
        engine.retry_private();
        let questions = asked(&engine.take_effects());
        let refused = Verdict { kind: VerdictKind::Conflict, reason: "txn-already-in-mempool".into(), ..Verdict::default() };
        engine.answer(questions[0].0, Answer::Tested(Verdict { accepted: true, ..Verdict::default() }));
        engine.answer(questions[1].0, Answer::Tested(refused));
        assert_eq!((engine.private_broadcasts().count(), engine.private.to_open), (1, 1));
    }

    #[test]
    fn only_networks_that_hide_us_are_used() {
        let mut engine = reachable(&[Network::Ipv4]);
        assert_eq!(engine.broadcast_privately(transaction(1).0), Ok(PrivateOutcome::Unreachable));
        assert!(engine.broadcast_privately(vec![1]).is_err());
        let mut engine = reachable(&[Network::Ipv4, Network::Onion]);
        let now = START / SECOND;
        let endpoint = Endpoint::parse("5.6.7.8", 8333).unwrap();
        let address = PeerAddress { time: u32::try_from(now).unwrap(), services: services::NETWORK, endpoint };
        assert!(engine.addrman.add(&[address], &endpoint.addr, 0, now));
        queued(&mut engine, 1);
        assert_eq!(engine.choose_private(true), PrivateChoice::NoAddress);
        engine.private.onion_proxy_works = true;
        assert_eq!(engine.choose_private(false), PrivateChoice::NoAddress);
        let chosen = engine.choose_private(true);
        assert!(matches!(chosen, PrivateChoice::Peer { over_onion: true, .. }));
        assert_eq!([engine.private_attempted(false), engine.private_attempted(true)], [3, 2]);
    }
}
