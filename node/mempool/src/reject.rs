//! Why policy refuses a transaction.

/// What a refusal means for peers and for trying again (Core's `TxValidationResult` without its consensus parts).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Against consensus.
    Consensus,
    /// Not standard.
    NotStandard,
    /// An input's script is not standard.
    InputsNotStandard,
    /// Inputs unknown or spent.
    MissingInputs,
    /// Locked in time, or spends a young coinbase.
    PrematureSpend,
    /// The witness may have been changed on the way.
    WitnessMutated,
    /// The witness was stripped.
    WitnessStripped,
    /// Known already.
    Conflict,
    /// Against the pool's limits.
    MempoolPolicy,
    /// Fee too low alone; may pass in a package.
    Reconsiderable,
}

/// A refusal with Core's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Reject {
    /// What it means.
    pub kind: Kind,
    /// Short reason.
    pub reason: String,
    /// Longer text, may be empty.
    pub debug: String,
}

impl Reject {
    /// A refusal without longer text.
    pub fn new(kind: Kind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), debug: String::new() }
    }

    /// A refusal with longer text.
    pub fn with_debug(kind: Kind, reason: impl Into<String>, debug: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), debug: debug.into() }
    }
}

impl std::fmt::Display for Reject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.debug.is_empty() { f.write_str(&self.reason) } else { write!(f, "{}, {}", self.reason, self.debug) }
    }
}
