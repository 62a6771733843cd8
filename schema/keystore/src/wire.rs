//! One frame over a stream socket, with at most one descriptor beside it.

use crate::frame::{FrameError, MAX_FRAME_BYTES};
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::io::{ErrorKind, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use thiserror::Error;
use zeroize::Zeroizing;

/// Why a frame did not pass.
#[derive(Debug, Error)]
pub enum WireError {
    /// The peer closed the stream between two frames.
    #[error("the other side closed the connection")]
    Closed,
    /// The peer closed the stream inside a frame.
    #[error("the other side closed the connection inside a message")]
    Truncated,
    /// The socket failed.
    #[error("socket: {0}")]
    Socket(std::io::Error),
    /// The frame itself is refused.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Sends a whole frame; the descriptor travels with its first byte.
///
/// # Errors
/// The socket failed or the peer is gone.
pub fn send(stream: &impl AsFd, frame: &[u8], beside: Option<&OwnedFd>) -> Result<(), WireError> {
    let mut sent = 0;
    while sent < frame.len() {
        let descriptors: Vec<RawFd> = beside.filter(|_| sent == 0).map(AsRawFd::as_raw_fd).into_iter().collect();
        let rights = [ControlMessage::ScmRights(&descriptors)];
        let control: &[ControlMessage<'_>] = if descriptors.is_empty() { &[] } else { &rights };
        match sendmsg::<()>(stream.as_fd().as_raw_fd(), &[IoSlice::new(&frame[sent..])], control, MsgFlags::MSG_NOSIGNAL, None) {
            Ok(bytes) => sent += bytes,
            Err(Errno::EINTR) => {}
            Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(WireError::Closed),
            Err(error) => return Err(WireError::Socket(error.into())),
        }
    }
    Ok(())
}

/// Receives the content of one frame (without the length field) and the descriptor that came beside it. Blocks.
///
/// # Errors
/// The socket failed, the peer is gone, or the frame is longer than the edge allows: nothing is allocated then.
pub fn receive(stream: &impl AsFd) -> Result<(Zeroizing<Vec<u8>>, Option<OwnedFd>), WireError> {
    let mut beside = None;
    let mut header = [0; 4];
    fill(stream, &mut header, &mut beside, true)?;
    let length = usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX);
    if length > MAX_FRAME_BYTES {
        return Err(FrameError::TooLong { found: length, limit: MAX_FRAME_BYTES }.into());
    }
    let mut content = Zeroizing::new(vec![0; length]);
    fill(stream, &mut content, &mut beside, false)?;
    Ok((content, beside))
}

fn fill(stream: &impl AsFd, buffer: &mut [u8], beside: &mut Option<OwnedFd>, start: bool) -> Result<(), WireError> {
    let mut filled = 0;
    while filled < buffer.len() {
        let (bytes, descriptors) =
            match bulkhead_sandbox::passing::receive(stream.as_fd(), &mut buffer[filled..], MsgFlags::empty()) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Err(WireError::Closed),
                Err(error) => return Err(WireError::Socket(error)),
            };
        // One descriptor per frame: surplus ones are closed here.
        for descriptor in descriptors {
            beside.get_or_insert(descriptor);
        }
        if bytes == 0 {
            return Err(if start && filled == 0 { WireError::Closed } else { WireError::Truncated });
        }
        filled += bytes;
    }
    Ok(())
}
