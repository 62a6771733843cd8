//! Which of our addresses a peer is told (Core: `GetLocalAddrForPeer`, `GetReachabilityFrom`).

use bitcoin::secp256k1::rand::Rng;
use bulkhead_wire::{Endpoint, NetAddr, Network};

use super::peer::{Peer, PeerId};
use super::{Engine, LOCAL_MANUAL};

/// How well a peer in a network can reach us at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    None,
    Unlikely,
    Ipv6Weak,
    Ipv4,
    Ipv6Strong,
    Private,
}

fn is_private(network: Network) -> bool {
    matches!(network, Network::Onion | Network::I2p | Network::Cjdns)
}

fn reach(ours: &NetAddr, theirs: Network) -> Reach {
    if !ours.is_routable() {
        return Reach::None;
    }
    match (ours.class(), theirs) {
        (Network::Ipv4, Network::I2p | Network::Cjdns) => Reach::Unlikely,
        (Network::Ipv4, _) => Reach::Ipv4,
        (Network::Ipv6, Network::Ipv6) => Reach::Ipv6Strong,
        (Network::Ipv6, Network::Unroutable) => Reach::Ipv6Weak,
        (ours, theirs) if ours == theirs && is_private(ours) => Reach::Private,
        (Network::Onion, Network::Unroutable) => Reach::Private,
        _ => Reach::Unlikely,
    }
}

impl Engine {
    /// Our address as we tell it to a peer: none without `-listen`, and none that nobody could reach.
    pub(crate) fn local_for(&mut self, id: PeerId) -> Option<Endpoint> {
        if !self.config.listen {
            return None;
        }
        let roll: u8 = self.rng.r#gen();
        let peer = self.peers.get(&id)?;
        let best = self.best_local(peer);
        let told = best.map_or_else(|| Endpoint::new(NetAddr::NONE, self.config.listen_port), |(at, _)| at);
        // Now and then, what the peer believes of us: it may know better.
        let often = if best.is_some_and(|(_, score)| score > LOCAL_MANUAL) { 8 } else { 2 };
        let told = match self.seen_by(peer) {
            Some(seen) if best.is_none() || roll.is_multiple_of(often) => {
                Endpoint::new(seen.addr, if peer.kind.is_inbound() { seen.port } else { told.port })
            }
            _ => told,
        };
        if !told.addr.is_routable() {
            return None;
        }
        tracing::debug!(target: "net", "Advertising address {told} to peer={id}");
        Some(told)
    }

    /// What the peer calls us, if it can be true.
    fn seen_by(&self, peer: &Peer) -> Option<Endpoint> {
        let usable = |seen: &Endpoint| seen.addr.is_routable() && self.is_reachable(&seen.addr);
        peer.addr_local.filter(|seen| self.config.discover && peer.addr.addr.is_routable() && usable(seen))
    }

    /// The address that suits the peer best, with its score. Who is reached through a network that hides us hears of
    /// no address outside of it, and the other way round.
    fn best_local(&self, peer: &Peer) -> Option<(Endpoint, i32)> {
        let theirs = peer.network();
        self.local_addresses
            .iter()
            .filter(|(addr, _)| addr.class() == theirs || !(is_private(theirs) || is_private(addr.class())))
            .map(|(addr, (port, score))| (reach(addr, theirs), *score, Endpoint::new(*addr, *port)))
            .filter(|(reach, ..)| *reach > Reach::None)
            .max_by_key(|(reach, score, _)| (*reach, *score))
            .map(|(_, score, endpoint)| (endpoint, score))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::super::kind::ConnectionKind;
    use super::super::tests::{connect, engine};
    use super::*;

    const ONION: &str = "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion:8333";

    fn endpoint(text: &str) -> Endpoint {
        Endpoint::parse(text, 0).unwrap()
    }

    #[test]
    fn no_address_crosses_the_border_of_a_hiding_network() {
        let mut engine = engine();
        let id = connect(&mut engine, ConnectionKind::Inbound);
        assert_eq!(engine.local_for(id), None);
        engine.add_local(endpoint(ONION), LOCAL_MANUAL);
        assert_eq!(engine.local_for(id), None);
        engine.add_local(endpoint("8.8.8.8:1"), 1);
        assert_eq!(engine.local_for(id), Some(endpoint("8.8.8.8:1")));
        engine.peers.get_mut(&id).unwrap().inbound_onion = true;
        assert_eq!(engine.local_for(id), Some(endpoint(ONION)));
        engine.config.listen = false;
        assert_eq!(engine.local_for(id), None);
    }

    #[test]
    fn what_the_peer_sees_is_told_when_we_know_nothing_better() {
        let mut engine = engine();
        engine.config.discover = true;
        let id = connect(&mut engine, ConnectionKind::OutboundFullRelay);
        engine.peers.get_mut(&id).unwrap().addr_local = Some(endpoint("7.7.7.7:99"));
        let told = engine.local_for(id).unwrap();
        assert_eq!((told.addr, told.port), (endpoint("7.7.7.7:99").addr, engine.config.listen_port));
    }
}
