//! RocksDB, named here only.
//!
//! # Correctness
//!
//! A batch is atomic. How durable it is, its writer says with [`Durability`]: most go through the write-ahead log and wait for
//! the disk. Large amounts may leave the log out, where the writer has a note on the disk that says what to do when they are lost
//! in part: tables reach the disk when RocksDB likes, so that a power cut may keep later batches and lose earlier ones.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rocksdb::{
    BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, DB, Direction, IteratorMode, Options, WriteBatch,
    WriteOptions,
};

use crate::StoreError;

/// Written under [`FORMAT_KEY`]; changes whenever old databases cannot be read any more.
const FORMAT: u32 = 1;
const FORMAT_KEY: &[u8] = b"format";
const META: &str = "default";

/// How to open a database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DatabaseOptions {
    /// Memory for blocks read from disk, in bytes.
    pub cache: usize,
    /// Memory for one table of new values, in bytes.
    pub write_buffer: usize,
    /// Replace what is there.
    pub wipe: bool,
}

/// Key and value of an entry.
pub(crate) type Entry = (Box<[u8]>, Box<[u8]>);

/// One RocksDB directory with the table `default` for single values and others by name.
pub(crate) struct Database {
    db: DB,
    path: PathBuf,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("path", &self.path).finish_non_exhaustive()
    }
}

/// When a batch is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It is on the disk when the call returns.
    Synced,
    /// It is in the log; a crash of this process does not lose it.
    Logged,
    /// Once [`Database::flush_table`] has returned.
    Table,
}

/// Changes that are applied together or not at all.
pub(crate) struct Batch<'a> {
    database: &'a Database,
    batch: WriteBatch,
}

impl Batch<'_> {
    /// Sets a value of a table.
    pub fn put(&mut self, table: &'static str, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let table = self.database.table(table)?;
        self.batch.put_cf(&table, key, value);
        Ok(())
    }

    /// Removes a value of a table.
    pub fn delete(&mut self, table: &'static str, key: &[u8]) -> Result<(), StoreError> {
        let table = self.database.table(table)?;
        self.batch.delete_cf(&table, key);
        Ok(())
    }

    /// Sets a single value.
    pub fn put_meta(&mut self, key: &[u8], value: &[u8]) {
        self.batch.put(key, value);
    }

    /// Removes a single value.
    pub fn delete_meta(&mut self, key: &[u8]) {
        self.batch.delete(key);
    }

    /// Bytes of all changes.
    pub fn size(&self) -> usize {
        self.batch.size_in_bytes()
    }
}

impl Database {
    /// Opens or creates the database in `path` with the given tables.
    pub fn open(path: &Path, tables: &[&'static str], options: DatabaseOptions) -> Result<Self, StoreError> {
        prepare_directory(path, options.wipe)?;
        if options.wipe {
            wipe(path)?;
        }
        let general = general_options();
        let descriptors = std::iter::once(META)
            .chain(tables.iter().copied())
            .map(|name| ColumnFamilyDescriptor::new(name, table_options(options)));
        let db = DB::open_cf_descriptors(&general, path, descriptors.collect::<Vec<_>>())
            .map_err(|error| StoreError::Database { path: path.to_path_buf(), message: error.into_string() })?;
        let database = Self { db, path: path.to_path_buf() };
        database.check_format()?;
        Ok(database)
    }

    fn check_format(&self) -> Result<(), StoreError> {
        match self.get_meta(FORMAT_KEY)? {
            None => {
                let mut batch = self.batch();
                batch.put_meta(FORMAT_KEY, &FORMAT.to_le_bytes());
                self.write(batch, Durability::Logged)
            }
            Some(bytes) => {
                let found = bytes.try_into().map(u32::from_le_bytes).unwrap_or(0);
                if found == FORMAT {
                    Ok(())
                } else {
                    Err(StoreError::Format { path: self.path.clone(), found, expected: FORMAT })
                }
            }
        }
    }

    fn failed(&self, error: rocksdb::Error) -> StoreError {
        StoreError::Database { path: self.path.clone(), message: error.into_string() }
    }

    fn table(&self, name: &'static str) -> Result<Arc<BoundColumnFamily<'_>>, StoreError> {
        let missing = || StoreError::Database { path: self.path.clone(), message: format!("table {name} is missing") };
        self.db.cf_handle(name).ok_or_else(missing)
    }

    /// A single value.
    pub fn get_meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.db.get(key).map_err(|error| self.failed(error))
    }

    /// A value of a table.
    pub fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.db.get_cf(&self.table(table)?, key).map_err(|error| self.failed(error))
    }

    /// Values of a table for many keys, which must be sorted; each is handed to `found` with its place in `keys`.
    pub fn get_sorted(
        &self,
        table: &'static str,
        keys: &[Vec<u8>],
        mut found: impl FnMut(usize, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let table = self.table(table)?;
        for (at, value) in self.db.batched_multi_get_cf(&table, keys, true).into_iter().enumerate() {
            if let Some(value) = value.map_err(|error| self.failed(error))? {
                found(at, &value)?;
            }
        }
        Ok(())
    }

    /// Visits all values of a table in key order, as they are when `opened` is called.
    pub fn for_each(
        &self,
        table: &'static str,
        opened: impl FnOnce(),
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let entries = self.db.iterator_cf(&self.table(table)?, IteratorMode::Start);
        opened();
        for entry in entries {
            let (key, value) = entry.map_err(|error| self.failed(error))?;
            visit(&key, &value)?;
        }
        Ok(())
    }

    /// All values of a table in key order, as they are now.
    pub fn entries(&self, table: &'static str) -> Result<impl Iterator<Item = Result<Entry, StoreError>> + '_, StoreError> {
        let entries = self.db.iterator_cf(&self.table(table)?, IteratorMode::Start);
        Ok(entries.map(|entry| entry.map_err(|error| self.failed(error))))
    }

    /// Visits the values of a table from `start` on in key order, until `visit` gives false.
    pub fn visit_from(
        &self,
        table: &'static str,
        start: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        for entry in self.db.iterator_cf(&self.table(table)?, IteratorMode::From(start, Direction::Forward)) {
            let (key, value) = entry.map_err(|error| self.failed(error))?;
            if !visit(&key, &value)? {
                break;
            }
        }
        Ok(())
    }

    /// Starts a batch.
    pub fn batch(&self) -> Batch<'_> {
        Batch { database: self, batch: WriteBatch::default() }
    }

    /// Applies a batch.
    pub fn write(&self, batch: Batch<'_>, durability: Durability) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Synced);
        options.disable_wal(durability == Durability::Table);
        self.db.write_opt(batch.batch, &options).map_err(|error| self.failed(error))
    }

    /// Brings all values of a table to the disk.
    pub fn flush_table(&self, table: &'static str) -> Result<(), StoreError> {
        self.db.flush_cf(&self.table(table)?).map_err(|error| self.failed(error))
    }
}

/// Makes the directory of a database. One that holds Core's LevelDB is an error, or is moved next to its place if it is to be
/// replaced.
///
/// # Errors
/// [`StoreError::LevelDb`], or the file system's.
pub fn prepare_directory(path: &Path, replace: bool) -> Result<(), StoreError> {
    std::fs::create_dir_all(path).map_err(StoreError::file(path))?;
    match (holds_leveldb(path)?, replace) {
        (true, true) => set_aside(path),
        (true, false) => Err(StoreError::LevelDb { path: path.to_path_buf() }),
        (false, _) => Ok(()),
    }
}

/// Few threads and files, so that opening a small database takes a few milliseconds.
fn general_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_max_background_jobs(2);
    options.set_max_open_files(512);
    options.set_keep_log_file_num(1);
    options.set_log_level(rocksdb::LogLevel::Error);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_skip_stats_update_on_db_open(true);
    options.set_max_total_wal_size(256 << 20);
    options.set_max_file_opening_threads(1);
    options
}

fn table_options(options: DatabaseOptions) -> Options {
    let mut block = BlockBasedOptions::default();
    block.set_block_cache(&Cache::new_lru_cache(options.cache));
    block.set_format_version(5);
    let mut table = Options::default();
    table.set_block_based_table_factory(&block);
    table.set_write_buffer_size(options.write_buffer);
    table.set_max_write_buffer_number(2);
    table.set_compression_type(rocksdb::DBCompressionType::None);
    table
}

/// LevelDB keeps a `CURRENT` file as RocksDB does, but neither `IDENTITY` nor `OPTIONS-*`.
fn holds_leveldb(path: &Path) -> Result<bool, StoreError> {
    let mut current = false;
    for entry in std::fs::read_dir(path).map_err(StoreError::file(path))? {
        let name = entry.map_err(StoreError::file(path))?.file_name();
        let name = name.as_encoded_bytes();
        if name == b"IDENTITY" || name.starts_with(b"OPTIONS-") {
            return Ok(false);
        }
        current |= name == b"CURRENT";
    }
    Ok(current)
}

/// Moves Core's database next to its place, because the user asked for a rebuild in our format.
fn set_aside(path: &Path) -> Result<(), StoreError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".leveldb");
    let target = path.with_file_name(name);
    std::fs::rename(path, &target).map_err(StoreError::file(&target))?;
    std::fs::create_dir_all(path).map_err(StoreError::file(path))
}

fn wipe(path: &Path) -> Result<(), StoreError> {
    for entry in std::fs::read_dir(path).map_err(StoreError::file(path))? {
        let entry = entry.map_err(StoreError::file(path))?;
        let file = entry.path();
        if entry.file_type().map_err(StoreError::file(&file))?.is_file() {
            std::fs::remove_file(&file).map_err(StoreError::file(&file))?;
        }
    }
    Ok(())
}
