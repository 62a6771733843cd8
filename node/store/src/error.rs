//! Failures of storage.

use std::path::PathBuf;

use crate::codec::CodecError;

/// What can go wrong below the engine. None of these says anything about a block's validity.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file could not be opened, read, written or synced.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The directory holds a LevelDB of Bitcoin Core.
    #[error("{} holds a LevelDB database of Bitcoin Core; it was left untouched. Restart with -reindex to build databases of our own format beside it.", path.display())]
    LevelDb {
        /// The directory.
        path: PathBuf,
    },
    /// The database refuses to work.
    #[error("database {}: {message}", path.display())]
    Database {
        /// Its directory.
        path: PathBuf,
        /// RocksDB's words.
        message: String,
    },
    /// A stored value cannot be read back.
    #[error("corrupt value in {table}: {source}")]
    Corrupt {
        /// Table of the value.
        table: &'static str,
        /// Cause.
        source: CodecError,
    },
    /// The database was written by another version of this program.
    #[error("database {} has format {found}, this version reads {expected}", path.display())]
    Format {
        /// Its directory.
        path: PathBuf,
        /// Format on disk.
        found: u32,
        /// Format of this version.
        expected: u32,
    },
    /// `xor.dat` holds a key although `-blocksxor=0` was given.
    #[error(
        "The blocksdir XOR-key can not be disabled when a random key was already stored! Stored key: '{key}', stored path: '{}'.",
        path.display()
    )]
    XorKeySet {
        /// Hex of the key.
        key: String,
        /// The file.
        path: PathBuf,
    },
    /// The disk is as good as full. Core's text.
    #[error("Disk space is too low!")]
    DiskSpace,
    /// Coins were written in part by an earlier run, towards another block.
    #[error(
        "The coins database detected an inconsistent state, likely due to a previous crash or shutdown. You will need to restart with the -reindex-chainstate or -reindex configuration option."
    )]
    Unfinished,
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// What stands in a block or undo file is not what the index says.
    #[error("{what} at file {file}, position {position}")]
    BadBlockFile {
        /// What is wrong.
        what: &'static str,
        /// Number of the file.
        file: u32,
        /// Offset, in bytes.
        position: u32,
    },
}

impl StoreError {
    /// Wraps an I/O error.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> StoreError {
        let path = path.into();
        move |source| StoreError::File { path, source }
    }

    /// Wraps a codec error.
    pub(crate) fn corrupt(table: &'static str) -> impl FnOnce(CodecError) -> StoreError {
        move |source| StoreError::Corrupt { table, source }
    }
}
