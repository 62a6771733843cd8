//! The directory of coins that a snapshot has brought. Chain fills it in inside of its own directory and cannot move it out.

use super::code;
use std::io;
use std::path::Path;

/// Where chain fills a snapshot in, below the data directory of the network.
const NEXT: &str = "chainstate/snapshot_next";
/// Where it belongs when it is in use.
const SNAPSHOT: &str = "chainstate_snapshot";

/// Gives the directory its place, never over another one.
pub(crate) fn activate_snapshot(datadir: &Path) -> Result<(), (i32, String)> {
    let target = datadir.join(SNAPSHOT);
    let moved = match target.symlink_metadata() {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => std::fs::rename(datadir.join(NEXT), &target),
    };
    moved.map_err(|error| (code::MISC, format!("{}: {error}", target.display())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_a_snapshot_gets_its_place_and_replaces_none() {
        let folder = tempfile::tempdir().unwrap();
        let fill = || std::fs::create_dir_all(folder.path().join(NEXT)).unwrap();
        fill();
        activate_snapshot(folder.path()).unwrap();
        assert!(folder.path().join(SNAPSHOT).is_dir() && !folder.path().join(NEXT).exists());
        fill();
        let (_, text) = activate_snapshot(folder.path()).unwrap_err();
        assert!(text.contains(SNAPSHOT));
        assert!(folder.path().join(NEXT).exists());
    }
}
