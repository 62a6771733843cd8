//! From an address or a name to a stream: directly, through a SOCKS5 proxy, or through I2P.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::rc::Rc;
use std::time::Duration;

use bulkhead_wire::socks5::{Connect, Credentials, Socks5Error, Step};
use bulkhead_wire::{Endpoint, Network};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::Node;
use super::i2p::Session;
use super::proxies::{Proxy, ProxyAddress};
use super::stream::Stream;
use crate::engine::kind::ConnectionKind;

/// A proxy may take this long for each answer.
const ANSWER: Duration = Duration::from_secs(20);

/// Why there is no stream. What is worth a line in the log is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreached {
    /// It says nothing about the peer: the proxy does not answer.
    Proxy,
    /// The peer was not there.
    Peer,
}

/// A stream, and our end where it is not the socket's.
#[derive(Debug)]
pub struct Reached {
    /// To the peer.
    pub stream: Stream,
    /// Our end.
    pub local: Option<Endpoint>,
    /// Must live as long as the stream.
    pub session: Option<Session>,
}

#[derive(Debug, Error)]
enum ProxyFailure {
    #[error(transparent)]
    Protocol(#[from] Socks5Error),
    #[error("Error during SOCKS5 proxy handshake: {0}")]
    Send(io::Error),
    #[error("Error while reading proxy response")]
    Receive,
    #[error("timeout")]
    Timeout,
}

/// An error of the system as Core shows it.
#[must_use]
pub fn system_text(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => format!("{} ({code})", nix::errno::Errno::from_raw(code).desc()),
        None => error.to_string(),
    }
}

impl Node {
    /// Connects to an address, through the proxy of its network if it has one; with `over_onion` through the onion proxy.
    /// For private broadcast never without a proxy: it would tell who we are.
    ///
    /// # Errors
    /// [`Unreached`].
    pub async fn reach(self: &Rc<Self>, to: &Endpoint, kind: ConnectionKind, over_onion: bool) -> Result<Reached, Unreached> {
        let network = to.addr.network();
        // As Core: addresses that no router forwards (this machine, the local network) belong to no network of a proxy.
        let proxy = self
            .proxies
            .borrow()
            .leads_to(if over_onion { Network::Onion } else { network })
            .filter(|_| to.addr.is_routable())
            .cloned();
        match proxy {
            Some(bridge) if network == Network::I2p => {
                self.reach_i2p(&bridge, to, kind == ConnectionKind::PrivateBroadcast).await
            }
            Some(proxy) => {
                tracing::debug!(target: "proxy", "Using proxy: {proxy} to connect to {to}");
                self.through(&proxy, &to.addr.to_string(), to.port).await
            }
            None if kind == ConnectionKind::PrivateBroadcast => Err(Unreached::Proxy),
            None => {
                let manual = kind == ConnectionKind::Manual;
                let socket = to.socket().ok_or(Unreached::Peer)?;
                let stream = self.directly(socket, manual).await.ok_or(Unreached::Peer)?;
                Ok(Reached { local: stream.local(), stream, session: None })
            }
        }
    }

    /// Connects to a name or an address behind a proxy.
    ///
    /// # Errors
    /// [`Unreached`].
    pub async fn through(self: &Rc<Self>, proxy: &Proxy, host: &str, port: u16) -> Result<Reached, Unreached> {
        let mut stream = self.to_proxy(proxy).await.ok_or(Unreached::Proxy)?;
        let credentials = proxy.isolate.then(|| self.next_credentials());
        tracing::debug!(target: "net", "SOCKS5 connecting {host}");
        match negotiate(&mut stream, host, port, credentials.as_ref()).await {
            Ok(()) => {
                tracing::debug!(target: "net", "SOCKS5 connected {host}");
                Ok(Reached { local: stream.local(), stream, session: None })
            }
            Err(failure) => {
                match failure {
                    ProxyFailure::Protocol(error @ Socks5Error::Refused(_)) => {
                        tracing::debug!(target: "net", "Socks5() connect to {host}:{port} failed: {error}");
                    }
                    // Common for Tor: the peer does not answer.
                    ProxyFailure::Timeout => {}
                    other => tracing::error!(target: "net", "{other}"),
                }
                Err(Unreached::Peer)
            }
        }
    }

    /// A stream to the proxy itself.
    pub(super) async fn to_proxy(self: &Rc<Self>, proxy: &Proxy) -> Option<Stream> {
        match &proxy.address {
            ProxyAddress::Tcp(socket) => self.directly(*socket, true).await,
            ProxyAddress::Unix(path) => {
                let opened = self.descriptor("connectProxy", path).await;
                let stream = opened.map(StdUnixStream::from).and_then(|stream| {
                    stream.set_nonblocking(true).ok()?;
                    UnixStream::from_std(stream).ok()
                });
                if stream.is_none() {
                    tracing::info!(target: "net", "connect() to {proxy} failed");
                }
                stream.map(Stream::Unix)
            }
        }
    }

    pub(super) async fn directly(&self, socket: SocketAddr, manual: bool) -> Option<Stream> {
        let text = match timeout(self.info.connect_timeout, TcpStream::connect(socket)).await {
            Ok(Ok(stream)) => {
                // Only a hint to the kernel.
                let _ = stream.set_nodelay(true);
                return Some(Stream::Tcp(stream));
            }
            Ok(Err(error)) => format!("connect() to {socket} failed after wait: {}", system_text(&error)),
            Err(_) => format!("connection attempt to {socket} timed out"),
        };
        if manual {
            tracing::info!(target: "net", "{text}");
        } else {
            tracing::debug!(target: "net", "{text}");
        }
        None
    }

    /// Credentials that no connection had before.
    fn next_credentials(&self) -> Credentials {
        let number = self.isolated.get();
        self.isolated.set(number + 1);
        let text = format!("{}-{number}", self.info.isolation_prefix);
        Credentials { user: text.clone(), password: text }
    }
}

async fn negotiate(stream: &mut Stream, host: &str, port: u16, credentials: Option<&Credentials>) -> Result<(), ProxyFailure> {
    let (mut connect, mut step) = Connect::new(host, port, credentials)?;
    while let Step::Continue { send, read } = step {
        timeout(ANSWER, stream.write_all(&send)).await.map_err(|_| ProxyFailure::Timeout)?.map_err(ProxyFailure::Send)?;
        let mut bytes = vec![0; read];
        match timeout(ANSWER, stream.read_exact(&mut bytes)).await {
            Ok(Ok(_)) => step = connect.advance(&bytes)?,
            Ok(Err(_)) => return Err(ProxyFailure::Receive),
            Err(_) => return Err(ProxyFailure::Timeout),
        }
    }
    Ok(())
}
