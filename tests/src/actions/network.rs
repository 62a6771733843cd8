//! Sockets.

use nix::libc;

use super::{Action, close};
use crate::inject::{Answer, Held, InjectError};

const PROXY: (&str, &str) = ("node", "connects to a proxy on a unix socket that the options name");
const NET: (&str, &str) = ("net", "connects to peers; it holds no file, key or credential");

fn socket(held: &mut Held, domain: i32, kind: i32, protocol: i32) -> Result<Answer, InjectError> {
    let number = |value: i32| u64::from(value.cast_unsigned());
    held.call(libc::SYS_socket, &[number(domain), number(kind), number(protocol)])
}

fn make(held: &mut Held, domain: i32, kind: i32, protocol: i32) -> Result<Answer, InjectError> {
    let answer = socket(held, domain, kind, protocol)?;
    close(held, answer)
}

/// A socket, and one more call with it when there is one.
fn with_socket(
    held: &mut Held,
    domain: i32,
    kind: i32,
    then: impl FnOnce(&mut Held, u64) -> Result<Answer, InjectError>,
) -> Result<Answer, InjectError> {
    let Answer::Value(descriptor) = socket(held, domain, kind, 0)? else { return socket(held, domain, kind, 0) };
    let answer = then(held, descriptor.cast_unsigned())?;
    held.call(libc::SYS_close, &[descriptor.cast_unsigned()])?;
    Ok(answer)
}

/// `sockaddr_in` for the loopback address.
fn loopback(port: u16) -> [u8; 16] {
    let [high, low] = port.to_be_bytes();
    [2, 0, high, low, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
}

fn connect_unix(held: &mut Held, path: &[u8]) -> Result<Answer, InjectError> {
    with_socket(held, libc::AF_UNIX, libc::SOCK_STREAM, |held, descriptor| {
        let address = [&[1, 0], path, &[0]].concat();
        let place = held.place(&address)?;
        held.call(libc::SYS_connect, &[descriptor, place, address.len() as u64])
    })
}

pub(super) const ACTIONS: &[Action] = &[
    Action::new("TCP socket, IPv4", |held, _| make(held, libc::AF_INET, libc::SOCK_STREAM, 0)).but(&[NET]),
    Action::new("TCP socket, IPv6", |held, _| make(held, libc::AF_INET6, libc::SOCK_STREAM, 0)).but(&[NET]),
    Action::new("UDP socket", |held, _| make(held, libc::AF_INET, libc::SOCK_DGRAM, 0)),
    Action::new("raw socket", |held, _| make(held, libc::AF_INET, libc::SOCK_RAW, 1)),
    Action::new("packet socket", |held, _| make(held, libc::AF_PACKET, libc::SOCK_RAW, 0)),
    Action::new("netlink socket", |held, _| make(held, libc::AF_NETLINK, libc::SOCK_RAW, 0)),
    Action::new("vsock socket", |held, _| make(held, libc::AF_VSOCK, libc::SOCK_STREAM, 0)),
    Action::new("unix socket", |held, _| make(held, libc::AF_UNIX, libc::SOCK_STREAM, 0)).but(&[PROXY]),
    Action::new("connect to a unix socket by path", |held, to| connect_unix(held, to.unix_socket.as_bytes())).but(&[PROXY]),
    Action::new("connect to an abstract unix socket", |held, to| {
        let name = to.abstract_name.strip_suffix(b"\0").unwrap_or(&to.abstract_name);
        connect_unix(held, &[b"\0", name].concat())
    }),
    Action::new("bind and listen on a TCP port", |held, _| {
        with_socket(held, libc::AF_INET, libc::SOCK_STREAM, |held, descriptor| {
            let address = held.place(&loopback(0))?;
            match held.call(libc::SYS_bind, &[descriptor, address, 16])? {
                Answer::Value(_) => held.call(libc::SYS_listen, &[descriptor, 1]),
                other => Ok(other),
            }
        })
    }),
    Action::new("listen without bind", |held, _| {
        with_socket(held, libc::AF_INET, libc::SOCK_STREAM, |held, descriptor| held.call(libc::SYS_listen, &[descriptor, 1]))
    }),
    Action::new("send a datagram", |held, _| {
        with_socket(held, libc::AF_INET, libc::SOCK_DGRAM, |held, descriptor| {
            let address = held.place(&loopback(9))?;
            held.call(libc::SYS_sendto, &[descriptor, address, 1, 0, address, 16])
        })
    }),
];
