//! What users should know about the chain or this node until it has passed (Core: `node::Warnings`).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Kinds of warnings, in the order in which they are shown. There is at most one text of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Warning {
    /// Miners have activated rules that this release does not know.
    UnknownRules,
    /// An invalid chain has much more work than ours.
    LargeInvalidChain,
    /// The node cannot go on.
    Fatal,
}

/// Warnings in force. Shared by all threads.
#[derive(Debug, Default)]
pub struct Warnings {
    texts: Mutex<BTreeMap<Warning, String>>,
}

impl Warnings {
    /// Raises a warning; gives false, and keeps the text that is there, if it is in force already.
    pub fn set(&self, kind: Warning, text: &str) -> bool {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !texts.contains_key(&kind);
        texts.entry(kind).or_insert_with(|| text.to_owned());
        is_new
    }

    /// Takes a warning back.
    pub fn unset(&self, kind: Warning) {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner).remove(&kind);
    }

    /// All texts.
    pub fn texts(&self) -> Vec<String> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_raised_once_and_keeps_its_place() {
        let warnings = Warnings::default();
        assert!(warnings.set(Warning::LargeInvalidChain, "second"));
        assert!(warnings.set(Warning::UnknownRules, "first"));
        assert!(!warnings.set(Warning::UnknownRules, "other"));
        assert_eq!(warnings.texts(), ["first", "second"]);
        warnings.unset(Warning::UnknownRules);
        assert_eq!(warnings.texts(), ["second"]);
    }
}
