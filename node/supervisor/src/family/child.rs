//! One child as the supervisor sees it.

use super::ChildId;
use super::cgroups::Leaf;
use super::early::Early;
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
    /// How often it wanted what it may not have.
    pub refusals: usize,
    /// The first wire message was sent.
    pub wired: bool,
    /// What this child hears once it has its first wire message.
    pub early: Early<OwnedFd>,
    /// Streams that were not sent yet.
    pub wires: Vec<(Edge, OwnedFd)>,
    pub asked: Option<Asked>,
    /// What it said about a failed start.
    pub init_error: Option<String>,
    /// Its control group, where there are any.
    pub cgroup: Option<Leaf>,
    /// How many texts of it were shown.
    pub texts: usize,
}

impl Child {
    /// Sends a message. One that does not arrive is lost; the end of the child is noticed by its exit.
    pub(crate) fn send(&mut self, message: &ToChild, descriptors: &[BorrowedFd<'_>]) {
        if let Err(error) = self.try_send(message, descriptors) {
            tracing::error!("control channel of {}: {error}", self.component.binary());
        }
    }

    /// As [`Self::send`], but tells why a living child cannot take the message.
    pub(crate) fn try_send(&mut self, message: &ToChild, descriptors: &[BorrowedFd<'_>]) -> Result<(), ControlError> {
        if self.mute {
            return Ok(());
        }
        match self.channel.send(message, descriptors) {
            Err(ControlError::PeerGone) => {
                self.mute = true;
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Sends what comes of its own accord, but not before the child knows its edges.
    pub(crate) fn send_unasked(&mut self, message: &ToChild, descriptors: &[BorrowedFd<'_>]) {
        if self.wired {
            return self.send(message, descriptors);
        }
        let lost = match descriptors.iter().map(BorrowedFd::try_clone_to_owned).collect() {
            Ok(descriptors) => (!self.early.push(message.clone(), descriptors)).then(|| "too many wait".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = lost {
            tracing::error!("a message for {} is lost: {why}", self.component.binary());
        }
    }

    /// The first wire message was sent.
    pub(crate) fn set_wired(&mut self) {
        self.wired = true;
        for (message, descriptors) in self.early.take() {
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
