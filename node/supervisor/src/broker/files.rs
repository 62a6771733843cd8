//! Files that a user names at run time, opened for one purpose each.

use super::net_files::Step;
use super::{code, is_inside};
use crate::family::{Asked, Family};
use crate::fresh::fresh;
use bulkhead_config::RealFiles;
use bulkhead_config::{Files, join};
use bulkhead_control::OpenFile;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Longest path, bytes.
const MAX_PATH: usize = 4096;
/// Bytes of the cookie of a Tor control port.
const COOKIE_SIZE: u64 = 32;

/// What a purpose permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// A new file; never over an existing one.
    Create,
    /// A new file under a name that says that it is not complete; one that an earlier run left there is replaced.
    CreateIncomplete,
    /// Nothing is opened: the file that was created as incomplete for this path gets its name, never over an existing one.
    Finish,
    /// An existing regular file.
    Read,
    /// The cookie of a Tor control port: its name and size are fixed, so nothing else can be read that way.
    ReadCookie,
}

/// Files of fixed names in the network's directory, which only their component writes: each save replaces the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Save {
    /// The file under its own name.
    InPlace(&'static str),
    /// The file with ".new" behind its name.
    New(&'static str),
    /// Nothing is opened: the file with ".new" behind its name replaces the one of that name.
    Finish(&'static str),
}

impl Save {
    fn of(purpose: &str) -> Option<Self> {
        match purpose {
            "saveMempool" => Some(Self::New("mempool.dat")),
            "finishMempool" => Some(Self::Finish("mempool.dat")),
            "saveFeeEstimates" => Some(Self::InPlace("fee_estimates.dat")),
            _ => None,
        }
    }

    /// Gives the name under which the file is found in the end.
    fn run(self, directory: &Path) -> (PathBuf, io::Result<Option<File>>) {
        let (Self::InPlace(name) | Self::New(name) | Self::Finish(name)) = self;
        let path = directory.join(name);
        let new = directory.join(format!("{name}.new"));
        let result = match self {
            Self::InPlace(_) => fresh(&path).map(Some),
            Self::New(_) => fresh(&new).map(Some),
            Self::Finish(_) => std::fs::rename(&new, &path).map(|()| None),
        };
        (path, result)
    }
}

pub(super) type Refusal = (i32, String);

impl Family {
    /// Opens the file and answers with its descriptor, if the purpose is to open one.
    pub(crate) fn open_file(&mut self, asked: Asked, open: &OpenFile) {
        match open.purpose.as_str() {
            "writeNetFile" => return self.net_file(asked, Step::Write, &open.path),
            "finishNetFile" => return self.net_file(asked, Step::Finish, &open.path),
            "captureFile" => return self.capture_file(asked, &open.path),
            "connectProxy" => return self.connect_proxy(asked, &open.path),
            "exportAsmap" => {
                let done = self.export_asmap(&open.path);
                return self.answer(asked, done);
            }
            _ => {}
        }
        match self.try_open_file(open) {
            Ok((file, path)) => {
                let text = path.display().to_string();
                let descriptors: Vec<_> = file.iter().map(AsFd::as_fd).collect();
                self.reply(asked.child, asked.request, Ok(text), &descriptors);
            }
            Err(refusal) => self.answer(asked, Err(refusal)),
        }
    }

    fn try_open_file(&mut self, open: &OpenFile) -> Result<(Option<File>, PathBuf), Refusal> {
        if let Some(save) = Save::of(&open.purpose) {
            let (path, result) = save.run(&self.outfit.options.datadir);
            return match result {
                Ok(file) => Ok((file, path)),
                Err(error) => Err(refusal(&open.purpose, &path, &error)),
            };
        }
        let (rule, below_datadir) = match open.purpose.as_str() {
            "backupWallet" => (Rule::Create, false),
            "dumpTxOutSet" => (Rule::CreateIncomplete, true),
            "finishTxOutSet" => (Rule::Finish, true),
            "loadTxOutSet" => (Rule::Read, true),
            "exportWallet" => (Rule::CreateIncomplete, false),
            "finishExport" => (Rule::Finish, false),
            "restoreWallet" | "importMempool" | "loadBlock" => (Rule::Read, false),
            "torCookie" => (Rule::ReadCookie, false),
            _ => return Err((code::MISC, "unknown purpose of a file".into())),
        };
        let base = if below_datadir { self.outfit.options.datadir.clone() } else { RealFiles.working_directory() };
        let for_wallet = matches!(open.purpose.as_str(), "backupWallet" | "restoreWallet" | "exportWallet" | "finishExport");
        let path = self.permitted_path(&base, &open.path, for_wallet)?;
        let opened = match rule {
            Rule::Create => create(&path).map(Some),
            Rule::Read => read(&path).map(Some),
            Rule::ReadCookie => read_cookie(&path).map(Some),
            Rule::CreateIncomplete => create_incomplete(&path).map(|file| {
                self.incomplete_files.insert(path.clone());
                Some(file)
            }),
            // Only what this run has created may be renamed.
            Rule::Finish if !self.incomplete_files.remove(&path) => Err(io::ErrorKind::NotFound.into()),
            Rule::Finish => finish(&path).map(|()| None),
        };
        // Core repeats the name of an export as the user wrote it; the others it makes absolute first.
        let shown = if open.purpose == "exportWallet" { Path::new(&open.path) } else { path.as_path() };
        opened.map(|file| (file, path.clone())).map_err(|error| refusal(&open.purpose, shown, &error))
    }
}

impl Family {
    /// The path that a user named, unless it lies in a directory that belongs to one component.
    pub(super) fn permitted_path(&self, base: &Path, named: &str, for_wallet: bool) -> Result<PathBuf, Refusal> {
        if named.is_empty() || named.len() > MAX_PATH || named.contains('\0') {
            return Err((code::PARAMETER, "Invalid path".into()));
        }
        let path = join(base, Path::new(named));
        let datadir = &self.outfit.options.datadir;
        let mut foreign = vec![self.outfit.blocksdir.clone(), datadir.join("chainstate"), datadir.join("indexes")];
        // A wallet may be backed up into the wallet directory.
        if !for_wallet && self.outfit.walletdir != *datadir {
            foreign.push(self.outfit.walletdir.clone());
        }
        if foreign.iter().any(|directory| directory.exists() && is_inside(&path, directory)) {
            return Err((code::PARAMETER, format!("{} belongs to another component", path.display())));
        }
        Ok(path)
    }
}

/// Name of a file while it is written.
pub(super) fn incomplete_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".incomplete");
    PathBuf::from(name)
}

fn create_incomplete(path: &Path) -> io::Result<File> {
    if path.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    create_new_incomplete(path)
}

/// The file under the name that it has while it is written, whatever is under the other.
pub(super) fn create_new_incomplete(path: &Path) -> io::Result<File> {
    let incomplete = incomplete_name(path);
    if incomplete.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
        std::fs::remove_file(&incomplete)?;
    }
    // AlreadyExists belongs to the name that was asked for.
    create(&incomplete).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => io::ErrorKind::PermissionDenied.into(),
        _ => error,
    })
}

fn finish(path: &Path) -> io::Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    std::fs::rename(incomplete_name(path), path)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

fn read(path: &Path) -> io::Result<File> {
    // Without blocking: a pipe must not stop the supervisor. It is refused below.
    let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

fn read_cookie(path: &Path) -> io::Result<File> {
    if path.file_name() != Some("control_auth_cookie".as_ref()) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let file = read(path)?;
    if file.metadata()?.len() == COOKIE_SIZE { Ok(file) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Core's texts where it has one.
fn refusal(purpose: &str, path: &Path, error: &io::Error) -> Refusal {
    let shown = path.display();
    match (purpose, error.kind()) {
        ("dumpTxOutSet", io::ErrorKind::AlreadyExists) => (
            code::PARAMETER,
            format!("{shown} already exists. If you are sure this is what you want, move it out of the way first"),
        ),
        ("dumpTxOutSet", _) => (code::PARAMETER, format!("Couldn't open file {shown}.incomplete for writing.")),
        ("finishTxOutSet", _) => (code::MISC, format!("Couldn't rename {shown}.incomplete to {shown}: {error}")),
        ("loadTxOutSet", _) => (code::PARAMETER, format!("Couldn't open file {shown} for reading.")),
        ("restoreWallet", io::ErrorKind::NotFound) => (code::PARAMETER, "Backup file does not exist".into()),
        ("backupWallet", _) => (code::WALLET, "Error: Wallet backup failed!".into()),
        ("exportWallet", io::ErrorKind::AlreadyExists) => {
            (code::WALLET, format!("Error: Export destination '{shown}' already exists"))
        }
        ("exportWallet", _) => (code::WALLET, format!("Error: Could not create file '{shown}'")),
        ("finishExport", _) => (code::WALLET, "Error: Unable to write the exported wallet".into()),
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

    #[test]
    fn test_cookies_have_one_name_and_one_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control_auth_cookie");
        std::fs::write(&path, [0; 33]).unwrap();
        assert!(read_cookie(&path).is_err());
        std::fs::write(&path, [0; 32]).unwrap();
        assert!(read_cookie(&path).is_ok());
        let other = folder.path().join("other");
        std::fs::write(&other, [0; 32]).unwrap();
        assert!(read_cookie(&other).is_err());
    }

    #[test]
    fn test_saved_files_replace_the_last_and_nothing_through_a_link() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let save = |purpose: &str| Save::of(purpose).unwrap().run(folder.path()).1;
        for text in ["first", "2nd"] {
            save("saveMempool").unwrap().unwrap().write_all(text.as_bytes()).unwrap();
            assert!(save("finishMempool").unwrap().is_none());
            assert_eq!(std::fs::read_to_string(folder.path().join("mempool.dat")).unwrap(), text);
        }
        std::fs::create_dir(folder.path().join("mempool.dat.new")).unwrap();
        assert!(save("saveMempool").is_err());
        std::os::unix::fs::symlink(folder.path().join("other"), folder.path().join("fee_estimates.dat")).unwrap();
        assert!(save("saveFeeEstimates").is_err() && !folder.path().join("other").exists());
        assert!(Save::of("backupWallet").is_none());
    }

    #[test]
    fn test_incomplete_files_get_their_name_in_the_end_and_replace_nothing_but_their_like() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("utxo.dat");
        std::fs::write(incomplete_name(&path), "left by a crash").unwrap();
        assert_eq!(create_incomplete(&path).unwrap().metadata().unwrap().len(), 0);
        assert!(!path.exists());
        finish(&path).unwrap();
        assert!(path.exists() && !incomplete_name(&path).exists());
        assert_eq!(create_incomplete(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        std::fs::write(incomplete_name(&path), "x").unwrap();
        assert_eq!(finish(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let other = folder.path().join("other");
        std::fs::create_dir(incomplete_name(&other)).unwrap();
        assert_eq!(create_incomplete(&other).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(refusal("dumpTxOutSet", &other, &io::ErrorKind::NotFound.into()).1.ends_with("other.incomplete for writing."));
    }
}
