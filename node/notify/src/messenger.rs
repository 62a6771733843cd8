//! The confined process: control channel in, requests to the runner out.

use crate::runner::NAMES;
use crate::{RUNNER, frame};
use bulkhead_control::{Command, Component, ControlError, Event, FromChild, NotifyConfig, birth};
use std::io;
use std::process::{Child, ChildStdin, Stdio};
use thiserror::Error;

/// Why the process must end.
#[derive(Debug, Error)]
pub(crate) enum NotifyError {
    /// The control channel.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The runner.
    #[error("cannot start the runner of commands: {0}")]
    Runner(io::Error),
}

/// The runner and the pipe into it.
struct Runner {
    process: Child,
    pipe: ChildStdin,
}

impl Runner {
    fn start(config: &NotifyConfig) -> io::Result<Self> {
        let mut process = std::process::Command::new("/proc/self/exe").arg(RUNNER).stdin(Stdio::piped()).spawn()?;
        let mut pipe = process.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut templates = vec![
            config.blocknotify.as_str(),
            config.walletnotify.as_str(),
            config.alertnotify.as_str(),
            config.startupnotify.as_str(),
        ];
        debug_assert_eq!(templates.len(), NAMES.len());
        templates.extend(config.shutdownnotify.iter().map(String::as_str));
        frame::write(&mut pipe, &templates)?;
        Ok(Self { process, pipe })
    }

    fn pass(&mut self, command: &Command) {
        let mut texts = vec![command.template.as_str()];
        texts.extend(command.values.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]));
        if let Err(error) = frame::write(&mut self.pipe, &texts) {
            tracing::warn!("{} could not be run: {error}", command.template);
        }
    }

    /// Waits for the commands of `-shutdownnotify`.
    fn finish(mut self) {
        drop(self.pipe);
        // A runner that is gone has nothing left to run.
        let _ = self.process.wait();
    }
}

/// Births, confines, serves.
pub(crate) fn run() -> Result<(), NotifyError> {
    let birth = birth::<NotifyConfig>(Component::Notify)?;
    let config = &birth.config;
    let any = [&config.blocknotify, &config.walletnotify, &config.alertnotify, &config.startupnotify];
    let needed = any.iter().any(|command| !command.is_empty()) || !config.shutdownnotify.is_empty();
    let mut runner = needed.then(|| Runner::start(config)).transpose().map_err(NotifyError::Runner)?;
    let control = birth.confine(&[])?;
    control.receive_wires()?;
    control.send(&FromChild::Ready)?;
    loop {
        match control.receive_event()? {
            Some(Event::Run(command)) => {
                if let Some(runner) = &mut runner {
                    runner.pass(&command);
                }
            }
            Some(Event::Shutdown) => break,
            Some(Event::PeerGone) => return Ok(()),
            _ => {}
        }
    }
    if let Some(runner) = runner {
        runner.finish();
    }
    Ok(())
}
