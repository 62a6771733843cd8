//! One connection over one stream.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bulkhead_schema::limits::EdgeLimits;
use capnp::ErrorKind;
use capnp::capability::{Client, FromClientHook};
use capnp::message::ReaderOptions;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{RpcSystem, twoparty};
use futures::io::{AsyncRead, BufReader};
use tokio::io::Interest;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::watch;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use crate::gate::Gate;
use crate::gather::gather;
use crate::ledger::Ledger;
use crate::network::{Bounded, Bounds};
use crate::observe::{Direction, observe_with};
use crate::{LinkError, edge};

/// One read call moves at most this many bytes of small messages; larger ones bypass the buffer.
const BUFFER_BYTES: usize = 64 * 1024;

/// Which end of an edge this process is: the first word of an edge's name is the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Calls the bootstrap interface.
    Client,
    /// Serves the bootstrap interface.
    Server,
}

/// Resolves when the connection has ended, however it ended.
#[derive(Clone)]
pub struct Closed(watch::Receiver<bool>);

impl Closed {
    /// Waits for the end of the connection.
    pub async fn wait(&mut self) {
        // An error means that the driver is gone, which is an end too.
        let _ = self.0.wait_for(|closed| *closed).await;
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

/// A connection whose other side serves `C`.
pub struct Connection<C> {
    /// The other side's bootstrap interface.
    pub client: C,
    /// The end of the connection.
    pub closed: Closed,
}

/// Connects as the client of an edge. `served` is what the other side may call back, if anything.
///
/// # Errors
/// [`LinkError::UnknownEdge`], or [`LinkError::Descriptor`] when the descriptor is not a stream socket.
pub fn connect<C: FromClientHook>(
    descriptor: OwnedFd,
    edge_name: &str,
    served: Option<Client>,
) -> Result<Connection<C>, LinkError> {
    let (client, closed) = start(descriptor, edge(edge_name)?, Role::Client, served)?;
    Ok(Connection { client: FromClientHook::new(client.hook), closed })
}

/// Serves `bootstrap` as the server of an edge.
///
/// # Errors
/// As [`connect`].
pub fn serve(descriptor: OwnedFd, edge_name: &str, bootstrap: Client) -> Result<Closed, LinkError> {
    Ok(start(descriptor, edge(edge_name)?, Role::Server, Some(bootstrap))?.1)
}

/// Whether nobody is at the other end any more. Answers at once.
fn is_hung_up(writer: &OwnedWriteHalf) -> bool {
    let ready = pin!(writer.ready(Interest::WRITABLE));
    // A stream that takes nothing for now is a stream.
    match ready.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(ready)) => ready.is_write_closed(),
        Poll::Ready(Err(_)) => true,
        Poll::Pending => false,
    }
}

/// The receiving half of a stream, followed by the ledger.
struct Followed<R> {
    inner: R,
    ledger: Rc<Ledger>,
}

impl<R: AsyncRead + Unpin> AsyncRead for Followed<R> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<std::io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        self.ledger.received_bytes(&buffer[..count]).map_err(std::io::Error::other)?;
        Poll::Ready(Ok(count))
    }
}

fn start(
    descriptor: OwnedFd,
    limits: &'static EdgeLimits,
    role: Role,
    served: Option<Client>,
) -> Result<(Client, Closed), LinkError> {
    let in_descriptor = |source| LinkError::Descriptor { edge: limits.name, source };
    let stream = StdStream::from(descriptor);
    stream.set_nonblocking(true).map_err(in_descriptor)?;
    let (reader, writer) = tokio::net::UnixStream::from_std(stream).map_err(in_descriptor)?.into_split();
    let (gate, ledger) = (Gate::new(limits), Ledger::new(limits));
    let reader = BufReader::with_capacity(BUFFER_BYTES, Followed { inner: reader.compat(), ledger: Rc::clone(&ledger) });
    let (writer, sending) = gather(writer.compat_write(), Rc::clone(&ledger));
    let asked = writer.asking(|writer| is_hung_up(writer.get_ref()));
    let bounds =
        Bounds { gate: Rc::clone(&gate), ledger: Rc::clone(&ledger), is_hung_up: Box::new(move || asked().unwrap_or(true)) };
    tokio::task::spawn_local(sending);
    let options = *ReaderOptions::new().traversal_limit_in_words(Some(limits.traversal_words)).nesting_limit(limits.nesting);
    let (ours, theirs) = match role {
        Role::Client => (Side::Client, Side::Server),
        Role::Server => (Side::Server, Side::Client),
    };
    let network = Bounded::new(twoparty::VatNetwork::new(reader, writer, ours, options), bounds);
    let served = served.map(|client| observe_with(client, Direction::Incoming(gate)));
    let mut system = RpcSystem::new(Box::new(network), served);
    let client: Client = system.bootstrap(theirs);
    let client = observe_with(client, Direction::Outgoing);
    let (end, closed) = watch::channel(false);
    tokio::task::spawn_local(async move {
        match system.await {
            // The other process has ended, perhaps in the middle of a message.
            Err(error) if matches!(error.kind, ErrorKind::Disconnected | ErrorKind::PrematureEndOfFile) => {
                tracing::debug!(target: "ipc", "{}: {error}", limits.name);
            }
            Err(error) => tracing::warn!("{}: the other side broke the contract: {error}", limits.name),
            Ok(()) => {}
        }
        let (received, sent) = (ledger.received(), ledger.sent());
        tracing::debug!(target: "ipc", "{}: IPC connection closed, {received} bytes received, {sent} sent", limits.name);
        // Nobody may be listening any more.
        let _ = end.send(true);
    });
    Ok((client, Closed(closed)))
}
