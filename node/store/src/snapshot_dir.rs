//! Directories of the coins while a chain rests on a snapshot (Core: `node/utxo_snapshot.cpp`, `chainstate_snapshot`).
//!
//! A snapshot is filled in inside of `chainstate`, in [`NEXT`], and becomes `chainstate_snapshot` by one rename when all of it is on
//! disk and checked: what a crash leaves behind is either nothing or a whole snapshot. What shall become of the two sets of coins
//! at the next start is written into the directory as a file without content, because a confined process cannot move its own
//! directories.

use std::path::{Path, PathBuf};

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;

use crate::StoreError;

/// Directory of coins that were validated from genesis on.
pub const CHAINSTATE: &str = "chainstate";
/// Directory of coins that rest on a snapshot.
pub const SNAPSHOT: &str = "chainstate_snapshot";
/// Directory inside of [`CHAINSTATE`] in which the next snapshot is filled in.
pub const NEXT: &str = "snapshot_next";
/// File with the base block of the snapshot, 32 bytes in internal order, as Core keeps it.
const BASE: &str = "base_blockhash";
/// The coins were found to be right: they replace those of [`CHAINSTATE`].
const VALIDATED: &str = "validated";
/// The coins were found to be wrong: they are put aside.
const INVALID: &str = "invalid";
const INVALID_SUFFIX: &str = "_INVALID";
const DELETE_SUFFIX: &str = "_todelete";

/// What a chain has found out about the snapshot that it rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The coins of a chain that was validated from genesis on are the same.
    Validated,
    /// They are not.
    Invalid,
}

impl Verdict {
    fn file(self) -> &'static str {
        match self {
            Verdict::Validated => VALIDATED,
            Verdict::Invalid => INVALID,
        }
    }
}

/// Directory of the coins that rest on a snapshot, below the data directory of the network.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(SNAPSHOT)
}

/// Directory in which the next snapshot is filled in.
pub fn next_path(data_dir: &Path) -> PathBuf {
    data_dir.join(CHAINSTATE).join(NEXT)
}

/// Writes the base block of the snapshot in `directory` and waits for the disk.
///
/// # Errors
/// The file system's.
pub fn write_base(directory: &Path, base: BlockHash) -> Result<(), StoreError> {
    write_synced(&directory.join(BASE), base.as_byte_array())
}

/// Reads the base block of the snapshot in use; `None` when there is no snapshot.
///
/// # Errors
/// The file system's.
pub fn read_base(data_dir: &Path) -> Result<Option<BlockHash>, StoreError> {
    let directory = path(data_dir);
    if !directory.is_dir() {
        return Ok(None);
    }
    let file = directory.join(BASE);
    let bytes = match std::fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            tracing::warn!(
                "[snapshot] snapshot chainstate dir is malformed! no base blockhash file exists at path {}. Try deleting {} and calling loadtxoutset again?",
                directory.display(),
                file.display()
            );
            return Ok(None);
        }
        Err(error) => return Err(StoreError::file(file)(error)),
    };
    if bytes.len() > 32 {
        tracing::warn!("[snapshot] unexpected trailing data in {}", file.display());
    }
    let Some(hash) = bytes.first_chunk::<32>() else {
        tracing::warn!("[snapshot] {} is cut short", file.display());
        return Ok(None);
    };
    Ok(Some(BlockHash::from_byte_array(*hash)))
}

/// Removes what a snapshot that was not taken has left. The directory itself stays: a confined process may use it because it was
/// there when it was confined.
///
/// # Errors
/// The file system's.
pub fn clear_next(data_dir: &Path) -> Result<(), StoreError> {
    let next = next_path(data_dir);
    for entry in std::fs::read_dir(&next).map_err(StoreError::file(&next))? {
        let file = entry.map_err(StoreError::file(&next))?.path();
        std::fs::remove_file(&file).map_err(StoreError::file(&file))?;
    }
    Ok(())
}

/// Lets go of a snapshot whose coins are to be rebuilt although [`settle`] did not know of it.
///
/// # Errors
/// The file system's.
pub fn forget(data_dir: &Path) -> Result<(), StoreError> {
    let file = path(data_dir).join(BASE);
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::file(file)(error)),
        _ => Ok(()),
    }
}

/// Notes what was found out about the snapshot in use, for [`settle`] at the next start.
///
/// # Errors
/// The file system's.
pub fn write_verdict(data_dir: &Path, verdict: Verdict) -> Result<(), StoreError> {
    write_synced(&path(data_dir).join(verdict.file()), &[])
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let write = || {
        let mut file = std::fs::File::create(path)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()
    };
    write().map_err(StoreError::file(path))
}

/// Brings the directories into the state that the last run has asked for, and makes an empty one for the next snapshot. Before the
/// process is confined and before any of them is opened. `wipe`: all coins are to be rebuilt.
///
/// # Errors
/// The file system's.
pub fn settle(data_dir: &Path, wipe: bool) -> Result<(), StoreError> {
    let (chainstate, snapshot) = (data_dir.join(CHAINSTATE), path(data_dir));
    let delete = with_suffix(&chainstate, DELETE_SUFFIX);
    if snapshot.is_dir() {
        if wipe {
            tracing::info!("[snapshot] deleting snapshot chainstate due to reindexing");
            remove(&snapshot)?;
        } else if snapshot.join(INVALID).exists() {
            let aside = with_suffix(&snapshot, INVALID_SUFFIX);
            tracing::info!("[snapshot] renaming snapshot datadir {} to {}", snapshot.display(), aside.display());
            rename(&snapshot, &aside)?;
        } else if snapshot.join(VALIDATED).exists() {
            promote(&chainstate, &snapshot, &delete)?;
        }
    }
    if delete.is_dir() {
        remove(&delete)?;
        tracing::info!("[snapshot] deleted background chainstate directory ({})", chainstate.display());
    }
    for left_over in [BASE, VALIDATED] {
        let path = chainstate.join(left_over);
        if path.exists() {
            std::fs::remove_file(&path).map_err(StoreError::file(&path))?;
        }
    }
    let next = next_path(data_dir);
    if next.exists() {
        remove(&next)?;
    }
    std::fs::create_dir_all(&next).map_err(StoreError::file(&next))
}

fn promote(chainstate: &Path, snapshot: &Path, delete: &Path) -> Result<(), StoreError> {
    tracing::info!("[snapshot] cleaning up unneeded background chainstate, then reinitializing");
    tracing::info!("[snapshot] deleting background chainstate directory (now unnecessary) ({})", chainstate.display());
    if delete.exists() {
        remove(delete)?;
    }
    if chainstate.exists() {
        rename(chainstate, delete)?;
    }
    tracing::info!(
        "[snapshot] moving snapshot chainstate ({}) to default chainstate directory ({})",
        snapshot.display(),
        chainstate.display()
    );
    rename(snapshot, chainstate)
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    std::fs::rename(from, to).map_err(StoreError::file(to))
}

fn remove(directory: &Path) -> Result<(), StoreError> {
    std::fs::remove_dir_all(directory).map_err(StoreError::file(directory))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A data directory whose coins can be told apart by a file.
    fn data() -> tempfile::TempDir {
        let data = tempfile::tempdir().unwrap();
        for (directory, name) in [(CHAINSTATE, "old"), (SNAPSHOT, "new")] {
            std::fs::create_dir(data.path().join(directory)).unwrap();
            std::fs::write(data.path().join(directory).join(name), "").unwrap();
        }
        write_base(&path(data.path()), BlockHash::from_byte_array([7; 32])).unwrap();
        data
    }

    fn names(data: &tempfile::TempDir) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(data.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_snapshot_stays_until_something_was_found_out() {
        let data = data();
        settle(data.path(), false).unwrap();
        assert_eq!(read_base(data.path()).unwrap(), Some(BlockHash::from_byte_array([7; 32])));
        assert!(data.path().join("chainstate/old").exists() && next_path(data.path()).is_dir());
        std::fs::write(path(data.path()).join(BASE), [7; 31]).unwrap();
        assert_eq!(read_base(data.path()).unwrap(), None, "a cut file names no block");
        std::fs::remove_file(path(data.path()).join(BASE)).unwrap();
        assert_eq!(read_base(data.path()).unwrap(), None);
    }

    #[test]
    fn a_validated_snapshot_takes_the_place_of_the_old_coins() {
        let data = data();
        write_verdict(data.path(), Verdict::Validated).unwrap();
        settle(data.path(), false).unwrap();
        assert_eq!(names(&data), [CHAINSTATE]);
        assert!(data.path().join("chainstate/new").exists());
        assert!(!data.path().join("chainstate/validated").exists() && !data.path().join("chainstate/base_blockhash").exists());
    }

    #[test]
    fn a_start_that_was_cut_short_is_taken_up_again() {
        let data = data();
        write_verdict(data.path(), Verdict::Validated).unwrap();
        rename(&data.path().join(CHAINSTATE), &data.path().join("chainstate_todelete")).unwrap();
        settle(data.path(), false).unwrap();
        assert_eq!(names(&data), [CHAINSTATE]);
        assert!(data.path().join("chainstate/new").exists());
    }

    #[test]
    fn a_wrong_snapshot_is_put_aside_and_a_rebuild_deletes_it() {
        let wrong = data();
        write_verdict(wrong.path(), Verdict::Invalid).unwrap();
        settle(wrong.path(), false).unwrap();
        assert_eq!(names(&wrong), [CHAINSTATE, "chainstate_snapshot_INVALID"]);
        assert!(wrong.path().join("chainstate/old").exists());
        let rebuilt = data();
        settle(rebuilt.path(), true).unwrap();
        assert_eq!(names(&rebuilt), [CHAINSTATE]);
        assert!(rebuilt.path().join("chainstate/old").exists());
    }
}
