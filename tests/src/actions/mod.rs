//! What an attacker inside a process would try, and where it is somebody's job.

mod files;
mod kernel;
mod network;
mod processes;

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;

use crate::inject::{Answer, Held, InjectError};

/// Paths and processes that the actions aim at. Everything named here is made by the test or of our own node.
#[derive(Debug)]
pub struct Targets {
    /// A file of a wallet.
    pub wallet_file: String,
    /// A block file.
    pub block_file: String,
    /// A file in the root of the data directory that nobody minds to lose.
    pub sacrifice: String,
    /// Data directory of the network.
    pub datadir: String,
    /// A listening unix socket.
    pub unix_socket: String,
    /// Name of the abstract unix socket below.
    pub abstract_name: Vec<u8>,
    /// A process of the node that is not the one under attack.
    pub sibling: i32,
    /// Somebody must listen: the kernel asks Landlock only about a connection that has an other end.
    _abstract_listener: Option<UnixListener>,
}

impl Targets {
    /// Aims at a node: its data directory of the network, and one process as the sibling.
    #[must_use]
    pub fn of(datadir: &str, unix_socket: &str, sibling: i32) -> Self {
        // The zero byte at the end is part of the name, as the action sends it.
        let abstract_name = format!("bulkhead-probe-{}-{sibling}\0", std::process::id()).into_bytes();
        let address = SocketAddr::from_abstract_name(&abstract_name);
        Self {
            wallet_file: wallet_file(datadir),
            block_file: format!("{datadir}/blocks/blk00000.dat"),
            sacrifice: format!("{datadir}/sacrifice"),
            datadir: datadir.to_owned(),
            unix_socket: unix_socket.to_owned(),
            _abstract_listener: address.and_then(|address| UnixListener::bind_addr(&address)).ok(),
            abstract_name,
            sibling,
        }
    }

    /// Undoes what a successful action left behind.
    pub fn reset(&self) {
        for left in ["planted", "moved", "link", "copy"] {
            let _ = std::fs::remove_file(format!("{}/{left}", self.datadir));
        }
        let _ = std::fs::remove_dir(format!("{}/made", self.datadir));
        let _ = std::fs::write(&self.sacrifice, "nobody minds");
    }

    /// Removes the sacrifice as well.
    pub fn clean(&self) {
        self.reset();
        let _ = std::fs::remove_file(&self.sacrifice);
    }
}

/// A wallet file that exists: a path that does not would fail for that reason and prove nothing.
fn wallet_file(datadir: &str) -> String {
    let wallets = format!("{datadir}/wallets");
    let folders = std::fs::read_dir(&wallets).into_iter().flatten().flatten();
    let mut files = folders.map(|folder| folder.path().join("wallet.dat")).filter(|file| file.exists());
    files.next().map_or(format!("{wallets}/wallet.dat"), |file| file.to_string_lossy().into_owned())
}

/// How a call ended, as one of three verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The kernel refused before the call had any effect.
    Refused(Errno),
    /// The filter ended the process.
    Killed,
    /// The call reached the kernel's code: it succeeded, or failed for a reason of its own.
    Reached,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(errno) => write!(f, "{errno:?}"),
            Self::Killed => f.write_str("killed"),
            Self::Reached => f.write_str("REACHED"),
        }
    }
}

type Attempt = fn(&mut Held, &Targets) -> Result<Answer, InjectError>;

/// One thing to try.
pub struct Action {
    /// What it is, in a few words.
    pub name: &'static str,
    /// Components for which this is part of their job, and why it is bounded there.
    pub allowed_in: &'static [(&'static str, &'static str)],
    /// The filter ends the process: tried on a process that is not needed any more.
    pub deadly: bool,
    /// Aims at debug.log, which a process of a node holds.
    pub of_log: bool,
    attempt: Attempt,
}

impl Action {
    const fn new(name: &'static str, attempt: Attempt) -> Self {
        Self { name, allowed_in: &[], deadly: false, of_log: false, attempt }
    }

    const fn deadly(name: &'static str, attempt: Attempt) -> Self {
        Self { name, allowed_in: &[], deadly: true, of_log: false, attempt }
    }

    const fn of_log(mut self) -> Self {
        self.of_log = true;
        self
    }

    const fn but(mut self, allowed_in: &'static [(&'static str, &'static str)]) -> Self {
        self.allowed_in = allowed_in;
        self
    }

    /// Why a component may do this, if it may.
    #[must_use]
    pub fn excuse(&self, component: &str) -> Option<&'static str> {
        self.allowed_in.iter().find(|(name, _)| *name == component).map(|(_, why)| *why)
    }

    /// Tries it in a held process.
    ///
    /// # Errors
    /// When it could not be tried.
    pub fn attempt(&self, held: &mut Held, targets: &Targets) -> Result<Verdict, InjectError> {
        held.clear();
        targets.reset();
        Ok(match (self.attempt)(held, targets)? {
            Answer::Killed(Signal::SIGSYS) => Verdict::Killed,
            Answer::Killed(signal) => return Err(InjectError(format!("{}: ended by {signal}", self.name))),
            Answer::Refused(errno @ (Errno::EPERM | Errno::EACCES | Errno::ENOSYS)) => Verdict::Refused(errno),
            Answer::Refused(_) | Answer::Value(_) => Verdict::Reached,
        })
    }
}

/// Every action, those that end the process last.
#[must_use]
pub fn all() -> Vec<&'static Action> {
    let lists: [&'static [Action]; 4] = [files::ACTIONS, network::ACTIONS, processes::ACTIONS, kernel::ACTIONS];
    let mut actions: Vec<_> = lists.into_iter().flatten().collect();
    actions.sort_by_key(|action| action.deadly);
    actions
}

/// `-100`: paths are relative to the working directory.
const AT_FDCWD: u64 = (-100i64).cast_unsigned();

/// Opens a path and closes it again when that worked. Close-on-exec, because the key store's filter demands that:
/// so it is the path which decides.
fn open(held: &mut Held, path: &str, flags: i32) -> Result<Answer, InjectError> {
    let path = held.text(path)?;
    let flags = flags | libc::O_CLOEXEC;
    let answer = held.call(libc::SYS_openat, &[AT_FDCWD, path, flags.cast_unsigned().into(), 0o600])?;
    close(held, answer)
}

/// Closes the descriptor that a call returned.
fn close(held: &mut Held, answer: Answer) -> Result<Answer, InjectError> {
    if let Answer::Value(descriptor) = answer {
        held.call(libc::SYS_close, &[descriptor.cast_unsigned()])?;
    }
    Ok(answer)
}
