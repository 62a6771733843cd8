//! Work whose caller has gone: a thread that waits for a tip on its behalf must not wait for ever.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ChainManager;

thread_local! {
    /// Set when nobody wants any more what this thread works on.
    static CALLER_GONE: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// Runs `work`, whose waits for a tip end when the [`Caller`] is dropped.
pub fn abandonable<T>(gone: Arc<AtomicBool>, work: impl FnOnce() -> T) -> T {
    CALLER_GONE.set(Some(gone));
    let result = work();
    CALLER_GONE.set(None);
    result
}

/// Whether the caller has gone for whom this thread works.
pub fn is_abandoned() -> bool {
    CALLER_GONE.with_borrow(|gone| gone.as_ref().is_some_and(|gone| gone.load(Ordering::Acquire)))
}

/// Whoever waits for the result of work on another thread. When it is dropped before [`Caller::served`], that work is abandoned.
#[derive(Debug)]
pub struct Caller<'a> {
    chain: &'a ChainManager,
    gone: Arc<AtomicBool>,
    served: bool,
}

impl<'a> Caller<'a> {
    /// A caller, and what [`abandonable`] takes on the other thread.
    pub fn new(chain: &'a ChainManager) -> (Self, Arc<AtomicBool>) {
        let gone = Arc::new(AtomicBool::new(false));
        (Self { chain, gone: Arc::clone(&gone), served: false }, gone)
    }

    /// The work is done.
    pub fn served(mut self) {
        self.served = true;
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        if !self.served {
            self.gone.store(true, Ordering::Release);
            self.chain.wake_waiting();
        }
    }
}
