//! The link itself, with the smallest server behind it: whatever somebody says, bounds hold and the server answers the next one.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bulkhead_link::{connect, serve};
use bulkhead_schema::wire::rpc_chain_capnp::{chain_events, rpc_chain};
use bulkhead_tests::hostile::conversation;

use super::shown::Shown;
use super::{known, pair, patiently, run, say};

/// Answers some methods, hands a capability on, and counts.
#[derive(Default)]
struct Echo {
    calls: Cell<usize>,
}

impl rpc_chain::Server for Echo {
    async fn ping(self: Rc<Self>, _: rpc_chain::PingParams, _: rpc_chain::PingResults) -> Result<(), capnp::Error> {
        self.calls.set(self.calls.get() + 1);
        Ok(())
    }

    async fn echo(
        self: Rc<Self>,
        params: rpc_chain::EchoParams,
        mut results: rpc_chain::EchoResults,
    ) -> Result<(), capnp::Error> {
        self.calls.set(self.calls.get() + 1);
        results.get().set_data(params.get()?.get_data()?);
        Ok(())
    }

    /// Calls back once, as chain does.
    async fn subscribe(
        self: Rc<Self>,
        params: rpc_chain::SubscribeParams,
        _: rpc_chain::SubscribeResults,
    ) -> Result<(), capnp::Error> {
        let events: chain_events::Client = params.get()?.get_events()?;
        let call = events.block_disconnected_request().send().promise;
        tokio::task::spawn_local(async move { tokio::time::timeout(Duration::from_millis(20), call).await.is_ok() });
        Ok(())
    }

    async fn execute_rpc(
        self: Rc<Self>,
        params: rpc_chain::ExecuteRpcParams,
        mut results: rpc_chain::ExecuteRpcResults,
    ) -> Result<(), capnp::Error> {
        let request = params.get()?.get_request()?.to_str()?;
        results.get().set_response(request);
        Ok(())
    }
}

/// A conversation with it; afterwards a new connection gets its answer.
pub fn echo_server(data: &[u8]) {
    let script = conversation(data, &known("rpc-chain"));
    let _shown = Shown::some(data);
    run(async move {
        let server = Rc::new(Echo::default());
        let client: rpc_chain::Client = capnp_rpc::new_client_from_rc(Rc::clone(&server));
        let (ours, theirs) = pair();
        serve(theirs, "rpc-chain", client.client.clone()).expect("a stream");
        let asked = script.messages.len();
        say(ours, script, None).await;
        assert!(server.calls.get() <= asked, "{} calls of {asked} messages", server.calls.get());
        let (ours, theirs) = pair();
        serve(theirs, "rpc-chain", client.client).expect("a stream");
        let next = connect::<rpc_chain::Client>(ours, "rpc-chain", None).expect("a stream").client;
        let ping = next.ping_request().send().promise;
        patiently(ping, "no answer in time").await.expect("an answer");
    });
}
