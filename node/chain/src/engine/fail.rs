//! Failures of the node itself, as opposed to refusals of blocks.

use bulkhead_consensus::{Reject, RejectKind};
use bulkhead_store::StoreError;

/// Why the engine could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Disk or database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The block breaks a rule.
    #[error("{0}")]
    Invalid(Reject),
    /// The node cannot go on; Core's text for the user.
    #[error("{0}")]
    Fatal(&'static str),
    /// The engine is stopping.
    #[error("interrupted")]
    Interrupted,
}

impl From<Reject> for EngineError {
    fn from(reject: Reject) -> Self {
        EngineError::Invalid(reject)
    }
}

impl EngineError {
    /// As a verdict for whoever sent the block.
    pub fn into_reject(self) -> Reject {
        match self {
            EngineError::Invalid(reject) => reject,
            other => Reject::new(RejectKind::System, "", other.to_string()),
        }
    }
}
