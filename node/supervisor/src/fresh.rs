//! Empty files in the place of those that an earlier run left.

use std::fs::{File, OpenOptions, remove_file};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A new file, never the old one cut short: files can't be cut short by a supervisor that is confined, nor by whoever gets them
/// from it. Not through a link that somebody has put there.
pub(crate) fn fresh(path: &Path) -> io::Result<File> {
    if path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
        remove_file(path)?;
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}
