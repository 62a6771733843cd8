//! A numbered series of flat files (`blk00000.dat`, `blk00001.dat`, ...; Core: `flatfile.cpp`).

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::StoreError;
use crate::space::need_room;
use crate::xor::XorKey;

/// One series in one directory. Files are opened for each operation, so that a file that the operator removed or replaced is
/// noticed at once.
#[derive(Debug, Clone)]
pub struct FlatFiles {
    directory: PathBuf,
    prefix: &'static str,
    chunk: u64,
    key: XorKey,
}

impl FlatFiles {
    /// Files named `prefix` and five digits, extended `chunk` bytes at a time.
    pub fn new(directory: &Path, prefix: &'static str, chunk: u64, key: XorKey) -> Self {
        Self { directory: directory.to_path_buf(), prefix, chunk, key }
    }

    /// Path of a file of the series.
    pub fn path(&self, number: u32) -> PathBuf {
        self.directory.join(format!("{}{number:05}.dat", self.prefix))
    }

    /// Reads exactly `length` bytes at `position`.
    pub fn read(&self, number: u32, position: u32, length: usize) -> Result<Vec<u8>, StoreError> {
        let path = self.path(number);
        let file = File::open(&path).map_err(StoreError::file(&path))?;
        self.read_from(&file, &path, position, length)
    }

    /// Reads a header of eight bytes, asks `length_of` how much follows it, and reads that.
    pub fn read_framed(
        &self,
        number: u32,
        position: u32,
        length_of: impl FnOnce([u8; 8]) -> Result<usize, StoreError>,
    ) -> Result<Vec<u8>, StoreError> {
        let path = self.path(number);
        let file = File::open(&path).map_err(StoreError::file(&path))?;
        let mut header = [0u8; 8];
        file.read_exact_at(&mut header, u64::from(position)).map_err(StoreError::file(&path))?;
        self.key.apply(&mut header, u64::from(position));
        let length = length_of(header)?;
        let size = file.metadata().map_err(StoreError::file(&path))?.len();
        let start = u64::from(position) + 8;
        if start + length as u64 > size {
            return Err(StoreError::BadBlockFile { what: "record reaches past the end of the file", file: number, position });
        }
        let mut bytes = vec![0u8; length];
        file.read_exact_at(&mut bytes, start).map_err(StoreError::file(&path))?;
        self.key.apply(&mut bytes, start);
        Ok(bytes)
    }

    fn read_from(&self, file: &File, path: &Path, position: u32, length: usize) -> Result<Vec<u8>, StoreError> {
        let mut bytes = vec![0u8; length];
        file.read_exact_at(&mut bytes, u64::from(position)).map_err(StoreError::file(path))?;
        self.key.apply(&mut bytes, u64::from(position));
        Ok(bytes)
    }

    /// Writes `bytes` at `position`, extending the file by whole chunks first.
    pub fn write(&self, number: u32, position: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        let path = self.path(number);
        let file = self.open_to_write(&path)?;
        let start = u64::from(position);
        let end = start + bytes.len() as u64;
        if end.div_ceil(self.chunk) > start.div_ceil(self.chunk) {
            let wanted = end.div_ceil(self.chunk) * self.chunk;
            let size = file.metadata().map_err(StoreError::file(&path))?.len();
            if wanted > size {
                need_room(&self.directory, wanted - start)?;
                file.set_len(wanted).map_err(StoreError::file(&path))?;
            }
        }
        self.key.apply(bytes, start);
        file.write_all_at(bytes, start).map_err(StoreError::file(&path))
    }

    /// Brings a file to the disk; with `used` also cuts it to that length.
    pub fn sync(&self, number: u32, used: Option<u32>) -> Result<(), StoreError> {
        let path = self.path(number);
        let file = self.open_to_write(&path)?;
        if let Some(used) = used {
            file.set_len(u64::from(used)).map_err(StoreError::file(&path))?;
        }
        file.sync_data().map_err(StoreError::file(&path))
    }

    fn open_to_write(&self, path: &Path) -> Result<File, StoreError> {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(StoreError::file(path))
    }

    /// Whether a file exists.
    pub fn exists(&self, number: u32) -> bool {
        self.path(number).exists()
    }

    /// Removes a file; one that is missing already is fine.
    pub fn remove(&self, number: u32) -> Result<(), StoreError> {
        let path = self.path(number);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::file(path)(error)),
            _ => Ok(()),
        }
    }

    /// Removes the XOR layer from bytes that were read elsewhere from `position` of a file of this series.
    pub fn unmask(&self, bytes: &mut [u8], position: u64) {
        self.key.apply(bytes, position);
    }
}
