//! A shared handle on the control channel, and the events that come out of it.

use crate::channel::send;
use crate::message::{Command, Edge, FromChild, LogLevel, Outcome, Request, ToChild};
use crate::{ControlError, clock, log};
use nix::sys::socket::MsgFlags;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the supervisor wants, after this crate has done its own part (clock, log) of it.
#[derive(Debug)]
pub enum Event {
    /// A peer was restarted: new streams for these edges.
    Wire(Vec<(Edge, OwnedFd)>),
    /// Finish in-flight work, flush, exit 0.
    Shutdown,
    /// Only for notify: run a command.
    Run(Command),
    /// The mocked time changed (already applied).
    MockTime(i64),
    /// What is planned for later comes sooner by this many seconds.
    ForwardScheduler(i64),
    /// The enabled categories changed (already applied).
    LogLevels(Vec<LogLevel>),
    /// The log file was replaced (already applied).
    ReopenLog,
    /// The supervisor is gone: exit.
    PeerGone,
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer {
    /// JSON or plain text, by request.
    pub text: String,
    /// Descriptors that came with it.
    pub descriptors: Vec<OwnedFd>,
}

type Pending = HashMap<u64, SyncSender<(Outcome, Vec<OwnedFd>)>>;

/// The channel and the requests that wait for an answer. `None`: the supervisor is gone.
#[derive(Debug)]
pub(crate) struct Shared {
    socket: OwnedFd,
    next: AtomicU64,
    pending: Mutex<Option<Pending>>,
}

impl Shared {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket, next: AtomicU64::new(1), pending: Mutex::new(Some(HashMap::new())) }
    }

    pub(crate) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    fn pending(&self) -> MutexGuard<'_, Option<Pending>> {
        // The map is valid after every statement, so a poisoned lock is still good.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops every waiting sender, which wakes the callers with an error.
    pub(crate) fn fail_all(&self) {
        *self.pending() = None;
    }
}

/// Does this crate's part of a message; what is left for the component comes back.
pub(crate) fn apply(message: ToChild, mut descriptors: Vec<OwnedFd>, shared: Option<&Shared>) -> Option<Event> {
    match message {
        ToChild::Wire(edges) => Some(Event::Wire(edges.into_iter().zip(descriptors).collect())),
        ToChild::Shutdown => Some(Event::Shutdown),
        ToChild::Run(command) => Some(Event::Run(command)),
        ToChild::SetMockTime(seconds) => {
            clock::set_mock_time(seconds);
            Some(Event::MockTime(seconds))
        }
        ToChild::ForwardScheduler(seconds) => Some(Event::ForwardScheduler(seconds)),
        ToChild::LogCategories(levels) => {
            log::set_levels(&levels);
            Some(Event::LogLevels(levels))
        }
        ToChild::ReopenLog => {
            if let Some(file) = descriptors.pop() {
                log::replace_file(file);
            }
            Some(Event::ReopenLog)
        }
        ToChild::Reply(reply) => {
            let waiting = shared.and_then(|shared| shared.pending().as_mut()?.remove(&reply.id));
            match waiting {
                // A caller that gave up is no reason to stop.
                Some(sender) => drop(sender.send((reply.outcome, descriptors))),
                None => tracing::warn!("control channel: answer to unknown request {}", reply.id),
            }
            None
        }
        ToChild::Configure(_) => {
            tracing::error!("control channel: second configuration ignored");
            None
        }
    }
}

/// A handle on the control channel for any thread.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn send(&self, message: &FromChild) -> Result<(), ControlError> {
        send(&self.shared.socket, &message.encode()?, &[], MsgFlags::empty())
    }

    /// Says that the component serves its edges.
    ///
    /// # Errors
    /// Loss of the supervisor.
    pub fn ready(&self) -> Result<(), ControlError> {
        self.send(&FromChild::Ready)
    }

    /// Asks the supervisor and waits for its answer. Blocks: call it from a worker thread, not from a runtime.
    ///
    /// # Errors
    /// [`ControlError::Refused`] with the supervisor's text, or loss of the supervisor.
    pub fn request(&self, request: Request) -> Result<Answer, ControlError> {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = sync_channel(1);
        self.shared.pending().as_mut().ok_or(ControlError::PeerGone)?.insert(id, sender);
        if let Err(error) = self.send(&FromChild::Request(id, request)) {
            self.shared.pending().as_mut().and_then(|pending| pending.remove(&id));
            return Err(error);
        }
        match answer.recv() {
            Ok((Ok(text), descriptors)) => Ok(Answer { text, descriptors }),
            Ok((Err((code, message)), _)) => Err(ControlError::Refused { code, message }),
            Err(_) => Err(ControlError::PeerGone),
        }
    }

    /// Says that start-up failed: the node prints "Error: text" and exits with 1.
    pub fn init_error(&self, text: &str) {
        self.tell(FromChild::InitError(text.to_owned()));
    }

    /// Says that the node must stop: "Error: text", exit code 1.
    pub fn fatal(&self, text: &str) {
        self.tell(FromChild::Fatal(text.to_owned()));
    }

    /// Shows progress while the node warms up.
    pub fn init_message(&self, text: &str) {
        self.tell(FromChild::InitMessage(text.to_owned()));
    }

    /// Shows "Warning: text" on stderr once.
    pub fn warning(&self, text: &str) {
        self.tell(FromChild::Warning(text.to_owned()));
    }

    /// Asks for a notification command.
    pub fn notify(&self, template: &str, values: &[(&str, &str)]) {
        let values = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.tell(FromChild::Notify(Command { template: template.to_owned(), values }));
    }

    /// Says that a wallet is loaded (`true`) or not any more: the next wallet process loads what this one had.
    pub fn wallet_loaded(&self, name: &str, loaded: bool) {
        let name = name.to_owned();
        self.tell(if loaded { FromChild::WalletLoaded(name) } else { FromChild::WalletReleased(name) });
    }

    /// A message whose loss means that the supervisor is gone, which the reader thread reports.
    fn tell(&self, message: FromChild) {
        if let Err(error) = self.send(&message) {
            tracing::debug!(target: "ipc", "control message not sent: {error}");
        }
    }
}
