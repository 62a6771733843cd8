//! Files of captured messages (`-capturemessages`): two for each peer, below `message_capture`.

use super::code;
use crate::family::{Asked, Family};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Longest name of a peer: an onion address with its port takes 68 bytes.
const MAX_NAME: usize = 100;

impl Family {
    /// Answers with a descriptor that appends.
    pub(crate) fn capture_file(&mut self, asked: Asked, name: &str) {
        let place = place(&self.outfit.options.datadir, name).filter(|_| self.outfit.net.capturemessages);
        let Some(path) = place else {
            return self.answer(asked, Err((code::PARAMETER, "no file of captured messages".into())));
        };
        match append(&path) {
            Ok(file) => self.reply(asked.child, asked.request, Ok(String::new()), &[file.as_fd()]),
            Err(error) => self.answer(asked, Err((code::MISC, format!("{}: {error}", path.display())))),
        }
    }
}

/// Where "peer/file" is. `None`: no such name.
fn place(datadir: &Path, name: &str) -> Option<PathBuf> {
    let (peer, file) = name.split_once('/')?;
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"._-[]".contains(&byte);
    let plain = (1..=MAX_NAME).contains(&peer.len()) && !peer.starts_with('.') && peer.bytes().all(letters);
    (plain && matches!(file, "msgs_recv.dat" | "msgs_sent.dat")).then(|| datadir.join("message_capture").join(peer).join(file))
}

fn append(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).custom_flags(nix::libc::O_NOFOLLOW).open(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    #[test]
    fn test_place_takes_two_files_per_peer_and_no_way_out() {
        let base = Path::new("/d");
        assert_eq!(place(base, "[__1]_18444/msgs_recv.dat").unwrap(), Path::new("/d/message_capture/[__1]_18444/msgs_recv.dat"));
        for name in ["x", "x/other", "../msgs_recv.dat", ".x/msgs_recv.dat", "a/b/msgs_recv.dat", "/msgs_sent.dat"] {
            assert_eq!(place(base, name), None, "{name}");
        }
    }

    #[test]
    fn test_append_goes_on_where_the_last_run_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = place(folder.path(), "1.2.3.4_5/msgs_sent.dat").unwrap();
        append(&path).unwrap().write_all(b"a").unwrap();
        append(&path).unwrap().write_all(b"b").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"ab");
    }
}
