//! The child of `echoipc`: says one text back.

use crate::birth::receive;
use crate::channel::send;
use crate::message::{FromChild, ToChild};
use crate::{ControlError, message::Command};
use nix::sys::socket::MsgFlags;
use std::os::fd::OwnedFd;

/// A control channel on which one text is echoed.
#[derive(Debug)]
pub struct Echo(OwnedFd);

impl Echo {
    /// Takes the inherited channel.
    ///
    /// # Errors
    /// Nothing is open there.
    pub fn inherited(number: i32) -> Result<Self, ControlError> {
        Ok(Self(bulkhead_sandbox::passing::inherited(number)?))
    }

    /// Reads the command and sends its first value back.
    ///
    /// # Errors
    /// Another message, or loss of the supervisor.
    pub fn answer(&self) -> Result<(), ControlError> {
        match receive(&self.0)? {
            (ToChild::Run(Command { values, .. }), _) => {
                let text = values.into_iter().next().map(|(_, text)| text).unwrap_or_default();
                send(&self.0, &FromChild::InitMessage(text).encode()?, &[], MsgFlags::empty())
            }
            _ => Err(ControlError::OutOfOrder("run")),
        }
    }
}
