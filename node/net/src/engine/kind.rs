//! How a connection came to be (Core: `ConnectionType`).

use bulkhead_wire::{PROTOCOL_VERSION, WTXID_RELAY_VERSION};

/// Why we are connected to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionKind {
    /// The peer connected to us.
    Inbound,
    /// The user asked for it.
    Manual,
    /// Automatic, with everything.
    OutboundFullRelay,
    /// Automatic, blocks only.
    BlockRelay,
    /// Short-lived: is it there?
    Feeler,
    /// Short-lived: ask for addresses.
    AddrFetch,
    /// Short-lived: hand over one transaction of the user.
    PrivateBroadcast,
}

impl ConnectionKind {
    /// Core's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Manual => "manual",
            Self::OutboundFullRelay => "outbound-full-relay",
            Self::BlockRelay => "block-relay-only",
            Self::Feeler => "feeler",
            Self::AddrFetch => "addr-fetch",
            Self::PrivateBroadcast => "private-broadcast",
        }
    }

    /// Whether the peer connected to us.
    #[must_use]
    pub fn is_inbound(self) -> bool {
        self == Self::Inbound
    }

    /// An automatic connection of the lasting kinds.
    #[must_use]
    pub fn is_automatic(self) -> bool {
        matches!(self, Self::OutboundFullRelay | Self::BlockRelay)
    }

    /// Whether it counts against the limit of automatic connections.
    #[must_use]
    pub fn takes_outbound_slot(self) -> bool {
        !matches!(self, Self::Inbound | Self::Manual | Self::PrivateBroadcast)
    }

    /// The protocol version that we offer: to peers of private broadcast the same for all releases.
    #[must_use]
    pub fn offered_version(self) -> i32 {
        if self == Self::PrivateBroadcast { WTXID_RELAY_VERSION } else { PROTOCOL_VERSION }
    }

    /// Whether we insist that the peer offers what a full node offers.
    #[must_use]
    pub fn expects_services(self) -> bool {
        matches!(self, Self::OutboundFullRelay | Self::BlockRelay | Self::AddrFetch | Self::PrivateBroadcast)
    }
}
