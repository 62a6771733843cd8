//! The library's network between two sides, with a gate and a ledger: when the next message is read, and what each costs.

use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use capnp::capability::Promise;
use capnp::message::{Builder, HeapAllocator};
use capnp::{Error, any_pointer};
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{Connection, FlowController, IncomingMessage, OutgoingMessage, VatNetwork};
use futures::TryFutureExt;

use crate::gate::Gate;
use crate::ledger::{Ledger, Outgoing};

/// While nothing is read nobody sees that the other side has hung up: this often it is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What every connection of a network needs.
pub(crate) struct Bounds {
    pub(crate) gate: Rc<Gate>,
    pub(crate) ledger: Rc<Ledger>,
    /// Whether the other side has hung up.
    pub(crate) is_hung_up: Box<dyn Fn() -> bool>,
}

impl Bounds {
    /// Whether the next message may be read now.
    fn is_free(&self) -> bool {
        self.gate.may_read() && self.ledger.may_read()
    }

    /// Waits until the next message may be read; whether there will be one.
    async fn until_free(&self) -> bool {
        if self.gate.ends() {
            return false;
        }
        loop {
            let free = std::future::poll_fn(|context| {
                if self.is_free() {
                    return Poll::Ready(());
                }
                self.gate.wake_when_free(context.waker());
                self.ledger.wake_when_free(context.waker());
                Poll::Pending
            });
            tokio::select! {
                biased;
                () = free => return true,
                () = tokio::time::sleep(LOOK) => {}
            }
            if (self.is_hung_up)() {
                return false;
            }
        }
    }
}

/// A network with bounds.
pub(crate) struct Bounded<N> {
    inner: N,
    bounds: Rc<Bounds>,
}

impl<N> Bounded<N> {
    pub(crate) fn new(inner: N, bounds: Bounds) -> Self {
        Self { inner, bounds: Rc::new(bounds) }
    }
}

impl<N: VatNetwork<Side>> VatNetwork<Side> for Bounded<N> {
    fn connect(&mut self, host: Side) -> Option<Box<dyn Connection<Side>>> {
        let bounds = Rc::clone(&self.bounds);
        self.inner.connect(host).map(|inner| Box::new(BoundedConnection { inner, bounds }) as Box<dyn Connection<Side>>)
    }

    fn accept(&mut self) -> Promise<Box<dyn Connection<Side>>, Error> {
        let bounds = Rc::clone(&self.bounds);
        let accepted = self.inner.accept();
        Promise::from_future(accepted.map_ok(|inner| Box::new(BoundedConnection { inner, bounds }) as Box<dyn Connection<Side>>))
    }

    fn drive_until_shutdown(&mut self) -> Promise<(), Error> {
        self.inner.drive_until_shutdown()
    }
}

struct BoundedConnection {
    inner: Box<dyn Connection<Side>>,
    bounds: Rc<Bounds>,
}

impl Connection<Side> for BoundedConnection {
    fn get_peer_vat_id(&self) -> Side {
        self.inner.get_peer_vat_id()
    }

    fn new_outgoing_message(&mut self, first_segment_word_size: u32) -> Box<dyn OutgoingMessage> {
        let inner = self.inner.new_outgoing_message(first_segment_word_size);
        Box::new(Outgone { inner, bounds: Rc::clone(&self.bounds) })
    }

    fn receive_incoming_message(&mut self) -> Promise<Option<Box<dyn IncomingMessage>>, Error> {
        let (next, bounds) = (self.inner.receive_incoming_message(), Rc::clone(&self.bounds));
        Promise::from_future(async move {
            if !bounds.is_free() && !bounds.until_free().await {
                return Ok(None);
            }
            let Some(inner) = next.await? else { return Ok(None) };
            let cost = bounds.ledger.comes(inner.get_body()?)?;
            if cost == 0 {
                return Ok(Some(inner));
            }
            bounds.ledger.hold(cost);
            Ok(Some(Box::new(Held { inner, cost, bounds }) as Box<dyn IncomingMessage>))
        })
    }

    fn new_stream(&mut self) -> (Box<dyn FlowController>, Promise<(), Error>) {
        self.inner.new_stream()
    }

    fn shutdown(&mut self, result: capnp::Result<()>) -> Promise<(), Error> {
        self.inner.shutdown(result)
    }
}

/// A message of the other side, as long as somebody of ours holds it.
struct Held {
    inner: Box<dyn IncomingMessage>,
    cost: u64,
    bounds: Rc<Bounds>,
}

impl IncomingMessage for Held {
    fn get_body(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        self.inner.get_body()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.bounds.ledger.let_go(self.cost);
    }
}

/// A message to the other side.
struct Outgone {
    inner: Box<dyn OutgoingMessage>,
    bounds: Rc<Bounds>,
}

impl OutgoingMessage for Outgone {
    fn get_body(&mut self) -> capnp::Result<any_pointer::Builder<'_>> {
        self.inner.get_body()
    }

    fn get_body_as_reader(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        self.inner.get_body_as_reader()
    }

    fn send(self: Box<Self>) -> (Promise<(), Error>, Rc<Builder<HeapAllocator>>) {
        let kind = Outgoing::of(&*self.inner);
        let (promise, message) = self.inner.send();
        self.bounds.ledger.goes(&message, kind);
        (promise, message)
    }

    fn take(self: Box<Self>) -> Builder<HeapAllocator> {
        self.inner.take()
    }

    fn size_in_words(&self) -> usize {
        self.inner.size_in_words()
    }
}
