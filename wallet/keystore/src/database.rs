//! `wallet.dat`: Core's SQLite file, with Core's pragmas and texts (src/wallet/sqlite.cpp).

use bulkhead_keystore_edge::{KeystoreError, Record};
use nix::sys::stat::{fstat, stat};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

use crate::refusal::{ALREADY_EXISTS, NOT_FOUND, WALLET, refuse};

const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";
const SCHEMA_VERSION: i32 = 0;

/// Key and value of a record; wiped, since either may hold a private key.
pub type Pair = (Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>);

/// A page of records stays below the edge's 16 MiB with room for structure.
const PAGE_BYTES: usize = 12 * 1024 * 1024;

/// The open file.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
    path: PathBuf,
}

/// Where the file is and how it is opened.
#[derive(Clone, Debug)]
pub struct Location {
    /// Directory of the wallet.
    pub directory: PathBuf,
    /// Name of the file.
    pub file: String,
    /// First bytes of a P2P message of the network.
    pub magic: [u8; 4],
    /// Do not wait for the disk.
    pub unsafe_sync: bool,
}

impl Location {
    /// The file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.join(&self.file)
    }

    /// What Core calls the database path: the directory, or the file itself for wallets outside a directory.
    fn shown(&self) -> String {
        if self.file == "wallet.dat" { self.directory.display().to_string() } else { self.path().display().to_string() }
    }
}

fn text(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        rusqlite::Error::SqliteFailure(failure, None) => failure.to_string(),
        other => other.to_string(),
    }
}

fn failed(what: &str) -> impl FnOnce(rusqlite::Error) -> KeystoreError + '_ {
    move |error| refuse(WALLET, format!("SQLiteDatabase: {what}: {}\n", text(&error)))
}

/// What stands in an existing file.
enum Format {
    Sqlite,
    BerkeleyDb,
    Unknown,
}

fn read_format(path: &Path, magic: [u8; 4]) -> std::io::Result<Format> {
    let mut file = File::open(path)?;
    // Not `File::metadata`: its statx is not among the permitted calls.
    let length = fstat(&file)?.st_size;
    let mut head = Vec::with_capacity(72);
    (&mut file).take(72).read_to_end(&mut head)?;
    let word = head.get(12..16);
    if length >= 4096 && (word == Some(&[0x62, 0x31, 5, 0]) || word == Some(&[0, 5, 0x31, 0x62])) {
        return Ok(Format::BerkeleyDb);
    }
    Ok(if length >= 512 && head.starts_with(SQLITE_MAGIC) && head.get(68..72) == Some(&magic) {
        Format::Sqlite
    } else {
        Format::Unknown
    })
}

impl Database {
    /// Makes a new file; never over an existing one.
    ///
    /// # Errors
    /// Core's text.
    pub fn create(location: &Location) -> Result<Self, KeystoreError> {
        let path = location.path();
        // Exclusive creation decides, not a look before; SQLite takes an empty file for a new database.
        let created = File::options().write(true).create_new(true).mode(0o600).open(&path);
        created.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                refuse(ALREADY_EXISTS, format!("Failed to create database path '{}'. Database already exists.", location.shown()))
            }
            _ => refuse(
                WALLET,
                format!(
                    "SQLiteDatabase: Failed to open database in directory '{}': directory is not writable",
                    location.directory.display()
                ),
            ),
        })?;
        Self::connect(location).inspect_err(|_| {
            // It is empty, and ours: it was created just above.
            let _ = std::fs::remove_file(&path);
        })
    }

    /// Opens an existing file and verifies it.
    ///
    /// # Errors
    /// Core's text; the file is left as it is.
    pub fn open(location: &Location) -> Result<Self, KeystoreError> {
        let path = location.path();
        let bad = |code, end: &str| refuse(code, format!("Failed to load database path '{}'. {end}", location.shown()));
        // The directory exists: the process is confined to it. A missing file is one without a format, as in Core.
        match read_format(&path, location.magic) {
            Ok(Format::Sqlite) => {}
            Ok(Format::BerkeleyDb) => {
                return Err(refuse(
                    WALLET,
                    format!(
                        "Failed to open database path '{}'. The wallet appears to be a Legacy wallet, please use the wallet migration tool (migratewallet RPC or the GUI option).",
                        location.shown()
                    ),
                ));
            }
            Ok(Format::Unknown) => return Err(bad(NOT_FOUND, "Data is not in recognized format.")),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(bad(NOT_FOUND, "Data is not in recognized format."));
            }
            Err(error) => return Err(refuse(WALLET, format!("Failed to access database path '{}': {error}", location.shown()))),
        }
        let database = Self::connect(location)?;
        database.verify(location.magic)?;
        Ok(database)
    }

    fn connect(location: &Location) -> Result<Self, KeystoreError> {
        let path = location.path();
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_FULL_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).map_err(failed("Failed to open database"))?;
        let pragma = |name: &str, value: &str, what: &str| {
            connection.execute_batch(&format!("PRAGMA {name} = {value}")).map_err(|error| failed(what)(error))
        };
        if connection.is_readonly("main").unwrap_or(true) {
            return Err(refuse(WALLET, "SQLiteDatabase: Database opened in readonly mode but read-write permissions are needed"));
        }
        // Rewriting the file must not leave a copy of it in a temporary one.
        pragma("temp_store", "MEMORY", "Failed to keep temporary data in memory")?;
        pragma("locking_mode", "exclusive", "Unable to change database locking mode to exclusive")?;
        connection.execute_batch("BEGIN EXCLUSIVE TRANSACTION").map_err(|error| match error {
            rusqlite::Error::SqliteFailure(failure, _) if failure.code == rusqlite::ErrorCode::NotADatabase => {
                failed("Failed to open database")(error)
            }
            _ => refuse(
                WALLET,
                "SQLiteDatabase: Unable to obtain an exclusive lock on the database, is it being used by another instance of Bulkhead?\n",
            ),
        })?;
        connection.execute_batch("COMMIT").map_err(failed("Unable to end exclusive lock transaction"))?;
        pragma("fullfsync", "true", "Failed to enable fullfsync")?;
        // Not in Core: deleted plain keys are overwritten at once, not only by the next rewrite.
        pragma("secure_delete", "ON", "Failed to enable secure deletion")?;
        // Nor in Core: an exclusive lock would keep the last journal, and with it the pages as they were before.
        pragma("journal_size_limit", "0", "Failed to limit the journal")?;
        if location.unsafe_sync {
            tracing::warn!(
                "SQLite is configured to not wait for data to be flushed to disk. Data loss and corruption may occur."
            );
            pragma("synchronous", "OFF", "Failed to set synchronous mode to OFF")?;
        }
        let table: Option<String> = connection
            .query_row("SELECT name FROM sqlite_master WHERE type='table' AND name='main'", [], |row| row.get(0))
            .optional()
            .map_err(failed("Failed to execute statement to check table existence"))?;
        let database = Self { connection, path };
        if table.is_none() {
            database.create_table(location.magic)?;
        }
        Ok(database)
    }

    /// The bytes of a new wallet file with these records.
    ///
    /// # Errors
    /// No memory, or two records have the same key.
    pub fn image(magic: [u8; 4], records: &[Record]) -> Result<Vec<u8>, KeystoreError> {
        let connection = Connection::open_in_memory().map_err(failed("Failed to open database"))?;
        let mut database = Self { connection, path: PathBuf::new() };
        database.create_table(magic)?;
        database.write(records)?;
        let image = database.connection.serialize("main").map_err(failed("Failed to copy the database"))?;
        Ok(image.to_vec())
    }

    fn create_table(&self, magic: [u8; 4]) -> Result<(), KeystoreError> {
        let run = |sql: &str, what: &str| self.connection.execute_batch(sql).map_err(|error| failed(what)(error));
        run("CREATE TABLE main(key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL)", "Failed to create new database")?;
        let id = i32::from_be_bytes(magic);
        run(&format!("PRAGMA application_id = {id}"), "Failed to set the application id")?;
        run(&format!("PRAGMA user_version = {SCHEMA_VERSION}"), "Failed to set the wallet schema version")
    }

    fn number(&self, pragma: &str, description: &str) -> Result<i32, KeystoreError> {
        self.connection
            .query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
            .map_err(|error| refuse(WALLET, format!("SQLiteDatabase: Failed to fetch {description}: {}", text(&error))))
    }

    fn verify(&self, magic: [u8; 4]) -> Result<(), KeystoreError> {
        let id = self.number("application_id", "the application id")?;
        if id.to_be_bytes() != magic {
            let expected = u32::from_be_bytes(magic);
            let found = u32::from_be_bytes(id.to_be_bytes());
            return Err(refuse(WALLET, format!("SQLiteDatabase: Unexpected application id. Expected {expected}, got {found}")));
        }
        let version = self.number("user_version", "sqlite wallet schema version")?;
        if version != SCHEMA_VERSION {
            return Err(refuse(
                WALLET,
                format!(
                    "SQLiteDatabase: Unknown sqlite wallet schema version {version}. Only version {SCHEMA_VERSION} is supported"
                ),
            ));
        }
        let broken = |error: &rusqlite::Error| {
            refuse(WALLET, format!("SQLiteDatabase: Failed to execute statement to verify database: {}", text(error)))
        };
        let mut statement = self.connection.prepare("PRAGMA integrity_check").map_err(|error| broken(&error))?;
        let mut problems = String::new();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).map_err(|error| broken(&error))?;
        for row in rows {
            let line = row.map_err(|error| broken(&error))?;
            if line != "ok" {
                problems.push_str(&line);
                problems.push('\n');
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(refuse(WALLET, format!("Failed to verify database\n{problems}"))) }
    }

    /// Size of the file in bytes.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        stat(&self.path).ok().and_then(|status| u64::try_from(status.st_size).ok()).unwrap_or(0)
    }

    /// Every record, in key order.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn for_each(&self, mut take: impl FnMut(&[u8], &[u8]) -> Result<(), KeystoreError>) -> Result<(), KeystoreError> {
        let error = failed("Failed to read records");
        let mut statement = match self.connection.prepare("SELECT key, value FROM main ORDER BY key") {
            Ok(statement) => statement,
            Err(cause) => return Err(error(cause)),
        };
        let mut rows = statement.query([]).map_err(failed("Failed to read records"))?;
        while let Some(row) = rows.next().map_err(failed("Failed to read records"))? {
            let (key, value) = (row.get_ref(0), row.get_ref(1));
            let (Ok(key), Ok(value)) = (key, value) else { continue };
            let (Ok(key), Ok(value)) = (key.as_blob(), value.as_blob()) else {
                return Err(refuse(WALLET, "SQLiteDatabase: a record is not a blob"));
            };
            take(key, value)?;
        }
        Ok(())
    }

    /// Records that `wanted` accepts, from the `start`th of them on: at most `limit`, and at most what a reply holds.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn page(&self, start: u64, limit: u32, wanted: impl Fn(&[u8]) -> bool) -> Result<(Vec<Record>, bool), KeystoreError> {
        let (mut records, mut more, mut bytes, mut skipped) = (Vec::new(), false, 0, 0);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.for_each(|key, value| {
            if more || !wanted(key) {
                return Ok(());
            }
            if skipped < start {
                skipped += 1;
                return Ok(());
            }
            // Structure of one record in a reply: about 200 bytes.
            bytes += key.len() + value.len() + 200;
            if records.len() >= limit || (bytes > PAGE_BYTES && !records.is_empty()) {
                more = true;
                return Ok(());
            }
            records.push(Record { key: key.to_vec(), value: value.to_vec(), erase: false });
            Ok(())
        })?;
        Ok((records, more))
    }

    /// One value.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KeystoreError> {
        self.connection
            .query_row("SELECT value FROM main WHERE key = ?", params![key], |row| row.get(0))
            .optional()
            .map_err(failed("Unable to execute read statement"))
    }

    /// Writes and erases in one transaction: all or nothing.
    ///
    /// # Errors
    /// The file can't be written; nothing was changed.
    pub fn write(&mut self, records: &[Record]) -> Result<(), KeystoreError> {
        let failure = "Unable to execute write statement";
        let transaction =
            Transaction::new(&mut self.connection, rusqlite::TransactionBehavior::Deferred).map_err(failed(failure))?;
        for record in records {
            let result = if record.erase {
                transaction.execute("DELETE FROM main WHERE key = ?", params![record.key])
            } else {
                transaction.execute("INSERT or REPLACE into main values(?, ?)", params![record.key, record.value])
            };
            result.map_err(failed(failure))?;
        }
        transaction.commit().map_err(failed("Failed to commit the transaction"))
    }

    /// Writes what `next` answers until it answers nothing, in one transaction: all or nothing.
    ///
    /// # Errors
    /// That of `next`, or the file can't be written; nothing was written.
    pub fn fill(&mut self, mut next: impl FnMut() -> Result<Option<Pair>, KeystoreError>) -> Result<(), KeystoreError> {
        let failure = "Unable to execute write statement";
        let transaction =
            Transaction::new(&mut self.connection, rusqlite::TransactionBehavior::Deferred).map_err(failed(failure))?;
        while let Some((key, value)) = next()? {
            let written = transaction.execute("INSERT or REPLACE into main values(?, ?)", params![*key, *value]);
            written.map_err(failed(failure))?;
        }
        transaction.commit().map_err(failed("Failed to commit the transaction"))
    }

    /// Rewrites the whole file, so that nothing of deleted records remains in it.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn rewrite(&self) -> Result<(), KeystoreError> {
        self.connection.execute_batch("VACUUM").map_err(failed("Failed to rewrite the database"))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` on the plain file. The database is closed meanwhile: closing any other descriptor of a file gives
    /// up the locks that SQLite holds on it.
    ///
    /// # Errors
    /// The file can't be closed or opened again; the inner result is that of `work`.
    pub fn with_file<T>(
        &mut self,
        location: &Location,
        work: impl FnOnce(&mut File) -> std::io::Result<T>,
    ) -> Result<std::io::Result<T>, KeystoreError> {
        let memory = Connection::open_in_memory().map_err(failed("Failed to open database"))?;
        let connection = std::mem::replace(&mut self.connection, memory);
        connection.close().map_err(|(_, error)| failed("Failed to close database")(error))?;
        let result = File::options().read(true).open(&self.path).and_then(|mut file| work(&mut file));
        *self = Self::connect(location)?;
        Ok(result)
    }

    /// Closes the file.
    ///
    /// # Errors
    /// SQLite still needs it.
    pub fn close(self) -> Result<(), KeystoreError> {
        self.connection.close().map_err(|(_, error)| failed("Failed to close database")(error))
    }
}
