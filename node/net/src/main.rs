//! bitcoin-net: the process that faces the network.

use std::fs::File;
use std::io::{Read, Seek};
use std::net::TcpListener as StdListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use bitcoin::secp256k1::rand::{Rng, thread_rng};
use bitcoin_net::engine::permission::Permissions;
use bitcoin_net::engine::{AddedNode, Engine, LOCAL_BIND, LOCAL_INTERFACE, LOCAL_MANUAL};
use bitcoin_net::process::broker::Broker;
use bitcoin_net::process::files::{Files, FilesError, read_key};
use bitcoin_net::process::i2p::{self, I2p};
use bitcoin_net::process::portmap::Gateway;
use bitcoin_net::process::private::retry_delay;
use bitcoin_net::process::proxies::{Proxies, ProxyError};
use bitcoin_net::process::resolve::Resolver;
use bitcoin_net::process::settings::{ListenerKind, SettingError, engine_config, listener_kind};
use bitcoin_net::process::tor::{self, Tor};
use bitcoin_net::process::{Info, Node};
use bulkhead_addrman::{AddrMan, AsMap};
use bulkhead_asmap::EMBEDDED;
use bulkhead_control::{Component, ControlError, Edge, Event, Handle, NetConfig, birth, clock};
use bulkhead_link::LinkError;
use bulkhead_wire::{Endpoint, Network};
use thiserror::Error;
use tokio::time::Instant;

/// How often peers.dat is written.
const DUMP_PAUSE: Duration = Duration::from_secs(15 * 60);
/// Largest map of autonomous systems, bytes.
const MAX_MAP: u64 = 64 * 1024 * 1024;
/// Between two reports on how peers are spread over autonomous systems.
const HEALTH_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);
/// Events of the supervisor that may wait.
const EVENT_QUEUE: usize = 16;

#[derive(Debug, Error)]
enum NetError {
    #[error("{0}")]
    Control(#[from] ControlError),
    #[error("{0}")]
    Setting(#[from] SettingError),
    #[error("{0}")]
    Files(#[from] FilesError),
    #[error("{0}")]
    Link(#[from] LinkError),
    #[error("{0}")]
    Proxy(#[from] ProxyError),
    #[error("Could not read embedded asmap data")]
    Embedded,
    #[error("Could not parse asmap file \"{0}\"")]
    Map(String),
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    #[error("cannot use a socket to a router: {0}")]
    Gateway(std::io::Error),
    #[error("cannot use a listening socket: {0}")]
    Listener(std::io::Error),
    #[error("bitcoin-chain has hung up")]
    HungUp,
}

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(target: "net", "{error}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), NetError> {
    let mut birth = birth::<NetConfig>(Component::Net)?;
    let config = birth.config.clone();
    let mut descriptors = birth.take_descriptors();
    let listeners: Vec<OwnedFd> = descriptors.take_all("p2p").into_iter().map(|(_, descriptor)| descriptor).collect();
    let asmap = descriptors.take_optional("asmap");
    let gateways = descriptors.take_all("gateway").into_iter().map(|(_, descriptor)| Gateway::new(descriptor));
    let gateways: Vec<Gateway> = gateways.collect::<Result<_, _>>().map_err(NetError::Gateway)?;
    let (node, tor) = match prepare(&config, asmap) {
        Ok(prepared) => prepared,
        Err(error) => {
            birth.init_error(&error.to_string());
            return Err(error);
        }
    };
    *node.gateways.borrow_mut() = gateways;
    let control = birth.confine(&[])?;
    let wires = control.receive_wires()?;
    let (handle, events) = control.split()?;
    bulkhead_link::run(serve(node, tor, config, listeners, wires, handle, events))?
}

/// Everything that needs files or may fail, before confinement.
fn prepare(config: &NetConfig, asmap: Option<OwnedFd>) -> Result<(Rc<Node>, Option<Tor>), NetError> {
    let settings = engine_config(config)?;
    let mut rng = thread_rng();
    let fixed = config.test.iter().any(|option| option == "addrman");
    let datadir = Path::new(&config.datadir);
    let map = match asmap {
        Some(descriptor) => load_map(config, descriptor)?,
        None if config.asmap_embedded => embedded_map()?,
        None => {
            tracing::info!(target: "net", "Using /16 prefix for IP bucketing");
            AsMap::default()
        }
    };
    let seed = rng.r#gen();
    let fresh = || if fixed { AddrMan::deterministic() } else { AddrMan::new(seed) }.with_map(map.clone());
    let mut loaded = Files::load(datadir, settings.magic, fresh, clock::now())?;
    loaded.addrman.set_check_ratio(u32::try_from(config.checkaddrman).unwrap_or(0));
    let port = settings.default_port;
    let mut engine = Engine::new(settings, loaded.addrman, loaded.bans, rng.r#gen(), clock::now_micros());
    if engine.config.uses_addrman {
        engine.set_anchors(loaded.anchors);
    }
    let proxies = Proxies::new(config)?;
    let v2 = engine.speaks_v2();
    engine.added_nodes =
        config.addnode.iter().map(|text| AddedNode { text: text.clone(), endpoint: Endpoint::parse(text, port), v2 }).collect();
    for external in &config.externalip {
        if let Some(at) = Endpoint::parse(external, engine.config.listen_port) {
            engine.local_addresses.insert(at.addr, (at.port, LOCAL_MANUAL));
        }
    }
    if config.listen && config.discover {
        discover(&mut engine, config);
    }
    say_what_is_ignored(config);
    // Said in the log either way, as in Core.
    engine.set_network_active(config.networkactive);
    let info = Info {
        incremental_relay_fee: config.incrementalrelayfee,
        min_relay_fee: config.minrelaytxfee,
        connect_timeout: Duration::from_millis(u64::try_from(config.timeout).unwrap_or(5000)),
        warnings_as_text: config.deprecatedrpc.iter().any(|name| name == "warnings"),
        isolation_prefix: hex::encode(rng.r#gen::<[u8; 8]>()),
        private_broadcast: config.privatebroadcast,
        lookup_names: config.dns,
        resolver: Resolver::load(),
    };
    let bridge = proxies.leads_to(Network::I2p);
    let i2p = I2p::new(bridge, config.i2pacceptincoming, read_key(datadir, i2p::KEY_FILE));
    let tor = Tor::new(config, port, read_key(datadir, tor::KEY_FILE));
    Ok((Node::new(engine, Files::default(), info, proxies, i2p), tor))
}

/// Reads the map of autonomous systems.
fn load_map(config: &NetConfig, descriptor: OwnedFd) -> Result<AsMap, NetError> {
    let mut bytes = Vec::new();
    let shown = &config.asmap_path;
    // A net that was killed has read it before.
    let mut file = File::from(descriptor);
    let read = file.rewind().and_then(|()| file.take(MAX_MAP).read_to_end(&mut bytes));
    tracing::info!(target: "net", "Opened asmap file \"{shown}\" ({} bytes) from disk", bytes.len());
    let map = read.ok().and_then(|_| AsMap::new(bytes));
    let Some(map) = map else {
        tracing::warn!(target: "net", "Sanity check of asmap file \"{shown}\" failed");
        return Err(NetError::Map(shown.clone()));
    };
    say_version(&map);
    Ok(map)
}

fn embedded_map() -> Result<AsMap, NetError> {
    let map = AsMap::new(EMBEDDED).ok_or(NetError::Embedded)?;
    tracing::info!(target: "net", "Opened asmap data ({} bytes) from embedded byte array", EMBEDDED.len());
    say_version(&map);
    Ok(map)
}

fn say_version(map: &AsMap) {
    let mut version = map.version();
    version.reverse();
    tracing::info!(target: "net", "Using asmap version {} for IP bucketing", hex::encode(version));
}

/// Adds the public addresses of this machine, and those that listeners are bound to, to what we tell peers (Core: `Discover`,
/// `CConnman::Bind`).
fn discover(engine: &mut Engine, config: &NetConfig) {
    let port = engine.config.listen_port;
    let interfaces = config.interfaces.iter().filter_map(|text| Endpoint::parse(text, port)).map(|at| (at, LOCAL_INTERFACE));
    let open = |entry: &&String| {
        let kind = listener_kind(entry);
        !kind.onion && !kind.permissions.has(Permissions::NO_BAN)
    };
    let bound = config.listeners.iter().filter(open).filter_map(|entry| Endpoint::parse(entry.split(' ').next()?, port));
    for (at, score) in interfaces.chain(bound.map(|at| (at, LOCAL_BIND))) {
        let at = Endpoint::new(engine.config.flip(at.addr), at.port);
        if at.addr.is_routable() && engine.config.reachable.contains(&at.addr.network()) {
            engine.add_local(at, score);
        }
    }
}

/// Ways to find peers that `-connect` turns off although they were asked for.
fn say_what_is_ignored(config: &NetConfig) {
    if !config.connect.is_empty() && !config.seednode.is_empty() {
        tracing::info!("-seednode is ignored when -connect is used");
    }
    // With -connect it is on only if somebody said so.
    if config.connect_given && config.dnsseed && !config.proxy.is_empty() {
        tracing::info!("-dnsseed is ignored when -connect is used and -proxy is specified");
    }
}

async fn serve(
    node: Rc<Node>,
    tor: Option<Tor>,
    config: NetConfig,
    listeners: Vec<OwnedFd>,
    wires: Vec<(Edge, OwnedFd)>,
    handle: Handle,
    events: std::sync::mpsc::Receiver<Event>,
) -> Result<(), NetError> {
    node.files.borrow_mut().set_broker(Broker::start(handle.clone()).map_err(NetError::Thread)?);
    wire(&node, wires)?;
    for (descriptor, entry) in listeners.into_iter().zip(&config.listeners) {
        listen(&node, descriptor, listener_kind(entry))?;
    }
    tracing::info!(target: "net", "net thread start");
    tracing::info!(target: "net", "msghand thread start");
    if config.dnsseed {
        tracing::info!(target: "net", "dnsseed thread start");
        tokio::task::spawn_local(Rc::clone(&node).seed_from_dns(config.clone()));
    } else {
        tracing::info!(target: "net", "DNS seeding disabled");
    }
    node.start_dialling(&config);
    if let Some(tor) = tor {
        tracing::info!(target: "net", "torcontrol thread start");
        tokio::task::spawn_local(Rc::clone(&node).keep_onion_service(tor));
    }
    if config.i2pacceptincoming && !config.i2psam.is_empty() {
        tracing::info!(target: "net", "i2paccept thread start");
        tokio::task::spawn_local(Rc::clone(&node).accept_i2p());
    }
    if config.natpmp && config.listen {
        tracing::info!(target: "net", "mapport thread start");
        tokio::task::spawn_local(Rc::clone(&node).keep_port_mapped());
    }
    tokio::task::spawn_local(Rc::clone(&node).run_timers());
    tokio::task::spawn_local(dump_regularly(Rc::clone(&node)));
    if node.look(|engine| !engine.addrman.map().is_empty()) {
        tokio::task::spawn_local(report_systems(Rc::clone(&node)));
    }
    handle.ready()?;
    let mut events = forward(events);
    let mut next_retry = Instant::now();
    let chain = node.chain.clone();
    let mut hung_up = std::pin::pin!(chain.hung_up());
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = &mut hung_up => {
                node.save();
                return Err(NetError::HungUp);
            }
            () = tokio::time::sleep_until(next_retry), if node.info.private_broadcast => {
                next_retry = Instant::now() + retry_delay();
                node.with(Engine::retry_private);
                continue;
            }
        };
        let Some(event) = event else { break };
        match event {
            Event::Wire(wires) => wire(&node, wires)?,
            Event::Shutdown => break,
            Event::PeerGone => return Ok(()),
            Event::MockTime(_) => node.with(Engine::tick),
            Event::ForwardScheduler(seconds) => {
                let by = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
                next_retry -= by.min(next_retry.saturating_duration_since(Instant::now()));
            }
            Event::Run(_) | Event::LogLevels(_) | Event::ReopenLog => {}
        }
    }
    node.save_at_end();
    tracing::info!(target: "net", "net thread exit");
    Ok(())
}

/// Brings events from the control thread onto this one.
fn forward(events: std::sync::mpsc::Receiver<Event>) -> tokio::sync::mpsc::Receiver<Event> {
    let (sender, receiver) = tokio::sync::mpsc::channel(EVENT_QUEUE);
    let forwarding = std::thread::Builder::new().name("events".into()).spawn(move || {
        for event in events {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    if let Err(error) = forwarding {
        // The receiver sees the end at once, and the process stops.
        tracing::error!(target: "net", "cannot start a thread: {error}");
    }
    receiver
}

fn wire(node: &Rc<Node>, wires: Vec<(Edge, OwnedFd)>) -> Result<(), NetError> {
    for (edge, descriptor) in wires {
        match edge.name.as_str() {
            "net-chain" => node.wire_chain(descriptor)?,
            "rpc-net" => node.wire_front_door(descriptor)?,
            other => tracing::warn!(target: "net", "unexpected edge {other}"),
        }
    }
    Ok(())
}

fn listen(node: &Rc<Node>, descriptor: OwnedFd, kind: ListenerKind) -> Result<(), NetError> {
    let listener = StdListener::from(descriptor);
    listener.set_nonblocking(true).map_err(NetError::Listener)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(NetError::Listener)?;
    tokio::task::spawn_local(Rc::clone(node).listen(listener, kind));
    Ok(())
}

async fn report_systems(node: Rc<Node>) {
    loop {
        node.with(Engine::report_systems);
        tokio::time::sleep(HEALTH_PAUSE).await;
    }
}

async fn dump_regularly(node: Rc<Node>) {
    loop {
        tokio::time::sleep(DUMP_PAUSE).await;
        node.save();
    }
}
