//! The process that gives birth to the others.
//!
//! System call filters and Landlock domains are inherited, so a supervisor that may not exec cannot start
//! a child after it confined itself. It therefore forks the spawner first. The two share one SEQPACKET
//! channel: a request names the component, arguments and descriptors; answers and exits of children come
//! back as messages. End of file on the channel (the supervisor died) kills every child at once.

mod serve;
mod wire;

use crate::{Mode, SandboxError};
use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
};

/// How the spawner is confined.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder of the binaries. Nothing outside it can be executed.
    pub binaries: PathBuf,
    /// Mode for the spawner and for the births (each child applies its own mode in `enter`).
    pub mode: Mode,
    /// Loosened: this spawner starts only the component that runs commands of the user. What confines it is
    /// inherited by every such command, so it has no Landlock rules, and of filters only the one that refuses what
    /// no notification needs (`policies/commands.json`); no_new_privs and the empty capability sets remain. Start a
    /// second spawner for it, never give this to the one for other components.
    pub runs_commands: bool,
}

/// A child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its process id, as returned by [`SpawnerHandle::spawn`].
    pub pid: i32,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It returned this exit code.
    Code(i32),
    /// This signal ended it (31: a system call of the deadly list).
    Signal(i32),
}

/// The supervisor's end of the channel. Dropping it ends the spawner and every child.
#[derive(Debug)]
pub struct SpawnerHandle {
    channel: OwnedFd,
    pid: i32,
    exits: VecDeque<Exit>,
}

/// Forks the spawner. Must be called before the supervisor starts a thread or confines itself, from the
/// main thread (the spawner dies with the thread that forked it).
///
/// # Errors
/// When threads exist, when the fork fails, or in strict mode when a layer of the spawner is missing.
pub fn start(options: Options) -> Result<SpawnerHandle, SandboxError> {
    serve::start(options)
}

impl SpawnerHandle {
    /// Starts a component: its own binary in its own namespaces with exactly these descriptors under these
    /// numbers (0, 1 and 2 are `/dev/null` unless listed). `args` come after the program name.
    ///
    /// # Errors
    /// [`SandboxError::Refused`] with the spawner's words, or [`SandboxError::SpawnerGone`].
    pub fn spawn(&mut self, component: &str, args: &[&str], keep: Vec<(OwnedFd, i32)>) -> Result<i32, SandboxError> {
        wire::send_spawn(&self.channel, component, args, &keep)?;
        loop {
            match wire::receive_answer(&self.channel, true)? {
                Some(wire::Answer::Born(pid)) => return Ok(pid),
                Some(wire::Answer::Refused(text)) => return Err(SandboxError::Refused(text)),
                Some(wire::Answer::Exited(exit)) => self.exits.push_back(exit),
                None => return Err(SandboxError::SpawnerGone),
            }
        }
    }

    /// Takes the next exit of a child. With `wait` it blocks until there is one; otherwise `None` means that
    /// there is none now. After polling [`AsFd`], call it until it answers `None`: [`Self::spawn`] may have
    /// put exits aside while it waited for its answer.
    ///
    /// # Errors
    /// [`SandboxError::SpawnerGone`] when the spawner died.
    pub fn next_exit(&mut self, wait: bool) -> Result<Option<Exit>, SandboxError> {
        if let Some(exit) = self.exits.pop_front() {
            return Ok(Some(exit));
        }
        match wire::receive_answer(&self.channel, wait)? {
            Some(wire::Answer::Exited(exit)) => Ok(Some(exit)),
            Some(_) => Err(SandboxError::Malformed),
            None => Ok(None),
        }
    }

    /// Ends a child with SIGKILL. Unknown or ended children are ignored.
    ///
    /// # Errors
    /// [`SandboxError::SpawnerGone`] when the spawner died.
    pub fn kill(&self, pid: i32) -> Result<(), SandboxError> {
        wire::send_kill(&self.channel, pid)
    }

    /// Process id of the spawner itself.
    #[must_use]
    pub const fn pid(&self) -> i32 {
        self.pid
    }
}

impl AsFd for SpawnerHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}
