//! The loop.

use super::Family;
use crate::error::NodeError;
use crate::startup::log;
use bulkhead_control::message::ToChild;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use std::os::fd::AsFd;
use std::time::Instant;

impl Family {
    /// Runs until everybody is gone. False: something failed.
    pub(crate) fn run(&mut self) -> Result<bool, NodeError> {
        while !self.advance_stop() {
            self.wait()?;
            self.handle_signals();
            let ids: Vec<_> = self.children.iter().filter(|child| !child.mute).map(|child| child.id).collect();
            for id in ids {
                self.drain(id);
            }
            self.reap()?;
            self.rebirths_due();
            if self.keystore_deadlines().any(|deadline| deadline <= Instant::now()) {
                self.keystores_changed();
            }
        }
        Ok(!self.failed)
    }

    fn wait(&self) -> Result<(), NodeError> {
        let mut descriptors =
            vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN), PollFd::new(self.spawner.as_fd(), PollFlags::POLLIN)];
        descriptors.extend(self.commands.iter().map(|spawner| PollFd::new(spawner.as_fd(), PollFlags::POLLIN)));
        let channels = self.children.iter().filter(|child| !child.mute);
        descriptors.extend(channels.map(|child| PollFd::new(child.channel.as_fd(), PollFlags::POLLIN)));
        let due = self.next_rebirth().into_iter().chain(self.stop_deadline()).chain(self.keystore_deadlines()).min();
        let timeout = due.map_or(PollTimeout::NONE, |due| {
            // One more millisecond: rounding down would wake us before the time.
            let wait = due.saturating_duration_since(Instant::now()).as_millis() + 1;
            PollTimeout::try_from(i32::try_from(wait).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut descriptors, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(NodeError::system("poll", error)),
        }
    }

    fn handle_signals(&mut self) {
        while let Some(signal) = self.signals.next() {
            if signal == Signal::SIGHUP {
                self.reopen_log();
            } else {
                tracing::debug!("{} received", signal.as_str());
                self.request_stop();
            }
        }
    }

    /// Opens the log anew and hands it to everybody (after a rotation).
    fn reopen_log(&mut self) {
        let Some(path) = self.outfit.log_path.clone() else { return };
        let file = match log::open(&path) {
            Ok(file) => file,
            Err(error) => {
                tracing::error!("{error}");
                return;
            }
        };
        if let Ok(copy) = file.try_clone() {
            bulkhead_control::log::replace_file(copy);
        }
        for child in &mut self.children {
            child.send_unasked(&ToChild::ReopenLog, &[file.as_fd()]);
        }
        self.outfit.log = Some(file);
    }

    /// Takes notice of processes that ended.
    fn reap(&mut self) -> Result<(), NodeError> {
        loop {
            let mut exit = self.spawner.next_exit(false)?;
            if exit.is_none()
                && let Some(commands) = &mut self.commands
            {
                exit = commands.next_exit(false)?;
            }
            let Some(exit) = exit else { return Ok(()) };
            self.ended(exit);
        }
    }
}
