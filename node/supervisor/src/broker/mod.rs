//! The broker: what children ask for by name. It decides by rules of its own; a name from another process is
//! untrusted.

mod asmap;
mod captures;
mod echo;
mod files;
mod keystores;
mod net_files;
mod proxy_streams;
mod sandbox_info;
mod settings;
mod snapshot;
mod wallet_dir;

pub(crate) use echo::{ECHO_ARGUMENT, echo_process};
pub(crate) use keystores::{MAX_KEYSTORES, PendingEnd, PendingOpen};
pub(crate) use sandbox_info::sandbox_info;
pub(crate) use snapshot::activate_snapshot;
pub(crate) use wallet_dir::list_wallets;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Codes of the RPC interface that suit refusals.
pub(crate) mod code {
    /// RPC_MISC_ERROR.
    pub const MISC: i32 = -1;
    /// RPC_INVALID_PARAMETER.
    pub const PARAMETER: i32 = -8;
    /// RPC_WALLET_ERROR.
    pub const WALLET: i32 = -4;
    /// RPC_WALLET_NOT_FOUND.
    pub const NOT_FOUND: i32 = -18;
    /// RPC_WALLET_ALREADY_EXISTS.
    pub const EXISTS: i32 = -36;
}

/// Whether a path lies in a directory that belongs to another component. Both are resolved as far as they exist,
/// so that a link does not lead around the rule.
pub(crate) fn is_inside(path: &Path, directory: &Path) -> bool {
    let resolve = |path: &Path| {
        for ancestor in path.ancestors() {
            // Without a slash or a dot at the end: the library would ask whether that is a folder, with a call that is refused here.
            match std::fs::canonicalize(ancestor.components().collect::<PathBuf>()) {
                Ok(resolved) => {
                    let rest = path.strip_prefix(ancestor).ok()?;
                    return Some(if rest.as_os_str().is_empty() { resolved } else { resolved.join(rest) });
                }
                Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => {}
                // It is there: what is above it says nothing about it.
                Err(_) => return None,
            }
        }
        None
    };
    match (resolve(path), resolve(directory)) {
        (Some(path), Some(directory)) => path.starts_with(directory),
        // What can't be resolved is refused.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_is_inside_follows_links() {
        let folder = tempfile::tempdir().unwrap();
        let blocks = folder.path().join("blocks");
        std::fs::create_dir(&blocks).unwrap();
        std::os::unix::fs::symlink(&blocks, folder.path().join("link")).unwrap();
        assert!(is_inside(&folder.path().join("link/x"), &blocks));
        assert!(is_inside(&blocks, &blocks));
        assert!(!is_inside(&folder.path().join("blocksx"), &blocks));
        std::os::unix::fs::symlink(folder.path().join("circle"), folder.path().join("circle")).unwrap();
        assert!(is_inside(&folder.path().join("circle/x"), &blocks), "nobody knows where that is");
    }
}
