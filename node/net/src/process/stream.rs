//! A connected stream: TCP, or a unix socket to a proxy that the supervisor opened.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bulkhead_wire::Endpoint;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// The half that is read.
pub type Reader = Box<dyn AsyncRead + Unpin>;
/// The half that is written.
pub type Writer = Box<dyn AsyncWrite + Unpin>;

/// One stream.
#[derive(Debug)]
pub enum Stream {
    /// To a peer, or to a proxy.
    Tcp(TcpStream),
    /// To a proxy.
    Unix(UnixStream),
}

impl Stream {
    /// Our end.
    #[must_use]
    pub fn local(&self) -> Option<Endpoint> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok().map(Endpoint::from),
            Self::Unix(_) => None,
        }
    }

    /// Both halves.
    #[must_use]
    pub fn split(self) -> (Reader, Writer) {
        match self {
            Self::Tcp(stream) => {
                let (reader, writer) = stream.into_split();
                (Box::new(reader), Box::new(writer))
            }
            Self::Unix(stream) => {
                let (reader, writer) = stream.into_split();
                (Box::new(reader), Box::new(writer))
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
