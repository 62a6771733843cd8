//! Configuration of rpc.

use crate::listen::{http, ipc, zmq};
use crate::startup::arguments::Options;
use bulkhead_control::{RpcConfig, clock};
use std::path::Path;

/// Fills the struct from the options.
pub(crate) fn rpc(
    options: &Options,
    rpcauth: &[String],
    (http, ipc, zmq): (&[http::Listener], &[ipc::Listener], &zmq::Publishers),
    log: Option<&Path>,
) -> RpcConfig {
    let args = &options.args;
    let whitelist = args.get_all("-rpcwhitelist");
    RpcConfig {
        network: options.chain.name().into(),
        server: args.bool_or("-server", true),
        rest: args.bool_or("-rest", false),
        rpcauth: rpcauth.to_vec(),
        // Checked already; brackets around IPv6 mean nothing.
        rpcallowip: args.get_all("-rpcallowip").iter().map(|given| given.replace(['[', ']'], "")).collect(),
        rpcwhitelistdefault: args.bool_or("-rpcwhitelistdefault", !whitelist.is_empty()),
        rpcwhitelist: whitelist,
        rpcthreads: args.int_or("-rpcthreads", 16).max(1),
        rpcworkqueue: args.int_or("-rpcworkqueue", 64).max(1),
        rpcservertimeout: args.int_or("-rpcservertimeout", 30),
        rpcdoccheck: args.bool_or("-rpcdoccheck", false),
        deprecatedrpc: args.get_all("-deprecatedrpc"),
        http_addresses: http.iter().map(|listener| listener.address.clone()).collect(),
        ipc_addresses: ipc.iter().map(|listener| listener.address.clone()).collect(),
        zmq: zmq.notifiers.clone(),
        logpath: log.map(super::path_text).unwrap_or_default(),
        start_time: clock::system_micros() / 1_000_000,
        wallet: !args.bool_or("-disablewallet", false),
        test: args.get_all("-test"),
    }
}
