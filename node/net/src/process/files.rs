//! The files of net: read before confinement, and kept open for writing, because a confined net opens nothing.
//!
//! Without a temporary file and a rename there is no atomic replacement: a file is overwritten in place by one
//! write and padded to its old length with bytes that its format ignores.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use bulkhead_addrman::{AddrMan, BanList, FileError, decode_peers, encode_peers};
use thiserror::Error;

/// Largest file that is read.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// Why net does not start.
#[derive(Debug, Error)]
pub enum FilesError {
    /// peers.dat is damaged. Core's text.
    #[error(
        "Invalid or corrupt peers.dat ({reason}). If you believe this is a bug, please report it to {report}. As a workaround, you can move the file ({path}) out of the way (rename, move, or delete) to have a new one created on the next start."
    )]
    Corrupt {
        /// What is wrong.
        reason: FileError,
        /// Where to report it.
        report: &'static str,
        /// Quoted path.
        path: String,
    },
    /// A file can't be opened.
    #[error("cannot open {path}: {source}")]
    Open {
        /// The path.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// peers.dat of a newer format can't be moved away. Core's text.
    #[error("Failed to rename invalid peers.dat file. Please move or delete it and try again.")]
    Rename,
}

/// One file that stays open.
#[derive(Debug)]
struct Kept {
    file: File,
    length: usize,
    filler: u8,
}

impl Kept {
    fn open(path: &Path, filler: u8) -> Result<Self, FilesError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|source| FilesError::Open { path: path.display().to_string(), source })?;
        let length = file.metadata().map_or(0, |meta| usize::try_from(meta.len()).unwrap_or(0));
        Ok(Self { file, length, filler })
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let mut padded = bytes.to_vec();
        padded.resize(self.length.max(bytes.len()), self.filler);
        self.file.write_all_at(&padded, 0)?;
        self.length = padded.len();
        Ok(())
    }
}

/// The open files. Without them (tests) nothing is written.
#[derive(Debug, Default)]
pub struct Files {
    peers: Option<Kept>,
    bans: Option<Kept>,
    last_bans: String,
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Where bugs are reported, as config.ini of the functional suite has it.
pub const REPORT: &str = "https://github.com/bulkhead/bulkhead/issues";

impl Files {
    /// Reads what is there, and opens the files for writing. Before confinement.
    ///
    /// # Errors
    /// [`FilesError`]: the node must not start.
    pub fn load(
        datadir: &Path,
        magic: [u8; 4],
        fixed: bool,
        seed: [u8; 32],
        now: i64,
    ) -> Result<(Self, AddrMan, BanList), FilesError> {
        let fresh = || if fixed { AddrMan::deterministic() } else { AddrMan::new(seed) };
        let path = datadir.join("peers.dat");
        let quoted = format!("\"{}\"", path.display());
        let addrman = match read(&path).filter(|bytes| !bytes.is_empty()) {
            None => {
                tracing::info!(target: "net", "Creating peers.dat because the file was not found ({quoted})");
                fresh()
            }
            Some(bytes) => match decode_peers(magic, &bytes, fresh()) {
                Ok(addrman) => {
                    tracing::info!(target: "net", "Loaded {} addresses from peers.dat 0ms", addrman.size(None, None));
                    addrman
                }
                Err(FileError::Version { .. }) => {
                    std::fs::rename(&path, datadir.join("peers.dat.bak")).map_err(|_| FilesError::Rename)?;
                    tracing::warn!(
                        target: "net",
                        "Creating new peers.dat because the file version was not compatible ({quoted}). Original backed up to peers.dat.bak"
                    );
                    fresh()
                }
                Err(reason) => return Err(FilesError::Corrupt { reason, report: REPORT, path: quoted }),
            },
        };
        let bans_path = datadir.join("banlist.json");
        let bans = Self::load_bans(&bans_path, now);
        let mut files =
            Self { peers: Some(Kept::open(&path, 0)?), bans: Some(Kept::open(&bans_path, b'\n')?), last_bans: String::new() };
        files.write_peers(&encode_peers(magic, &addrman));
        files.write_bans(&bans.to_json());
        Ok((files, addrman, bans))
    }

    fn load_bans(path: &Path, now: i64) -> BanList {
        let Some(bytes) = read(path).filter(|bytes| !bytes.is_empty()) else {
            tracing::info!(target: "net", "Recreating the banlist database");
            return BanList::default();
        };
        match BanList::from_json(&bytes) {
            Some(mut bans) => {
                bans.sweep(now);
                tracing::debug!(target: "net", "Loaded {} banned node addresses/subnets 0ms", bans.len());
                bans
            }
            None => {
                tracing::warn!(target: "net", "Cannot parse banlist {}: unexpected content", path.display());
                tracing::info!(target: "net", "Recreating the banlist database");
                BanList::default()
            }
        }
    }

    /// Writes peers.dat.
    pub fn write_peers(&mut self, bytes: &[u8]) {
        if let Some(kept) = &mut self.peers
            && let Err(error) = kept.write(bytes)
        {
            tracing::error!(target: "net", "Failed to write peers.dat: {error}");
        }
    }

    /// Writes banlist.json, if it changed.
    pub fn write_bans(&mut self, text: &str) {
        if self.last_bans == text {
            return;
        }
        if let Some(kept) = &mut self.bans {
            match kept.write(text.as_bytes()) {
                Ok(()) => text.clone_into(&mut self.last_bans),
                Err(error) => tracing::error!(target: "net", "Failed to write banlist.json: {error}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn shorter_content_is_padded_with_what_the_format_ignores() {
        let dir = std::env::temp_dir().join(format!("bulkhead-net-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (mut files, addrman, _) = Files::load(&dir, [1, 2, 3, 4], false, [1; 32], 0).unwrap();
        files.write_bans(&format!("{}{}", BanList::default().to_json(), " ".repeat(500)));
        files.write_bans(&BanList::default().to_json());
        files.write_peers(&[encode_peers([1, 2, 3, 4], &addrman), vec![9; 100]].concat());
        files.write_peers(&encode_peers([1, 2, 3, 4], &addrman));
        drop(files);
        let again = Files::load(&dir, [1, 2, 3, 4], false, [2; 32], 0);
        std::fs::write(dir.join("peers.dat"), [1, 2, 3, 4, 4, 36]).unwrap();
        let broken = Files::load(&dir, [1, 2, 3, 4], false, [2; 32], 0);
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(again.unwrap().1.key(), addrman.key());
        assert!(matches!(broken, Err(FilesError::Corrupt { .. })));
    }
}
