//! Streams to proxies on unix sockets. Landlock can't tell one unix socket from another, so net has no right to
//! connect to any; the supervisor connects to those that the options name.

use super::code;
use crate::family::{Asked, Family};
use bulkhead_control::NetConfig;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

impl Family {
    /// Answers with a stream to the proxy at `path`.
    pub(crate) fn connect_proxy(&mut self, asked: Asked, path: &str) {
        if !is_named(&self.outfit.net, path) {
            return self.answer(asked, Err((code::PARAMETER, "no proxy of the options".into())));
        }
        match connected(path) {
            Ok(stream) => self.reply(asked.child, asked.request, Ok(String::new()), &[stream.as_fd()]),
            Err(error) => self.answer(asked, Err((code::MISC, error.desc().to_owned()))),
        }
    }
}

/// Whether the options name a proxy at this path.
fn is_named(net: &NetConfig, path: &str) -> bool {
    let plain = net.proxy.iter().map(|entry| entry.rsplit_once('=').map_or(entry.as_str(), |(proxy, _)| proxy));
    plain.chain([net.onion.as_str()]).filter_map(|proxy| proxy.strip_prefix("unix:")).any(|known| known == path)
}

/// Without blocking: a proxy that does not accept must not stop the supervisor.
fn connected(path: &str) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let stream = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    loop {
        match connect(stream.as_raw_fd(), &UnixAddr::new(path)?) {
            Err(Errno::EINTR) => {}
            other => return other.map(|()| stream),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn test_only_proxies_of_the_options_are_named() {
        let proxy = vec!["unix:/run/a=onion".into(), "127.0.0.1:9050".into()];
        let net = NetConfig { proxy, onion: "unix:/run/b".into(), ..NetConfig::default() };
        assert!(is_named(&net, "/run/a") && is_named(&net, "/run/b") && !is_named(&net, "/run/docker.sock"));
    }

    #[test]
    fn test_connected_reaches_a_listener_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy");
        let path = path.to_str().unwrap();
        assert!(connected(path).is_err());
        let _listener = UnixListener::bind(path).unwrap();
        assert!(connected(path).is_ok());
    }
}
