//! One key store per wallet: which directory it may have, and its birth (Core's `MakeDatabase` texts).

use super::{code, is_inside};
use crate::family::{Asked, ChildId, Family};
use crate::handout;
use crate::startup::arguments::create_directories;
use bulkhead_config::normal;
use bulkhead_control::message::ToChild;
use bulkhead_control::{Component, Edge, OpenKeystore, TypedConfig, stream_pair};
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The file in a wallet's directory.
const WALLET_FILE: &str = "wallet.dat";
/// More key stores than this are refused: each is a process.
const MAX_KEYSTORES: usize = 200;
/// How long a key store that was let go may take to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest wallet name, bytes.
const MAX_NAME: usize = 4096;

/// A request that waits until the last key store of the same directory is gone.
#[derive(Debug)]
pub(crate) struct PendingOpen {
    asked: Asked,
    open: OpenKeystore,
    /// When it is given up: the other key store is not about to end.
    pub deadline: Instant,
}

/// Directory and file of a wallet.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    directory: PathBuf,
    file: String,
}

type Refusal = (i32, String);

/// Where the wallet of that name is, by Core's rules: a directory below `walletdir`, an absolute directory, or the
/// name of a file in `walletdir`.
fn place(walletdir: &Path, name: &str, create: bool) -> Result<Place, Refusal> {
    if name.len() > MAX_NAME || name.contains('\0') {
        return Err((code::WALLET, "wallet name is too long or holds a zero byte".into()));
    }
    let path = if name.is_empty() { walletdir.to_owned() } else { walletdir.join(normal(name)) };
    let shown = path.display().to_string();
    let kind = fs::metadata(&path).ok();
    let linked = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.file_type().is_symlink());
    let in_folder = Path::new(name).file_name().is_some_and(|file| file == name);
    let bad_path = || {
        (
            code::WALLET,
            format!(
                "Invalid -wallet path '{name}'. -wallet path should point to a directory where wallet.dat and \
                 database/log.?????????? files can be stored, a location where such a directory could be created, or \
                 (for backwards compatibility) the name of an existing data file in -walletdir ({})",
                walletdir.display()
            ),
        )
    };
    match kind {
        Some(metadata) if metadata.is_dir() => {
            let exists = fs::symlink_metadata(path.join(WALLET_FILE)).is_ok();
            if create && exists {
                let text = format!("Failed to create database path '{shown}'. Database already exists.");
                return Err((code::WALLET, text));
            }
            if !create && !exists {
                let text = format!("Failed to load database path '{shown}'. Data is not in recognized format.");
                return Err((code::NOT_FOUND, text));
            }
            Ok(Place { directory: path, file: WALLET_FILE.into() })
        }
        Some(metadata) if metadata.is_file() && in_folder && !linked => {
            if create {
                let text = format!("Failed to create database path '{shown}'. Database already exists.");
                return Err((code::WALLET, text));
            }
            Ok(Place { directory: walletdir.to_owned(), file: name.to_owned() })
        }
        Some(_) => Err(bad_path()),
        // A link to nowhere.
        None if linked => Err(bad_path()),
        None if create => Ok(Place { directory: path, file: WALLET_FILE.into() }),
        None => {
            let text = format!("Failed to load database path '{shown}'. Path does not exist.");
            Err((code::NOT_FOUND, text))
        }
    }
}

impl Family {
    /// Opens a key store for whoever may ask; the answer comes when it is confined.
    pub(crate) fn open_keystore(&mut self, asked: Asked, open: OpenKeystore) {
        if self.children.iter().filter(|child| child.component == Component::Keystore).count() >= MAX_KEYSTORES {
            return self.answer(asked, Err((code::WALLET, "too many wallets are open".into())));
        }
        if open.one_shot {
            let fields = handout::keystore(&self.outfit.options, "", None, false).to_fields();
            if let Err(error) = self.bear_keystore(fields, "", None, asked) {
                self.answer(asked, Err((code::WALLET, error.to_string())));
            }
            return;
        }
        self.open_or_wait(PendingOpen { asked, open, deadline: Instant::now() + PATIENCE });
    }

    fn open_or_wait(&mut self, pending: PendingOpen) {
        match self.prepare(pending.asked, &pending.open) {
            Ok(None) if pending.deadline <= Instant::now() => {
                let text = format!("Wallet \"{}\" is already loaded.", pending.open.name);
                self.answer(pending.asked, Err((code::LOADED, text)));
            }
            Ok(None) => self.pending_opens.push_back(pending),
            Ok(Some(())) => {}
            Err(refusal) => self.answer(pending.asked, Err(refusal)),
        }
    }

    /// `None`: another key store has the directory and must end first.
    fn prepare(&mut self, asked: Asked, open: &OpenKeystore) -> Result<Option<()>, Refusal> {
        let walletdir = self.outfit.walletdir.clone();
        let place = place(&walletdir, &open.name, open.create)?;
        let failed = |text: String| (code::WALLET, text);
        let foreign = [
            self.outfit.blocksdir.clone(),
            self.outfit.options.datadir.join("chainstate"),
            self.outfit.options.datadir.join("indexes"),
        ];
        if foreign.iter().any(|directory| directory.exists() && is_inside(&place.directory, directory)) {
            return Err(failed(format!("Wallet path '{}' belongs to another component", place.directory.display())));
        }
        let taken = self.children.iter().filter(|child| child.directory.as_ref() == Some(&place.directory));
        if let Some(owner) = taken.into_iter().find(|child| child.instance == open.name || place.file == WALLET_FILE) {
            // Either its wallet let go of it and it is about to end, or it will not end: the deadline decides.
            tracing::debug!(target: "ipc", "key store {} waits for the end of process {}", open.name, owner.pid);
            return Ok(None);
        }
        let created = open.create && !place.directory.exists();
        if created {
            create_directories(&place.directory).map_err(|error| failed(error.to_string()))?;
        }
        let config = handout::keystore(&self.outfit.options, &open.name, Some((&place.directory, &place.file)), open.create);
        let born = self.bear_keystore(config.to_fields(), &open.name, Some(place.directory.clone()), asked);
        if let Err(error) = born {
            if created {
                // Leave nothing behind of a wallet that never was.
                let _ = fs::remove_dir(&place.directory);
            }
            return Err(failed(error.to_string()));
        }
        Ok(Some(()))
    }

    /// A key store ended, or the time of a request is up.
    pub(crate) fn retry_opens(&mut self) {
        for pending in std::mem::take(&mut self.pending_opens) {
            self.open_or_wait(pending);
        }
    }

    /// A key store reported: it gets its stream, and so does who asked for it.
    pub(crate) fn keystore_confined(&mut self, id: ChildId) {
        let Some(child) = self.by_id(id) else { return };
        let Some(asked) = child.asked.take() else { return };
        match stream_pair() {
            Ok((one, other)) => {
                let edge = Edge { name: "wallet-keystore".into(), instance: child.instance.clone() };
                child.send(&ToChild::Wire(vec![edge]), &[other.as_fd()]);
                child.wired = true;
                self.reply(asked.child, asked.request, Ok(String::new()), &[one.as_fd()]);
            }
            Err(error) => {
                let text = format!("cannot make a stream: {error}");
                self.answer(asked, Err((code::WALLET, text)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_place_by_cores_rules() {
        let folder = tempfile::tempdir().unwrap();
        let walletdir = folder.path();
        fs::create_dir(walletdir.join("a")).unwrap();
        fs::write(walletdir.join("a/wallet.dat"), b"x").unwrap();
        fs::create_dir(walletdir.join("empty")).unwrap();
        fs::write(walletdir.join("w8"), b"x").unwrap();
        let text = |name: &str, create| place(walletdir, name, create).unwrap_err();
        assert_eq!(place(walletdir, "a", false).unwrap().directory, walletdir.join("a"));
        assert_eq!(place(walletdir, "w8", false).unwrap(), Place { directory: walletdir.into(), file: "w8".into() });
        assert!(text("a", true).1.ends_with("Database already exists."));
        assert_eq!(text("no", false).0, code::NOT_FOUND);
        assert!(text("no", false).1.ends_with("Path does not exist."));
        assert!(text("empty", false).1.ends_with("Data is not in recognized format."));
        assert!(text("a/wallet.dat", false).1.starts_with("Invalid -wallet path 'a/wallet.dat'."));
        assert_eq!(place(walletdir, "new/deep", true).unwrap().directory, walletdir.join("new/deep"));
    }
}
