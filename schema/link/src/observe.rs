//! What `-debug=ipc` shows: a capability wrapped so that every call through it is logged in Core's words
//! (FACTS: libmultiprocess logs `IPC client send`, `IPC server recv request` and so on).

use std::cell::Cell;
use std::rc::Rc;

use bulkhead_schema::names::{MethodName, method_name};
use capnp::capability::{Client, Promise, RemotePromise, Request};
use capnp::private::capability::{ClientHook, ParamsHook, PipelineHook, RequestHook, ResultsHook};
use capnp::{Error, MessageSize, any_pointer};

use crate::gate::{Gate, Pass};

/// Which way calls go through a capability.
#[derive(Clone)]
pub(crate) enum Direction {
    /// The other process calls us; the gate counts.
    Incoming(Rc<Gate>),
    /// We call the other process.
    Outgoing,
}

thread_local! {
    static REQUESTS: Cell<u64> = const { Cell::new(0) };
}

/// Wraps a capability that we received as a parameter or result (a callback, a template), so that our calls
/// through it are logged too.
pub fn observe<C: capnp::capability::FromClientHook>(capability: C) -> C {
    C::new(Box::new(Observed { inner: capability.into_client_hook(), direction: Direction::Outgoing }))
}

pub(crate) fn observe_with(client: Client, direction: Direction) -> Client {
    Client::new(Box::new(Observed { inner: client.hook, direction }))
}

struct Observed {
    inner: Box<dyn ClientHook>,
    direction: Direction,
}

fn name_of(method: Option<&'static MethodName>) -> &'static str {
    method.map_or("unknown", |method| method.name)
}

fn payload(method: Option<&'static MethodName>, results: bool, pointer: Result<any_pointer::Reader<'_>, Error>) -> String {
    match (method, pointer) {
        (Some(method), _) if method.secret => "<redacted>".into(),
        (Some(method), Ok(pointer)) => (if results { method.results } else { method.params })(pointer),
        _ => "<unknown>".into(),
    }
}

fn tracing_payloads() -> bool {
    bulkhead_control::log::payloads_shown()
}

impl ClientHook for Observed {
    fn add_ref(&self) -> Box<dyn ClientHook> {
        Box::new(Self { inner: self.inner.add_ref(), direction: self.direction.clone() })
    }

    fn new_call(
        &self,
        interface_id: u64,
        method_id: u16,
        size_hint: Option<MessageSize>,
    ) -> Request<any_pointer::Owned, any_pointer::Owned> {
        let request = self.inner.new_call(interface_id, method_id, size_hint);
        Request::new(Box::new(ObservedRequest { inner: request.hook, method: method_name(interface_id, method_id) }))
    }

    fn call(
        &self,
        interface_id: u64,
        method_id: u16,
        params: Box<dyn ParamsHook>,
        results: Box<dyn ResultsHook>,
    ) -> Promise<(), Error> {
        let Direction::Incoming(gate) = &self.direction else {
            return self.inner.call(interface_id, method_id, params, results);
        };
        let pass = match gate.enter() {
            Ok(pass) => pass,
            Err(error) => return Promise::err(error),
        };
        if !tracing::enabled!(target: "ipc", tracing::Level::DEBUG) {
            let answer = self.inner.call(interface_id, method_id, params, results);
            return Promise::from_future(async move {
                let _pass: Pass = pass;
                answer.await
            });
        }
        let method = method_name(interface_id, method_id);
        let number = REQUESTS.with(|requests| {
            requests.set(requests.get() + 1);
            requests.get()
        });
        tracing::debug!(target: "ipc", "IPC server recv request  #{number} {}$Params", name_of(method));
        if tracing_payloads() {
            tracing::trace!(target: "ipc", "request data: {}", payload(method, false, params.get()));
        }
        let answer =
            self.inner.call(interface_id, method_id, params, Box::new(ObservedResults { inner: Some(results), method, number }));
        Promise::from_future(async move {
            let _pass: Pass = pass;
            let answer = answer.await;
            if let Err(error) = &answer {
                tracing::error!(target: "ipc", "IPC server error request #{number} {}$Results kj::Exception: {error}", name_of(method));
            }
            answer
        })
    }

    fn get_brand(&self) -> usize {
        self.inner.get_brand()
    }

    fn get_ptr(&self) -> usize {
        self.inner.get_ptr()
    }

    fn get_resolved(&self) -> Option<Box<dyn ClientHook>> {
        self.inner
            .get_resolved()
            .map(|inner| -> Box<dyn ClientHook> { Box::new(Self { inner, direction: self.direction.clone() }) })
    }

    fn when_more_resolved(&self) -> Option<Promise<Box<dyn ClientHook>, Error>> {
        let direction = self.direction.clone();
        self.inner.when_more_resolved().map(|resolved| {
            Promise::from_future(async move {
                let inner = resolved.await?;
                Ok(Box::new(Self { inner, direction }) as Box<dyn ClientHook>)
            })
        })
    }

    fn when_resolved(&self) -> Promise<(), Error> {
        self.inner.when_resolved()
    }
}

struct ObservedRequest {
    inner: Box<dyn RequestHook>,
    method: Option<&'static MethodName>,
}

impl ObservedRequest {
    fn log_send(&mut self) -> bool {
        if !tracing::enabled!(target: "ipc", tracing::Level::DEBUG) {
            return false;
        }
        tracing::debug!(target: "ipc", "IPC client send {}$Params", name_of(self.method));
        if tracing_payloads() {
            tracing::trace!(target: "ipc", "send data: {}", payload(self.method, false, Ok(self.inner.get().into_reader())));
        }
        true
    }
}

impl RequestHook for ObservedRequest {
    fn get(&mut self) -> any_pointer::Builder<'_> {
        self.inner.get()
    }

    fn get_brand(&self) -> usize {
        self.inner.get_brand()
    }

    fn send(mut self: Box<Self>) -> RemotePromise<any_pointer::Owned> {
        let logged = self.log_send();
        let method = self.method;
        let sent = self.inner.send();
        if !logged {
            return sent;
        }
        let promise = sent.promise;
        RemotePromise {
            promise: Promise::from_future(async move {
                let response = promise.await?;
                tracing::debug!(target: "ipc", "IPC client recv {}$Results", name_of(method));
                if tracing_payloads() {
                    tracing::trace!(target: "ipc", "recv data: {}", payload(method, true, response.get()));
                }
                Ok(response)
            }),
            pipeline: sent.pipeline,
        }
    }

    fn send_streaming(mut self: Box<Self>) -> Promise<(), Error> {
        self.log_send();
        self.inner.send_streaming()
    }

    fn tail_send(self: Box<Self>) -> Option<(u32, Promise<(), Error>, Box<dyn PipelineHook>)> {
        self.inner.tail_send()
    }
}

/// Logs the answer at the moment when the results are complete, which is when they are dropped.
struct ObservedResults {
    inner: Option<Box<dyn ResultsHook>>,
    method: Option<&'static MethodName>,
    number: u64,
}

impl ObservedResults {
    fn hook(&mut self) -> Result<&mut Box<dyn ResultsHook>, Error> {
        self.inner.as_mut().ok_or_else(|| Error::failed("results were already sent".into()))
    }
}

impl Drop for ObservedResults {
    fn drop(&mut self) {
        let Some(mut inner) = self.inner.take() else { return };
        tracing::debug!(target: "ipc", "IPC server send response #{} {}$Results", self.number, name_of(self.method));
        if tracing_payloads() {
            tracing::trace!(target: "ipc", "response data: {}", payload(self.method, true, inner.get().map(any_pointer::Builder::into_reader)));
        }
    }
}

impl ResultsHook for ObservedResults {
    fn get(&mut self) -> capnp::Result<any_pointer::Builder<'_>> {
        self.hook()?.get()
    }

    fn set_pipeline(&mut self) -> capnp::Result<()> {
        self.hook()?.set_pipeline()
    }

    fn allow_cancellation(&self) {
        if let Some(inner) = &self.inner {
            inner.allow_cancellation();
        }
    }

    fn tail_call(mut self: Box<Self>, request: Box<dyn RequestHook>) -> Promise<(), Error> {
        match self.inner.take() {
            Some(inner) => inner.tail_call(request),
            None => Promise::err(Error::failed("results were already sent".into())),
        }
    }

    fn direct_tail_call(mut self: Box<Self>, request: Box<dyn RequestHook>) -> (Promise<(), Error>, Box<dyn PipelineHook>) {
        // The hook is taken only here, in tail_call and in drop, each of which consumes self.
        self.inner.take().expect("results are taken only by the call that consumes them").direct_tail_call(request)
    }
}
