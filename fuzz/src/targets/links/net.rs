//! `bitcoin-net` without peers: what the front door asks it, and what chain tells it.

use std::rc::Rc;

use bitcoin_net::process::events::Events;
use bitcoin_net::process::files::Files;
use bitcoin_net::process::i2p::I2p;
use bitcoin_net::process::proxies::Proxies;
use bitcoin_net::process::{Info, Node};
use bulkhead_schema::wire::net_chain_capnp::net_events;

use super::{called_back, converse, known, run};
use crate::targets::peers;

/// Net without a chain.
pub fn node() -> Rc<Node> {
    Node::new(peers::engine(), Files::default(), Info::default(), Proxies::default(), I2p::default())
}

/// The front door was taken over.
pub fn rpc_net_server(data: &[u8]) {
    let edge = known("rpc-net");
    run(async {
        let node = node();
        converse(&edge, data, None, |stream| node.wire_front_door(stream).expect("a stream")).await;
    });
}

/// Chain was taken over: what it tells net, which asked for it.
pub fn net_chain_events(data: &[u8]) {
    let edge = called_back("net-chain");
    run(async {
        let events: net_events::Client = capnp_rpc::new_client(Events(node()));
        converse(&edge, data, None, |stream| {
            bulkhead_link::serve(stream, edge.name, events.client.clone()).expect("a stream");
        })
        .await;
    });
}
