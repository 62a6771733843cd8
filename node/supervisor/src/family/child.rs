//! One child as the supervisor sees it.

use super::ChildId;
use bulkhead_control::message::ToChild;
use bulkhead_control::{Component, ControlError, Edge, Parent, Report};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Instant;

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// Started and configured.
    Born,
    /// It reported its confinement.
    Confined,
    /// It serves its edges.
    Ready,
}

/// A request of another child that is answered when this one has come far enough.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub child: ChildId,
    pub request: u64,
}

/// The directory of a wallet.
#[derive(Clone, Debug)]
pub(crate) struct KeystoreDirectory {
    pub path: PathBuf,
    /// It was made for this key store.
    pub created: bool,
}

/// A process and its control channel.
#[derive(Debug)]
pub(crate) struct Child {
    pub id: ChildId,
    pub component: Component,
    /// Wallet name of a key store.
    pub instance: String,
    /// Directory of a key store.
    pub directory: Option<KeystoreDirectory>,
    /// Process id, 0 for the window that started us.
    pub pid: i32,
    pub channel: Parent,
    pub state: State,
    pub report: Option<Report>,
    pub born: Instant,
    /// The control channel is closed; only the exit is missing.
    pub mute: bool,
    /// The first wire message was sent.
    pub wired: bool,
    /// What every child hears and this one not yet: the first wire message comes before it.
    pub early: Vec<(ToChild, Vec<OwnedFd>)>,
    /// Streams that were not sent yet.
    pub wires: Vec<(Edge, OwnedFd)>,
    pub asked: Option<Asked>,
    /// What it said about a failed start.
    pub init_error: Option<String>,
}

impl Child {
    /// Sends a message. A child that can't take it is broken; its end is noticed by its exit.
    pub(crate) fn send(&mut self, message: &ToChild, descriptors: &[BorrowedFd<'_>]) {
        if self.mute {
            return;
        }
        match self.channel.send(message, descriptors) {
            Ok(()) => {}
            Err(ControlError::PeerGone) => self.mute = true,
            Err(error) => tracing::error!("control channel of {}: {error}", self.component.binary()),
        }
    }

    /// Sends what every child hears, but not before the child knows its edges.
    pub(crate) fn send_change(&mut self, message: &ToChild, descriptors: &[BorrowedFd<'_>]) {
        if self.wired {
            return self.send(message, descriptors);
        }
        // The newest of each kind is enough, and who asks for many fills no memory.
        self.early.retain(|(other, _)| std::mem::discriminant(other) != std::mem::discriminant(message));
        match descriptors.iter().map(BorrowedFd::try_clone_to_owned).collect() {
            Ok(descriptors) => self.early.push((message.clone(), descriptors)),
            Err(error) => tracing::error!("a change for {} is lost: {error}", self.component.binary()),
        }
    }

    /// The first wire message was sent.
    pub(crate) fn set_wired(&mut self) {
        self.wired = true;
        for (message, descriptors) in std::mem::take(&mut self.early) {
            let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            self.send(&message, &borrowed);
        }
    }

    /// Sends the streams that wait, if the child may have them.
    pub(crate) fn send_wires(&mut self) {
        let wires = std::mem::take(&mut self.wires);
        let (edges, streams): (Vec<_>, Vec<_>) = wires.into_iter().unzip();
        let borrowed: Vec<_> = streams.iter().map(AsFd::as_fd).collect();
        self.send(&ToChild::Wire(edges), &borrowed);
        self.set_wired();
    }
}
