//! Everything between the options and the first child, in Core's order (`AppInitMain`).

use crate::error::{NodeError, init};
use crate::family::{Cgroups, Family, Outfit, Signals};
use crate::handout;
use crate::listen::{gateway, http, ipc, p2p, zmq};
use crate::startup::arguments::Options;
use crate::startup::auth::{Credentials, prepare as credentials, remove_cookie};
use crate::startup::descriptors::Connections;
use crate::startup::{checks, db_cache, directories, interaction, limits, log, network, proxies};
use bulkhead_config::RealFiles;
use bulkhead_control::{Component, PathGrant, enter};
use bulkhead_sandbox::{Mode, spawner};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Files that must not outlive the node.
#[derive(Debug)]
pub(crate) struct Cleanup {
    pid_file: Option<PathBuf>,
    cookie: Option<PathBuf>,
}

impl Cleanup {
    /// Removes them.
    pub(crate) fn run(&self) {
        for path in [&self.pid_file, &self.cookie].into_iter().flatten() {
            // They may be gone already.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The outfit before anything is started.
#[derive(Debug)]
pub(crate) struct Prepared {
    outfit: Outfit,
}

impl Prepared {
    /// What to remove at the end, whatever happens.
    pub(crate) fn cleanup(&self) -> Cleanup {
        Cleanup { pid_file: self.outfit.pid_file.clone(), cookie: self.outfit.credentials.cookie.clone() }
    }
}

/// Checks the options, takes the locks, opens the log and every socket.
pub(crate) fn prepare(mut options: Options) -> Result<Prepared, NodeError> {
    interaction::apply(&mut options.args);
    let mut warnings = Vec::new();
    checks::check(&options, &mut warnings)?;
    options.connections = Connections::new(&options.args)?;
    warnings.extend(options.connections.warning());
    warnings.extend(db_cache::oversize_warning(&options.args));
    let levels = log::levels(&mut options.args)?;
    let max_upload = handout::upload_target(&options.args);
    if options.args.bool_or("-daemon", false) || options.args.bool_or("-daemonwait", false) {
        daemonize()?;
    }
    let mut locks = vec![directories::lock(&options.datadir)?];
    let blocksdir = directories::blocks(&options)?;
    locks.push(directories::lock(&blocksdir)?);
    max_upload?;
    // The directory is ours, so whoever wrote a PID file there is gone.
    options.after_crash = directories::pid_path(&options).is_some_and(|path| path.exists());
    let pid_file = directories::pid_file(&options)?;
    let mut cleanup = Cleanup { pid_file: pid_file.clone(), cookie: None };
    // From here on a failure must leave neither pid file nor cookie behind.
    let prepared = open_all(options, levels, &warnings, locks, blocksdir, pid_file, &mut cleanup);
    if prepared.is_err() {
        cleanup.run();
    }
    prepared
}

fn daemonize() -> Result<(), NodeError> {
    println!("{} starting", bulkhead_config::version::CLIENT_NAME);
    nix::unistd::daemon(true, false).map_err(|error| NodeError::system("cannot go into the background", error))
}

fn open_all(
    mut options: Options,
    levels: Vec<bulkhead_control::LogLevel>,
    warnings: &[String],
    locks: Vec<File>,
    blocksdir: PathBuf,
    pid_file: Option<PathBuf>,
    cleanup: &mut Cleanup,
) -> Result<Prepared, NodeError> {
    let no_debug = levels.is_empty();
    let log_options = log::options(&options.args, levels);
    let log_path = log::path(&options);
    let log_file = log_path.as_deref().map(|path| open_log(&options, path, no_debug)).transpose()?;
    let console = log::console(&options.args);
    install_log(&log_options, log_file.as_ref(), console.as_ref());
    log::introduce(&mut options, &RealFiles);
    for warning in warnings {
        tracing::warn!("{warning}");
        eprintln!("Warning: {warning}");
    }
    let Connections { allowed, descriptors, .. } = options.connections;
    tracing::info!("Using at most {allowed} automatic connections ({descriptors} file descriptors available)");
    let ipc = ipc::open(&options)?;
    checks::check_fee_estimates(&options)?;
    network::check_ports(&options)?;
    network::check_networks(&options)?;
    network::subversion(&options)?;
    proxies::check(&options)?;
    let (credentials, http) = open_http(&options)?;
    cleanup.cookie.clone_from(&credentials.cookie);
    let with_wallet = !options.args.bool_or("-disablewallet", false);
    let walletdir = if with_wallet { directories::wallets(&options)? } else { options.datadir.join("wallets") };
    if with_wallet {
        tracing::info!("Using wallet directory {}", walletdir.display());
    }
    let asmap = open_asmap(&options)?;
    let p2p = open_p2p(&options)?;
    let gateways = gateway::open(&options);
    let zmq = zmq::open(&options);
    directories::chain_directories(&options)?;
    if with_wallet {
        wallets_to_load(&options)?;
    }
    let wallet = with_wallet.then(|| handout::wallet(&options, &walletdir)).transpose()?;
    let outfit = Outfit {
        memory: limits::memory(&options.args)?,
        cpu: limits::cpu(&options.args)?,
        sandbox: options.args.get_or("-sandbox", "strict").parse::<Mode>().unwrap_or_default(),
        chain: handout::chain(&options, &blocksdir)?,
        net: handout::net(&options, &p2p)?,
        rpc: handout::rpc(&options, &credentials.rpcauth, (&http, &ipc, &zmq), log_path.as_deref()),
        notify: handout::notify(&options),
        load_block: handout::load_block_files(&options),
        wallet,
        log_options,
        log_path,
        log: log_file,
        console,
        pid_file,
        credentials,
        blocksdir,
        walletdir,
        p2p,
        gateways,
        http,
        ipc,
        zmq,
        asmap,
        locks,
        options,
    };
    Ok(Prepared { outfit })
}

fn open_log(options: &Options, path: &Path, no_debug: bool) -> Result<std::os::fd::OwnedFd, NodeError> {
    if options.args.bool_or("-shrinkdebugfile", no_debug) {
        log::shrink(path);
    }
    log::open(path)
}

fn install_log(
    options: &bulkhead_control::message::LogOptions,
    file: Option<&std::os::fd::OwnedFd>,
    console: Option<&std::os::fd::OwnedFd>,
) {
    // Copies: the originals are handed to children.
    let copy = |descriptor: &std::os::fd::OwnedFd| descriptor.try_clone().ok();
    bulkhead_control::clock::set_mock_time(options.mock_time);
    bulkhead_control::log::install(Component::Node, options, file.and_then(copy), console.and_then(copy));
    bulkhead_control::panic::install();
}

fn open_http(options: &Options) -> Result<(Credentials, Vec<http::Listener>), NodeError> {
    if !options.args.bool_or("-server", true) {
        return Ok((Credentials::default(), Vec::new()));
    }
    let bound = http::open(options)?;
    let credentials = credentials(options).ok_or_else(|| init(http::FAILED))?;
    match http::listen_all(bound) {
        Ok(listeners) => Ok((credentials, listeners)),
        Err(error) => {
            remove_cookie(&credentials);
            Err(error)
        }
    }
}

/// `-nowallet` takes no value but 1, and `-wallet` needs one.
fn wallets_to_load(options: &Options) -> Result<(), NodeError> {
    if options.args.setting_list("-wallet").iter().any(|value| !value.is_string()) {
        return Err(init(
            "Invalid value detected for '-wallet' or '-nowallet'. '-wallet' requires a string value, while '-nowallet' \
             accepts only '1' to disable all wallets",
        ));
    }
    Ok(())
}

fn open_asmap(options: &Options) -> Result<Option<File>, NodeError> {
    let args = &options.args;
    // Without a file: net has the map built in.
    if !args.is_set("-asmap") || args.is_negated("-asmap") || args.bool_or("-asmap", false) {
        return Ok(None);
    }
    let path = bulkhead_config::join(&options.datadir, &args.path_arg("-asmap", ""));
    let shown = path.display();
    if !path.exists() {
        return Err(init(format!("Could not find asmap file \"{shown}\"")));
    }
    match File::open(&path) {
        Ok(file) if path.is_file() => Ok(Some(file)),
        _ => Err(init(format!("Could not parse asmap file \"{shown}\""))),
    }
}

fn open_p2p(options: &Options) -> Result<Vec<p2p::Listener>, NodeError> {
    let mut warnings = Vec::new();
    let plans = p2p::plan(options, &mut warnings)?;
    for warning in warnings {
        tracing::warn!("{warning}");
        eprintln!("Warning: {warning}");
    }
    if options.args.bool_or("-listen", true) { p2p::open(&plans, options.after_crash) } else { Ok(Vec::new()) }
}

/// Starts the spawners, confines this process, and is ready for the first child.
pub(crate) fn start(prepared: Prepared) -> Result<Family, NodeError> {
    let Prepared { mut outfit } = prepared;
    // The channel from the window must be taken before the spawners are forked: they close what they don't know.
    let gui = outfit.options.ipc_descriptor.map(bulkhead_sandbox::passing::inherited).transpose();
    let gui = gui.map_err(|error| NodeError::system("the channel of -ipcfd can't be used", error))?;
    let cgroups = take_cgroups(&outfit);
    let binaries = binaries()?;
    let mode = outfit.sandbox;
    let options = |runs_commands| spawner::Options { binaries: binaries.clone(), mode, runs_commands };
    let spawner = spawner::start(options(false))?;
    let commands = handout::any_command(&outfit.notify).then(|| spawner::start(options(true))).transpose()?;
    // After the births of the spawners: a blocked signal would be inherited.
    let signals = Signals::new()?;
    let data = PathGrant { name: "data", path: outfit.options.datadir.clone() };
    let report = enter(Component::Node, mode.name(), &[data], None).map_err(|error| init(error.to_string()))?;
    // Anew, because nobody can cut short what is opened from here on, whoever it is handed to.
    if let Some(path) = outfit.log_path.as_deref() {
        let file = log::open(path)?;
        file.try_clone()
            .map(bulkhead_control::log::replace_file)
            .map_err(|error| NodeError::system("cannot keep the log", error))?;
        outfit.log = Some(file);
    }
    if mode == Mode::Off {
        tracing::warn!("-sandbox=off: no process is confined");
    }
    let mut family = Family::new(outfit, spawner, commands, cgroups, signals, report);
    if let Some(gui) = gui {
        family.adopt_gui(gui)?;
    }
    Ok(family)
}

/// Control groups for the children, where they are delegated to us.
fn take_cgroups(outfit: &Outfit) -> Option<Cgroups> {
    match Cgroups::take() {
        Ok(cgroups) => {
            tracing::info!("Control groups bound {}", cgroups.describe());
            Some(cgroups)
        }
        Err(why) => {
            tracing::info!("No control groups, so each process is bounded by its own limits only: {why}");
            if !outfit.cpu.is_empty() {
                tracing::warn!("-processcpu has no effect without control groups");
                eprintln!("Warning: -processcpu has no effect without control groups");
            }
            None
        }
    }
}

/// The folder of this binary, where the others are.
fn binaries() -> Result<PathBuf, NodeError> {
    let own = std::env::current_exe().map_err(|error| NodeError::system("cannot find the own binary", error))?;
    Ok(own.parent().unwrap_or(Path::new("/")).to_owned())
}
