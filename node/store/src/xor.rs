//! The key that block and undo files are XORed with (`blocks/xor.dat`, option `-blocksxor`).

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use bitcoin::secp256k1::rand::{RngCore, rngs::OsRng};

use crate::StoreError;

/// Eight bytes, applied by offset in the file; all zero means plain files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct XorKey([u8; 8]);

impl XorKey {
    /// Applies the key to `bytes` that start at `offset` of a file.
    pub fn apply(self, bytes: &mut [u8], offset: u64) {
        if self.0 == [0; 8] {
            return;
        }
        let mut rotated = [0u8; 8];
        for (at, byte) in rotated.iter_mut().enumerate() {
            *byte = self.0[(offset as usize + at) % 8]; // only the low bits matter
        }
        let word = u64::from_ne_bytes(rotated);
        let mut chunks = bytes.chunks_exact_mut(8);
        for chunk in &mut chunks {
            let mut value = [0u8; 8];
            value.copy_from_slice(chunk);
            chunk.copy_from_slice(&(u64::from_ne_bytes(value) ^ word).to_ne_bytes());
        }
        for (byte, key) in chunks.into_remainder().iter_mut().zip(rotated) {
            *byte ^= key;
        }
    }

    /// Reads `xor.dat` of a blocks directory, or creates it: random in a new directory, zero otherwise or when `enabled` is
    /// off. A key that exists wins; with `enabled` off it must be zero.
    pub fn load_or_create(directory: &Path, enabled: bool) -> Result<Self, StoreError> {
        let path = directory.join("xor.dat");
        let key = match fs::read(&path) {
            Ok(bytes) => {
                let key = bytes.get(..8).and_then(|head| <[u8; 8]>::try_from(head).ok());
                let short = || std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "xor.dat is too short");
                key.ok_or_else(short).map_err(StoreError::file(&path))?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut key = [0u8; 8];
                if enabled && is_first_run(directory)? {
                    OsRng.fill_bytes(&mut key);
                }
                let mut file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(StoreError::file(&path))?;
                file.write_all(&key).and_then(|()| file.sync_all()).map_err(StoreError::file(&path))?;
                key
            }
            Err(error) => return Err(StoreError::file(&path)(error)),
        };
        if !enabled && key != [0; 8] {
            return Err(StoreError::XorKeySet { key: XorKey(key).hex(), path });
        }
        Ok(XorKey(key))
    }

    /// The key in hex, for the log.
    pub fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A blocks directory is new while it holds nothing but files whose name starts with a dot, and the empty index directory.
fn is_first_run(directory: &Path) -> Result<bool, StoreError> {
    for entry in fs::read_dir(directory).map_err(StoreError::file(directory))? {
        let entry = entry.map_err(StoreError::file(directory))?;
        let is_file = entry.file_type().map_err(StoreError::file(directory))?.is_file();
        let name = entry.file_name();
        let hidden = is_file && name.as_encoded_bytes().starts_with(b".");
        if !hidden && name != "index" {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_key_depends_on_the_offset_only() {
        let key = XorKey([1, 2, 3, 4, 5, 6, 7, 8]);
        let plain: Vec<u8> = (0..100).collect();
        let mut whole = plain.clone();
        key.apply(&mut whole, 0);
        assert_eq!(whole[9], 9 ^ 2);
        for split in 0..100 {
            let mut tail = plain[split..].to_vec();
            key.apply(&mut tail, split as u64);
            assert_eq!(tail, whole[split..]);
        }
    }

    #[test]
    fn a_key_is_random_only_in_a_new_directory_and_then_kept() {
        let new = tempfile::tempdir().unwrap();
        let key = XorKey::load_or_create(new.path(), true).unwrap();
        assert_eq!(XorKey::load_or_create(new.path(), true).unwrap(), key);
        assert!(matches!(XorKey::load_or_create(new.path(), false), Err(StoreError::XorKeySet { .. })));
        let used = tempfile::tempdir().unwrap();
        fs::write(used.path().join("blk00000.dat"), b"x").unwrap();
        assert_eq!(XorKey::load_or_create(used.path(), true).unwrap(), XorKey::default());
    }
}
