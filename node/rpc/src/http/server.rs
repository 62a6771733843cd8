//! Accepts connections and answers their requests one after another.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_control::clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::parse::{Method, ParseError, Parser, Request};
use super::reply::{Reply, serialize};
use crate::door::Door;
use crate::handler::{self, Route};
use crate::rest;

/// Connections beyond this wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1000;
/// Bytes asked for with one read.
const READ_BYTES: usize = 64 * 1024;

/// The queue in front of the workers (`-rpcthreads`, `-rpcworkqueue`).
struct Workers {
    free: Semaphore,
    waiting: Cell<usize>,
    depth: usize,
}

/// The server.
pub struct Server {
    door: Rc<Door>,
    workers: Workers,
    connections: Arc<Semaphore>,
    next_id: Cell<u64>,
}

impl Server {
    /// A server that ends when the door stops.
    #[must_use]
    pub fn new(door: Rc<Door>) -> Rc<Self> {
        let at_least_one = |count: i64| usize::try_from(count).unwrap_or(1).clamp(1, Semaphore::MAX_PERMITS);
        let workers = Workers {
            free: Semaphore::new(at_least_one(door.config.rpcthreads)),
            waiting: Cell::new(0),
            depth: at_least_one(door.config.rpcworkqueue),
        };
        Rc::new(Self { door, workers, connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)), next_id: Cell::new(0) })
    }

    /// Accepts on one listening socket until the server stops.
    pub async fn accept(self: Rc<Self>, listener: TcpListener) {
        let mut stopping = self.door.stop.subscribe();
        loop {
            let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stopping.wait_for(|stop| *stop) => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let server = Rc::clone(&self);
                    tokio::task::spawn_local(async move {
                        server.connection(stream, peer).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::debug!(target: "http", "Cannot accept new connection: {error}");
                    // Out of descriptors: others must be closed first.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Waits until every connection has ended.
    pub async fn drained(&self) {
        let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
        // An error would mean that the semaphore is closed, which nobody does.
        let _ = self.connections.acquire_many(all).await;
    }

    async fn connection(&self, mut stream: TcpStream, peer: SocketAddr) {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        // Without it answers are only slower.
        let _ = stream.set_nodelay(true);
        tracing::debug!(target: "http", "HTTP Connection accepted from {peer} (id={id})");
        self.serve(&mut stream, peer, id).await;
        tracing::debug!(target: "http", "Disconnecting HTTP client {peer} (id={id})");
    }

    async fn serve(&self, stream: &mut TcpStream, peer: SocketAddr, id: u64) {
        let mut parser = Parser::default();
        let mut stopping = self.door.stop.subscribe();
        loop {
            let request = match parser.next_request() {
                Ok(Some(request)) => request,
                Ok(None) => {
                    let more = tokio::select! {
                        more = self.read(stream, &mut parser.buffer, peer, id) => more,
                        _ = stopping.wait_for(|stop| *stop) => false,
                    };
                    if !more {
                        return;
                    }
                    continue;
                }
                Err(error) => return self.refuse(stream, &error, peer, id).await,
            };
            tracing::debug!(target: "http", "Received a {} request for {} from {peer} (id={id})", request.method.name(), request.target);
            let reply = self.answer(&request, peer).await;
            if self.door.owners.chain_is_lost() && !*self.door.stop.borrow() {
                // The node is going down. Clients know that from a connection that ends, as when Core crashes; they would take
                // an answer for what the call led to.
                return;
            }
            let (bytes, keep_alive) = serialize(&reply, Some(&request), clock::now());
            tracing::debug!(
                target: "http",
                "HTTPResponse (status code: {} size: {}) added to send buffer for client {peer} (id={id})", reply.status, bytes.len()
            );
            if stream.write_all(&bytes).await.is_err() || !keep_alive || *self.door.stop.borrow() {
                return;
            }
        }
    }

    /// Whether there are new bytes; not after the end of the stream, an error or the idle time.
    async fn read(&self, stream: &mut TcpStream, buffer: &mut Vec<u8>, peer: SocketAddr, id: u64) -> bool {
        buffer.reserve(READ_BYTES);
        let read = stream.read_buf(buffer);
        let result = match u64::try_from(self.door.config.rpcservertimeout) {
            Ok(seconds) if seconds > 0 => match timeout(Duration::from_secs(seconds), read).await {
                Ok(result) => result,
                Err(_) => {
                    tracing::debug!(target: "http", "HTTP client idle timeout {peer} (id={id})");
                    return false;
                }
            },
            _ => read.await,
        };
        match result {
            Ok(0) => tracing::debug!(target: "http", "Received EOF from {peer} (id={id})"),
            Ok(_) => return true,
            Err(error) => tracing::debug!(target: "http", "Permanent read error from {peer} (id={id}): {error}"),
        }
        false
    }

    async fn refuse(&self, stream: &mut TcpStream, error: &ParseError, peer: SocketAddr, id: u64) {
        let status = if *error == ParseError::BodyTooLarge {
            tracing::debug!(target: "http", "HTTP request body too large from client {peer} (id={id}): {error}");
            413
        } else {
            tracing::debug!(target: "http", "Error reading HTTP request from client {peer} (id={id}): {error}");
            400
        };
        // The connection ends either way.
        let _ = stream.write_all(&serialize(&Reply::empty(status), None, clock::now()).0).await;
    }

    async fn answer(&self, request: &Request, peer: SocketAddr) -> Reply {
        if !self.door.allowed.allows(peer.ip()) {
            tracing::debug!(target: "http", "HTTP request from {peer} rejected: Client network is not allowed RPC access");
            return Reply::empty(403);
        }
        if request.method == Method::Unknown {
            tracing::debug!(target: "http", "HTTP request from {peer} rejected: Unknown HTTP request method");
            return Reply::empty(405);
        }
        let Some(route) = handler::route(&request.target, self.door.config.rest) else { return Reply::empty(404) };
        if *self.door.stop.borrow() {
            return Reply::text(503, "Request rejected during server shutdown");
        }
        let workers = &self.workers;
        if workers.free.available_permits() == 0 && workers.waiting.get() >= workers.depth {
            tracing::warn!(
                "Request rejected because http work queue depth exceeded, it can be increased with the -rpcworkqueue= setting"
            );
            return Reply::text(503, "Work queue depth exceeded");
        }
        workers.waiting.set(workers.waiting.get() + 1);
        let worker = workers.free.acquire().await;
        workers.waiting.set(workers.waiting.get() - 1);
        let reply = match route {
            Route::Rpc => handler::rpc(Rc::clone(&self.door), request, peer).await,
            Route::Rest => rest::answer(&self.door, request).await,
        };
        drop(worker);
        reply
    }
}
