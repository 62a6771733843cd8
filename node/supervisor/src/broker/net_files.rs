//! The files of net, replaced as a whole: net writes `<file>.new` through a descriptor, and when it says that all of
//! it is on the disk the file takes the old one's name. A kill at any moment leaves the old content or the new.

use super::code;
use crate::family::{Asked, Family};
use crate::fresh::fresh;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Every name that net may write in the data directory of the network.
const NAMES: [&str; 5] = ["peers.dat", "banlist.json", "anchors.dat", "onion_v3_private_key", "i2p_private_key"];

/// Opens the new file, or gives it its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Write,
    Finish,
}

impl Family {
    /// Answers a request for one of these files.
    pub(crate) fn net_file(&mut self, asked: Asked, step: Step, name: &str) {
        if !NAMES.contains(&name) {
            return self.answer(asked, Err((code::PARAMETER, "no file of net".into())));
        }
        let path = self.outfit.options.datadir.join(name);
        let done = match step {
            Step::Write => fresh(&new_name(&path)).map(Some),
            Step::Finish => std::fs::rename(new_name(&path), &path).map(|()| None),
        };
        match done {
            Ok(file) => {
                let descriptors: Vec<_> = file.iter().map(AsFd::as_fd).collect();
                self.reply(asked.child, asked.request, Ok(String::new()), &descriptors);
            }
            Err(error) => self.answer(asked, Err((code::MISC, format!("{}: {error}", path.display())))),
        }
    }
}

fn new_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_old_content_stays_until_the_new_has_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peers.dat");
        std::fs::write(&path, "old").unwrap();
        std::fs::write(new_name(&path), "left by a kill, and longer").unwrap();
        drop(fresh(&new_name(&path)).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read(new_name(&path)).unwrap(), b"");
        let elsewhere = folder.path().join("elsewhere");
        std::fs::write(&elsewhere, "untouched").unwrap();
        std::fs::remove_file(new_name(&path)).unwrap();
        std::os::unix::fs::symlink(&elsewhere, new_name(&path)).unwrap();
        assert!(fresh(&new_name(&path)).is_err());
        assert_eq!(std::fs::read(&elsewhere).unwrap(), b"untouched");
    }
}
