//! The model of the overview page.

/// One row of the process table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessRow {
    /// Name of the component, with the wallet's name for a key store.
    pub name: String,
    /// Process id as the supervisor sees it.
    pub pid: i64,
    /// User id.
    pub uid: i64,
    /// Effective capabilities, hex.
    pub capabilities: String,
    /// Whether no_new_privs is set.
    pub no_new_privs: bool,
    /// Seccomp mode (2: filter).
    pub seccomp: i64,
    /// Number of allowed system calls.
    pub system_calls: i64,
    /// Landlock ABI in force, 0 when none.
    pub landlock: i64,
    /// Number of open descriptors.
    pub descriptors: i64,
}

/// Everything the overview page shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// Name of the network.
    pub network: String,
    /// Height of the best block; `None` until the node answered.
    pub height: Option<i64>,
    /// Hash of the best block in display order.
    pub best_block: String,
    /// Number of connected peers.
    pub peers: u32,
    /// Trusted, pending and immature balance of all loaded wallets in satoshi; `None` without a wallet.
    pub balance: Option<(i64, i64, i64)>,
    /// The process table.
    pub processes: Vec<ProcessRow>,
    /// What the window says at the bottom.
    pub status: String,
}
