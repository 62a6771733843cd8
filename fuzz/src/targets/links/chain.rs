//! `bitcoin-chain` in this process, over a chain in a temporary directory: what net, the front door and the wallet can do to it.

use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bitcoin::Network;
use bitcoin_chain::engine::{ChainManager, EngineOptions, Silent};
use bitcoin_chain::indexes::{IndexOptions, Indexes};
use bitcoin_chain::mempool_accept::Pool;
use bitcoin_chain::rpc::Context;
use bitcoin_chain::serve::{Hub, Node, Startup, serve};
use bulkhead_consensus::networks;
use bulkhead_control::ChainConfig;
use bulkhead_tests::hostile::conversation;
use tempfile::TempDir;

use super::{known, pair, say};

/// Time of all blocks: after the genesis block of regtest.
fn clock() -> i64 {
    1_700_000_000
}

/// The engine, made once: a chain does not forget what one input did, as a node does not.
fn context() -> Arc<Context> {
    static CONTEXT: Mutex<Option<(Arc<Context>, TempDir)>> = Mutex::new(None);
    let mut slot = CONTEXT.lock().unwrap_or_else(PoisonError::into_inner);
    let (context, _) = slot.get_or_insert_with(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir_all(folder.path().join("blocks")).expect("a folder in it");
        let mut options = EngineOptions::new(networks::regtest(), folder.path().to_path_buf(), clock);
        options.script_threads = 1;
        let chain = ChainManager::open(options, Arc::new(Silent)).expect("a new chain");
        chain.activate().expect("the genesis block");
        let pool = Arc::new(Pool::new(bulkhead_mempool::Options::default(), networks::regtest(), clock));
        chain.subscribe(pool.clone());
        let options = IndexOptions { filter: Some(1 << 20), ..IndexOptions::default() };
        let indexes = Indexes::open(options, &chain).expect("a new index");
        // As the supervisor says that the user gives no options: otherwise no template can be made.
        let config = ChainConfig { blockmaxweight: -1, blockreservedweight: -1, blockversion: -1, ..ChainConfig::default() };
        let context = Context::new(chain, pool, indexes, Network::Regtest, Arc::new(config), None);
        (Arc::new(context), folder)
    });
    Arc::clone(context)
}

/// Chain on this event loop.
fn node(context: &Arc<Context>) -> Rc<Node> {
    let (hub, relay, happenings) = Hub::new();
    relay.follow(&context.pool);
    let startup = Arc::new(Startup::default());
    startup.finish(Arc::clone(context));
    let node = Node::new(startup, Rc::clone(&hub)).expect("a thread");
    tokio::task::spawn_local(hub.run(happenings));
    node
}

/// Chain for others that need one.
pub struct Behind {
    node: Rc<Node>,
    stream: UnixStream,
}

impl Behind {
    /// Serves an edge; answers the stream for the calling end.
    pub fn new(edge: &str) -> (Self, OwnedFd) {
        let (ours, theirs) = pair();
        let stream = ours.try_clone().expect("descriptors are left").into();
        let node = node(&context());
        serve(&node, edge, theirs).expect("a stream");
        (Self { node, stream }, ours)
    }

    /// Ends the connection and waits until chain works for nobody any more: threads of its own would outlive the event loop.
    pub async fn end(self) {
        self.stream.shutdown(Shutdown::Both).expect("a connected stream");
        let idle = async {
            while Rc::strong_count(&self.node) > 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), idle).await.expect("chain lets go of who has gone");
    }
}

/// One connection to chain; what must hold afterwards is that chain still answers, and holds nothing for who has gone.
fn converse(edge: &str, data: &[u8]) {
    let script = conversation(data, &known(edge));
    let context = context();
    bulkhead_link::run(async move {
        let node = node(&context);
        let (ours, theirs) = pair();
        serve(&node, edge, theirs).expect("a stream");
        say(ours, script).await;
        let (ours, theirs) = pair();
        serve(&node, "rpc-chain", theirs).expect("a stream");
        let chain = bulkhead_link::connect::<bulkhead_schema::wire::rpc_chain_capnp::rpc_chain::Client>(ours, "rpc-chain", None);
        let ping = chain.expect("a stream").client.ping_request().send().promise;
        let asked = Instant::now();
        tokio::time::timeout(Duration::from_secs(5), ping).await.expect("an answer in time").expect("chain answers");
        assert!(asked.elapsed() < Duration::from_secs(5));
        // Calls that were cut off end soon.
        let given_back = async {
            while node.template_bytes() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), given_back).await.expect("templates of a client that left are given back");
    })
    .expect("an event loop");
}

/// Net was taken over.
pub fn net_chain_server(data: &[u8]) {
    converse("net-chain", data);
}

/// The front door was taken over.
pub fn rpc_chain_server(data: &[u8]) {
    converse("rpc-chain", data);
}

/// The wallet was taken over.
pub fn wallet_chain_server(data: &[u8]) {
    converse("wallet-chain", data);
}
