//! Why a header, block or transaction is refused.

use std::fmt;

/// What a refusal says about the sender and about trying again. Mirrors Core's `BlockValidationResult` and
/// `TxValidationResult` as far as validation (not policy) uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectKind {
    /// Provably invalid whatever the surroundings.
    Consensus,
    /// The body does not belong to the header; the header may still be good.
    Mutated,
    /// The header itself is invalid.
    InvalidHeader,
    /// Known to be invalid from before.
    CachedInvalid,
    /// The previous block is unknown.
    MissingPrevious,
    /// A previous block is invalid.
    InvalidPrevious,
    /// The time stamp is too far in the future: may become valid.
    TimeFuture,
    /// The chain of headers has too little work to be stored.
    LowWork,
    /// An input is missing or spent.
    MissingInputs,
    /// Spends a coinbase too early or a lock has not expired yet.
    PrematureSpend,
    /// Not a verdict about the block: the node itself failed (disk, database).
    System,
}

/// A refusal: kind, Core's short reason and its longer debug text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// What the refusal means for sender and retry.
    pub kind: RejectKind,
    /// Core's reject reason, such as `bad-txnmrklroot`.
    pub reason: String,
    /// Core's debug message; may be empty.
    pub debug: String,
}

impl Reject {
    /// Builds a refusal.
    pub fn new(kind: RejectKind, reason: impl Into<String>, debug: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), debug: debug.into() }
    }

    /// A refusal of kind [`RejectKind::Consensus`].
    pub fn consensus(reason: impl Into<String>, debug: impl Into<String>) -> Self {
        Self::new(RejectKind::Consensus, reason, debug)
    }

    /// A refusal of kind [`RejectKind::InvalidHeader`].
    pub fn header(reason: impl Into<String>, debug: impl Into<String>) -> Self {
        Self::new(RejectKind::InvalidHeader, reason, debug)
    }

    /// A refusal of kind [`RejectKind::Mutated`].
    pub fn mutated(reason: impl Into<String>, debug: impl Into<String>) -> Self {
        Self::new(RejectKind::Mutated, reason, debug)
    }
}

impl fmt::Display for Reject {
    /// Core's `ValidationState::ToString`: the reason, then the debug text if there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.debug.is_empty() { f.write_str(&self.reason) } else { write!(f, "{}, {}", self.reason, self.debug) }
    }
}

impl std::error::Error for Reject {}
