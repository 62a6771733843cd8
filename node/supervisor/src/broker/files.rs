//! Files that a user names at run time, opened for one purpose each.

use super::{code, is_inside};
use crate::family::{Asked, Family};
use crate::startup::files::RealFiles;
use bulkhead_config::{Files, join};
use bulkhead_control::OpenFile;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Longest path, bytes.
const MAX_PATH: usize = 4096;

/// What a purpose permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// A new file; never over an existing one.
    Create,
    /// An existing regular file.
    Read,
}

type Refusal = (i32, String);

impl Family {
    /// Opens the file and answers with its descriptor.
    pub(crate) fn open_file(&mut self, asked: Asked, open: &OpenFile) {
        match self.try_open_file(open) {
            Ok((file, path)) => {
                let text = path.display().to_string();
                self.reply(asked.child, asked.request, Ok(text), &[file.as_fd()]);
            }
            Err(refusal) => self.answer(asked, Err(refusal)),
        }
    }

    fn try_open_file(&self, open: &OpenFile) -> Result<(File, PathBuf), Refusal> {
        let (rule, below_datadir) = match open.purpose.as_str() {
            "backupWallet" => (Rule::Create, false),
            "dumpTxOutSet" => (Rule::Create, true),
            "loadTxOutSet" => (Rule::Read, true),
            "restoreWallet" | "importMempool" | "loadBlock" => (Rule::Read, false),
            _ => return Err((code::MISC, "unknown purpose of a file".into())),
        };
        if open.path.is_empty() || open.path.len() > MAX_PATH || open.path.contains('\0') {
            return Err((code::PARAMETER, "Invalid path".into()));
        }
        let datadir = &self.outfit.options.datadir;
        let base = if below_datadir { datadir.clone() } else { RealFiles.working_directory() };
        let mut path = join(&base, Path::new(&open.path));
        if open.purpose == "backupWallet" && path.is_dir() {
            path.push("wallet.dat");
        }
        // Directories that belong to one component each. A wallet may be backed up into the wallet directory.
        let mut foreign = vec![self.outfit.blocksdir.clone(), datadir.join("chainstate"), datadir.join("indexes")];
        if !matches!(open.purpose.as_str(), "backupWallet" | "restoreWallet") && self.outfit.walletdir != *datadir {
            foreign.push(self.outfit.walletdir.clone());
        }
        if foreign.iter().any(|directory| directory.exists() && is_inside(&path, directory)) {
            return Err((code::PARAMETER, format!("{} belongs to another component", path.display())));
        }
        let opened = match rule {
            Rule::Create => create(&path),
            Rule::Read => read(&path),
        };
        opened.map(|file| (file, path.clone())).map_err(|error| refusal(&open.purpose, &path, &error))
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

fn read(path: &Path) -> io::Result<File> {
    // Without blocking: a pipe must not stop the supervisor. It is refused below.
    let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// Core's texts where it has one.
fn refusal(purpose: &str, path: &Path, error: &io::Error) -> Refusal {
    let shown = path.display();
    match (purpose, error.kind()) {
        ("dumpTxOutSet", io::ErrorKind::AlreadyExists) => (
            code::PARAMETER,
            format!("{shown} already exists. If you are sure this is what you want, move it out of the way first."),
        ),
        ("dumpTxOutSet", _) => (code::PARAMETER, format!("Couldn't open file {shown} for writing.")),
        ("loadTxOutSet", _) => (code::PARAMETER, format!("Couldn't open file {shown} for reading.")),
        ("restoreWallet", io::ErrorKind::NotFound) => (code::PARAMETER, "Backup file does not exist".into()),
        ("backupWallet", _) => (code::WALLET, "Error: Wallet backup failed!".into()),
        ("importMempool", _) => (code::MISC, "Unable to import mempool file, see debug log for details.".into()),
        _ => (code::PARAMETER, format!("Couldn't open file {shown}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_create_never_overwrites_and_read_takes_regular_files_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        assert!(create(&path).is_ok());
        assert_eq!(create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(read(&path).is_ok());
        assert!(read(folder.path()).is_err());
        assert!(read(Path::new("/dev/null")).is_err());
    }
}
