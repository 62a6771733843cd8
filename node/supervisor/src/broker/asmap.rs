//! `exportasmap`: the supervisor writes the map that is built in, whose bytes no other process chooses.

use super::code;
use super::files::{Refusal, create_new_incomplete, incomplete_name};
use crate::family::Family;
use bulkhead_asmap::{EMBEDDED, is_sound};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Largest file that is looked at to see whether it is a map, bytes.
const MAX_MAP: u64 = 16 * 1024 * 1024;

impl Family {
    /// Writes the map and gives its absolute path. Core writes over any file; here net chooses the path, and it may have
    /// been taken over: what is not a map stays.
    pub(super) fn export_asmap(&self, named: &str) -> Result<String, Refusal> {
        let path = self.permitted_path(&self.outfit.options.datadir, named, false)?;
        let shown = path.display();
        let failed = |what| (code::MISC, format!("Failed to {what} asmap file: {shown}"));
        if !replaceable(&path).map_err(|_| failed("open"))? {
            return Err(failed("open"));
        }
        let mut file = create_new_incomplete(&path).map_err(|_| failed("open"))?;
        let written = file.write_all(EMBEDDED).and_then(|()| std::fs::rename(incomplete_name(&path), &path));
        written.map_err(|_| failed("close"))?;
        Ok(shown.to_string())
    }
}

/// Whether nothing is there, or an empty file, or a map.
fn replaceable(path: &Path) -> io::Result<bool> {
    // Not through a link that somebody has put there, and no waiting for a pipe.
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        other => other?,
    };
    let metadata = file.metadata()?;
    Ok(metadata.is_file() && metadata.len() <= MAX_MAP && is_map_or_empty(file)?)
}

fn is_map_or_empty(file: File) -> io::Result<bool> {
    let mut bytes = Vec::new();
    file.take(MAX_MAP).read_to_end(&mut bytes)?;
    Ok(bytes.is_empty() || is_sound(&bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_maps_and_empty_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map");
        assert!(replaceable(&path).unwrap());
        for (content, expected) in [(EMBEDDED, true), (&[], true), (b"the only copy of a wallet", false)] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(replaceable(&path).unwrap(), expected);
        }
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(replaceable(&link).is_err());
        assert!(!replaceable(Path::new("/dev/null")).unwrap());
    }
}
