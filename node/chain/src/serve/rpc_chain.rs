//! Edge rpc - chain: JSON-RPC, REST, notifications for the front door, Core's mining interface.

use std::cell::Cell;
use std::rc::Rc;

use bulkhead_rpc_util::RpcError;
use bulkhead_schema::decode;
use bulkhead_schema::limits::MAX_RPC_REQUEST_BYTES;
use bulkhead_schema::wire::rpc_chain_capnp::rpc_chain;
use serde_json::json;

use super::coins::{InputCheck, fill_coins, find_coins, put_texts, read_outpoints};
use super::convert::malformed;
use super::events::once;
use super::{Node, mining};
use crate::{rest, rpc};

/// RPC_IN_WARMUP.
const WARMUP: i32 = -28;
/// Longest path and longest query of a REST request.
const MAX_TARGET_BYTES: usize = 64 << 10;
/// Longest body of a REST request; only `getutxos` has one, with a few outpoints.
const MAX_REST_BODY_BYTES: usize = 64 << 10;
/// The benchmark's blob.
const MAX_ECHO: usize = 4 << 20;

/// Whether somebody has subscribed goes with the connection.
struct RpcChain(Rc<Node>, Cell<bool>);

/// The interface over `node`.
pub fn client(node: Rc<Node>) -> capnp::capability::Client {
    let client: rpc_chain::Client = capnp_rpc::new_client(RpcChain(node, Cell::default()));
    client.client
}

impl rpc_chain::Server for RpcChain {
    async fn execute_rpc(
        self: Rc<Self>,
        params: rpc_chain::ExecuteRpcParams,
        mut results: rpc_chain::ExecuteRpcResults,
    ) -> Result<(), capnp::Error> {
        let request = decode::text("request", params.get()?.get_request()?, MAX_RPC_REQUEST_BYTES).map_err(malformed)?.to_owned();
        if self.0.startup.context().is_none() {
            let error = RpcError::new(WARMUP, self.0.startup.progress());
            results.get().set_response(json!({ "error": error.to_json() }).to_string());
            return Ok(());
        }
        let response = self.0.blocking(move |context| rpc::answer(context, &request)).await?;
        results.get().set_response(response);
        Ok(())
    }

    async fn rest(
        self: Rc<Self>,
        params: rpc_chain::RestParams,
        mut results: rpc_chain::RestResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let path = decode::text("path", params.get_path()?, MAX_TARGET_BYTES).map_err(malformed)?.to_owned();
        let query = decode::text("query", params.get_query()?, MAX_TARGET_BYTES).map_err(malformed)?.to_owned();
        let body = decode::data("body", params.get_body()?, MAX_REST_BODY_BYTES).map_err(malformed)?.to_vec();
        let reply = self.0.blocking(move |context| rest::answer(context, &path, &query, &body)).await?;
        let mut results = results.get();
        results.set_status(reply.status);
        results.set_content_type(reply.content_type);
        results.set_body(&reply.body);
        Ok(())
    }

    async fn subscribe(
        self: Rc<Self>,
        params: rpc_chain::SubscribeParams,
        _: rpc_chain::SubscribeResults,
    ) -> Result<(), capnp::Error> {
        let events = params.get()?.get_events()?;
        once(&self.1)?;
        self.0.hub.add_door(events);
        Ok(())
    }

    async fn make_mining(
        self: Rc<Self>,
        _: rpc_chain::MakeMiningParams,
        mut results: rpc_chain::MakeMiningResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_result(mining::client(Rc::clone(&self.0)));
        Ok(())
    }

    async fn ping(self: Rc<Self>, _: rpc_chain::PingParams, _: rpc_chain::PingResults) -> Result<(), capnp::Error> {
        Ok(())
    }

    async fn echo(
        self: Rc<Self>,
        params: rpc_chain::EchoParams,
        mut results: rpc_chain::EchoResults,
    ) -> Result<(), capnp::Error> {
        let data = decode::data("data", params.get()?.get_data()?, MAX_ECHO).map_err(malformed)?;
        results.get().set_data(data);
        Ok(())
    }

    async fn coins(
        self: Rc<Self>,
        params: rpc_chain::CoinsParams,
        mut results: rpc_chain::CoinsResults,
    ) -> Result<(), capnp::Error> {
        let outpoints = read_outpoints(params.get()?.get_outpoints()?)?;
        let found = self.0.blocking(move |context| find_coins(context, &outpoints)).await?;
        fill_coins(results.get().init_coins(found.len() as u32), &found); // bounded by the question
        Ok(())
    }

    async fn verify_inputs(
        self: Rc<Self>,
        params: rpc_chain::VerifyInputsParams,
        mut results: rpc_chain::VerifyInputsResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let check = InputCheck::read(params.get_transaction()?, params.get_spent()?)?;
        let errors = self.0.blocking(move |_| check.errors()).await?;
        put_texts(results.get().init_errors(errors.len() as u32), &errors); // inputs of a transaction
        Ok(())
    }
}
