//! The records of a wallet file as text, and a file from such a text (Core: `wallet/dump.cpp`).

use super::{Answer, Keystore};
use crate::database::{Database, Pair};
use crate::refusal::{INVALID_PARAMETER, WALLET, refuse};
use bitcoin::hashes::{Hash, HashEngine, sha256, sha256d};
use bulkhead_keystore_edge::{KeystoreError, Reply};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use zeroize::Zeroizing;

const MAGIC: &str = "BITCOIN_CORE_WALLET_DUMP";
const VERSION: u32 = 1;
/// Longest key or value as text, bytes. The largest values are transactions, which are at most 4 MB in a block.
const MAX_FIELD: u64 = 32 * 1024 * 1024;

fn missing_file() -> KeystoreError {
    refuse(INVALID_PARAMETER, "key store: no file came with the request")
}

/// Writes lines and hashes them.
struct Writer {
    file: File,
    hash: sha256::HashEngine,
}

impl Writer {
    fn line(&mut self, key: &str, value: &str) -> io::Result<()> {
        // In one piece, and wiped: the value may be a private key.
        let line = Zeroizing::new(format!("{key},{value}\n"));
        self.hash.input(line.as_bytes());
        self.file.write_all(line.as_bytes())
    }
}

/// Reads lines and hashes them.
struct Lines<R> {
    source: R,
    hash: sha256::HashEngine,
}

impl<R: BufRead> Lines<R> {
    /// What comes before a delimiter, or before the end.
    fn until(&mut self, delimiter: u8) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        let mut field = Zeroizing::new(Vec::new());
        let read = self.source.by_ref().take(MAX_FIELD).read_until(delimiter, &mut field);
        let length = read.map_err(|error| refuse(WALLET, format!("Error: Unable to read the dump file: {error}")))?;
        if field.last() == Some(&delimiter) {
            field.pop();
        } else if length as u64 == MAX_FIELD {
            return Err(refuse(WALLET, "Error: Dumpfile record is too long"));
        }
        Ok(field)
    }

    fn pair(&mut self) -> Result<Pair, KeystoreError> {
        Ok((self.until(b',')?, self.until(b'\n')?))
    }

    fn count(&mut self, key: &[u8], value: &[u8]) {
        for part in [key, b",", value, b"\n"] {
            self.hash.input(part);
        }
    }

    /// Magic, version and format.
    fn header(&mut self) -> Result<(), KeystoreError> {
        let bad = |text: String| Err(refuse(WALLET, text));
        let (key, value) = self.pair()?;
        let (magic, version) = (String::from_utf8_lossy(&key), String::from_utf8_lossy(&value));
        if magic != MAGIC {
            return bad(format!("Error: Dumpfile identifier record is incorrect. Got \"{magic}\", expected \"{MAGIC}\"."));
        }
        let plain = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
        let Some(number) = plain.then(|| version.parse::<u32>().ok()).flatten() else {
            return bad(format!("Error: Unable to parse version {version} as a uint32_t"));
        };
        if number != VERSION {
            return bad(format!(
                "Error: Dumpfile version is not supported. This version of bitcoin-wallet only supports version 1 dumpfiles. Got dumpfile with version {version}"
            ));
        }
        self.count(&key, &value);
        let (key, value) = self.pair()?;
        if key.as_slice() != b"format" {
            let key = String::from_utf8_lossy(&key);
            return bad(format!("Error: Dumpfile format record is incorrect. Got \"{key}\", expected \"format\"."));
        }
        if value.as_slice() != b"sqlite" {
            let format = String::from_utf8_lossy(&value);
            return bad(format!(
                "Error: Dumpfile specifies an unsupported database format ({format}). Only sqlite database dumps are supported"
            ));
        }
        self.count(&key, &value);
        Ok(())
    }

    /// The next record; `None` after the last, when the checksum is right.
    fn record(&mut self) -> Result<Option<Pair>, KeystoreError> {
        loop {
            let (key, value) = self.pair()?;
            if key.as_slice() == b"checksum" {
                return self.check(&value).map(|()| None);
            }
            if key.is_empty() && value.is_empty() && self.source.fill_buf().is_ok_and(<[u8]>::is_empty) {
                return Err(refuse(WALLET, "Error: Missing checksum"));
            }
            self.count(&key, &value);
            if key.is_empty() || value.is_empty() {
                continue;
            }
            return Ok(Some((unhex(&key, "key")?, unhex(&value, "value")?)));
        }
    }

    fn check(&self, text: &[u8]) -> Result<(), KeystoreError> {
        let expected = hex::decode(text).unwrap_or_default();
        let Ok(expected) = <[u8; 32]>::try_from(expected) else {
            return Err(refuse(WALLET, "Error: Checksum is not the correct size"));
        };
        let computed = sha256d::Hash::from_engine(self.hash.clone()).to_byte_array();
        if expected == [0; 32] {
            Err(refuse(WALLET, "Error: Missing checksum"))
        } else if computed != expected {
            let (computed, expected) = (hex::encode(computed), hex::encode(expected));
            Err(refuse(WALLET, format!("Error: Dumpfile checksum does not match. Computed {computed}, expected {expected}")))
        } else {
            Ok(())
        }
    }
}

fn unhex(text: &[u8], what: &str) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    hex::decode(text).map(Zeroizing::new).map_err(|_| {
        let text = String::from_utf8_lossy(text);
        refuse(WALLET, format!("Error: Got {what} that was not hex: {text}"))
    })
}

impl Keystore {
    /// Writes every record, private keys too: as much as a backup holds.
    pub(super) fn dump(&mut self, beside: Option<OwnedFd>) -> Answer {
        let mut writer = Writer { file: File::from(beside.ok_or_else(missing_file)?), hash: sha256d::Hash::engine() };
        let database = match (&self.verified, &self.loaded) {
            (Some(database), _) => database,
            (None, Some(loaded)) => &loaded.database,
            (None, None) => return Err(refuse(WALLET, "key store: no wallet file is open")),
        };
        let failed = |error: io::Error| refuse(WALLET, format!("Error: Unable to write the dump file: {error}"));
        writer.line(MAGIC, &VERSION.to_string()).map_err(failed)?;
        writer.line("format", "sqlite").map_err(failed)?;
        database.for_each(|key, value| {
            let value = Zeroizing::new(hex::encode(value));
            writer.line(&hex::encode(key), &value).map_err(failed)
        })?;
        let checksum = sha256d::Hash::from_engine(writer.hash.clone()).to_byte_array();
        writer.line("checksum", &hex::encode(checksum)).map_err(failed)?;
        writer.file.sync_all().map_err(failed)?;
        Ok(Reply::Ok)
    }

    /// Makes the file from a dump. Nothing of it stays when the dump is no good.
    pub(super) fn create_from_dump(&mut self, beside: Option<OwnedFd>) -> Answer {
        self.must_be_closed()?;
        let location = self.location()?;
        let source = BufReader::new(File::from(beside.ok_or_else(missing_file)?));
        let mut lines = Lines { source, hash: sha256d::Hash::engine() };
        lines.header()?;
        let mut database = Database::create(&location)?;
        let filled = database.fill(|| lines.record()).and_then(|()| database.close());
        if filled.is_err() {
            // It was created just above.
            let _ = std::fs::remove_file(location.path());
        }
        filled.map(|()| Reply::Ok)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Result<usize, String> {
        let mut lines = Lines { source: text.as_bytes(), hash: sha256d::Hash::engine() };
        lines.header().map_err(|error| error.message)?;
        let mut count = 0;
        while lines.record().map_err(|error| error.message)?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    fn with_checksum(body: &str) -> String {
        format!("{body}checksum,{}\n", hex::encode(sha256d::Hash::hash(body.as_bytes()).to_byte_array()))
    }

    #[test]
    fn a_dump_is_read_and_every_damage_is_told() {
        let body = "BITCOIN_CORE_WALLET_DUMP,1\nformat,sqlite\n0102,ff\n03,00\n";
        assert_eq!(read(&with_checksum(body)), Ok(2));
        assert_eq!(read(body), Err("Error: Missing checksum".into()));
        assert_eq!(read(&format!("{body}checksum,22\n")), Err("Error: Checksum is not the correct size".into()));
        let wrong = read(&format!("{body}checksum,{}\n", "1".repeat(64))).unwrap_err();
        assert!(wrong.starts_with("Error: Dumpfile checksum does not match. Computed "), "{wrong}");
        let text = read(&body.replace(",1", ",2")).unwrap_err();
        assert!(text.ends_with("Got dumpfile with version 2"), "{text}");
        assert!(read(&body.replace(",1", ",x")).unwrap_err().starts_with("Error: Unable to parse version x"));
        assert!(read(&body.replace("BITCOIN", "B")).unwrap_err().contains("Got \"B_CORE_WALLET_DUMP\""));
        assert!(read(&body.replace("sqlite", "bdb")).unwrap_err().contains("unsupported database format (bdb)"));
        assert!(read(&body.replace("ff", "xx")).unwrap_err().ends_with("value that was not hex: xx"));
    }
}
