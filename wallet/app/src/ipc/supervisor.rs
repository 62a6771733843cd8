//! What this process may ask of the supervisor.

use bulkhead_control::{Answer, ControlError, Handle, OpenKeystore, Request};
use std::os::fd::OwnedFd;

/// The supervisor, or what a test puts in its place.
pub trait Supervisor: Send + Sync + 'static {
    /// Asks and waits for the answer: never call it on the event loop's thread.
    ///
    /// # Errors
    /// Its refusal, or that it is gone.
    fn request(&self, request: Request) -> Result<Answer, ControlError>;

    /// Asks for a notification command.
    fn notify(&self, template: &str, values: &[(&str, &str)]);

    /// Progress of the start.
    fn init_message(&self, text: &str);

    /// Shown once on stderr.
    fn warning(&self, text: &str);

    /// A wallet is loaded (`true`) or not any more: what is loaded, the next wallet process loads again.
    fn wallet_loaded(&self, name: &str, loaded: bool);

    /// Starts a key store for a wallet and answers the stream to it.
    ///
    /// # Errors
    /// As [`Supervisor::request`].
    fn open_keystore(&self, open: OpenKeystore) -> Result<OwnedFd, ControlError> {
        let mut answer = self.request(Request::OpenKeystore(open))?;
        answer.descriptors.pop().ok_or(ControlError::PeerGone)
    }
}

impl Supervisor for Handle {
    fn request(&self, request: Request) -> Result<Answer, ControlError> {
        Handle::request(self, request)
    }

    fn notify(&self, template: &str, values: &[(&str, &str)]) {
        Handle::notify(self, template, values);
    }

    fn init_message(&self, text: &str) {
        Handle::init_message(self, text);
    }

    fn warning(&self, text: &str) {
        Handle::warning(self, text);
    }

    fn wallet_loaded(&self, name: &str, loaded: bool) {
        Handle::wallet_loaded(self, name, loaded);
    }
}
