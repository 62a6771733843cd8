//! Spawning the node: a socket pair, and `bitcoin-node -ipcfd N` with the user's own arguments.

use std::ffi::OsString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use x11rb::rust_connection::RustConnection;

/// The node that this window spawned.
pub(crate) struct Node {
    /// The control channel: the node hands out configuration and streams over it.
    pub(crate) control: OwnedFd,
    /// To be kept until the toolkit has connected: a server that nobody else uses starts anew when its last client leaves.
    pub(crate) display: RustConnection,
    /// Kept so that the process is ours; it ends when the control channel closes.
    _child: Child,
}

/// Why the node could not be spawned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    /// No path of our own binary.
    #[error("cannot find the folder of bitcoin-gui: {0}")]
    Folder(std::io::Error),
    /// No socket pair.
    #[error("cannot make a socket pair: {0}")]
    Pair(std::io::Error),
    /// The descriptor flags could not be set.
    #[error("cannot pass a descriptor on: {0}")]
    Descriptor(nix::Error),
    /// The binary is missing or cannot be executed.
    #[error("cannot start {path}: {source}")]
    Start {
        /// Path of the node's binary.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// No display server, or it lets nobody in.
    #[error("cannot reach the display {name}: {source}")]
    Display {
        /// `DISPLAY`; empty if it is not set.
        name: String,
        /// What the connection says.
        source: x11rb::errors::ConnectError,
    },
    /// -help or -version failed.
    #[error("bitcoin-node ended with {0}")]
    Ended(std::process::ExitStatus),
}

/// Spawns the node beside our own binary, once there is a display for the window. `None` when the arguments only ask for text.
pub(crate) fn node(arguments: impl Iterator<Item = OsString>) -> Result<Option<Node>, LaunchError> {
    let own = std::env::current_exe().map_err(LaunchError::Folder)?;
    let path = own.with_file_name("bitcoin-node");
    let arguments: Vec<OsString> = arguments.collect();
    let start = |source| LaunchError::Start { path: path.display().to_string(), source };
    if arguments
        .iter()
        .any(|argument| matches!(argument.to_str(), Some("-help" | "--help" | "-h" | "-?" | "-version" | "--version")))
    {
        let status = Command::new(&path).args(&arguments).env_remove("LD_PRELOAD").status().map_err(start)?;
        return if status.success() { Ok(None) } else { Err(LaunchError::Ended(status)) };
    }
    let display = reach_display()?;
    let (ours, theirs) = bulkhead_control::pair().map_err(LaunchError::Pair)?;
    // The only descriptor that the node inherits from us; there are no threads yet that could fork meanwhile.
    fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty())).map_err(LaunchError::Descriptor)?;
    let child = Command::new(&path)
        // The node needs no display library.
        .env_remove("LD_PRELOAD")
        .arg("-ipcfd")
        .arg(theirs.as_raw_fd().to_string())
        .arg("-printtoconsole=0")
        .args(&arguments)
        .spawn()
        .map_err(start)?;
    Ok(Some(Node { control: ours, display, _child: child }))
}

/// Connects to the display. The toolkit does so when the node is already running, and panics if it cannot.
fn reach_display() -> Result<RustConnection, LaunchError> {
    x11rb::connect(None).map(|(display, _)| display).map_err(|source| LaunchError::Display {
        name: std::env::var_os("DISPLAY").unwrap_or_default().to_string_lossy().into_owned(),
        source,
    })
}
