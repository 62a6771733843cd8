//! Where the wallet of a name is (Core: `GetWalletPath`, `MakeDatabase`), decided from what stands there.

use crate::normal;
use std::path::{Component, Path, PathBuf};
use thiserror::Error;

/// The file in a wallet's directory.
pub const WALLET_FILE: &str = "wallet.dat";
/// Longest wallet name, bytes.
const MAX_NAME: usize = 4096;

/// What stands at the path that a wallet's name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A link to nothing.
    DeadLink,
    /// A directory, with or without a wallet file.
    Directory(Option<WalletFormat>),
    /// A regular file.
    File {
        /// Whether it is a wallet of an old version.
        legacy: bool,
        /// It is reached through a link.
        linked: bool,
    },
    /// A device, a socket, ...
    Other,
}

/// What a wallet file is, from its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalletFormat {
    /// Berkeley DB: a wallet of an old version.
    Legacy,
    /// Anything else: the key store looks at it.
    Other,
}

/// Directory and file of a wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalletPlace {
    /// The directory; it may not exist yet when a wallet is created.
    pub directory: PathBuf,
    /// Name of the file in it.
    pub file: String,
}

/// Why a name does not stand for a wallet. The texts are Core's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WalletPathError {
    /// No wallet is there, or one that is not understood.
    #[error("{0}")]
    NotFound(String),
    /// The name, or what stands there, is no good.
    #[error("{0}")]
    Refused(String),
}

/// Whether a file begins as a Berkeley DB btree does; it also has a size of at least 4096 bytes then.
#[must_use]
pub fn is_berkeley_db(start: &[u8; 16]) -> bool {
    matches!(start[12..], [0x62, 0x31, 5, 0] | [0, 5, 0x31, 0x62])
}

/// Core's rules for names that are paths.
fn check_name(name: &str) -> Result<(), &'static str> {
    let path = Path::new(name);
    // Rust drops a dot between two parts, and a separator at the end, when it compares paths.
    let dotted = name != "." && name.split('/').any(|part| part == ".") || name.ends_with("../");
    if dotted || normal(name) != path {
        return Err("Wallet name given as a path must be normalized");
    }
    if matches!(path.components().next(), Some(Component::CurDir | Component::ParentDir)) {
        return Err(
            "Wallet name given as a relative path cannot begin with ./ or ../, for wallets not in the walletdir, please use an absolute path.",
        );
    }
    if path.parent().is_none() && path.has_root() {
        return Err("Wallet name cannot be the root path");
    }
    Ok(())
}

/// Where the wallet of that name is: a directory below `walletdir`, an absolute directory, or the name of a file in
/// `walletdir`. `look` tells what stands at a path.
///
/// # Errors
/// Core's texts, by whether the wallet is to be created.
pub fn wallet_place(
    walletdir: &Path,
    name: &str,
    create: bool,
    look: impl FnOnce(&Path) -> Found,
) -> Result<WalletPlace, WalletPathError> {
    use WalletPathError::{NotFound, Refused};
    if name.len() > MAX_NAME || name.contains('\0') {
        return Err(Refused("wallet name is too long or holds a zero byte".into()));
    }
    check_name(name).map_err(|text| Refused(text.to_owned()))?;
    let path = if name.is_empty() { walletdir.to_owned() } else { walletdir.join(name) };
    let shown = path.display().to_string();
    let in_folder = Path::new(name).file_name().is_some_and(|file| file == name);
    let bad_path = || {
        Refused(format!(
            "Invalid -wallet path '{name}'. -wallet path should point to a directory where wallet.dat and \
             database/log.?????????? files can be stored, a location where such a directory could be created, or \
             (for backwards compatibility) the name of an existing data file in -walletdir (\"{}\")",
            walletdir.display()
        ))
    };
    let already = || Refused(format!("Failed to create database path '{shown}'. Database already exists."));
    let unknown = || NotFound(format!("Failed to load database path '{shown}'. Data is not in recognized format."));
    let old = || {
        let text = "The wallet appears to be a Legacy wallet, please use the wallet migration tool (migratewallet RPC or the GUI option).";
        NotFound(format!("Failed to open database path '{shown}'. {text}"))
    };
    let inside = || WalletPlace { directory: path.clone(), file: WALLET_FILE.into() };
    match look(&path) {
        Found::Directory(file) => match (create, file) {
            (true, Some(_)) => Err(already()),
            (false, None) => Err(unknown()),
            (false, Some(WalletFormat::Legacy)) => Err(old()),
            _ => Ok(inside()),
        },
        // Only wallets of old versions are files beside each other.
        Found::File { legacy, linked: false } if in_folder => match (create, legacy) {
            (true, true) => Err(already()),
            (false, true) => Err(old()),
            (true, false) => Err(bad_path()),
            (false, false) => Err(unknown()),
        },
        Found::File { .. } | Found::Other | Found::DeadLink => Err(bad_path()),
        Found::Nothing if create => Ok(inside()),
        Found::Nothing => Err(NotFound(format!("Failed to load database path '{shown}'. Path does not exist."))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn wallet_place_follows_cores_rules() {
        let walletdir = Path::new("/w");
        let place = |name: &str, create, found| wallet_place(walletdir, name, create, |_| found);
        let text = |name: &str, create, found| place(name, create, found).unwrap_err().to_string();
        let wallet = Found::Directory(Some(WalletFormat::Other));
        assert_eq!(place("a", false, wallet).unwrap().directory, walletdir.join("a"));
        assert!(text("w8", false, Found::File { legacy: true, linked: false }).contains("appears to be a Legacy wallet"));
        for name in ["./a", "new/./deep", "new/../a", "../", "./"] {
            assert!(text(name, false, Found::Nothing).contains("must be normalized"), "{name}");
        }
        assert!(text("../a", false, Found::Nothing).contains("cannot begin with ./ or ../"));
        assert_eq!(text("/", false, Found::Nothing), "Wallet name cannot be the root path");
        assert!(text("a", true, wallet).ends_with("Database already exists."));
        let error = place("no", false, Found::Nothing).unwrap_err();
        assert!(matches!(error, WalletPathError::NotFound(text) if text.ends_with("Path does not exist.")));
        assert!(text("empty", false, Found::Directory(None)).ends_with("Data is not in recognized format."));
        let file = Found::File { legacy: false, linked: false };
        assert!(text("a/wallet.dat", false, file).starts_with("Invalid -wallet path 'a/wallet.dat'."));
        assert!(text("a", false, Found::DeadLink).starts_with("Invalid -wallet path 'a'."));
        assert_eq!(place("new/deep", true, Found::Nothing).unwrap().directory, walletdir.join("new/deep"));
    }
}
