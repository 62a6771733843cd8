//! The one word that names each process everywhere: binary, folder, policy file, log prefix.

use std::fmt;

/// A process of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Component {
    /// `bitcoin-node`, the supervisor.
    Node,
    /// `bitcoin-chain`.
    Chain,
    /// `bitcoin-net`.
    Net,
    /// `bitcoin-rpc`.
    Rpc,
    /// `bitcoin-wallet`.
    Wallet,
    /// `bitcoin-keystore`, one per loaded wallet.
    Keystore,
    /// `bitcoin-notify`.
    Notify,
    /// `bitcoin-gui`.
    Gui,
}

impl Component {
    /// Every component.
    pub const ALL: [Self; 8] =
        [Self::Node, Self::Chain, Self::Net, Self::Rpc, Self::Wallet, Self::Keystore, Self::Notify, Self::Gui];

    /// The word: "chain".
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Chain => "chain",
            Self::Net => "net",
            Self::Rpc => "rpc",
            Self::Wallet => "wallet",
            Self::Keystore => "keystore",
            Self::Notify => "notify",
            Self::Gui => "gui",
        }
    }

    /// The inverse of [`word`](Self::word).
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|component| component.word() == word)
    }

    /// The binary: "bitcoin-chain".
    #[must_use]
    pub fn binary(self) -> String {
        format!("bitcoin-{}", self.word())
    }
}

impl fmt::Display for Component {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}
