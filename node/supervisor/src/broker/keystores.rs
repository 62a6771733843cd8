//! One key store per wallet: which directory it may have, and its birth (Core's `MakeDatabase` texts).

use super::{code, is_inside, wallet_dir};
use crate::family::{Asked, ChildId, Family, KeystoreDirectory};
use crate::handout;
use crate::startup::arguments::create_directories;
use bulkhead_config::{Found, WALLET_FILE, WalletFormat, WalletPathError, WalletPlace, wallet_place};
use bulkhead_control::message::ToChild;
use bulkhead_control::{Edge, OpenKeystore, TypedConfig, stream_pair};
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// More key stores than this are refused: each is a process.
pub(crate) const MAX_KEYSTORES: usize = 200;
/// How long a key store that was let go may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

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

type Refusal = (i32, String);

/// Where the wallet of that name is, by Core's rules.
fn place(walletdir: &Path, name: &str, create: bool) -> Result<WalletPlace, Refusal> {
    wallet_place(walletdir, name, create, look).map_err(|error| {
        let code = if matches!(error, WalletPathError::NotFound(_)) { code::NOT_FOUND } else { code::WALLET };
        (code, error.to_string())
    })
}

/// What stands at the path of a wallet.
fn look(path: &Path) -> Found {
    let linked = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_symlink());
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let file = path.join(WALLET_FILE);
            let format = if wallet_dir::is_legacy(&file) { WalletFormat::Legacy } else { WalletFormat::Other };
            Found::Directory(fs::symlink_metadata(&file).is_ok().then_some(format))
        }
        Ok(metadata) if metadata.is_file() => Found::File { legacy: wallet_dir::is_legacy(path), linked },
        Ok(_) => Found::Other,
        Err(_) if linked => Found::DeadLink,
        Err(_) => Found::Nothing,
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
                child.set_wired();
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
    fn test_place_looks_at_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let walletdir = folder.path();
        fs::create_dir(walletdir.join("a")).unwrap();
        fs::write(walletdir.join("a/wallet.dat"), b"x").unwrap();
        fs::create_dir(walletdir.join("empty")).unwrap();
        let mut btree = vec![0; 4096];
        btree[12..16].copy_from_slice(&[0x62, 0x31, 5, 0]);
        fs::write(walletdir.join("w8"), btree).unwrap();
        std::os::unix::fs::symlink(walletdir.join("gone"), walletdir.join("dead")).unwrap();
        let text = |name: &str, create| place(walletdir, name, create).unwrap_err();
        assert_eq!(place(walletdir, "a", false).unwrap().directory, walletdir.join("a"));
        assert!(text("w8", false).1.contains("appears to be a Legacy wallet"));
        assert!(text("a", true).1.ends_with("Database already exists."));
        assert_eq!(text("no", false).0, code::NOT_FOUND);
        assert!(text("empty", false).1.ends_with("Data is not in recognized format."));
        assert!(text("a/wallet.dat", false).1.starts_with("Invalid -wallet path 'a/wallet.dat'."));
        assert!(text("dead", true).1.starts_with("Invalid -wallet path 'dead'."));
        assert_eq!(place(walletdir, "new/deep", true).unwrap().directory, walletdir.join("new/deep"));
    }
}
