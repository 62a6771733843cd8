//! Core's `Init`, `Echo` and `Rpc` interfaces.

use std::rc::Rc;

use bulkhead_link::failed;
use bulkhead_schema::decode::text;
use bulkhead_schema::limits::MAX_RPC_REQUEST_BYTES;
use bulkhead_schema::wire::echo_capnp::echo;
use bulkhead_schema::wire::init_capnp::init;
use bulkhead_schema::wire::rpc_capnp::rpc;

use super::mining::Mining;
use super::threads::{ThreadMap, Threads};
use crate::door::{Caller, Door};
use crate::{body, calls};

/// Longest user name and path of a request.
const MAX_NAME_BYTES: usize = 4096;

/// The bootstrap capability of one connection.
pub struct Init {
    door: Rc<Door>,
    threads: Rc<Threads>,
}

impl Init {
    /// For one connection.
    pub fn new(door: Rc<Door>) -> Self {
        Self { door, threads: Rc::default() }
    }
}

impl init::Server for Init {
    async fn construct(
        self: Rc<Self>,
        _: init::ConstructParams,
        mut results: init::ConstructResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_thread_map(capnp_rpc::new_client(ThreadMap(Rc::clone(&self.threads))));
        Ok(())
    }

    async fn make_echo(
        self: Rc<Self>,
        params: init::MakeEchoParams,
        mut results: init::MakeEchoResults,
    ) -> Result<(), capnp::Error> {
        self.threads.run("Init.makeEcho", params.get()?.get_context()?, async { Ok(()) }).await?;
        results.get().set_result(capnp_rpc::new_client(Echo(Rc::clone(&self.threads))));
        Ok(())
    }

    async fn make_mining_old2(
        self: Rc<Self>,
        _: init::MakeMiningOld2Params,
        _: init::MakeMiningOld2Results,
    ) -> Result<(), capnp::Error> {
        Err(failed("Old mining interface (@2) not supported. Please update your client!"))
    }

    async fn make_mining(
        self: Rc<Self>,
        params: init::MakeMiningParams,
        mut results: init::MakeMiningResults,
    ) -> Result<(), capnp::Error> {
        let door = Rc::clone(&self.door);
        let work = async move {
            // As in Core, miners wait here until the chain is loaded.
            door.warmup.finished().await;
            let call = door.owners.chain.get().map_err(failed)?.make_mining_request();
            call.send().promise.await?.get()?.get_result()
        };
        let inner = self.threads.run("Init.makeMining", params.get()?.get_context()?, work).await?;
        results.get().set_result(capnp_rpc::new_client(Mining { inner, threads: Rc::clone(&self.threads) }));
        Ok(())
    }

    async fn make_rpc(
        self: Rc<Self>,
        params: init::MakeRpcParams,
        mut results: init::MakeRpcResults,
    ) -> Result<(), capnp::Error> {
        self.threads.run("Init.makeRpc", params.get()?.get_context()?, async { Ok(()) }).await?;
        let server = Rpc { door: Rc::clone(&self.door), threads: Rc::clone(&self.threads) };
        results.get().set_result(capnp_rpc::new_client(server));
        Ok(())
    }
}

struct Echo(Rc<Threads>);

impl echo::Server for Echo {
    async fn destroy(self: Rc<Self>, params: echo::DestroyParams, _: echo::DestroyResults) -> Result<(), capnp::Error> {
        self.0.run("Echo.destroy", params.get()?.get_context()?, async { Ok(()) }).await
    }

    async fn echo(self: Rc<Self>, params: echo::EchoParams, mut results: echo::EchoResults) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let said = text("echo", params.get_echo()?, MAX_RPC_REQUEST_BYTES).map_err(failed)?.to_owned();
        let heard = self.0.run("Echo.echo", params.get_context()?, async { Ok(said) }).await?;
        results.get().set_result(&heard);
        Ok(())
    }
}

struct Rpc {
    door: Rc<Door>,
    threads: Rc<Threads>,
}

impl rpc::Server for Rpc {
    async fn execute_rpc(
        self: Rc<Self>,
        params: rpc::ExecuteRpcParams,
        mut results: rpc::ExecuteRpcResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let request = text("request", params.get_request()?, MAX_RPC_REQUEST_BYTES).map_err(failed)?.as_bytes().to_vec();
        // The user is what the client says: on this socket a whitelist protects nothing.
        let caller = Caller {
            uri: text("uri", params.get_uri()?, MAX_NAME_BYTES).map_err(failed)?.to_owned(),
            user: text("user", params.get_user()?, MAX_NAME_BYTES).map_err(failed)?.to_owned(),
        };
        let door = Rc::clone(&self.door);
        let work = async move { Ok(calls::execute(&door, body::read(&request), &caller).await) };
        let outcome = self.threads.run("Rpc.executeRpc", params.get_context()?, work).await?;
        results.get().set_result(outcome.text.as_deref().unwrap_or("null"));
        Ok(())
    }
}
