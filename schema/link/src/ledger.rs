//! What the other side owes: answers that it does not read, and answers that it never gives back.
//!
//! The gate counts calls until they are answered; an answer costs memory until the other side has read it and has said that it is
//! done with it. capnp-rpc queues without bound, so somebody who only calls would have all of our memory.
//!
//! # Correctness
//! While more answers wait than one largest message has bytes, nothing is read. Only answers count, not our own calls, or two
//! honest sides with much to say would wait for each other. That the other side is done with an answer arrives on the same stream,
//! so there the bound is the end of the connection.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::task::{Poll, Waker};

use bulkhead_schema::limits::EdgeLimits;
use capnp::capability::Promise;
use capnp::message::{Builder, HeapAllocator};
use capnp::{Error, any_pointer};
use capnp_rpc::rpc_capnp::message;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{Connection, FlowController, IncomingMessage, OutgoingMessage, VatNetwork};
use futures::TryFutureExt;

use crate::beside;

/// What a message costs beyond its bytes: buffers, queue and tables.
const OVERHEAD: u64 = 1024;
/// Honest clients let go of an answer when they have read it; so many times the calls in flight are not honest.
const KEPT_PER_CALL: usize = 256;

/// The account of one connection.
pub(crate) struct Ledger {
    limits: &'static EdgeLimits,
    received: Cell<u64>,
    /// Bytes of all messages so far, and how many of them the stream took.
    queued: Cell<u64>,
    sent: Cell<u64>,
    /// Answers that are on their way: where each ends in the stream, and what it costs.
    answers: RefCell<VecDeque<(u64, u64)>>,
    waiting: Cell<u64>,
    broken: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    /// Cost of the answer to each question that is not finished; 0: none yet.
    kept: RefCell<HashMap<u32, u64>>,
    kept_bytes: Cell<u64>,
}

impl Ledger {
    pub(crate) fn new(limits: &'static EdgeLimits) -> Rc<Self> {
        Rc::new(Self {
            limits,
            received: Cell::new(0),
            queued: Cell::new(0),
            sent: Cell::new(0),
            answers: RefCell::default(),
            waiting: Cell::new(0),
            broken: Cell::new(false),
            reader: RefCell::default(),
            kept: RefCell::default(),
            kept_bytes: Cell::new(0),
        })
    }

    /// Bytes that were received.
    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Bytes that the stream took.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// More bytes were received.
    pub(crate) fn add_received(&self, bytes: usize) {
        self.received.set(self.received.get() + bytes as u64);
    }

    /// The stream took more bytes.
    pub(crate) fn add_sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
        let mut answers = self.answers.borrow_mut();
        while let Some((_, cost)) = answers.front().copied().filter(|(end, _)| *end <= self.sent.get()) {
            answers.pop_front();
            self.waiting.set(self.waiting.get().saturating_sub(cost));
        }
        self.wake();
    }

    /// The stream takes no more.
    pub(crate) fn broke(&self) {
        self.broken.set(true);
        self.wake();
    }

    fn wake(&self) {
        if self.may_read()
            && let Some(reader) = self.reader.borrow_mut().take()
        {
            reader.wake();
        }
    }

    fn may_read(&self) -> bool {
        self.broken.get() || self.waiting.get() <= self.limits.max_message_bytes as u64
    }

    /// Waits until the other side has read enough of its answers.
    async fn until_read(&self) {
        std::future::poll_fn(|context| {
            if self.may_read() {
                return Poll::Ready(());
            }
            *self.reader.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Notes a message on its way out.
    fn goes(&self, message: &Builder<HeapAllocator>, answers: Option<u32>) {
        let bytes = capnp::serialize::compute_serialized_size_in_words(message) as u64 * 8;
        self.queued.set(self.queued.get() + bytes);
        let Some(question) = answers else { return };
        let cost = bytes + OVERHEAD;
        self.answers.borrow_mut().push_back((self.queued.get(), cost));
        self.waiting.set(self.waiting.get() + cost);
        if let Some(kept) = self.kept.borrow_mut().get_mut(&question) {
            self.kept_bytes.set(self.kept_bytes.get() + cost - *kept);
            *kept = cost;
        }
    }

    /// Notes a message that came in.
    ///
    /// # Errors
    /// It carries more than a message may, or more is kept than the edge permits.
    fn comes(&self, body: any_pointer::Reader<'_>) -> Result<(), Error> {
        // What cannot be read is refused by capnp-rpc, with the right words.
        let Some(message) = body.get_as::<message::Reader<'_>>().ok().and_then(|message| message.which().ok()) else {
            return Ok(());
        };
        beside::check(&message)?;
        let question = match message {
            message::Call(Ok(call)) => call.get_question_id(),
            message::Bootstrap(Ok(bootstrap)) => bootstrap.get_question_id(),
            message::Finish(Ok(finish)) => {
                let kept = self.kept.borrow_mut().remove(&finish.get_question_id()).unwrap_or(0);
                self.kept_bytes.set(self.kept_bytes.get().saturating_sub(kept));
                return Ok(());
            }
            _ => return Ok(()),
        };
        let mut kept = self.kept.borrow_mut();
        kept.entry(question).or_insert(0);
        let (calls, bytes) = (self.limits.max_in_flight, self.limits.max_message_bytes as u64);
        if kept.len() > calls * KEPT_PER_CALL || self.kept_bytes.get() > bytes.saturating_mul(calls as u64) {
            return Err(Error::failed(format!("it keeps {} answers", kept.len())));
        }
        Ok(())
    }
}

/// The number of the question that a message answers.
fn answered(message: &dyn OutgoingMessage) -> Option<u32> {
    let body = message.get_body_as_reader().ok()?;
    match body.get_as::<message::Reader<'_>>().ok()?.which().ok()? {
        message::Return(answer) => answer.ok().map(|answer| answer.get_answer_id()),
        _ => None,
    }
}

/// A network that keeps a ledger.
pub(crate) struct Kept<N> {
    inner: N,
    ledger: Rc<Ledger>,
}

impl<N> Kept<N> {
    pub(crate) fn new(inner: N, ledger: Rc<Ledger>) -> Self {
        Self { inner, ledger }
    }
}

impl<N: VatNetwork<Side>> VatNetwork<Side> for Kept<N> {
    fn connect(&mut self, host: Side) -> Option<Box<dyn Connection<Side>>> {
        let ledger = Rc::clone(&self.ledger);
        self.inner.connect(host).map(|inner| Box::new(KeptConnection { inner, ledger }) as Box<dyn Connection<Side>>)
    }

    fn accept(&mut self) -> Promise<Box<dyn Connection<Side>>, Error> {
        let ledger = Rc::clone(&self.ledger);
        Promise::from_future(
            self.inner.accept().map_ok(|inner| Box::new(KeptConnection { inner, ledger }) as Box<dyn Connection<Side>>),
        )
    }

    fn drive_until_shutdown(&mut self) -> Promise<(), Error> {
        self.inner.drive_until_shutdown()
    }
}

struct KeptConnection {
    inner: Box<dyn Connection<Side>>,
    ledger: Rc<Ledger>,
}

impl Connection<Side> for KeptConnection {
    fn get_peer_vat_id(&self) -> Side {
        self.inner.get_peer_vat_id()
    }

    fn new_outgoing_message(&mut self, first_segment_word_size: u32) -> Box<dyn OutgoingMessage> {
        let inner = self.inner.new_outgoing_message(first_segment_word_size);
        Box::new(KeptMessage { inner, ledger: Rc::clone(&self.ledger) })
    }

    fn receive_incoming_message(&mut self) -> Promise<Option<Box<dyn IncomingMessage>>, Error> {
        let (next, ledger) = (self.inner.receive_incoming_message(), Rc::clone(&self.ledger));
        Promise::from_future(async move {
            ledger.until_read().await;
            let message = next.await?;
            if let Some(message) = &message {
                ledger.comes(message.get_body()?)?;
            }
            Ok(message)
        })
    }

    fn new_stream(&mut self) -> (Box<dyn FlowController>, Promise<(), Error>) {
        self.inner.new_stream()
    }

    fn shutdown(&mut self, result: capnp::Result<()>) -> Promise<(), Error> {
        self.inner.shutdown(result)
    }
}

struct KeptMessage {
    inner: Box<dyn OutgoingMessage>,
    ledger: Rc<Ledger>,
}

impl OutgoingMessage for KeptMessage {
    fn get_body(&mut self) -> capnp::Result<any_pointer::Builder<'_>> {
        self.inner.get_body()
    }

    fn get_body_as_reader(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        self.inner.get_body_as_reader()
    }

    fn send(self: Box<Self>) -> (Promise<(), Error>, Rc<Builder<HeapAllocator>>) {
        let answers = answered(&*self.inner);
        let (promise, message) = self.inner.send();
        self.ledger.goes(&message, answers);
        (promise, message)
    }

    fn take(self: Box<Self>) -> Builder<HeapAllocator> {
        self.inner.take()
    }

    fn size_in_words(&self) -> usize {
        self.inner.size_in_words()
    }
}
