//! Listening sockets: opened here, accepted from elsewhere. They stay open here, so that a restarted child gets
//! them again.

pub(crate) mod gateway;
pub(crate) mod http;
pub(crate) mod ipc;
pub(crate) mod own;
pub(crate) mod p2p;
pub(crate) mod permissions;
pub(crate) mod zmq;

use nix::errno::Errno;
use nix::sys::socket::sockopt::{Ipv6V6Only, ReuseAddr};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, listen, setsockopt, socket};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest that a port may be held by children of a node that was killed: they end within a second of it.
const CHILDREN_END: Duration = Duration::from_secs(2);
/// Between two attempts to bind.
const AGAIN: Duration = Duration::from_millis(5);

/// A TCP socket that listens. `after_crash`: see [`bound_tcp`].
fn tcp(address: SocketAddr, after_crash: bool) -> Result<OwnedFd, Errno> {
    let socket = bound_tcp(address, after_crash)?;
    listen(&socket, Backlog::MAXCONN)?;
    Ok(socket)
}

/// A TCP socket that has its address and does not listen yet: who connects is refused. `after_crash`: children of a node that
/// was killed may still hold the port; it is waited for.
fn bound_tcp(address: SocketAddr, after_crash: bool) -> Result<OwnedFd, Errno> {
    let deadline = Instant::now() + if after_crash { CHILDREN_END } else { Duration::ZERO };
    loop {
        match try_bind(address) {
            // The kernel tells nobody when a port becomes free.
            Err(Errno::EADDRINUSE) if Instant::now() < deadline => std::thread::sleep(AGAIN),
            other => return other,
        }
    }
}

fn try_bind(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // A port in TIME_WAIT may be bound again.
    setsockopt(&socket, ReuseAddr, &true)?;
    if address.is_ipv6() {
        setsockopt(&socket, Ipv6V6Only, &true)?;
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(socket)
}

/// A unix socket that listens; a socket that was left there is replaced.
fn unix(path: &Path) -> Result<OwnedFd, Errno> {
    use std::os::unix::fs::FileTypeExt;
    let address = UnixAddr::new(path)?;
    if std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
        // If this fails, bind says why.
        let _ = std::fs::remove_file(path);
    }
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(socket.as_raw_fd(), &address)?;
    listen(&socket, Backlog::MAXCONN)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_port_is_waited_for_after_a_crash_only() {
        let holder = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = holder.local_addr().unwrap();
        assert_eq!(tcp(address, false).unwrap_err(), Errno::EADDRINUSE);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| tcp(address, true));
            drop(holder);
            assert!(waiting.join().unwrap().is_ok());
        });
    }
}
