//! SIGTERM, SIGINT and SIGHUP as messages.

use crate::error::NodeError;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::{AsFd, BorrowedFd};

/// The descriptor that tells of signals.
#[derive(Debug)]
pub(crate) struct Signals(SignalFd);

impl Signals {
    /// Blocks the signals and opens the descriptor. The spawner and the children don't inherit the mask: they set
    /// their own.
    pub(crate) fn new() -> Result<Self, NodeError> {
        let set: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None).map_err(|error| NodeError::system("cannot block signals", error))?;
        SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map(Self)
            .map_err(|error| NodeError::system("cannot open a signal descriptor", error))
    }

    /// The next signal, if any.
    pub(super) fn next(&self) -> Option<Signal> {
        let info = self.0.read_signal().ok().flatten()?;
        Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
