//! Room on the disk (Core: `CheckDiskSpace`).

use std::path::Path;

use nix::sys::statvfs::statvfs;

use crate::StoreError;

/// What must stay free, in bytes.
const RESERVE: u64 = 50 << 20;

/// Whether `additional` bytes fit into the file system of a directory and leave some room.
///
/// # Errors
/// When the file system does not answer.
pub fn has_room(directory: &Path, additional: u64) -> Result<bool, StoreError> {
    let space = statvfs(directory).map_err(|error| StoreError::file(directory)(error.into()))?;
    let free = u128::from(space.blocks_available()) * u128::from(space.fragment_size());
    Ok(free >= u128::from(RESERVE) + u128::from(additional))
}

/// As [`has_room`], as an error.
///
/// # Errors
/// [`StoreError::DiskSpace`].
pub fn need_room(directory: &Path, additional: u64) -> Result<(), StoreError> {
    if has_room(directory, additional)? { Ok(()) } else { Err(StoreError::DiskSpace) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_amount_that_no_disk_holds_does_not_fit() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(need_room(directory.path(), u64::MAX), Err(StoreError::DiskSpace)));
        assert!(matches!(has_room(&directory.path().join("none"), 0), Err(StoreError::File { .. })));
    }
}
