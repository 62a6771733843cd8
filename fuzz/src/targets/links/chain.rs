//! `bitcoin-chain` in this process, over a chain in a temporary directory: what net, the front door and the wallet can do to it.

use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;

use bitcoin::Network;
use bitcoin_chain::engine::{ChainManager, EngineOptions, Silent};
use bitcoin_chain::indexes::{IndexOptions, Indexes};
use bitcoin_chain::mempool_accept::Pool;
use bitcoin_chain::recent::RecentTransactions;
use bitcoin_chain::rpc::{Context, dispatch};
use bitcoin_chain::serve::{Happenings, Hub, Node, Startup, serve};
use bulkhead_consensus::networks;
use bulkhead_control::ChainConfig;
use bulkhead_rpc_util::{Params, RpcResult};
use bulkhead_tests::hostile::conversation;
use serde_json::Value;
use tempfile::TempDir;

use super::bystanders::subscribe;
use super::{known, pair, patiently, run, say, until};
use crate::targets::vault;

/// Time of all blocks: after the genesis block of regtest.
fn clock() -> i64 {
    1_700_000_000
}

/// A mempool with nothing in it.
pub fn empty_pool() -> Pool {
    Pool::new(bulkhead_mempool::Options::default(), networks::regtest(), clock)
}

/// Blocks of the chain that conversations begin with: the first coins can be spent.
const BLOCKS: i32 = 110;
/// The first of them pay the wallet that the wallet process may have.
const OF_WALLET: i32 = 5;
/// Who is paid by the others: a witness script that is always true.
const PAID: &str = "raw(00204ae81572f06e1b88fd5ced7a1a000945432e83e1551e6f721ee9c00b8cc33260)";

/// Chain in this process.
struct Kept {
    context: Arc<Context>,
    node: Rc<Node>,
    hub: Rc<Hub>,
    /// What the conversation that goes on tells the subscribers of.
    happenings: Rc<tokio::sync::Mutex<Happenings>>,
    _folder: TempDir,
}

impl Kept {
    fn new() -> Self {
        let folder = crate::folder();
        std::fs::create_dir_all(folder.path().join("blocks")).expect("a folder in it");
        let mut options = EngineOptions::new(networks::regtest(), folder.path().to_path_buf(), clock);
        options.script_threads = 1;
        let chain = ChainManager::open(options, Arc::new(Silent)).expect("a new chain");
        chain.activate().expect("the genesis block");
        let pool = Arc::new(empty_pool());
        chain.subscribe(pool.clone());
        let recent = Arc::new(RecentTransactions::new(10));
        chain.subscribe(recent.clone());
        let options = IndexOptions { filter: Some(1 << 20), ..IndexOptions::default() };
        let indexes = Indexes::open(options, &chain).expect("a new index");
        // As the supervisor says that the user gives no options: otherwise no template can be made.
        let config = ChainConfig { blockmaxweight: -1, blockreservedweight: -1, blockversion: -1, ..ChainConfig::default() };
        let context = Context::new(chain, pool, indexes, Network::Regtest, Arc::new(config), None);
        let wallet = format!("raw({})", vault::plain().script.to_hex_string());
        for (blocks, paid) in [(OF_WALLET, wallet.as_str()), (BLOCKS - OF_WALLET, PAID)] {
            let mined = dispatch(&context, "generatetodescriptor", &Params::new(vec![blocks.into(), paid.into()]));
            assert!(mined.is_ok(), "{mined:?}");
        }
        let (hub, relay, happenings) = Hub::new();
        relay.follow(&context.pool);
        context.chain.subscribe(Arc::new(relay.clone()));
        let context = Arc::new(Context { recent, relay: Some(relay), ..context });
        let startup = Arc::new(Startup::default());
        startup.finish(Arc::clone(&context));
        let node = Node::new(startup, Rc::clone(&hub)).expect("a thread");
        Self { context, node, hub, happenings: Rc::new(tokio::sync::Mutex::new(happenings)), _folder: folder }
    }
}

/// A method of chain's RPC, asked by nobody hostile.
///
/// # Errors
/// As the method says.
pub fn ask(method: &str, params: Vec<Value>) -> RpcResult<Value> {
    dispatch(&kept().context, method, &Params::new(params))
}

/// Height of the tip.
pub fn height() -> i32 {
    kept().context.chain.tip().height
}

/// Made once: a chain does not forget what one input did, as a node does not.
fn kept() -> &'static Kept {
    thread_local! {
        static KEPT: &'static Kept = Box::leak(Box::new(Kept::new()));
    }
    KEPT.with(|kept| *kept)
}

/// What chain's methods work on.
pub fn context() -> Arc<Context> {
    Arc::clone(&kept().context)
}

/// Chain on this event loop.
fn node() -> Rc<Node> {
    let kept = kept();
    let (hub, happenings) = (Rc::clone(&kept.hub), Rc::clone(&kept.happenings));
    tokio::task::spawn_local(async move {
        let mut happenings = happenings.lock().await;
        hub.run(&mut happenings).await;
    });
    Rc::clone(&kept.node)
}

/// Waits until chain works for nobody any more.
async fn idle() {
    let kept = kept();
    // Ours and the start's; whatever works on another thread has one more.
    until(|| Arc::strong_count(&kept.context) == 2, "chain does not work for who has gone").await;
    until(|| kept.node.template_bytes() == 0, "templates of a client that left are given back").await;
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
        let node = node();
        serve(&node, edge, theirs).expect("a stream");
        (Self { node, stream }, ours)
    }

    /// Whether it has some thread work.
    pub fn works(&self) -> bool {
        self.node.works()
    }

    /// Ends the connection and waits until chain works for nobody any more.
    pub async fn end(self) {
        self.stream.shutdown(Shutdown::Both).expect("a connected stream");
        idle().await;
    }
}

/// One connection to chain; what must hold afterwards is that chain still answers, and holds nothing for who has gone.
fn converse(edge: &str, data: &[u8]) {
    let script = conversation(data, &known(edge));
    run(async move {
        let node = node();
        // Some are alone with chain.
        let _bystanders = if data.first().is_some_and(|first| first % 2 == 1) { Some(subscribe(&node).await) } else { None };
        let (ours, theirs) = pair();
        serve(&node, edge, theirs).expect("a stream");
        say(ours, script, Some(&|| node.works())).await;
        let (ours, theirs) = pair();
        let stream = UnixStream::from(ours.try_clone().expect("descriptors are left"));
        serve(&node, "rpc-chain", theirs).expect("a stream");
        let chain = bulkhead_link::connect::<bulkhead_schema::wire::rpc_chain_capnp::rpc_chain::Client>(ours, "rpc-chain", None);
        let ping = chain.expect("a stream").client.ping_request().send().promise;
        patiently(ping, "no answer in time").await.expect("chain answers");
        // Calls that were cut off end soon.
        stream.shutdown(Shutdown::Both).expect("a connected stream");
        idle().await;
    });
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
