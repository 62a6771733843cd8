//! The unconfined part: paths, the dump file, and the birth of the two processes that do the work.

use super::options::{Start, Tool, start};
use bulkhead_config::{ArgsManager, Found, RealFiles, WalletFormat, WalletPlace, is_berkeley_db, wallet_place};
use bulkhead_control::message::{Configure, LogOptions};
use bulkhead_control::{
    CONTROL_DESCRIPTOR, Component, ControlError, Edge, FromChild, KeystoreConfig, Parent, ToChild, TypedConfig, WalletConfig,
    pair, stream_pair,
};
use bulkhead_sandbox::{Mode, SandboxError, SpawnSpec, policy, spawn};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Indexes of new descriptors, as a node without -keypool has them.
const KEYPOOL: i64 = 1000;

/// Why the tool could not do its work.
#[derive(Debug, thiserror::Error)]
enum ToolError {
    /// A text for the user.
    #[error("{0}")]
    Text(String),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
}

fn text(text: impl Into<String>) -> ToolError {
    ToolError::Text(text.into())
}

/// Runs the tool for a user.
pub fn main(arguments: &[String]) -> ExitCode {
    let (args, tool) = match start(arguments) {
        Start::Run(args, tool) => (args, tool),
        Start::Fail(text) => {
            eprintln!("{text}");
            return ExitCode::FAILURE;
        }
        Start::Print(text, error) => {
            // A reader that has left is no reason to complain.
            let _ = io::stdout().lock().write_all(text.as_bytes());
            let Some(error) = error else { return ExitCode::SUCCESS };
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match run(&args, tool) {
        Ok(true) => ExitCode::SUCCESS,
        // The confined process has said why.
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &ArgsManager, tool: Tool) -> Result<bool, ToolError> {
    if tool.makes_a_wallet() && !args.is_set("-wallet") {
        return Err(text("Wallet name must be provided when creating a new wallet."));
    }
    let name = args.get_or("-wallet", "");
    if tool.makes_a_wallet() && name.is_empty() {
        return Err(text("Wallet name cannot be empty"));
    }
    let source = if tool == Tool::CreateFromDump { Some(open_dump(args)?) } else { None };
    let place =
        wallet_place(&wallet_directory(args), &name, tool.makes_a_wallet(), look).map_err(|error| text(error.to_string()));
    let place = match place {
        // Core's tool ends with success when it cannot create a wallet.
        Err(error) if tool == Tool::Create => {
            eprintln!("{error}");
            return Ok(true);
        }
        other => other?,
    };
    let target = if tool == Tool::Dump { Some(create_dump(args)?) } else { None };
    let (dump, dump_path) = source.or(target).unzip();
    let made = tool.makes_a_wallet() && !place.directory.exists();
    if made {
        let created = DirBuilder::new().recursive(true).mode(0o700).create(&place.directory);
        created.map_err(|error| ToolError::System("cannot create the directory of the wallet", error))?;
    }
    let done = work(args, tool, &name, &place, dump);
    if !matches!(done, Ok(true)) {
        if made && tool == Tool::CreateFromDump {
            // The key store has removed its file; whatever else is there keeps the directory.
            let _ = fs::remove_dir(&place.directory);
        }
        if let (Tool::Dump, Some(path)) = (tool, dump_path) {
            let _ = fs::remove_file(path);
        }
    }
    Ok(done? || tool == Tool::Create)
}

fn wallet_directory(args: &ArgsManager) -> PathBuf {
    let datadir = args.datadir(&RealFiles).join(args.chain().unwrap_or_default().folder());
    let below = datadir.join("wallets");
    if below.is_dir() { below } else { datadir }
}

/// What stands at the path of a wallet.
fn look(path: &Path) -> Found {
    let linked = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_symlink());
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let file = path.join(bulkhead_config::WALLET_FILE);
            let format = if is_legacy(&file) { WalletFormat::Legacy } else { WalletFormat::Other };
            Found::Directory(fs::symlink_metadata(&file).is_ok().then_some(format))
        }
        Ok(metadata) if metadata.is_file() => Found::File { legacy: is_legacy(path), linked },
        Ok(_) => Found::Other,
        Err(_) if linked => Found::DeadLink,
        Err(_) => Found::Nothing,
    }
}

fn is_legacy(path: &Path) -> bool {
    const LEAST: u64 = 4096;
    let mut start = [0; 16];
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() >= LEAST)
        && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && is_berkeley_db(&start)
}

fn dump_path(args: &ArgsManager, command: &str) -> Result<PathBuf, ToolError> {
    let given = args.get_or("-dumpfile", "");
    if given.is_empty() {
        return Err(text(format!("No dump file provided. To use {command}, -dumpfile=<filename> must be provided.")));
    }
    std::path::absolute(given).map_err(|error| ToolError::System("dump file", error))
}

fn open_dump(args: &ArgsManager) -> Result<(OwnedFd, PathBuf), ToolError> {
    let path = dump_path(args, "createfromdump")?;
    let file = File::open(&path).map_err(|_| text(format!("Dump file {} does not exist.", path.display())))?;
    Ok((file.into(), path))
}

fn create_dump(args: &ArgsManager) -> Result<(OwnedFd, PathBuf), ToolError> {
    let path = dump_path(args, "dump")?;
    // It may hold private keys: for the owner only.
    let created = File::options().write(true).create_new(true).mode(0o600).open(&path);
    match created {
        Ok(file) => Ok((file.into(), path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(text(format!(
            "File {} already exists. If you are sure this is what you want, move it out of the way first.",
            path.display()
        ))),
        Err(_) => Err(text(format!("Unable to open {} for writing", path.display()))),
    }
}

/// A process of the tool.
struct Child {
    channel: Parent,
    pid: i32,
}

/// What both processes are born with.
struct Birth {
    binaries: PathBuf,
    mode: Mode,
}

impl Birth {
    fn bear(
        &self,
        component: Component,
        fields: bulkhead_control::message::Fields,
        named: Option<(&str, &OwnedFd)>,
        mut keep: Vec<(OwnedFd, i32)>,
    ) -> Result<Child, ToolError> {
        let (ours, theirs) = pair().map_err(|error| ToolError::System("cannot make a control channel", error))?;
        let channel = Parent::new(ours);
        let configure = Configure {
            component: component.word().to_owned(),
            sandbox: self.mode.name().to_owned(),
            memory: None,
            fields,
            log: LogOptions::default(),
            descriptors: named.iter().map(|(name, _)| (*name).to_owned()).collect(),
        };
        let descriptors: Vec<_> = named.iter().map(|(_, descriptor)| descriptor.as_fd()).collect();
        channel.send(&ToChild::Configure(configure), &descriptors)?;
        keep.push((theirs, CONTROL_DESCRIPTOR));
        let policy = policy(component.word()).ok_or_else(|| ControlError::NoPolicy(component.word().into()))?;
        let program = self.binaries.join(component.binary());
        let pid = spawn(SpawnSpec { program, args: Vec::new(), keep, policy, mode: self.mode })?;
        let child = Child { channel, pid };
        child.confined()?;
        Ok(child)
    }
}

impl Child {
    /// Waits until it has reported its confinement.
    fn confined(&self) -> Result<(), ToolError> {
        loop {
            match self.channel.receive() {
                Ok(Some(FromChild::Report(_))) => return Ok(()),
                Ok(Some(FromChild::InitError(error))) => return Err(text(error)),
                Ok(Some(_)) => {}
                Ok(None) => {
                    let mut waiting = [PollFd::new(self.channel.as_fd(), PollFlags::POLLIN)];
                    match poll(&mut waiting, PollTimeout::NONE) {
                        Ok(_) | Err(Errno::EINTR) => {}
                        Err(error) => return Err(ToolError::System("poll", error.into())),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Hands it its end of the stream between the two.
    fn wire(&self, stream: &OwnedFd) -> Result<(), ToolError> {
        let edge = Edge { name: "wallet-keystore".into(), instance: String::new() };
        Ok(self.channel.send(&ToChild::Wire(vec![edge]), &[stream.as_fd()])?)
    }

    /// Waits for its end. True: it ended with success.
    fn end(self) -> bool {
        loop {
            match waitpid(Pid::from_raw(self.pid), None) {
                Ok(WaitStatus::Exited(_, code)) => return code == 0,
                Err(Errno::EINTR) => {}
                _ => return false,
            }
        }
    }
}

fn work(args: &ArgsManager, tool: Tool, name: &str, place: &WalletPlace, dump: Option<OwnedFd>) -> Result<bool, ToolError> {
    let own = std::env::current_exe().map_err(|error| ToolError::System("cannot find the other binaries", error))?;
    let mode = args.get_or("-sandbox", "strict").parse::<Mode>().map_err(|error| text(error.to_string()))?;
    let birth = Birth { binaries: own.parent().unwrap_or(Path::new("/")).to_owned(), mode };
    // Two names of one directory are one wallet, and the key store may not follow links.
    let directory = fs::canonicalize(&place.directory).map_err(|error| ToolError::System("directory of the wallet", error))?;
    let network = args.chain().unwrap_or_default().name().to_owned();
    let keystore = KeystoreConfig {
        network: network.clone(),
        name: name.to_owned(),
        directory: directory.to_string_lossy().into_owned(),
        file: place.file.clone(),
        create: tool.makes_a_wallet(),
        keypool: KEYPOOL,
        ..KeystoreConfig::default()
    };
    let wallet = WalletConfig {
        network,
        wallet: vec![name.to_owned()],
        keypool: KEYPOOL,
        spendzeroconfchange: true,
        tool: tool.name().to_owned(),
        ..WalletConfig::default()
    };
    let copy = |descriptor: &dyn AsFd| descriptor.as_fd().try_clone_to_owned().map_err(|error| ToolError::System("dup", error));
    let keys = birth.bear(Component::Keystore, keystore.to_fields(), None, Vec::new())?;
    let terminal = vec![(copy(&io::stdout())?, 1), (copy(&io::stderr())?, 2)];
    let dump = dump.as_ref().map(|descriptor| ("dumpfile", descriptor));
    let talker = birth.bear(Component::Wallet, wallet.to_fields(), dump, terminal)?;
    let (one, other) = stream_pair().map_err(|error| ToolError::System("cannot make a stream", error))?;
    keys.wire(&one)?;
    talker.wire(&other)?;
    drop((one, other));
    let done = talker.end();
    // Its stream is closed now, so it ends; only then the wallet file is closed for sure.
    keys.end();
    Ok(done)
}
