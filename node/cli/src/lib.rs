//! The command line client: options and arguments to a JSON-RPC request, the reply to text and exit code.
//!
//! Texts and exit codes are those of Core's bitcoin-cli.

pub mod connect;
pub mod convert;
pub mod credentials;
pub mod generate;
pub mod getinfo;
pub mod http;
pub mod ipc;
pub mod netinfo;
pub mod options;
pub mod pretty;
pub mod request;
pub mod terminal;

/// Why a call has no reply.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The server cannot be reached (now); `-rpcwait` tries again.
    #[error("{0}")]
    Connection(String),
    /// `-rpcwait` tried again until `-rpcwaittimeout`.
    #[error("timeout on transient error: {0}")]
    Timeout(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl CliError {
    /// Any other error.
    pub fn other(text: impl Into<String>) -> Self {
        Self::Other(text.into())
    }
}
