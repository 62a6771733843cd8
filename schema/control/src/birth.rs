//! The first screenful of a child's `main`: configuration in, confinement, report out.

use crate::channel::{receive_message, send};
use crate::component::Component;
use crate::config::TypedConfig;
use crate::descriptors::Descriptors;
use crate::handle::{Event, Handle, Shared, apply};
use crate::message::{Edge, FromChild, ToChild};
use crate::{ControlError, PathGrant, clock, log, panic};
use nix::sys::socket::MsgFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

/// The descriptor on which a child finds its control channel.
pub const CONTROL_DESCRIPTOR: i32 = 3;

/// A child that knows its configuration and is not confined yet.
#[derive(Debug)]
pub struct Birth<C> {
    /// The typed configuration.
    pub config: C,
    component: Component,
    sandbox: String,
    memory: Option<u64>,
    descriptors: Descriptors,
    socket: OwnedFd,
}

/// Reads the configuration from descriptor 3, and installs log, panic hook and clock. Call it first in `main`.
///
/// # Errors
/// Anything but a configuration for this component.
pub fn birth<C: TypedConfig>(component: Component) -> Result<Birth<C>, ControlError> {
    birth_on(component, bulkhead_sandbox::passing::inherited(CONTROL_DESCRIPTOR)?)
}

/// As [`birth`], on a given socket (tests, fuzz targets).
///
/// # Errors
/// As [`birth`].
pub fn birth_on<C: TypedConfig>(component: Component, socket: OwnedFd) -> Result<Birth<C>, ControlError> {
    let (message, descriptors) = receive(&socket)?;
    let ToChild::Configure(configure) = message else {
        return Err(ControlError::OutOfOrder("configure"));
    };
    if configure.component != component.word() {
        return Err(ControlError::WrongComponent(configure.component));
    }
    let mut descriptors = Descriptors::new(configure.descriptors, descriptors);
    clock::set_mock_time(configure.log.mock_time);
    let mut sinks = Vec::new();
    sinks.extend(descriptors.take_optional("log"));
    let console = descriptors.take_optional("console");
    log::install(component, &configure.log, sinks.pop(), console);
    panic::install();
    let config = C::from_fields(configure.fields)?;
    Ok(Birth { config, component, sandbox: configure.sandbox, memory: configure.memory, descriptors, socket })
}

pub(crate) fn receive(socket: &OwnedFd) -> Result<(ToChild, Vec<OwnedFd>), ControlError> {
    let (bytes, descriptors) = receive_message(socket, MsgFlags::empty())?.ok_or(ControlError::OutOfOrder("a message"))?;
    let message = ToChild::decode(&bytes)?;
    if let Some(announced) = message.descriptors().filter(|announced| *announced != descriptors.len()) {
        return Err(ControlError::DescriptorCount { announced, carried: descriptors.len() });
    }
    Ok((message, descriptors))
}

impl<C> Birth<C> {
    /// The descriptors that came beside the configuration (without log and console).
    pub fn take_descriptors(&mut self) -> Descriptors {
        std::mem::take(&mut self.descriptors)
    }

    /// "strict", "degraded" or "off".
    #[must_use]
    pub fn sandbox(&self) -> &str {
        &self.sandbox
    }

    /// Tells the supervisor that start-up failed before confinement (a directory that can't be opened, ...).
    pub fn init_error(&self, text: &str) {
        // Nobody is left to tell if this fails.
        let _ = send_on(&self.socket, &FromChild::InitError(text.to_owned()));
    }

    /// Confines this process by its policy and reports what was enforced.
    ///
    /// # Errors
    /// A layer is missing in strict mode: the text names it and the remedy, and is sent to the supervisor too.
    pub fn confine(self, grants: &[PathGrant]) -> Result<Control, ControlError> {
        match crate::confine::enter(self.component, &self.sandbox, grants, self.memory) {
            Ok(report) => {
                send_on(&self.socket, &FromChild::Report(report))?;
                Ok(Control { socket: self.socket })
            }
            Err(error) => {
                self.init_error(&error.to_string());
                Err(error)
            }
        }
    }
}

fn send_on(socket: &OwnedFd, message: &FromChild) -> Result<(), ControlError> {
    send(socket, &message.encode()?, &[], MsgFlags::empty())
}

/// The control channel of a confined child, before it is shared between threads.
#[derive(Debug)]
pub struct Control {
    socket: OwnedFd,
}

impl Control {
    /// A channel without a birth, for fuzz targets: their process keeps its own log and panic hook.
    #[must_use]
    pub fn on(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Waits for the first wire message.
    ///
    /// # Errors
    /// Another message, or loss of the supervisor.
    pub fn receive_wires(&self) -> Result<Vec<(Edge, OwnedFd)>, ControlError> {
        match receive(&self.socket)? {
            (ToChild::Wire(edges), descriptors) => Ok(edges.into_iter().zip(descriptors).collect()),
            _ => Err(ControlError::OutOfOrder("wire")),
        }
    }

    /// For a process with one thread: sends a message.
    ///
    /// # Errors
    /// Loss of the supervisor.
    pub fn send(&self, message: &FromChild) -> Result<(), ControlError> {
        send_on(&self.socket, message)
    }

    /// For a process with one thread: waits for the next event (poll [`as_fd`](AsFd::as_fd) to know when).
    /// Loss of the supervisor is [`Event::PeerGone`].
    ///
    /// # Errors
    /// A malformed message.
    pub fn receive_event(&self) -> Result<Option<Event>, ControlError> {
        match receive(&self.socket) {
            Ok((message, descriptors)) => Ok(apply(message, descriptors, None)),
            Err(ControlError::PeerGone) => Ok(Some(Event::PeerGone)),
            Err(error) => Err(error),
        }
    }

    /// Shares the channel: a handle for every thread, and the events that a reader thread delivers.
    ///
    /// # Errors
    /// The reader thread can't be started.
    pub fn split(self) -> Result<(Handle, Receiver<Event>), ControlError> {
        let (sender, events) = channel();
        let shared = Arc::new(Shared::new(self.socket));
        let reader = Arc::clone(&shared);
        std::thread::Builder::new().name("control".into()).spawn(move || {
            loop {
                let event = match receive(reader.socket()) {
                    Ok((message, descriptors)) => apply(message, descriptors, Some(&reader)),
                    Err(ControlError::PeerGone) => Some(Event::PeerGone),
                    Err(error) => {
                        tracing::error!("control channel: {error}");
                        Some(Event::PeerGone)
                    }
                };
                if matches!(event, Some(Event::MockTime(_) | Event::LogLevels(_) | Event::ForwardScheduler(_))) {
                    // The supervisor answers who asked for the change when everybody has said this.
                    let _ = send_on(reader.socket(), &FromChild::Applied);
                }
                let last = matches!(event, Some(Event::PeerGone));
                if last {
                    reader.fail_all();
                }
                if let Some(event) = event {
                    // A component that has dropped the receiver still gets its answers, clock and log levels.
                    let _ = sender.send(event);
                }
                if last {
                    return;
                }
            }
        })?;
        Ok((Handle::new(shared), events))
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
