//! One datagram with its descriptors, in and out.

use crate::ControlError;
use crate::message::MAX_MESSAGE;
use bulkhead_sandbox::passing::receive;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

/// A pair of connected control sockets, close-on-exec.
///
/// # Errors
/// The error of `socketpair`.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// A pair of connected streams for an edge, close-on-exec.
///
/// # Errors
/// The error of `socketpair`.
pub fn stream_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?)
}

/// Sends one message. Blocks while the socket buffer is full unless `flags` say otherwise.
pub(crate) fn send(socket: &OwnedFd, bytes: &[u8], descriptors: &[RawFd], flags: MsgFlags) -> Result<(), ControlError> {
    let rights = [ControlMessage::ScmRights(descriptors)];
    let beside: &[ControlMessage<'_>] = if descriptors.is_empty() { &[] } else { &rights };
    let flags = flags | MsgFlags::MSG_NOSIGNAL;
    loop {
        match sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], beside, flags, None) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(ControlError::PeerGone),
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
}

/// Bytes of a message and the descriptors beside it.
pub(crate) type Datagram = (Vec<u8>, Vec<OwnedFd>);

/// Receives one message; `None` when `flags` hold `MSG_DONTWAIT` and nothing is there.
pub(crate) fn receive_message(socket: &OwnedFd, flags: MsgFlags) -> Result<Option<Datagram>, ControlError> {
    let mut buffer = vec![0; MAX_MESSAGE];
    loop {
        match receive(socket.as_fd(), &mut buffer, flags) {
            Ok((0, _)) => return Err(ControlError::PeerGone),
            Ok((length, descriptors)) => {
                buffer.truncate(length);
                return Ok(Some((buffer, descriptors)));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.raw_os_error() == Some(Errno::ECONNRESET as i32) => {
                return Err(ControlError::PeerGone);
            }
            Err(error) => return Err(error.into()),
        }
    }
}
