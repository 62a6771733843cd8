//! The files of net: read before confinement. Afterwards net opens nothing; the supervisor replaces its files as a
//! whole, so that a kill at any moment leaves the old content or the new.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bulkhead_addrman::{AddrMan, BanList, FileError, decode_anchors, decode_peers, encode_peers};
use bulkhead_control::{Answer, ControlError};
use bulkhead_wire::{Endpoint, PeerAddress};
use thiserror::Error;
use tokio::sync::oneshot;

use super::broker::Broker;

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
    /// A file can't be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The path.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// peers.dat of a newer format can't be moved away. Core's text.
    #[error("Failed to rename invalid peers.dat file. Please move or delete it and try again.")]
    Rename,
}

/// The files. Without a broker (tests, and until net is confined) nothing is written.
#[derive(Debug, Default)]
pub struct Files {
    broker: Option<Broker>,
    last_bans: String,
}

/// What the files held at the start.
#[derive(Debug)]
pub struct Loaded {
    /// peers.dat.
    pub addrman: AddrMan,
    /// banlist.json.
    pub bans: BanList,
    /// anchors.dat, which is gone afterwards.
    pub anchors: Vec<PeerAddress>,
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The private key in a file of Tor or I2P, if there is one. Before confinement.
#[must_use]
pub fn read_key(datadir: &Path, name: &str) -> Option<Vec<u8>> {
    read(&datadir.join(name))
}

/// Where bugs are reported, as config.ini of the functional suite has it.
pub const REPORT: &str = "https://github.com/bulkhead/bulkhead/issues";

impl Files {
    /// Reads what is there, and writes what is not. Before confinement.
    ///
    /// `fresh` makes an empty address manager.
    ///
    /// # Errors
    /// [`FilesError`]: the node must not start.
    pub fn load(datadir: &Path, magic: [u8; 4], fresh: impl Fn() -> AddrMan, now: i64) -> Result<Loaded, FilesError> {
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
        write(&path, &encode_peers(magic, &addrman))?;
        write(&bans_path, bans.to_json().as_bytes())?;
        Ok(Loaded { addrman, bans, anchors: Self::load_anchors(datadir, magic) })
    }

    /// Reads anchors.dat and removes it: after a crash that an anchor caused, it is not tried again.
    fn load_anchors(datadir: &Path, magic: [u8; 4]) -> Vec<PeerAddress> {
        let path = datadir.join("anchors.dat");
        let Some(bytes) = read(&path) else { return Vec::new() };
        let anchors = decode_anchors(magic, &bytes);
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(target: "net", "cannot remove {}: {error}", path.display());
        }
        if let Ok(anchors) = &anchors {
            tracing::info!(target: "net", "Loaded {} addresses from \"anchors.dat\"", anchors.len());
        }
        anchors.unwrap_or_default()
    }

    /// From now on files are written.
    pub fn set_broker(&mut self, broker: Broker) {
        self.broker = Some(broker);
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
    pub fn write_peers(&self, bytes: Vec<u8>) {
        self.write("peers.dat", bytes);
    }

    /// Writes anchors.dat.
    pub fn write_anchors(&self, bytes: Vec<u8>) {
        self.write("anchors.dat", bytes);
    }

    /// Writes banlist.json, if it changed.
    pub fn write_bans(&mut self, text: String) {
        if self.last_bans != text {
            self.write("banlist.json", text.clone().into_bytes());
            self.last_bans = text;
        }
    }

    fn write(&self, name: &'static str, bytes: Vec<u8>) {
        if let Some(broker) = &self.broker {
            broker.replace(name, bytes);
        }
    }

    /// Writes a private key of Tor or I2P.
    pub fn write_key(&self, name: &'static str, bytes: Vec<u8>) {
        self.write(name, bytes);
    }

    /// Adds a record to the messages of a peer.
    pub fn capture(&self, addr: &Endpoint, incoming: bool, record: Vec<u8>) {
        if let Some(broker) = &self.broker {
            let file = if incoming { "msgs_recv.dat" } else { "msgs_sent.dat" };
            broker.append(format!("{}/{file}", addr.to_string().replace(':', "_")), record);
        }
    }

    /// What only the supervisor can do with a path; the answer comes later.
    pub(super) fn ask(&self, purpose: &'static str, path: &str) -> Option<oneshot::Receiver<Result<Answer, ControlError>>> {
        self.broker.as_ref().map(|broker| broker.ask(purpose, path))
    }

    /// Waits until everything is written.
    pub fn finish(&mut self) {
        self.broker = None;
    }
}

/// Replaces a file as a whole, before confinement.
fn write(path: &Path, bytes: &[u8]) -> Result<(), FilesError> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_data()))
        .and_then(|()| std::fs::rename(&new, path));
    written.map_err(|source| FilesError::Write { path: path.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bulkhead_addrman::encode_anchors;

    const MAGIC: [u8; 4] = [1, 2, 3, 4];

    #[test]
    fn what_was_written_is_read_and_what_is_damaged_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let load = |seed| Files::load(dir.path(), MAGIC, || AddrMan::new([seed; 32]), 0);
        let first = load(1).unwrap();
        std::fs::write(dir.path().join("peers.dat.new"), "left by a kill").unwrap();
        assert_eq!(load(2).unwrap().addrman.key(), first.addrman.key());
        std::fs::write(dir.path().join("peers.dat"), [1, 2, 3, 4, 4, 36]).unwrap();
        assert!(matches!(load(3), Err(FilesError::Corrupt { .. })));
    }

    #[test]
    fn anchors_are_used_once() {
        let dir = tempfile::tempdir().unwrap();
        let anchor = PeerAddress { time: 5, services: 9, endpoint: bulkhead_wire::Endpoint::parse("1.2.3.4:5", 0).unwrap() };
        std::fs::write(dir.path().join("anchors.dat"), encode_anchors(MAGIC, &[anchor])).unwrap();
        let load = || Files::load(dir.path(), MAGIC, || AddrMan::new([1; 32]), 0).unwrap().anchors;
        assert_eq!(load(), [anchor]);
        assert!(load().is_empty());
    }
}
