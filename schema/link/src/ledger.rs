//! What the other side owes: answers that it does not read, answers that it never gives back, and what we owe it: answers to calls
//! that hold memory until then.
//!
//! The gate counts calls until they are answered, but not those that wait for an earlier answer, and not their bytes. An answer
//! costs memory until the other side has read it and, when it has capabilities, has said that it is done with it; a capability, until
//! it was given back. A call that is given up before its answer costs a few hundred bytes for ever: capnp-rpc 0.27 answers none of
//! those and forgets none. It keeps all of that without bound, so somebody who only calls would have all of our memory.
//!
//! # Correctness
//! While calls that are not answered hold more bytes than one largest message, or more waits to be read by the other side, nothing is
//! read. Of what waits, our own calls do not count, or two honest sides with much to say would wait for each other. No call waits
//! until our own call on the same connection is answered. That the other side is done with an answer arrives on the same stream, so
//! there the bound is the end of the connection.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::task::Waker;

use bulkhead_schema::limits::EdgeLimits;
use capnp::message::{Builder, HeapAllocator};
use capnp::{Error, any_pointer};
use capnp_rpc::OutgoingMessage;
use capnp_rpc::rpc_capnp::message;

use crate::beside;
use crate::frames::{FrameError, Frames};

/// What a message costs beyond its bytes: buffers, queue and tables.
const OVERHEAD: u64 = 1024;
/// Honest clients let go of an answer when they have read it; so many times the calls in flight are not honest.
const KEPT_PER_CALL: usize = 256;
/// Calls that a connection gives up in its life, as a multiple of those in flight: 314 MB at most, on net-chain.
const GIVEN_UP_PER_CALL: usize = 4096;
/// Most capabilities that the other side has of ours: block templates of all miners and blocks under construction are some hundreds.
const MAX_HANDED_OUT: u64 = 16_384;

/// The account of one connection.
pub(crate) struct Ledger {
    limits: &'static EdgeLimits,
    received: Cell<u64>,
    /// Bytes of all messages so far, and how many of them the stream took.
    queued: Cell<u64>,
    sent: Cell<u64>,
    /// What is on its way because the other side said something: where each message ends in the stream, and what it costs.
    replies: RefCell<VecDeque<(u64, u64)>>,
    waiting: Cell<u64>,
    /// The stream of the other side, and the cost of each message in it that was not taken yet.
    frames: RefCell<Frames>,
    coming: RefCell<VecDeque<u64>>,
    /// Cost of the calls that are held.
    asked: Cell<u64>,
    broken: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    /// Questions that are not both answered and finished.
    kept: RefCell<HashMap<u32, Question>>,
    kept_bytes: Cell<u64>,
    /// Questions that were finished before they were answered.
    given_up: Cell<usize>,
    /// Capabilities of ours that the other side has not given back.
    handed_out: Cell<u64>,
}

/// A question of the other side.
#[derive(Debug, Default)]
struct Question {
    /// Cost of the answer; 0: none yet.
    answer: u64,
    /// Capabilities in the answer.
    capabilities: u64,
}

impl Ledger {
    pub(crate) fn new(limits: &'static EdgeLimits) -> Rc<Self> {
        Rc::new(Self {
            limits,
            received: Cell::new(0),
            queued: Cell::new(0),
            sent: Cell::new(0),
            replies: RefCell::default(),
            waiting: Cell::new(0),
            frames: RefCell::new(Frames::new(limits.max_message_bytes as u64)),
            coming: RefCell::default(),
            asked: Cell::new(0),
            broken: Cell::new(false),
            reader: RefCell::default(),
            kept: RefCell::default(),
            kept_bytes: Cell::new(0),
            given_up: Cell::new(0),
            handed_out: Cell::new(0),
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

    /// These bytes were received.
    ///
    /// # Errors
    /// A message in them is larger than the edge permits.
    pub(crate) fn received_bytes(&self, bytes: &[u8]) -> Result<(), FrameError> {
        self.received.set(self.received.get() + bytes.len() as u64);
        self.frames.borrow_mut().follow(bytes, |size| self.coming.borrow_mut().push_back(size + OVERHEAD))
    }

    /// The stream took more bytes.
    pub(crate) fn add_sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
        let mut replies = self.replies.borrow_mut();
        while let Some((_, cost)) = replies.front().copied().filter(|(end, _)| *end <= self.sent.get()) {
            replies.pop_front();
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

    /// Whether the next message may be read.
    pub(crate) fn may_read(&self) -> bool {
        let most = self.limits.max_message_bytes as u64;
        self.broken.get() || self.waiting.get() <= most && self.asked.get() <= most
    }

    /// Has `reader` woken when the next message may be read.
    pub(crate) fn wake_when_free(&self, reader: &Waker) {
        *self.reader.borrow_mut() = Some(reader.clone());
    }

    /// A call is held, or let go.
    pub(crate) fn hold(&self, cost: u64) {
        self.asked.set(self.asked.get() + cost);
    }

    pub(crate) fn let_go(&self, cost: u64) {
        self.asked.set(self.asked.get() - cost);
        self.wake();
    }

    /// Notes a message on its way out.
    pub(crate) fn goes(&self, message: &Builder<HeapAllocator>, kind: Outgoing) {
        let bytes = capnp::serialize::compute_serialized_size_in_words(message) as u64 * 8;
        self.queued.set(self.queued.get() + bytes);
        if kind == Outgoing::Own {
            return;
        }
        let cost = bytes + OVERHEAD;
        self.replies.borrow_mut().push_back((self.queued.get(), cost));
        self.waiting.set(self.waiting.get() + cost);
        if let Outgoing::Answer { question, capabilities, is_kept } = kind {
            self.answered(question, cost, capabilities, is_kept);
        }
    }

    fn answered(&self, number: u32, cost: u64, capabilities: u64, is_kept: bool) {
        self.handed_out.set(self.handed_out.get() + capabilities);
        let mut kept = self.kept.borrow_mut();
        if !is_kept {
            kept.remove(&number);
        } else if let Some(question) = kept.get_mut(&number) {
            *question = Question { answer: cost, capabilities };
            self.kept_bytes.set(self.kept_bytes.get() + cost);
        }
    }

    /// The other side is done with a question; with `releases` it gives back what the answer handed out.
    fn finished(&self, number: u32, releases: bool) {
        let Some(question) = self.kept.borrow_mut().remove(&number) else { return };
        if question.answer == 0 {
            self.given_up.set(self.given_up.get() + 1);
        }
        self.kept_bytes.set(self.kept_bytes.get() - question.answer);
        if releases {
            self.given_back(question.capabilities);
        }
    }

    /// That more is given back than there is ends the connection in capnp-rpc.
    fn given_back(&self, capabilities: u64) {
        self.handed_out.set(self.handed_out.get().saturating_sub(capabilities));
    }

    /// Notes a message that came in; what it costs as long as it is held.
    ///
    /// # Errors
    /// It carries more than a message may, or more is kept than the edge permits.
    pub(crate) fn comes(&self, body: any_pointer::Reader<'_>) -> Result<u64, Error> {
        // The stream was followed as far as it was read.
        let cost = self.coming.borrow_mut().pop_front().unwrap_or(0);
        // What cannot be read is refused by capnp-rpc, with the right words.
        let Some(message) = body.get_as::<message::Reader<'_>>().ok().and_then(|message| message.which().ok()) else {
            return Ok(0);
        };
        beside::check(&message)?;
        let (question, cost) = match message {
            message::Call(Ok(call)) => (call.get_question_id(), cost),
            message::Bootstrap(Ok(bootstrap)) => (bootstrap.get_question_id(), 0),
            message::Finish(Ok(finish)) => {
                self.finished(finish.get_question_id(), finish.get_release_result_caps());
                return Ok(0);
            }
            message::Release(Ok(release)) => {
                self.given_back(u64::from(release.get_reference_count()));
                return Ok(0);
            }
            // An answer to us: whoever asked holds it, perhaps until the next one has come.
            _ => return Ok(0),
        };
        self.asked_for(question)?;
        Ok(cost)
    }

    fn asked_for(&self, question: u32) -> Result<(), Error> {
        let mut kept = self.kept.borrow_mut();
        kept.entry(question).or_default();
        let (calls, bytes) = (self.limits.max_in_flight, self.limits.max_message_bytes as u64);
        if kept.len() > calls * KEPT_PER_CALL || self.kept_bytes.get() > bytes {
            return Err(Error::failed(format!("it keeps {} answers", kept.len())));
        }
        if self.given_up.get() > calls * GIVEN_UP_PER_CALL {
            return Err(Error::failed(format!("it gave up {} calls", self.given_up.get())));
        }
        if self.handed_out.get() > MAX_HANDED_OUT {
            return Err(Error::failed(format!("it keeps {} capabilities", self.handed_out.get())));
        }
        Ok(())
    }
}

/// Why a message goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// The other side asked this question. How many capabilities of ours the answer has, and whether capnp-rpc keeps it until the
    /// other side is done with it.
    Answer { question: u32, capabilities: u64, is_kept: bool },
    /// The other side said something else: what it sent is not understood, given back or confirmed.
    Reply,
    /// Of our own accord: a call, or the end of one.
    Own,
}

impl Outgoing {
    pub(crate) fn of(message: &dyn OutgoingMessage) -> Self {
        let body = message.get_body_as_reader().and_then(|body| body.get_as::<message::Reader<'_>>());
        match body.map(|message| message.which()) {
            Ok(Ok(message::Return(Ok(answer)))) => {
                let is_kept = !answer.get_no_finish_needed();
                let capabilities = if is_kept { beside::handed_out(answer) } else { 0 };
                Self::Answer { question: answer.get_answer_id(), capabilities, is_kept }
            }
            Ok(Ok(message::Call(_) | message::Bootstrap(_) | message::Finish(_))) => Self::Own,
            _ => Self::Reply,
        }
    }
}
