//! bitcoin-chain: validation, mempool and block templates. No socket of its own, no key, no exec.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use bitcoin_chain::rpc::Context;
use bitcoin_chain::saved::{self, Saved};
use bitcoin_chain::serve::{self, Hub, Node, Relay, Startup};
use bitcoin_chain::start::{self, StartError};
use bulkhead_control::{ChainConfig, Component, ControlError, Event, Handle, PathGrant};
use bulkhead_link::LinkError;
use bulkhead_store::snapshot_dir;
use tokio::sync::mpsc;

/// How often fee estimates are written.
const FEE_FLUSH_INTERVAL: Duration = Duration::from_secs(3600);

/// Why the process ends early.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Store(#[from] bulkhead_store::StoreError),
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(RunError::Control(ControlError::PeerGone)) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!("bitcoin-chain: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), RunError> {
    let mut birth = bulkhead_control::birth::<ChainConfig>(Component::Chain)?;
    let config = Arc::new(birth.config.clone());
    let mut descriptors = birth.take_descriptors();
    let files =
        descriptors.take_all("loadblock").into_iter().map(|(name, fd)| (shown_name(&config, &name), File::from(fd))).collect();
    if let Err(error) = start::prepare_directories(&config) {
        birth.init_error(&error.to_string());
        return Err(error.into());
    }
    let saved = Saved::open(&config);
    let control = birth.confine(&grants(&config))?;
    let wires = control.receive_wires()?;
    let (handle, events) = control.split()?;

    let startup = Arc::new(Startup::default());
    let (hub, relay, mut happenings) = Hub::new();
    let node_thread = {
        let (config, handle, startup) = (Arc::clone(&config), handle, Arc::clone(&startup));
        let work = move || run_node(&config, &handle, &startup, &relay, files, saved);
        std::thread::Builder::new().name("initload".into()).spawn(work).map_err(RunError::Thread)?
    };
    let (watched, ending, waking) = (Arc::clone(&startup), Arc::clone(&startup), Arc::clone(&startup));
    let outcome = bulkhead_link::run(async move {
        let telling = Rc::clone(&hub);
        tokio::task::spawn_local(async move { telling.run(&mut happenings).await });
        let announcing = Rc::clone(&hub);
        let node = Node::new(startup, hub).map_err(RunError::Thread)?;
        for (edge, descriptor) in wires {
            serve::serve(&node, &edge.name, descriptor)?;
        }
        let mut events = forward(events);
        let mut next_flush = Instant::now() + FEE_FLUSH_INTERVAL;
        let mut next_broadcast = Instant::now() + broadcast_delay();
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = tokio::time::sleep_until(next_flush.into()) => {
                    next_flush = Instant::now() + FEE_FLUSH_INTERVAL;
                    flush_estimates(&watched);
                    continue;
                }
                () = tokio::time::sleep_until(next_broadcast.into()) => {
                    next_broadcast = Instant::now() + broadcast_delay();
                    tokio::task::spawn_local(broadcast_again(Arc::clone(&watched), Rc::clone(&announcing)));
                    continue;
                }
            };
            let Some(event) = event else { break };
            match event {
                Event::ForwardScheduler(seconds) => {
                    let by = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
                    for next in [&mut next_flush, &mut next_broadcast] {
                        *next -= by.min(next.saturating_duration_since(Instant::now()));
                    }
                }
                Event::Wire(wires) => {
                    for (edge, descriptor) in wires {
                        serve::serve(&node, &edge.name, descriptor)?;
                    }
                }
                Event::Shutdown => {
                    // It wakes calls that wait: the event loop ends only when their threads have.
                    waking.interrupt();
                    break;
                }
                Event::PeerGone => {
                    waking.interrupt();
                    return Err(ControlError::PeerGone.into());
                }
                _ => {}
            }
        }
        Ok(())
    })?;
    shut_down(&ending, node_thread);
    outcome
}

/// Writes the fee estimates on a thread that may wait for the supervisor.
fn flush_estimates(startup: &Startup) {
    let Some(context) = startup.context() else { return };
    // Nobody waits for it; what is missed comes with the next flush or at the end.
    drop(tokio::task::spawn_blocking(move || {
        if let Some(supervisor) = &context.supervisor {
            saved::save_estimates(supervisor, &context.pool, &context.config);
        }
    }));
}

/// From 10 to 15 minutes, so that observers cannot tell ours by the time.
fn broadcast_delay() -> Duration {
    Duration::from_secs(600 + u64::from(bitcoin::secp256k1::rand::random::<u16>() % 300))
}

/// Has net announce those transactions of ours again that no peer has asked for (Core: `ReattemptInitialBroadcast`).
async fn broadcast_again(startup: Arc<Startup>, hub: Rc<Hub>) {
    let Some(context) = startup.context() else { return };
    let gather = move || {
        let pool = context.pool.lock();
        let entries = pool.unbroadcast().iter().filter_map(|txid| pool.get(txid));
        let figures = |entry: &bulkhead_mempool::Entry| {
            let rate = bulkhead_mempool::FeeFrac::new(entry.new.fee, entry.vsize()).per_kilo();
            let size = u32::try_from(entry.vsize()).unwrap_or(u32::MAX);
            (Arc::clone(&entry.new.tx), u64::try_from(rate).unwrap_or(0), size)
        };
        entries.map(figures).collect::<Vec<_>>()
    };
    if let Ok(transactions) = tokio::task::spawn_blocking(gather).await {
        for (tx, fee_rate, vsize) in &transactions {
            hub.announce(tx, *fee_rate, *vsize);
        }
    }
}

/// Stops the engine and writes what is only in memory.
fn shut_down(startup: &Startup, node_thread: std::thread::JoinHandle<()>) {
    let context = startup.interrupt();
    // A thread that has panicked has said so in the log.
    let _ = node_thread.join();
    let Some(context) = context.or_else(|| startup.interrupt()) else { return };
    if let Some(supervisor) = &context.supervisor {
        let dumped = (context.config.persistmempool && context.pool.lock().loaded)
            .then(|| saved::save_mempool(supervisor, &context.pool, context.config.persistmempoolv1));
        if let Some(Err(error)) = dumped {
            tracing::info!("Failed to dump mempool: {error}. Continuing anyway.");
        }
        let waiting = context.pool.estimator().end();
        tracing::debug!(target: "estimatefee", "Recorded {waiting} unconfirmed txs from mempool");
        saved::save_estimates(supervisor, &context.pool, &context.config);
    }
    let indexes = context.indexes.stop();
    if let Err(error) = context.chain.flush() {
        tracing::error!("flush at the end: {error}");
    }
    indexes.record();
}

/// Opens the engine, lets calls in, imports.
fn run_node(
    config: &Arc<ChainConfig>,
    handle: &Handle,
    startup: &Arc<Startup>,
    relay: &Relay,
    files: Vec<(String, File)>,
    mut saved: Saved,
) {
    let context = match start::open(config, handle, startup, relay, &mut saved) {
        Ok(context) => context,
        Err(error) => {
            handle.init_error(&error.to_string());
            return;
        }
    };
    startup.finish(Arc::clone(&context));
    if handle.ready().is_err() {
        return; // the supervisor is gone, which the events tell too
    }
    tracing::info!("initload thread start");
    import(&context, config, handle, files, saved);
    tracing::info!("initload thread exit");
}

fn import(context: &Context, config: &ChainConfig, handle: &Handle, files: Vec<(String, File)>, saved: Saved) {
    match start::import(context, config, handle, files, saved) {
        Err(error @ StartError::StartIndexes(_)) => handle.init_error(&error.to_string()),
        Err(error) => handle.fatal(&error.to_string()),
        Ok(()) => {}
    }
}

/// Path of a `-loadblock` file, for the log.
fn shown_name(config: &ChainConfig, descriptor: &str) -> String {
    let number = descriptor.rsplit('/').next().and_then(|number| number.parse::<usize>().ok());
    number.and_then(|number| config.loadblock.get(number).cloned()).unwrap_or_else(|| descriptor.to_owned())
}

fn grants(config: &ChainConfig) -> Vec<PathGrant> {
    let data = PathBuf::from(&config.datadir);
    let mut grants = vec![
        PathGrant { name: "blocksdir", path: PathBuf::from(&config.blocksdir) },
        PathGrant { name: "blocksdir", path: data.join("blocks/index") },
        PathGrant { name: "chainstate", path: data.join("chainstate") },
    ];
    // Rules stay with a directory when it is moved: the coins of the next snapshot are filled in here and used elsewhere.
    grants.push(PathGrant { name: "chainstate", path: snapshot_dir::next_path(&data) });
    let snapshot = snapshot_dir::path(&data);
    if snapshot.is_dir() {
        grants.push(PathGrant { name: "chainstate", path: snapshot });
    }
    // The supervisor has made it if an index is kept.
    let indexes = data.join("indexes");
    if indexes.is_dir() {
        grants.push(PathGrant { name: "indexes", path: indexes });
    }
    grants
}

/// Events of the control channel, for the async side.
fn forward(events: Receiver<Event>) -> mpsc::UnboundedReceiver<Event> {
    // Unbounded, but the supervisor sends an event per restart or command only.
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while let Ok(event) = events.recv() {
            if sender.send(event).is_err() {
                return;
            }
        }
    });
    receiver
}
