//! Calls that go on to chain, in the order of their thread.

use std::rc::Rc;

use bulkhead_schema::wire::proxy_capnp::context;
use capnp::capability::{FromTypelessPipeline, Request, Response};
use capnp::traits::{Owned, Pipelined};

use super::threads::Threads;

/// Sends a call to chain on the thread of its context and waits for the answer.
///
/// # Errors
/// The context names no thread that runs here, or chain's error.
pub async fn forward<P, R>(
    threads: &Rc<Threads>,
    name: &'static str,
    context: context::Reader<'_>,
    call: Request<P, R>,
) -> Result<Response<R>, capnp::Error>
where
    P: Owned + 'static,
    R: Pipelined + Owned + Unpin + 'static,
    R::Pipeline: FromTypelessPipeline + 'static,
{
    threads.run(name, context, async move { call.send().promise.await.map_err(relayed) }).await
}

/// What chain answered, as it goes to the client: the prefix that the RPC system puts before the text of the other
/// side's exceptions is put there again on the way out.
pub fn relayed(mut error: capnp::Error) -> capnp::Error {
    if let Some(text) = error.extra.strip_prefix("remote exception: ") {
        error.extra = text.to_owned();
    }
    error
}

/// A method whose answer goes back as it came; the block copies the parameters.
macro_rules! passes_on {
    ($interface:ident :: $method:ident, $request:ident, $params:ident, $results:ident, $name:literal, |$given:ident, $call:ident| $copy:block) => {
        async fn $method(
            self: Rc<Self>,
            params: $interface::$params,
            mut results: $interface::$results,
        ) -> Result<(), capnp::Error> {
            let $given = params.get()?;
            #[allow(unused_mut)]
            let mut $call = self.inner.$request();
            $copy
            let answer = forward(&self.threads, $name, $given.get_context()?, $call).await?;
            results.set(answer.get()?)
        }
    };
}
pub(super) use passes_on;
