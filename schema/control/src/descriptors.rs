//! The named descriptors that come beside the configuration.

use crate::ControlError;
use std::os::fd::OwnedFd;

/// Named owners, in the order in which the supervisor listed them.
#[derive(Debug, Default)]
pub struct Descriptors(Vec<(String, OwnedFd)>);

impl Descriptors {
    pub(crate) fn new(names: Vec<String>, owners: Vec<OwnedFd>) -> Self {
        Self(names.into_iter().zip(owners).collect())
    }

    /// Takes the descriptor of that name.
    ///
    /// # Errors
    /// [`ControlError::MissingDescriptor`].
    pub fn take(&mut self, name: &str) -> Result<OwnedFd, ControlError> {
        self.take_optional(name).ok_or_else(|| ControlError::MissingDescriptor(name.to_owned()))
    }

    /// Takes the descriptor of that name if it came.
    pub fn take_optional(&mut self, name: &str) -> Option<OwnedFd> {
        let position = self.0.iter().position(|(have, _)| have == name)?;
        Some(self.0.remove(position).1)
    }

    /// Takes every descriptor whose name is `prefix/...`, in order.
    pub fn take_all(&mut self, prefix: &str) -> Vec<(String, OwnedFd)> {
        let matches = |name: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
        let (taken, kept) = std::mem::take(&mut self.0).into_iter().partition(|(name, _)| matches(name));
        self.0 = kept;
        taken
    }
}
