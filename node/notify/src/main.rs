//! `bitcoin-notify`: runs the user's commands for blocks, alerts, wallet transactions, start and end.
//!
//! Two processes of one binary. The *runner* is started first and gets the command templates, once; it has only the
//! filter that refuses what no notification needs (`policies/commands.json`), because what the user's commands do is
//! the user's business. The *messenger* confines itself and then
//! reads the control channel; it can only name a template and pass values, and the runner lets only values through
//! that cannot become shell syntax.

mod frame;
mod messenger;
mod runner;
mod template;

use std::process::ExitCode;

/// The argument that makes this binary the runner.
const RUNNER: &str = "-runner";

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == RUNNER) {
        return if runner::run().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    match messenger::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("bitcoin-notify: {error}");
            ExitCode::FAILURE
        }
    }
}
