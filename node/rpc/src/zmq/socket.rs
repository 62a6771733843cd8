//! A listening socket with its subscribers.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

use super::zmtp::{self, Subscriber};

/// Messages that wait for one subscriber.
pub const DEFAULT_MARK: usize = 1000;
/// The same for a mark of zero, which means "no limit" to ZeroMQ.
const LARGEST_MARK: usize = 100_000;
/// Bytes that wait for one subscriber.
const MAX_WAITING_BYTES: usize = 256 << 20;
/// Subscribers of one socket.
const MAX_SUBSCRIBERS: usize = 128;
const READ_BYTES: usize = 4096;

/// Messages and replies on their way to one subscriber.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Rc<[u8]>>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Connection {
    subscriber: RefCell<Subscriber>,
    queue: RefCell<Queue>,
    filled: Notify,
}

impl Connection {
    fn push(&self, bytes: Rc<[u8]>, mark: usize) {
        let mut queue = self.queue.borrow_mut();
        if queue.waiting.len() < mark && queue.bytes + bytes.len() <= MAX_WAITING_BYTES {
            queue.bytes += bytes.len();
            queue.waiting.push_back(bytes);
            self.filled.notify_one();
        }
    }

    async fn next(&self) -> Rc<[u8]> {
        loop {
            {
                let mut queue = self.queue.borrow_mut();
                if let Some(bytes) = queue.waiting.pop_front() {
                    queue.bytes -= bytes.len();
                    return bytes;
                }
            }
            self.filled.notified().await;
        }
    }
}

/// A listening socket with its subscribers.
pub struct Socket {
    connections: RefCell<Vec<Rc<Connection>>>,
    mark: usize,
}

impl Socket {
    /// Starts to accept subscribers, each with a queue of at most `mark` messages.
    ///
    /// # Errors
    /// The descriptor cannot be used.
    pub fn open(descriptor: OwnedFd, is_unix: bool, mark: usize) -> std::io::Result<Rc<Self>> {
        let mark = if mark == 0 { LARGEST_MARK } else { mark.min(LARGEST_MARK) };
        let socket = Rc::new(Self { connections: RefCell::default(), mark });
        let accepting = Rc::clone(&socket);
        if is_unix {
            let listener = UnixListener::from(descriptor);
            listener.set_nonblocking(true)?;
            let listener = tokio::net::UnixListener::from_std(listener)?;
            tokio::task::spawn_local(async move {
                loop {
                    accepting.accepted(listener.accept().await.map(|(stream, _)| stream)).await;
                }
            });
        } else {
            let listener = TcpListener::from(descriptor);
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tokio::task::spawn_local(async move {
                loop {
                    accepting.accepted(listener.accept().await.map(|(stream, _)| stream)).await;
                }
            });
        }
        Ok(socket)
    }

    async fn accepted<S: AsyncRead + AsyncWrite + 'static>(self: &Rc<Self>, stream: std::io::Result<S>) {
        match stream {
            Ok(stream) if self.connections.borrow().len() < MAX_SUBSCRIBERS => {
                tokio::task::spawn_local(Rc::clone(self).serve(stream));
            }
            Ok(_) => tracing::debug!(target: "zmq", "too many subscribers"),
            Err(error) => {
                tracing::debug!(target: "zmq", "cannot accept a subscriber: {error}");
                // Out of descriptors: others must be closed first.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + 'static>(self: Rc<Self>, stream: S) {
        let connection = Rc::new(Connection::default());
        self.connections.borrow_mut().push(Rc::clone(&connection));
        let (mut reading, mut writing) = tokio::io::split(stream);
        let read = async {
            let mut buffer = [0; READ_BYTES];
            while let Ok(count @ 1..) = reading.read(&mut buffer).await {
                let outcome = connection.subscriber.borrow_mut().receive(&buffer[..count]);
                match outcome {
                    Ok(reply) if reply.is_empty() => {}
                    Ok(reply) => connection.push(reply.into(), self.mark),
                    Err(error) => {
                        tracing::debug!(target: "zmq", "subscriber sent away: {error}");
                        return;
                    }
                }
            }
        };
        let write = async {
            if writing.write_all(&zmtp::opening()).await.is_err() {
                return;
            }
            while writing.write_all(&connection.next().await).await.is_ok() {}
        };
        tokio::select! {
            () = read => {}
            () = write => {}
        }
        self.connections.borrow_mut().retain(|other| !Rc::ptr_eq(other, &connection));
    }

    /// Queues a message for those that want the topic; it is made only if somebody does.
    pub fn publish(&self, topic: &[u8], message: impl Fn() -> Vec<u8>) {
        let mut made: Option<Rc<[u8]>> = None;
        for connection in self.connections.borrow().iter() {
            if connection.subscriber.borrow().wants(topic) {
                let message = made.get_or_insert_with(|| message().into());
                connection.push(Rc::clone(message), self.mark);
            }
        }
    }
}
