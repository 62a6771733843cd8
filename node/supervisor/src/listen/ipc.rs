//! `-ipcbind`: unix sockets for clients of Core's IPC interfaces.

use crate::error::{NodeError, init};
use crate::startup::arguments::{Options, create_directories};
use nix::errno::Errno;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The longest path of a unix socket, bytes.
const MAX_PATH: usize = 107;

/// A socket that listens, and its address as shown.
#[derive(Debug)]
pub(crate) struct Listener {
    pub socket: OwnedFd,
    pub address: String,
}

/// Opens the sockets. The file remains when the node ends, as Core's does.
pub(crate) fn open(options: &Options) -> Result<Vec<Listener>, NodeError> {
    let mut listeners = Vec::new();
    for given in options.args.get_all("-ipcbind") {
        let failed = |reason: String| init(format!("Unable to bind to IPC address '{given}'. {reason}"));
        let path = path(&given, &options.datadir).map_err(failed)?;
        let failed = |reason: String| init(format!("Unable to bind to IPC address '{given}'. {reason}"));
        if let Some(parent) = path.parent() {
            create_directories(parent).map_err(|error| failed(error.to_string()))?;
        }
        let socket = super::unix(&path).map_err(|error: Errno| failed(error.desc().to_owned()))?;
        let address = format!("unix:{}", path.display());
        tracing::info!("Listening for IPC requests on address {address}");
        listeners.push(Listener { socket, address });
    }
    Ok(listeners)
}

fn path(given: &str, datadir: &Path) -> Result<PathBuf, String> {
    let path = match given.strip_prefix("unix").map(|rest| (rest, rest.strip_prefix(':'))) {
        Some(("", _) | (_, Some(""))) => datadir.join("node.sock"),
        Some((_, Some(path))) => datadir.join(path),
        _ => return Err(format!("Unrecognized address '{given}'")),
    };
    if path.as_os_str().len() > MAX_PATH {
        return Err(format!("Unix address path \"{}\" exceeded maximum socket path length", path.display()));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_path_forms() {
        let datadir = Path::new("/d");
        assert_eq!(path("unix", datadir).unwrap(), Path::new("/d/node.sock"));
        assert_eq!(path("unix:", datadir).unwrap(), Path::new("/d/node.sock"));
        assert_eq!(path("unix:x/y", datadir).unwrap(), Path::new("/d/x/y"));
        assert_eq!(path("unix:/x", datadir).unwrap(), Path::new("/x"));
        assert!(path("tcp:x", datadir).is_err() && path(&format!("unix:{}", "x".repeat(108)), datadir).is_err());
    }
}
