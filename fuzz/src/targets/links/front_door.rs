//! `bitcoin-rpc` before a real chain: what a client of the node's own socket, the window and chain say to it.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::OnceLock;

use bulkhead_control::message::Reply;
use bulkhead_control::{Control, FromChild, Handle, Parent, Request, RpcConfig, ToChild};
use bulkhead_link::connect;
use bulkhead_rpc::auth::Credentials;
use bulkhead_rpc::door::Door;
use bulkhead_rpc::gui::Gui;
use bulkhead_rpc::ipc::serve_client;
use bulkhead_rpc::owners::Owners;
use bulkhead_rpc::zmq::{Events, Publisher};
use bulkhead_schema::wire::gui_node_capnp::gui_rpc;
use bulkhead_schema::wire::rpc_chain_capnp::chain_events;
use tempfile::TempDir;

use super::chain::Behind;
use super::{called_back, converse, known, net, pair, run};

/// A supervisor that says how it confines its children, and refuses whatever else it is asked for.
fn control() -> Handle {
    static CONTROL: OnceLock<Handle> = OnceLock::new();
    let start = || {
        let (ours, theirs) = bulkhead_control::pair().expect("descriptors are left");
        let parent = Parent::new(ours);
        std::thread::spawn(move || {
            while let Ok(Some(said)) = parent.receive() {
                if let FromChild::Request(id, request) = said {
                    let refused = || Err((-1, "not here".into()));
                    let outcome = if request == Request::SandboxInfo { Ok("{}".into()) } else { refused() };
                    parent.send(&ToChild::Reply(Reply { id, outcome }), &[]).expect("the other end is never closed");
                }
            }
        });
        Control::on(theirs).split().expect("a thread").0
    };
    CONTROL.get_or_init(start).clone()
}

/// A front door that is past its start, and chain and net behind it.
async fn door() -> (Rc<Door>, Behind) {
    let owners = Owners::default();
    let (chain, stream) = Behind::new("rpc-chain");
    owners.chain.set(connect(stream, "rpc-chain", None).expect("a stream"));
    let (ours, theirs) = pair();
    net::node().wire_front_door(theirs).expect("a stream");
    owners.net.set(connect(ours, "rpc-net", None).expect("a stream"));
    let config = RpcConfig { network: "regtest".into(), rpcworkqueue: 16, ..RpcConfig::default() };
    let door = Rc::new(Door::new(config, Credentials::default(), owners, control()));
    door.warmup.follow(&door.owners, false).await;
    (door, chain)
}

/// Whoever can open the socket of `-ipcbind`.
pub fn outside_rpc_server(data: &[u8]) {
    run(async {
        let (door, chain) = door().await;
        converse(&known("outside-rpc"), data, Some(&|| chain.works()), |stream| {
            serve_client(&door, stream).expect("a stream");
        })
        .await;
        chain.end().await;
    });
}

/// The window was taken over.
pub fn gui_rpc_server(data: &[u8]) {
    let edge = known("gui-rpc");
    run(async {
        let (door, chain) = door().await;
        let served: gui_rpc::Client = capnp_rpc::new_client(Gui(door));
        converse(&edge, data, Some(&|| chain.works()), |stream| {
            bulkhead_link::serve(stream, edge.name, served.client.clone()).expect("a stream");
        })
        .await;
        chain.end().await;
    });
}

/// One socket for all topics.
fn publisher() -> (Rc<Publisher>, TempDir) {
    let folder = crate::folder();
    let path = folder.path().join("zmq");
    let socket = OwnedFd::from(UnixListener::bind(&path).expect("a path that nobody has"));
    let topics = ["hashblock", "hashtx", "rawblock", "rawtx", "sequence"];
    let lines = topics.map(|topic| format!("pub{topic} ipc://{} 10 zmq", path.display()));
    let publisher = Publisher::start(&lines, vec![("zmq".into(), socket)]).expect("a listening socket").expect("five notifiers");
    (publisher, folder)
}

/// Chain was taken over: what it tells the front door, which publishes it.
pub fn rpc_chain_events(data: &[u8]) {
    let edge = called_back("rpc-chain");
    run(async {
        let (publisher, _folder) = publisher();
        let events: chain_events::Client = capnp_rpc::new_client(Events(publisher));
        converse(&edge, data, None, |stream| {
            bulkhead_link::serve(stream, edge.name, events.client.clone()).expect("a stream");
        })
        .await;
    });
}
