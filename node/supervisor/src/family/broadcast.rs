//! Changes that every component applies before the asker is answered: mocked time, log categories.

use super::child::Asked;
use super::{ChildId, Family, State};
use bulkhead_control::Component;
use bulkhead_control::message::ToChild;
use std::collections::BTreeSet;

/// A change that some children have not confirmed yet.
#[derive(Debug)]
pub(super) struct Broadcast {
    asked: Asked,
    waiting: BTreeSet<ChildId>,
}

impl Family {
    /// Sends a change to every child; the asker is answered when all of them have applied it.
    pub(super) fn broadcast(&mut self, message: &ToChild, asked: Asked) {
        let mut waiting = BTreeSet::new();
        for child in &mut self.children {
            child.send_unasked(message, &[]);
            // Key stores and notify read their channel between requests only; nothing that users see waits for them.
            let prompt = !matches!(child.component, Component::Keystore | Component::Notify | Component::Gui);
            if prompt && child.state == State::Ready && !child.mute {
                waiting.insert(child.id);
            }
        }
        self.broadcasts.push(Broadcast { asked, waiting });
        self.answer_broadcasts();
    }

    /// A child applied the oldest change that it has not confirmed, or is gone (`all`).
    pub(super) fn confirmed(&mut self, child: ChildId, all: bool) {
        for broadcast in &mut self.broadcasts {
            if broadcast.waiting.remove(&child) && !all {
                break;
            }
        }
        self.answer_broadcasts();
    }

    fn answer_broadcasts(&mut self) {
        let (done, waiting) =
            std::mem::take(&mut self.broadcasts).into_iter().partition(|broadcast| broadcast.waiting.is_empty());
        self.broadcasts = waiting;
        let done: Vec<Broadcast> = done;
        for Broadcast { asked, .. } in done {
            self.reply(asked.child, asked.request, Ok(String::new()), &[]);
        }
    }
}
