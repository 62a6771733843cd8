//! The supervisor's end of a control channel.

use crate::ControlError;
use crate::channel::{receive_message, send};
use crate::message::{FromChild, ToChild};
use nix::sys::socket::MsgFlags;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// The end that the supervisor polls. Sends never block: a child that does not read its control channel for a
/// whole socket buffer is treated as broken by the caller.
#[derive(Debug)]
pub struct Parent {
    socket: OwnedFd,
}

impl Parent {
    /// Wraps one end of [`pair`](crate::pair).
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Sends a message with the descriptors it announces; they are copied to the child and stay open here.
    ///
    /// # Errors
    /// The child is gone, does not read, or the number of descriptors is wrong.
    pub fn send(&self, message: &ToChild, descriptors: &[BorrowedFd<'_>]) -> Result<(), ControlError> {
        if let Some(announced) = message.descriptors().filter(|announced| *announced != descriptors.len()) {
            return Err(ControlError::DescriptorCount { announced, carried: descriptors.len() });
        }
        let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        send(&self.socket, &message.encode()?, &numbers, MsgFlags::MSG_DONTWAIT)
    }

    /// The next message; `None` when nothing is there. A child may not pass descriptors: they are closed and the
    /// message is an error.
    ///
    /// # Errors
    /// [`ControlError::PeerGone`] at the end, or a malformed message.
    pub fn receive(&self) -> Result<Option<FromChild>, ControlError> {
        let Some((bytes, descriptors)) = receive_message(&self.socket, MsgFlags::MSG_DONTWAIT)? else {
            return Ok(None);
        };
        if !descriptors.is_empty() {
            return Err(ControlError::DescriptorCount { announced: 0, carried: descriptors.len() });
        }
        FromChild::decode(&bytes).map(Some)
    }
}

impl AsFd for Parent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
