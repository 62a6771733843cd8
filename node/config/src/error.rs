//! Why options could not be understood. The texts are Core's.

use thiserror::Error;

/// An option that is unknown, misused or contradictory.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum ArgsError {
    /// Not in the table, or written with a section.
    #[error("Invalid parameter {0}")]
    InvalidParameter(String),
    /// First word without a dash where commands exist.
    #[error("Invalid command '{0}'")]
    InvalidCommand(String),
    /// `-nofoo` for an option that can't be off.
    #[error("Negating of -{0} is meaningless and therefore forbidden")]
    NegationForbidden(String),
    /// `-foo` for an option that needs a value.
    #[error("Can not set -{0} with no value. Please specify value with -{0}=value.")]
    ValueNeeded(String),
    /// `-includeconf` belongs into the file.
    #[error("-includeconf cannot be used from commandline; -includeconf={0}")]
    IncludeconfOnCommandLine(String),
    /// More than one chain.
    #[error("Invalid combination of -regtest, -signet, -testnet, -testnet4 and -chain. Can use at most one.")]
    ChainCombination,
    /// `-chain=foo`.
    #[error("Unknown chain {0}.")]
    UnknownChain(String),
    /// Several of the options of which bitcoin-cli takes one.
    #[error("Only one of {0} may be specified.")]
    OnlyOne(String),
}
