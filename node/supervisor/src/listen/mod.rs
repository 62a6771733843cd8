//! Listening sockets: opened here, accepted from elsewhere. They stay open here, so that a restarted child gets
//! them again.

pub(crate) mod http;
pub(crate) mod ipc;
pub(crate) mod p2p;
pub(crate) mod permissions;
pub(crate) mod zmq;

use nix::errno::Errno;
use nix::sys::socket::sockopt::{Ipv6V6Only, ReuseAddr};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, listen, setsockopt, socket};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// A TCP socket that listens.
fn tcp(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = bound_tcp(address)?;
    listen(&socket, Backlog::MAXCONN)?;
    Ok(socket)
}

/// A TCP socket that has its address and does not listen yet: who connects is refused.
fn bound_tcp(address: SocketAddr) -> Result<OwnedFd, Errno> {
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
