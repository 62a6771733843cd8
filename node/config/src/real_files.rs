//! The real file system, for the option parser.

use crate::Files;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Largest configuration file that is read, bytes.
const MAX_CONF: u64 = 16 * 1024 * 1024;

/// [`Files`] over `std::fs`.
#[derive(Debug)]
pub struct RealFiles;

impl Files for RealFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // A pipe or a device is read as Core does, up to the bound.
        let mut bytes = Vec::new();
        let mut file = io::Read::take(fs::File::open(path)?, MAX_CONF);
        io::Read::read_to_end(&mut file, &mut bytes)?;
        Ok(bytes)
    }
    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }
    fn working_directory(&self) -> PathBuf {
        env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
    }
    fn home(&self) -> Option<PathBuf> {
        env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
    }
}
