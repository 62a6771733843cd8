//! Descriptors that arrive from outside the type system: inherited at birth, or passed beside a datagram.
//!
//! `nix` hands out raw numbers for both; this file turns them into owners exactly once.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

/// The most descriptors that Linux passes beside one datagram (`SCM_MAX_FD`).
pub const MAX_DESCRIPTORS: usize = 253;

/// Bit n: descriptor n was handed out by [`inherited`].
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Takes ownership of a descriptor that the parent process left open for us, once, and marks it close-on-exec.
///
/// # Errors
/// `EBADF` when nothing is open there, `EBUSY` when it was taken before, `EINVAL` for a number outside 3..64.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    if !(3..64).contains(&number) {
        return Err(Errno::EINVAL.into());
    }
    let bit = 1u64 << number;
    if TAKEN.fetch_or(bit, Ordering::SeqCst) & bit != 0 {
        return Err(Errno::EBUSY.into());
    }
    // SAFETY: borrowed for the duration of one fcntl, which answers EBADF if nothing is open there.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    if let Err(error) = fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)) {
        TAKEN.fetch_and(!bit, Ordering::SeqCst);
        return Err(error.into());
    }
    // SAFETY: open (checked above), inherited, and the bit in TAKEN makes us its only owner.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Receives one datagram with the descriptors beside it (close-on-exec). Length 0 means that the peer is gone.
///
/// # Errors
/// The error of `recvmsg`; `EMSGSIZE` when the datagram is longer than `buffer` (its descriptors are closed).
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], flags: MsgFlags) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = nix::cmsg_space!([RawFd; MAX_DESCRIPTORS]);
    let mut slices = [io::IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut space), flags | MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = part {
            for number in numbers {
                // SAFETY: the kernel just installed this number for us and nobody else knows it.
                descriptors.push(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
    }
    if message.flags.contains(MsgFlags::MSG_TRUNC) {
        return Err(Errno::EMSGSIZE.into());
    }
    Ok((message.bytes, descriptors))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use nix::sys::socket::{AddressFamily, ControlMessage, SockFlag, SockType, sendmsg, socketpair};
    use std::os::fd::AsFd;

    #[test]
    fn test_receive_datagram_with_descriptor_owns_it() {
        let (a, b) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let (c, _d) = nix::unistd::pipe().unwrap();
        let numbers = [c.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&numbers)];
        sendmsg::<()>(a.as_raw_fd(), &[io::IoSlice::new(b"hello")], &rights, MsgFlags::empty(), None).unwrap();
        let mut buffer = [0; 16];
        let (length, descriptors) = receive(b.as_fd(), &mut buffer, MsgFlags::empty()).unwrap();
        assert_eq!((&buffer[..length], descriptors.len()), (&b"hello"[..], 1));
    }

    #[test]
    fn test_receive_long_datagram_is_an_error() {
        let (a, b) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
        nix::unistd::write(&a, &[0; 17]).unwrap();
        let error = receive(b.as_fd(), &mut [0; 16], MsgFlags::empty()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::EMSGSIZE as i32));
    }

    #[test]
    fn test_inherited_nothing_open_is_an_error() {
        assert!(inherited(63).is_err());
        assert!(inherited(1).is_err());
    }
}
