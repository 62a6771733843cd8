//! What a child is told before it knows its edges: the first wire message must come before everything else.

use bulkhead_control::message::ToChild;
use std::mem::discriminant;

/// Commands that wait for the process that runs them. More are lost: who asks for many fills no memory.
const MAX_COMMANDS: usize = 1024;

/// Messages in the order in which they are to be sent, each with what goes beside it.
#[derive(Debug)]
pub(crate) struct Early<D> {
    messages: Vec<(ToChild, Vec<D>)>,
}

impl<D> Default for Early<D> {
    fn default() -> Self {
        Self { messages: Vec::new() }
    }
}

impl<D> Early<D> {
    /// Keeps a message; whether there was room. Of changes the newest of each kind is enough, of commands each counts.
    pub(super) fn push(&mut self, message: ToChild, beside: Vec<D>) -> bool {
        let same = |(other, _): &&(ToChild, Vec<D>)| discriminant(other) == discriminant(&message);
        if !matches!(message, ToChild::Run(_)) {
            self.messages.retain(|other| !same(&other));
        } else if self.messages.iter().filter(same).count() >= MAX_COMMANDS {
            return false;
        }
        self.messages.push((message, beside));
        true
    }

    /// Takes everything out.
    pub(super) fn take(&mut self) -> Vec<(ToChild, Vec<D>)> {
        std::mem::take(&mut self.messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_control::Command;

    fn run(value: usize) -> ToChild {
        ToChild::Run(Command { template: "blocknotify".into(), values: vec![("s".into(), value.to_string())] })
    }

    #[test]
    fn of_changes_the_newest_stays_and_commands_all() {
        let mut early = Early::<()>::default();
        assert!(early.push(ToChild::SetMockTime(1), Vec::new()));
        assert!((0..3).all(|value| early.push(run(value), Vec::new())));
        assert!(early.push(ToChild::SetMockTime(2), Vec::new()));
        let texts: Vec<String> = early.take().iter().map(|(message, _)| format!("{message:?}")).collect();
        let expected: Vec<String> =
            [run(0), run(1), run(2), ToChild::SetMockTime(2)].iter().map(|it| format!("{it:?}")).collect();
        assert_eq!(texts, expected);
        assert!(early.take().is_empty());
    }

    #[test]
    fn commands_are_bounded() {
        let mut early = Early::<()>::default();
        assert!((0..MAX_COMMANDS).all(|value| early.push(run(value), Vec::new())));
        assert!(!early.push(run(0), Vec::new()));
        assert_eq!(early.take().len(), MAX_COMMANDS);
    }
}
