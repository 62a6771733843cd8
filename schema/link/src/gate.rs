//! Back-pressure: a connection with too many unanswered calls is not read until one was answered.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use bulkhead_schema::limits::{AtBound, EdgeLimits};

/// Counts the unanswered calls of one connection.
pub(crate) struct Gate {
    limits: &'static EdgeLimits,
    in_flight: Cell<usize>,
    reader: RefCell<Option<Waker>>,
}

impl Gate {
    pub(crate) fn new(limits: &'static EdgeLimits) -> Rc<Self> {
        Rc::new(Self { limits, in_flight: Cell::new(0), reader: RefCell::new(None) })
    }

    /// Counts one call in.
    ///
    /// # Errors
    /// An overload error when the edge refuses surplus calls.
    pub(crate) fn enter(self: &Rc<Self>) -> Result<Pass, capnp::Error> {
        if self.limits.at_bound == AtBound::Refuse && self.in_flight.get() >= self.limits.max_in_flight {
            return Err(capnp::Error::overloaded(format!("more than {} calls in flight", self.limits.max_in_flight)));
        }
        self.in_flight.set(self.in_flight.get() + 1);
        Ok(Pass(Rc::clone(self)))
    }

    fn is_full(&self) -> bool {
        self.in_flight.get() >= self.limits.max_in_flight
    }

    /// Whether the connection ends here: one call more than the edge permits.
    pub(crate) fn ends(&self) -> bool {
        self.limits.at_bound == AtBound::Disconnect && self.is_full()
    }

    /// Whether the next message may be read.
    pub(crate) fn may_read(&self) -> bool {
        self.limits.at_bound == AtBound::Refuse || !self.is_full()
    }

    /// Has `reader` woken when the next message may be read.
    pub(crate) fn wake_when_free(&self, reader: &Waker) {
        *self.reader.borrow_mut() = Some(reader.clone());
    }
}

/// One call that is being answered.
pub(crate) struct Pass(Rc<Gate>);

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get().saturating_sub(1));
        if let Some(waker) = self.0.reader.borrow_mut().take() {
            waker.wake();
        }
    }
}
