//! The edge rpc-net: calls of the front door.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use bulkhead_schema::limits::MAX_RPC_REQUEST_BYTES;
use bulkhead_schema::wire::rpc_net_capnp::rpc_net;

use super::Node;

/// Serves `RpcNet`.
struct FrontDoor(Rc<Node>);

impl rpc_net::Server for FrontDoor {
    async fn execute_rpc(
        self: Rc<Self>,
        params: rpc_net::ExecuteRpcParams,
        mut results: rpc_net::ExecuteRpcResults,
    ) -> Result<(), capnp::Error> {
        let request = params.get()?.get_request()?.to_str()?;
        if request.len() > MAX_RPC_REQUEST_BYTES {
            return Err(capnp::Error::failed("request too long".to_owned()));
        }
        let response = crate::rpc::answer(&self.0, request).await;
        results.get().set_response(&response);
        Ok(())
    }

    async fn ping(self: Rc<Self>, _: rpc_net::PingParams, _: rpc_net::PingResults) -> Result<(), capnp::Error> {
        Ok(())
    }
}

impl Node {
    /// A stream to the front door came from the supervisor: at start, and again when it was restarted.
    ///
    /// # Errors
    /// The descriptor is no stream.
    pub fn wire_front_door(self: &Rc<Self>, descriptor: OwnedFd) -> Result<(), bulkhead_link::LinkError> {
        let door: rpc_net::Client = capnp_rpc::new_client(FrontDoor(Rc::clone(self)));
        bulkhead_link::serve(descriptor, "rpc-net", door.client).map(|_| ())
    }
}
