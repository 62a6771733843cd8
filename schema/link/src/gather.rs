//! The sending half of a connection: what is said during one turn of the event loop leaves with one system call.
//!
//! capnp-rpc flushes after every message, and one call is three messages (call, return, finish). Written one by one,
//! each costs a system call here and a wake-up of the other process there. So a flush only promises that the bytes
//! leave soon: a task of its own sends them when everything that is ready now has had its say.
//!
//! # Correctness
//! Exactly one task polls the stream for writing at any time, because the stream remembers one waker only: the sender
//! while bytes are waiting, the writer of a large message while none are.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bulkhead_planted::{Fault, planted};
use futures::io::AsyncWrite;

use crate::ledger::Ledger;

/// Bytes that wait at most; a larger piece goes to the stream directly, without a copy.
const GATHERED_BYTES: usize = 64 * 1024;

struct Gathered<W> {
    stream: W,
    /// Counts the bytes that the stream took.
    ledger: Rc<Ledger>,
    waiting: Vec<u8>,
    /// How many of them were sent.
    sent: usize,
    failed: Option<std::io::ErrorKind>,
    /// The sender, when nothing was waiting.
    sender: Option<Waker>,
    /// The writer, when too much was waiting.
    writer: Option<Waker>,
    /// The writer is gone: the sender ends after the last byte.
    closed: bool,
}

/// The half that capnp-rpc writes to.
pub(crate) struct Gatherer<W>(Rc<RefCell<Gathered<W>>>);

impl<W> Gatherer<W> {
    /// Asks the stream something as long as there is one.
    pub(crate) fn asking<T, Q: Fn(&W) -> T>(&self, question: Q) -> impl Fn() -> Option<T> + use<W, T, Q> {
        let stream = Rc::downgrade(&self.0);
        move || stream.upgrade().map(|gathered| question(&gathered.borrow().stream))
    }
}

/// Makes the half to write to and the task that sends what it gathers.
pub(crate) fn gather<W: AsyncWrite + Unpin>(stream: W, ledger: Rc<Ledger>) -> (Gatherer<W>, impl Future<Output = ()>) {
    let shared = Rc::new(RefCell::new(Gathered {
        stream,
        ledger,
        waiting: Vec::with_capacity(GATHERED_BYTES),
        sent: 0,
        failed: None,
        sender: None,
        writer: None,
        closed: false,
    }));
    let sending = Rc::clone(&shared);
    (Gatherer(shared), std::future::poll_fn(move |context| sending.borrow_mut().send(context)))
}

impl<W: AsyncWrite + Unpin> Gathered<W> {
    /// Sends until nothing is waiting. Ready only when there will never be more.
    fn send(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.sent < self.waiting.len() {
            match ready!(Pin::new(&mut self.stream).poll_write(context, &self.waiting[self.sent..])) {
                Ok(0) => self.failed = Some(std::io::ErrorKind::WriteZero),
                Ok(count) => {
                    self.sent += count;
                    self.ledger.add_sent(count);
                }
                Err(error) => self.failed = Some(error.kind()),
            }
            if self.failed.is_some() {
                self.sent = self.waiting.len();
                self.ledger.broke();
            }
        }
        self.waiting.clear();
        self.sent = 0;
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
        if self.closed || self.failed.is_some() {
            return Poll::Ready(());
        }
        self.sender = Some(context.waker().clone());
        Poll::Pending
    }

    fn wake_sender(&mut self) {
        if let Some(sender) = self.sender.take() {
            sender.wake();
        }
    }

    fn wait(&mut self, context: &Context<'_>) {
        self.writer = Some(context.waker().clone());
        self.wake_sender();
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Gatherer<W> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let mut shared = self.0.borrow_mut();
        if let Some(failed) = shared.failed {
            return Poll::Ready(Err(failed.into()));
        }
        if shared.waiting.len() + bytes.len() <= GATHERED_BYTES {
            shared.waiting.extend_from_slice(bytes);
            shared.wake_sender();
            return Poll::Ready(Ok(bytes.len()));
        }
        if shared.waiting.is_empty() || planted(Fault::LargeOvertakes) {
            let written = ready!(Pin::new(&mut shared.stream).poll_write(context, bytes));
            match &written {
                Ok(count) => shared.ledger.add_sent(*count),
                Err(_) => shared.ledger.broke(),
            }
            return Poll::Ready(written);
        }
        shared.wait(context);
        Poll::Pending
    }

    /// The bytes are on their way; an error of theirs meets the next write.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let failed = self.0.borrow().failed;
        Poll::Ready(failed.map_or(Ok(()), |failed| Err(failed.into())))
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let mut shared = self.0.borrow_mut();
        if shared.failed.is_none() && !shared.waiting.is_empty() {
            shared.wait(context);
            return Poll::Pending;
        }
        Pin::new(&mut shared.stream).poll_close(context)
    }
}

impl<W> Drop for Gatherer<W> {
    fn drop(&mut self) {
        let mut shared = self.0.borrow_mut();
        shared.closed = true;
        if let Some(sender) = shared.sender.take() {
            sender.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::io::AsyncWriteExt;

    /// Counts writes; takes at most `room` bytes and then waits until it is polled again.
    #[derive(Clone, Default)]
    struct Stream(Rc<RefCell<Taken>>);

    /// Bytes taken, writes, room.
    type Taken = (Vec<u8>, usize, Option<usize>);

    impl AsyncWrite for Stream {
        fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
            let (taken, writes, room) = &mut *self.0.borrow_mut();
            *writes += 1;
            let count = match room {
                None => bytes.len(),
                Some(0) => return Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into())),
                Some(room) if *writes % 2 == 1 => bytes.len().min(*room),
                Some(_) => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
            };
            taken.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Writes the pieces, each with a flush, beside the sender; answers what arrived and with how many writes.
    fn through(room: Option<usize>, pieces: &[&[u8]]) -> (std::io::Result<()>, Vec<u8>, usize) {
        let stream = Stream::default();
        stream.0.borrow_mut().2 = room;
        let ledger = Ledger::new(bulkhead_schema::limits::edge("net-chain").unwrap());
        let (mut writer, sender) = gather(stream.clone(), Rc::clone(&ledger));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let result = runtime.block_on(async {
            let writing = async move {
                for piece in pieces {
                    writer.write_all(piece).await?;
                    writer.flush().await?;
                    if room == Some(0) {
                        tokio::task::yield_now().await;
                    }
                }
                std::io::Result::Ok(())
            };
            futures::future::join(writing, sender).await.0
        });
        let state = stream.0.borrow();
        assert_eq!(ledger.sent(), state.0.len() as u64);
        (result, state.0.clone(), state.1)
    }

    #[test]
    fn messages_of_one_turn_leave_with_one_write() {
        let (result, taken, writes) = through(None, &[b"call", b"finish", b"call"]);
        result.unwrap();
        assert_eq!((taken.as_slice(), writes), (&b"callfinishcall"[..], 1));
    }

    #[test]
    fn order_and_bytes_survive_large_pieces_and_a_slow_stream() {
        let large = vec![7u8; 3 * GATHERED_BYTES + 1];
        let medium = vec![9u8; GATHERED_BYTES - 3];
        let pieces: [&[u8]; 6] = [b"a", &large, b"b", &medium, &medium, b"c"];
        for room in [None, Some(1000), Some(100_000)] {
            let (result, taken, _) = through(room, &pieces);
            result.unwrap();
            assert!(taken == pieces.concat(), "{room:?}");
        }
    }

    #[test]
    fn a_broken_stream_is_an_error_of_the_next_write() {
        let (result, taken, _) = through(Some(0), &[b"lost", b"refused"]);
        assert_eq!(result.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
        assert!(taken.is_empty());
    }
}
