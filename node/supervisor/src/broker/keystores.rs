//! One key store per wallet: which directory it may have, and its birth (Core's `MakeDatabase` texts).

use super::{code, is_inside, wallet_dir};
use crate::family::{Asked, ChildId, Family, KeystoreDirectory};
use crate::handout;
use crate::startup::arguments::create_directories;
use bulkhead_config::normal;
use bulkhead_control::message::ToChild;
use bulkhead_control::{Edge, OpenKeystore, TypedConfig, stream_pair};
use std::fs;
use std::os::fd::AsFd;
use std::path::{Component, Path, PathBuf};
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
    deadline: Instant,
}

/// A request that waits for the end of the key store of a wallet.
#[derive(Debug)]
pub(crate) struct PendingEnd {
    asked: Asked,
    name: String,
    /// When it is given up.
    deadline: Instant,
}

/// Directory and file of a wallet.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    directory: PathBuf,
    file: String,
}

type Refusal = (i32, String);

/// Core's rules for names that are paths (`GetWalletPath`).
fn check_name(name: &str) -> Result<(), &'static str> {
    let path = Path::new(name);
    // Rust drops a dot between two parts when it compares paths.
    let dotted = name != "." && name.split('/').any(|part| part == ".");
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

/// Where the wallet of that name is, by Core's rules: a directory below `walletdir`, an absolute directory, or the
/// name of a file in `walletdir`.
fn place(walletdir: &Path, name: &str, create: bool) -> Result<Place, Refusal> {
    if name.len() > MAX_NAME || name.contains('\0') {
        return Err((code::WALLET, "wallet name is too long or holds a zero byte".into()));
    }
    check_name(name).map_err(|text| (code::WALLET, text.to_owned()))?;
    let path = if name.is_empty() { walletdir.to_owned() } else { walletdir.join(name) };
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
                 (for backwards compatibility) the name of an existing data file in -walletdir (\"{}\")",
                walletdir.display()
            ),
        )
    };
    let already = || (code::WALLET, format!("Failed to create database path '{shown}'. Database already exists."));
    let unknown = || (code::NOT_FOUND, format!("Failed to load database path '{shown}'. Data is not in recognized format."));
    let legacy = |file: &Path| wallet_dir::is_legacy(file);
    let old = || {
        let text = "The wallet appears to be a Legacy wallet, please use the wallet migration tool (migratewallet RPC or the GUI option).";
        (code::NOT_FOUND, format!("Failed to open database path '{shown}'. {text}"))
    };
    match kind {
        Some(metadata) if metadata.is_dir() => {
            let file = path.join(WALLET_FILE);
            let exists = fs::symlink_metadata(&file).is_ok();
            match (create, exists) {
                (true, true) => Err(already()),
                (false, false) => Err(unknown()),
                (false, true) if legacy(&file) => Err(old()),
                _ => Ok(Place { directory: path, file: WALLET_FILE.into() }),
            }
        }
        // Only wallets of old versions are files beside each other.
        Some(metadata) if metadata.is_file() && in_folder && !linked => match (create, legacy(&path)) {
            (true, true) => Err(already()),
            (false, true) => Err(old()),
            (true, false) => Err(bad_path()),
            (false, false) => Err(unknown()),
        },
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

/// What is said when a backup would go over something that is there (Core: `RestoreWallet`).
fn restore_refusal(walletdir: &Path, name: &str) -> Option<Refusal> {
    let path = walletdir.join(name);
    let file = path.join(WALLET_FILE);
    if path.is_dir() {
        let exists = fs::symlink_metadata(&file).is_ok();
        exists.then(|| (code::EXISTS, format!("Failed to restore wallet. Database file exists in '{}'.", file.display())))
    } else {
        let exists = path.exists();
        exists.then(|| (code::EXISTS, format!("Failed to restore wallet. Database file exists '{}'.", path.display())))
    }
}

impl Family {
    /// Opens a key store for whoever may ask; the answer comes when it is confined.
    pub(crate) fn open_keystore(&mut self, asked: Asked, open: OpenKeystore) {
        if self.children.iter().filter(|child| child.component == bulkhead_control::Component::Keystore).count() >= MAX_KEYSTORES
        {
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
                let text = "SQLiteDatabase: Unable to obtain an exclusive lock on the database, is it being used by another instance of Bulkhead?\n";
                self.answer(pending.asked, Err((code::WALLET, text.into())));
            }
            Ok(None) => self.pending_opens.push_back(pending),
            Ok(Some(())) => {}
            Err(refusal) => self.answer(pending.asked, Err(refusal)),
        }
    }

    /// `None`: another key store has the directory and must end first.
    fn prepare(&mut self, asked: Asked, open: &OpenKeystore) -> Result<Option<()>, Refusal> {
        let walletdir = self.outfit.walletdir.clone();
        let mut place = place(&walletdir, &open.name, open.create).map_err(|refusal| match open.restore {
            true => restore_refusal(&walletdir, &open.name).unwrap_or(refusal),
            false => refusal,
        })?;
        // Two names of one directory are one wallet, and the key store may not follow links.
        if let Ok(real) = fs::canonicalize(&place.directory) {
            place.directory = real;
        }
        let failed = |text: String| (code::WALLET, text);
        let foreign = [
            self.outfit.blocksdir.clone(),
            self.outfit.options.datadir.join("chainstate"),
            self.outfit.options.datadir.join("indexes"),
        ];
        if foreign.iter().any(|directory| directory.exists() && is_inside(&place.directory, directory)) {
            return Err(failed(format!("Wallet path '{}' belongs to another component", place.directory.display())));
        }
        let taken = self
            .children
            .iter()
            .filter(|child| child.directory.as_ref().is_some_and(|directory| directory.path == place.directory));
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
        let directory = KeystoreDirectory { path: place.directory.clone(), created };
        let born = self.bear_keystore(config.to_fields(), &open.name, Some(directory), asked);
        if let Err(error) = born {
            if created {
                // Leave nothing behind of a wallet that never was.
                let _ = fs::remove_dir(&place.directory);
            }
            return Err(failed(error.to_string()));
        }
        Ok(Some(()))
    }

    /// Answers when the key store of a wallet, which was let go, is gone.
    pub(crate) fn await_keystore_end(&mut self, asked: Asked, name: String) {
        self.answer_or_wait(PendingEnd { asked, name, deadline: Instant::now() + PATIENCE });
    }

    fn answer_or_wait(&mut self, pending: PendingEnd) {
        if !self.children.iter().any(|child| child.directory.is_some() && child.instance == pending.name) {
            self.answer(pending.asked, Ok(String::new()));
        } else if pending.deadline <= Instant::now() {
            self.answer(pending.asked, Err((code::WALLET, format!("the key store of '{}' does not end", pending.name))));
        } else {
            self.pending_ends.push(pending);
        }
    }

    /// When requests that wait for the end of a key store are given up.
    pub(crate) fn keystore_deadlines(&self) -> impl Iterator<Item = Instant> {
        let opens = self.pending_opens.iter().map(|pending| pending.deadline);
        opens.chain(self.pending_ends.iter().map(|pending| pending.deadline))
    }

    /// A key store ended, or the time of a request is up.
    pub(crate) fn keystores_changed(&mut self) {
        for pending in std::mem::take(&mut self.pending_ends) {
            self.answer_or_wait(pending);
        }
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
        let mut btree = vec![0; 4096];
        btree[12..16].copy_from_slice(&[0x62, 0x31, 5, 0]);
        fs::write(walletdir.join("w8"), btree).unwrap();
        let text = |name: &str, create| place(walletdir, name, create).unwrap_err();
        assert_eq!(place(walletdir, "a", false).unwrap().directory, walletdir.join("a"));
        assert!(text("w8", false).1.contains("appears to be a Legacy wallet"));
        for name in ["./a", "new/./deep", "new/../a"] {
            assert!(text(name, false).1.contains("must be normalized"), "{name}");
        }
        assert!(text("../a", false).1.contains("cannot begin with ./ or ../"));
        assert_eq!(text("/", false).1, "Wallet name cannot be the root path");
        assert!(text("a", true).1.ends_with("Database already exists."));
        assert_eq!(text("no", false).0, code::NOT_FOUND);
        assert!(text("no", false).1.ends_with("Path does not exist."));
        assert!(text("empty", false).1.ends_with("Data is not in recognized format."));
        assert!(text("a/wallet.dat", false).1.starts_with("Invalid -wallet path 'a/wallet.dat'."));
        assert_eq!(place(walletdir, "new/deep", true).unwrap().directory, walletdir.join("new/deep"));
    }
}
