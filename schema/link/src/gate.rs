//! Back-pressure: a connection with too many unanswered calls is not read until one was answered.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bulkhead_schema::limits::{AtBound, EdgeLimits};
use futures::io::AsyncRead;

use crate::ledger::Ledger;

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

    fn full(&self) -> bool {
        self.in_flight.get() >= self.limits.max_in_flight
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

/// The receiving half of a connection behind its gate.
pub(crate) struct GatedReader<R> {
    inner: R,
    gate: Rc<Gate>,
    ledger: Rc<Ledger>,
}

impl<R> GatedReader<R> {
    pub(crate) fn new(inner: R, gate: Rc<Gate>, ledger: Rc<Ledger>) -> Self {
        Self { inner, gate, ledger }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for GatedReader<R> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<std::io::Result<usize>> {
        if self.gate.full() {
            match self.gate.limits.at_bound {
                AtBound::Wait => {
                    *self.gate.reader.borrow_mut() = Some(context.waker().clone());
                    return Poll::Pending;
                }
                // End of file: the connection is closed.
                AtBound::Disconnect => return Poll::Ready(Ok(0)),
                AtBound::Refuse => {}
            }
        }
        let count = ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        self.ledger.add_received(count);
        Poll::Ready(Ok(count))
    }
}
