//! Why the node can't start or must stop.

use thiserror::Error;

/// The text that goes to stderr after "Error: "; the exit code is 1.
#[derive(Debug, Error)]
pub(crate) enum NodeError {
    /// A condition that Core knows too, in its words.
    #[error("{0}")]
    Init(String),
    /// An operation of the system that has no text of its own in Core.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Confinement or the birth of a process.
    #[error(transparent)]
    Sandbox(#[from] bulkhead_sandbox::SandboxError),
    /// A control channel.
    #[error(transparent)]
    Control(#[from] bulkhead_control::ControlError),
}

impl NodeError {
    /// An error of the system with its context.
    pub(crate) fn system(what: impl Into<String>, source: impl Into<std::io::Error>) -> Self {
        Self::System { what: what.into(), source: source.into() }
    }
}

/// A start-up error in Core's words.
pub(crate) fn init(text: impl Into<String>) -> NodeError {
    NodeError::Init(text.into())
}
