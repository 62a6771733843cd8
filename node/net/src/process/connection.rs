//! One connection: a task that reads, a task that writes, a bounded queue between the engine and the writer.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

use super::Node;
use super::i2p::Session;
use crate::engine::peer::{NewPeer, PeerId};

/// Bytes read at once.
const READ_SIZE: usize = 64 * 1024;
/// What was queued before the end may still go out within this time.
const LAST_WORDS: Duration = Duration::from_millis(100);

struct Queued {
    /// None: bytes of the transport's own handshake.
    command: Option<String>,
    bytes: Vec<u8>,
}

/// The writer's queue and the reader's switch.
#[derive(Default)]
pub struct Outgoing {
    queue: RefCell<VecDeque<Queued>>,
    queued_bytes: Cell<usize>,
    wake_writer: Notify,
    paused: Cell<bool>,
    wake_reader: Notify,
    closing: Cell<bool>,
    /// What must live as long as the connection.
    kept: RefCell<Option<Session>>,
}

impl Outgoing {
    /// Queues a message; how many bytes wait now.
    pub(crate) fn push(&self, command: Option<String>, bytes: Vec<u8>) -> usize {
        self.queued_bytes.set(self.queued_bytes.get() + bytes.len());
        self.queue.borrow_mut().push_back(Queued { command, bytes });
        self.wake_writer.notify_one();
        self.queued_bytes.get()
    }

    pub(super) fn keep(&self, session: Session) {
        *self.kept.borrow_mut() = Some(session);
    }

    pub(crate) fn set_reading(&self, reading: bool) {
        self.paused.set(!reading);
        if reading {
            self.wake_reader.notify_one();
        }
    }

    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.wake_writer.notify_one();
        self.wake_reader.notify_one();
    }

    fn pop(&self) -> Option<Queued> {
        let queued = self.queue.borrow_mut().pop_front()?;
        self.queued_bytes.set(self.queued_bytes.get().saturating_sub(queued.bytes.len()));
        Some(queued)
    }
}

impl Node {
    /// Serves an accepted or opened connection until its end. `None`: the engine did not want it.
    pub fn adopt<R, W>(self: &Rc<Self>, new: NewPeer, reader: R, writer: W) -> Option<PeerId>
    where
        R: AsyncRead + Unpin + 'static,
        W: AsyncWrite + Unpin + 'static,
    {
        let outgoing = Rc::new(Outgoing::default());
        // The engine may have something to say at once, so the queue must be known before the effects are carried out.
        let peer = {
            let mut engine = self.engine.borrow_mut();
            engine.set_now(bulkhead_control::clock::now_micros());
            let peer = if new.kind.is_inbound() { engine.accept(new)? } else { engine.opened(new) };
            self.connections.borrow_mut().insert(peer, Rc::clone(&outgoing));
            peer
        };
        self.settle();
        tokio::task::spawn_local(Rc::clone(self).read_from(peer, Rc::clone(&outgoing), reader));
        tokio::task::spawn_local(Rc::clone(self).write_to(peer, outgoing, writer));
        Some(peer)
    }

    async fn read_from<R: AsyncRead + Unpin>(self: Rc<Self>, peer: PeerId, outgoing: Rc<Outgoing>, mut reader: R) {
        let mut buffer = vec![0; READ_SIZE];
        loop {
            while outgoing.paused.get() && !outgoing.closing.get() {
                outgoing.wake_reader.notified().await;
            }
            if outgoing.closing.get() {
                return;
            }
            let read = tokio::select! {
                read = reader.read(&mut buffer) => read,
                () = outgoing.wake_reader.notified() => continue,
            };
            match read {
                Ok(0) => {
                    self.forget(peer, "socket closed, {}");
                    return;
                }
                Ok(count) => self.with(|engine| engine.received(peer, &buffer[..count])),
                Err(error) => {
                    self.forget(peer, &format!("socket recv error, {{}}: {error}"));
                    return;
                }
            }
            // A peer that sends without pause must not starve the others.
            tokio::task::yield_now().await;
        }
    }

    async fn write_to<W: AsyncWrite + Unpin>(self: Rc<Self>, peer: PeerId, outgoing: Rc<Outgoing>, mut writer: W) {
        loop {
            let Some(queued) = outgoing.pop() else {
                if outgoing.closing.get() {
                    let _ = tokio::time::timeout(LAST_WORDS, writer.shutdown()).await;
                    return;
                }
                outgoing.wake_writer.notified().await;
                continue;
            };
            let written = if outgoing.closing.get() {
                match tokio::time::timeout(LAST_WORDS, writer.write_all(&queued.bytes)).await {
                    Ok(written) => written,
                    Err(_) => return,
                }
            } else {
                // The engine may close the connection while the other side does not read.
                tokio::select! {
                    written = writer.write_all(&queued.bytes) => written,
                    () = closed(&outgoing) => return,
                }
            };
            if let Err(error) = written {
                if !outgoing.closing.get() {
                    self.forget(peer, &format!("socket send error, {{}}: {error}"));
                }
                return;
            }
            let below = outgoing.queued_bytes.get() <= self.look(|engine| engine.config.max_send);
            self.with(|engine| {
                engine.sent(peer, queued.command.as_deref(), queued.bytes.len());
                if below {
                    engine.set_send_paused(peer, false);
                }
            });
        }
    }
}

async fn closed(outgoing: &Outgoing) {
    while !outgoing.closing.get() {
        outgoing.wake_writer.notified().await;
    }
    tokio::time::sleep(LAST_WORDS).await;
}
