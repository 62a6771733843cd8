//! `bitcoin-node`: the supervisor. It reads the options, opens what needs opening, starts and wires the other
//! processes, restarts what dies, and ends them in order. It reads no byte from the network.

mod broker;
mod error;
mod family;
mod fresh;
mod handout;
mod listen;
mod prepare;
mod startup;

use error::NodeError;
use nix::sys::stat::{Mode, umask};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    if arguments.first().is_some_and(|argument| argument == broker::ECHO_ARGUMENT) {
        let mode = arguments.get(1).map_or("strict", String::as_str);
        return if broker::echo_process(mode).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    // Nobody but the owner reads what we create.
    umask(Mode::from_bits_truncate(0o077));
    match run(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!("{error}");
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<bool, NodeError> {
    let Some(options) = startup::arguments::read(arguments)? else { return Ok(true) };
    let prepared = prepare::prepare(options)?;
    let cleanup = prepared.cleanup();
    let outcome = prepare::start(prepared).and_then(|mut family| {
        let outcome = family.bear_all().and_then(|()| family.run());
        if outcome.is_ok() {
            tracing::info!("Shutdown done");
        }
        outcome
    });
    cleanup.run();
    outcome
}
