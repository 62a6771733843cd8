//! The table of options: names, parameters, categories and flags are Bitcoin Core's; the texts are ours.

mod chain;
mod connection;
mod debug;
mod general;
mod rpc;
mod wallet;

/// Where `-help` lists an option, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Category {
    Options,
    Connection,
    Wallet,
    WalletDebugTest,
    Zmq,
    DebugTest,
    ChainParams,
    NodeRelay,
    BlockCreation,
    Rpc,
    CliCommands,
    Ipc,
    Hidden,
}

/// Properties of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// Nothing special.
    pub const ANY: Self = Self(0);
    /// Shown by `-help-debug` only.
    pub const DEBUG_ONLY: Self = Self(1);
    /// In the default section of bitcoin.conf it counts for main only.
    pub const NETWORK_ONLY: Self = Self(2);
    /// The value never reaches the log.
    pub const SENSITIVE: Self = Self(4);
    /// `-nofoo` is an error.
    pub const NO_NEGATION: Self = Self(8);
    /// `-foo` without a value is an error.
    pub const NO_ELISION: Self = Self(16);

    /// Whether all of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One option.
#[derive(Clone, Debug)]
pub struct Opt {
    /// With its dash.
    pub name: &'static str,
    /// "=<n>", or empty.
    pub parameter: &'static str,
    /// For the user.
    pub help: &'static str,
    /// Properties.
    pub flags: Flags,
    /// Where it is listed.
    pub category: Category,
}

impl Opt {
    /// An option without properties.
    #[must_use]
    pub const fn new(name: &'static str, parameter: &'static str, category: Category, help: &'static str) -> Self {
        Self { name, parameter, help, flags: Flags::ANY, category }
    }

    /// With one more property.
    #[must_use]
    pub const fn with(mut self, flags: Flags) -> Self {
        self.flags = self.flags.and(flags);
        self
    }

    /// An option that is tolerated and not shown.
    #[must_use]
    pub const fn hidden(name: &'static str) -> Self {
        Self::new(name, "", Category::Hidden, "")
    }
}

/// Everything that `bitcoin-node` takes.
pub const NODE: &[&[Opt]] = &[
    general::TABLE,
    connection::TABLE,
    wallet::TABLE,
    debug::TABLE,
    debug::LOGGING,
    chain::TABLE,
    rpc::TABLE,
    rpc::ZMQ,
    general::HIDDEN,
];

/// `-help` and its spellings, for other programs.
pub const HELP: &[Opt] = general::HELP;
/// Chain selection, for other programs.
pub const CHAIN_SELECTION: &[Opt] = chain::SELECTION;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn test_tables_name_each_option_once() {
        let mut names = BTreeSet::new();
        for option in NODE.iter().copied().flatten() {
            assert!(option.name.starts_with('-') && !option.name.contains('='), "{}", option.name);
            assert!(names.insert(option.name), "{} twice", option.name);
            assert_eq!(option.help.is_empty(), option.category == Category::Hidden, "{}", option.name);
        }
    }
}
