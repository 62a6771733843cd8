//! What can go wrong on a control channel.

use crate::config::ConfigError;
use std::io;
use thiserror::Error;

/// A failure of the control channel. Every one of them is an error value for the caller; none is a panic.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The other side closed the channel, or died.
    #[error("the other end of the control channel is gone")]
    PeerGone,
    /// The kernel refused an operation on the channel.
    #[error("control channel: {0}")]
    Io(#[from] io::Error),
    /// A datagram that is no valid message.
    #[error("malformed control message: {0}")]
    Malformed(#[from] capnp::Error),
    /// A text that is not UTF-8.
    #[error("malformed control message: text is not UTF-8")]
    NotUtf8,
    /// A union member that this build does not know.
    #[error("control message of an unknown kind")]
    UnknownKind,
    /// A number that is infinite or none at all.
    #[error("control message with a number that is not finite")]
    NotFinite,
    /// Bytes after the end of the message.
    #[error("control message with {0} trailing bytes")]
    Trailing(usize),
    /// A message that does not fit one datagram.
    #[error("control message of {0} bytes exceeds the limit")]
    TooLarge(usize),
    /// A list longer than its bound.
    #[error("control message: list of {0} exceeds its bound")]
    ListTooLong(&'static str),
    /// The number of descriptors is not what the message announces.
    #[error("control message announces {announced} descriptors and carries {carried}")]
    DescriptorCount {
        /// What the message says.
        announced: usize,
        /// What came beside it.
        carried: usize,
    },
    /// A message that is legal only in another state.
    #[error("control message out of order, expected {0}")]
    OutOfOrder(&'static str),
    /// The configuration is for another component.
    #[error("configuration is for component {0}")]
    WrongComponent(String),
    /// The typed configuration does not decode.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A descriptor that this component needs did not come.
    #[error("descriptor {0} was not handed over")]
    MissingDescriptor(String),
    /// The supervisor refused a request.
    #[error("{message}")]
    Refused {
        /// RPC error code that suits, or 0.
        code: i32,
        /// The text for the user.
        message: String,
    },
    /// No policy exists for this component.
    #[error("no sandbox policy for component {0}")]
    NoPolicy(String),
    /// Confinement failed.
    #[error("{0}")]
    Sandbox(String),
}
