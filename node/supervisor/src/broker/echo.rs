//! `echoipc`: a second `bitcoin-node` that says a text back, to show that processes are spawned and talked to.

use super::code;
use crate::family::{Asked, ChildId, Family};
use bulkhead_control::message::ToChild;
use bulkhead_control::{CONTROL_DESCRIPTOR, Command, Component, ControlError, Echo, enter};

/// The argument that makes `bitcoin-node` an echo.
pub(crate) const ECHO_ARGUMENT: &str = "-ipcecho";

/// Longest text, bytes.
const MAX_TEXT: usize = 32 * 1024;

impl Family {
    /// Starts the echo.
    pub(crate) fn spawn_echo(&mut self, asked: Asked, text: &str) {
        if text.len() > MAX_TEXT {
            return self.answer(asked, Err((code::PARAMETER, "text is too long".into())));
        }
        let command = Command { template: "echo".into(), values: vec![("s".into(), text.to_owned())] };
        if let Err(error) = self.bear_echo(&ToChild::Run(command), asked) {
            self.answer(asked, Err((code::MISC, error.to_string())));
        }
    }

    /// The echo spoke.
    pub(crate) fn echoed(&mut self, id: ChildId, text: String) {
        if let Some(asked) = self.by_id(id).and_then(|child| child.asked.take()) {
            self.answer(asked, Ok(text));
        }
    }
}

/// `main` of the echo: confined like the supervisor, one message in, one out.
pub(crate) fn echo_process(mode: &str) -> Result<(), ControlError> {
    let echo = Echo::inherited(CONTROL_DESCRIPTOR)?;
    enter(Component::Node, mode, &[], None)?;
    echo.answer()
}
