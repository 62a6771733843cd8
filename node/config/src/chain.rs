//! The chains and what depends on nothing but the chain.

/// A chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Chain {
    /// Bitcoin.
    #[default]
    Main,
    /// Testnet 3.
    Test,
    /// Testnet 4.
    Testnet4,
    /// Signet.
    Signet,
    /// Regression test.
    Regtest,
}

impl Chain {
    /// Every chain.
    pub const ALL: [Self; 5] = [Self::Main, Self::Test, Self::Testnet4, Self::Signet, Self::Regtest];

    /// The name in `-chain`, in sections of bitcoin.conf and in configurations of children.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Test => "test",
            Self::Testnet4 => "testnet4",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    /// The inverse of [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|chain| chain.name() == name)
    }

    /// The folder below the data directory; empty for main.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Test => "testnet3",
            Self::Testnet4 => "testnet4",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    /// The default RPC port.
    #[must_use]
    pub const fn rpc_port(self) -> u16 {
        match self {
            Self::Main => 8332,
            Self::Test => 18332,
            Self::Testnet4 => 48332,
            Self::Signet => 38332,
            Self::Regtest => 18443,
        }
    }

    /// The default P2P port; the onion port is the next one.
    #[must_use]
    pub const fn p2p_port(self) -> u16 {
        match self {
            Self::Main => 8333,
            Self::Test => 18333,
            Self::Testnet4 => 48333,
            Self::Signet => 38333,
            Self::Regtest => 18444,
        }
    }
}
