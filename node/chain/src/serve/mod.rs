//! What other processes may ask of chain: one file per edge.
//!
//! # Correctness
//!
//! One thread serves all edges. It never takes the engine's lock: whatever needs it runs on a blocking thread
//! ([`Node::blocking`]) or, where order matters, on one worker ([`Node::in_order`]). Calls in flight, and so the threads, are
//! bounded by the limits of each edge.

mod coins;
mod convert;
mod events;
mod mining;
mod net_chain;
mod net_compact;
mod net_filters;
mod net_queries;
mod net_transactions;
mod rpc_chain;
mod steps;
mod template;
mod wallet_chain;

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bulkhead_link::LinkError;
use tokio::sync::{oneshot, watch};

use crate::engine::{Caller, abandonable};
use crate::rpc::Context;
pub use events::{Happenings, Hub, Relay};

/// Progress of the start and, when it is over, what the methods work on. Set by the thread that starts the node.
#[derive(Debug)]
pub struct Startup {
    context: watch::Sender<Option<Arc<Context>>>,
    progress: Mutex<String>,
}

impl Default for Startup {
    fn default() -> Self {
        Self { context: watch::Sender::new(None), progress: Mutex::new("Starting…".into()) }
    }
}

impl Startup {
    /// Text that callers get with error -28.
    pub fn set_progress(&self, text: &str) {
        text.clone_into(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The start is over.
    pub fn finish(&self, context: Arc<Context>) {
        self.context.send_replace(Some(context));
    }

    /// Makes a running engine stop soon, and gives what works on it.
    pub fn interrupt(&self) -> Option<Arc<Context>> {
        let context = self.context();
        if let Some(context) = &context {
            context.chain.interrupt();
        }
        context
    }

    fn progress(&self) -> String {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What works on the engine, once it runs.
    pub fn context(&self) -> Option<Arc<Context>> {
        self.context.borrow().clone()
    }
}

type Task = Box<dyn FnOnce() + Send>;

/// What all servers share. Lives on the IPC thread.
pub struct Node {
    startup: Arc<Startup>,
    ordered: std::sync::mpsc::Sender<Task>,
    hub: Rc<Hub>,
    /// Blocks of all templates that miners hold.
    template_bytes: Arc<AtomicU64>,
    /// Calls whose work was handed to another thread.
    handed: Cell<usize>,
}

/// A call whose work was handed to another thread, until the answer is here or the caller has gone.
struct Handed<'a>(&'a Cell<usize>);

impl<'a> Handed<'a> {
    fn count(calls: &'a Cell<usize>) -> Self {
        calls.set(calls.get() + 1);
        Self(calls)
    }
}

impl Drop for Handed<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Node {
    /// Starts the worker for calls whose order matters.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn new(startup: Arc<Startup>, hub: Rc<Hub>) -> std::io::Result<Rc<Self>> {
        let (ordered, tasks) = std::sync::mpsc::channel::<Task>();
        std::thread::Builder::new().name("msghand".into()).spawn(move || {
            while let Ok(task) = tasks.recv() {
                task();
            }
        })?;
        Ok(Rc::new(Self { startup, ordered, hub, template_bytes: Arc::default(), handed: Cell::default() }))
    }

    /// Has calls that wait for a tip look again whether they are done.
    fn wake_waiting(&self) {
        if let Some(context) = self.startup.context() {
            context.chain.wake_waiting();
        }
    }

    /// Bytes of the blocks of all templates that clients hold.
    #[must_use]
    pub fn template_bytes(&self) -> u64 {
        self.template_bytes.load(Ordering::Acquire)
    }

    /// Whether some thread works on an answer, and not only waits for a tip.
    #[must_use]
    pub fn works(&self) -> bool {
        self.handed.get() > self.startup.context().map_or(0, |context| context.chain.waiting())
    }

    /// Waits for the end of the start.
    async fn ready(&self) -> Result<Arc<Context>, capnp::Error> {
        let mut context = self.startup.context.subscribe();
        let found = context.wait_for(Option::is_some).await;
        found.ok().and_then(|context| context.clone()).ok_or_else(gone)
    }

    /// Runs `work` on a thread that may wait, once the start is over. When the caller goes away, what it waits for is given up.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Context) -> T + Send + 'static) -> Result<T, capnp::Error> {
        let context = self.ready().await?;
        let shared = Arc::clone(&context);
        let (caller, abandoned) = Caller::new(&context.chain);
        let _handed = Handed::count(&self.handed);
        let done = tokio::task::spawn_blocking(move || abandonable(abandoned, || work(&shared))).await;
        caller.served();
        done.map_err(|_| gone())
    }

    /// Runs `work` after all that was given here before.
    async fn in_order<T: Send + 'static>(&self, work: impl FnOnce(&Context) -> T + Send + 'static) -> Result<T, capnp::Error> {
        let context = self.ready().await?;
        let (sender, answer) = oneshot::channel();
        let _handed = Handed::count(&self.handed);
        let task: Task = Box::new(move || {
            // A caller that has gone away does not want the answer.
            let _ = sender.send(work(&context));
        });
        self.ordered.send(task).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

fn gone() -> capnp::Error {
    bulkhead_link::failed("chain is stopping")
}

/// Serves one edge on a stream from the supervisor.
///
/// # Errors
/// The edge is none of ours, or the descriptor is no stream.
pub fn serve(node: &Rc<Node>, edge: &str, descriptor: OwnedFd) -> Result<(), LinkError> {
    let bootstrap = match edge {
        "rpc-chain" => rpc_chain::client(Rc::clone(node)),
        "net-chain" => net_chain::client(Rc::clone(node)),
        "wallet-chain" => wallet_chain::client(Rc::clone(node)),
        other => return Err(LinkError::UnknownEdge(other.to_owned())),
    };
    bulkhead_link::serve(descriptor, edge, bootstrap)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    use bulkhead_consensus::networks;
    use bulkhead_control::ChainConfig;
    use bulkhead_schema::wire::net_chain_capnp::{net_chain, net_events};
    use bulkhead_schema::wire::rpc_chain_capnp::{chain_events, rpc_chain};
    use bulkhead_schema::wire::wallet_chain_capnp::{wallet_chain, wallet_events};

    use crate::engine::{ChainManager, EngineOptions, Silent};
    use crate::indexes::{IndexOptions, Indexes};
    use crate::mempool_accept::Pool;

    fn clock() -> i64 {
        1_700_000_000
    }

    fn context(folder: &std::path::Path) -> Arc<Context> {
        std::fs::create_dir_all(folder.join("blocks")).unwrap();
        let options = EngineOptions::new(networks::regtest(), folder.to_path_buf(), clock);
        let chain = ChainManager::open(options, Arc::new(Silent)).unwrap();
        chain.activate().unwrap();
        let pool = Arc::new(Pool::new(bulkhead_mempool::Options::default(), networks::regtest(), clock));
        let indexes = Indexes::open(IndexOptions::default(), &chain).unwrap();
        let config = Arc::new(ChainConfig::default());
        Arc::new(Context::new(chain, pool, indexes, bitcoin::Network::Regtest, config, None))
    }

    fn node(folder: &std::path::Path) -> Rc<Node> {
        let startup = Arc::new(Startup::default());
        startup.finish(context(folder));
        Node::new(startup, Hub::new().0).unwrap()
    }

    /// Otherwise each client that hangs up would leave a thread behind, and some hundred of them a chain that answers nobody.
    #[test]
    fn a_wait_ends_when_its_caller_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        let (sender, ended) = mpsc::channel();
        bulkhead_link::run(async move {
            let node = node(folder.path());
            let wait = node.blocking(move |context| {
                context.chain.wait_for_tip(None, |tip| tip.height > 0);
                sender.send(()).unwrap();
            });
            assert!(tokio::time::timeout(Duration::from_millis(50), wait).await.is_err(), "there is no such tip");
            // Whoever stays is answered.
            assert_eq!(node.blocking(|context| context.chain.tip().height).await.unwrap(), 0);
        })
        .unwrap();
        ended.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    struct Nobody;
    impl net_events::Server for Nobody {}
    impl wallet_events::Server for Nobody {}
    impl chain_events::Server for Nobody {}

    /// Each subscriber has a queue and a task: a process that was taken over must not get any number of them.
    #[test]
    fn a_connection_subscribes_once() {
        let folder = tempfile::tempdir().unwrap();
        bulkhead_link::run(async move {
            let node = node(folder.path());
            let connected = |edge: &'static str| {
                let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
                serve(&node, edge, theirs.into()).unwrap();
                OwnedFd::from(ours)
            };
            // The second time on the first connection, the first time on the second.
            macro_rules! outcomes {
                ($edge:literal, $client:ty) => {{
                    let first = bulkhead_link::connect::<$client>(connected($edge), $edge, None).unwrap().client;
                    let second = bulkhead_link::connect::<$client>(connected($edge), $edge, None).unwrap().client;
                    let mut outcomes = Vec::new();
                    for client in [&first, &first, &second] {
                        let mut request = client.subscribe_request();
                        request.get().set_events(capnp_rpc::new_client(Nobody));
                        outcomes.push(request.send().promise.await.is_ok());
                    }
                    outcomes
                }};
            }
            assert_eq!(outcomes!("net-chain", net_chain::Client), [true, false, true]);
            assert_eq!(outcomes!("wallet-chain", wallet_chain::Client), [true, false, true]);
            assert_eq!(outcomes!("rpc-chain", rpc_chain::Client), [true, false, true]);
        })
        .unwrap();
    }
}
