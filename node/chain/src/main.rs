//! bitcoin-chain: validation, mempool and block templates. No socket of its own, no key, no exec.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError};

use bitcoin_chain::mempool_accept::MempoolFile;
use bitcoin_chain::rpc::Context;
use bitcoin_chain::serve::{self, Hub, Node, Relay, Startup};
use bitcoin_chain::start::{self, StartError};
use bulkhead_control::{ChainConfig, Component, ControlError, Event, Handle, PathGrant};
use bulkhead_link::LinkError;
use bulkhead_store::snapshot_dir;
use tokio::sync::mpsc;

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
    let mempool_file = open_mempool_file(&config);
    let control = birth.confine(&grants(&config))?;
    let wires = control.receive_wires()?;
    let (handle, events) = control.split()?;

    let startup = Arc::new(Startup::default());
    let (hub, relay, happenings) = Hub::new();
    let node_thread = {
        let (config, handle, startup) = (Arc::clone(&config), handle, Arc::clone(&startup));
        let work = move || run_node(&config, &handle, &startup, &relay, files, mempool_file);
        std::thread::Builder::new().name("initload".into()).spawn(work).map_err(RunError::Thread)?
    };
    let watched = Arc::clone(&startup);
    let waking = Arc::clone(&startup);
    let outcome = bulkhead_link::run(async move {
        tokio::task::spawn_local(Rc::clone(&hub).run(happenings));
        let node = Node::new(startup, hub).map_err(RunError::Thread)?;
        for (edge, descriptor) in wires {
            serve::serve(&node, &edge.name, descriptor)?;
        }
        let mut events = forward(events);
        while let Some(event) = events.recv().await {
            match event {
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
    shut_down(&watched, node_thread);
    outcome
}

/// Stops the engine and writes what is only in memory.
fn shut_down(startup: &Startup, node_thread: std::thread::JoinHandle<()>) {
    let context = startup.interrupt();
    // A thread that has panicked has said so in the log.
    let _ = node_thread.join();
    let Some(context) = context.or_else(|| startup.interrupt()) else { return };
    if let Some(Err(error)) = context.save_mempool() {
        tracing::info!("Failed to dump mempool: {error}. Continuing anyway.");
    }
    let indexes = context.indexes.stop();
    if let Err(error) = context.chain.flush() {
        tracing::error!("flush at the end: {error}");
    }
    indexes.record();
}

/// Opened before confinement, because its directory is out of reach afterwards.
fn open_mempool_file(config: &ChainConfig) -> Option<MempoolFile> {
    if !config.persistmempool {
        return None;
    }
    MempoolFile::open(Path::new(&config.datadir), config.persistmempoolv1)
        .inspect_err(|error| tracing::warn!("mempool.dat: {error}"))
        .ok()
}

/// Opens the engine, lets calls in, imports.
fn run_node(
    config: &Arc<ChainConfig>,
    handle: &Handle,
    startup: &Arc<Startup>,
    relay: &Relay,
    files: Vec<(String, File)>,
    mempool_file: Option<MempoolFile>,
) {
    let context = match start::open(config, handle, startup, relay) {
        Ok(context) => context,
        Err(error) => {
            handle.init_error(&error.to_string());
            return;
        }
    };
    *context.mempool_file.lock().unwrap_or_else(PoisonError::into_inner) = mempool_file;
    startup.finish(Arc::clone(&context));
    if handle.ready().is_err() {
        return; // the supervisor is gone, which the events tell too
    }
    tracing::info!("initload thread start");
    import(&context, config, handle, files);
    tracing::info!("initload thread exit");
}

fn import(context: &Context, config: &ChainConfig, handle: &Handle, files: Vec<(String, File)>) {
    match start::import(context, config, handle, files) {
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
