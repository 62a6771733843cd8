//! How a connection came to be (Core: `ConnectionType`).

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

    /// Whether we insist that the peer offers what a full node offers.
    #[must_use]
    pub fn expects_services(self) -> bool {
        matches!(self, Self::OutboundFullRelay | Self::BlockRelay | Self::AddrFetch)
    }
}
