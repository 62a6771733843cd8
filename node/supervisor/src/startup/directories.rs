//! Locks, the pid file, and the directories that children find ready.

use super::arguments::{Options, create_directories};
use crate::error::{NodeError, init};
use bulkhead_config::RealFiles;
use bulkhead_config::version::CLIENT_NAME;
use bulkhead_config::{Files, absolute, join};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The blocks directory; created. `-blocksdir` itself must exist.
pub(crate) fn blocks(options: &Options) -> Result<PathBuf, NodeError> {
    let base = match options.args.get("-blocksdir") {
        None => options.base.clone(),
        Some(given) => {
            let path = absolute(&RealFiles.working_directory(), &options.args.path_arg("-blocksdir", ""));
            if !path.is_dir() {
                return Err(init(format!("Specified blocks directory \"{given}\" does not exist.")));
            }
            path
        }
    };
    let path = base.join(options.chain.folder()).join("blocks");
    create_directories(&path)?;
    Ok(path)
}

/// Takes the lock of a directory for as long as the file is kept.
pub(crate) fn lock(directory: &Path) -> Result<File, NodeError> {
    let unwritable = |_| init(format!("Cannot write to directory '{}'; check permissions.", directory.display()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(directory.join(".lock"))
        .map_err(unwritable)?;
    // As Core: a POSIX record lock on the whole file, which Core's bitcoind sees too.
    let whole = nix::libc::flock {
        l_type: i16::try_from(nix::libc::F_WRLCK).unwrap_or_default(),
        l_whence: i16::try_from(nix::libc::SEEK_SET).unwrap_or_default(),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(&file, FcntlArg::F_SETLK(&whole)) {
        Ok(_) => Ok(file),
        Err(Errno::EACCES | Errno::EAGAIN) => Err(init(format!(
            "Cannot obtain a lock on directory {}. {CLIENT_NAME} is probably already running.",
            directory.display()
        ))),
        Err(error) => Err(NodeError::system(format!("cannot lock directory {}", directory.display()), error)),
    }
}

/// Where the PID file is; `None` with `-nopid`.
pub(crate) fn pid_path(options: &Options) -> Option<PathBuf> {
    let name = (!options.args.is_negated("-pid")).then(|| options.args.path_arg("-pid", "bitcoind.pid"))?;
    Some(join(&options.datadir, &name))
}

/// Writes the process id; the path comes back so that it can be removed. `None` with `-nopid`.
pub(crate) fn pid_file(options: &Options) -> Result<Option<PathBuf>, NodeError> {
    let Some(path) = pid_path(options) else { return Ok(None) };
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        writeln!(file, "{}", std::process::id())
    };
    match write() {
        Ok(()) => Ok(Some(path)),
        Err(error) => {
            let reason = error.raw_os_error().map_or_else(|| error.to_string(), strerror);
            Err(init(format!("Unable to create the PID file '{}': {reason}", path.display())))
        }
    }
}

/// Core's `SysErrorString`: "Permission denied (13)".
pub(crate) fn strerror(code: i32) -> String {
    format!("{} ({code})", Errno::from_raw(code).desc())
}

/// Directories of chain below the data directory; created, because chain may not create them itself.
pub(crate) fn chain_directories(options: &Options) -> Result<(), NodeError> {
    create_directories(&options.datadir.join("chainstate"))?;
    let args = &options.args;
    let filters = !matches!(args.get_or("-blockfilterindex", "0").as_str(), "0");
    if filters
        || args.bool_or("-txindex", false)
        || args.bool_or("-coinstatsindex", false)
        || args.bool_or("-txospenderindex", false)
    {
        create_directories(&options.datadir.join("indexes"))?;
    }
    Ok(())
}

/// Where wallets are: `-walletdir` (must be a directory, absolute), else `wallets` if it exists, else the data
/// directory. `None` when it does not exist, with Core's text.
pub(crate) fn wallets(options: &Options) -> Result<PathBuf, NodeError> {
    let args = &options.args;
    if !args.is_set("-walletdir") {
        let below = options.datadir.join("wallets");
        return Ok(if below.is_dir() { below } else { options.datadir.clone() });
    }
    let path = args.path_arg("-walletdir", "");
    let shown = path.display();
    if !path.exists() {
        return Err(init(format!("Specified -walletdir \"{shown}\" does not exist")));
    }
    if !path.is_dir() {
        return Err(init(format!("Specified -walletdir \"{shown}\" is not a directory")));
    }
    if !path.is_absolute() {
        return Err(init(format!("Specified -walletdir \"{shown}\" is a relative path")));
    }
    std::fs::canonicalize(&path).map_err(|error| NodeError::system(format!("cannot resolve -walletdir {shown}"), error))
}
