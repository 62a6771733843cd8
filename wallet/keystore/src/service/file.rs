//! The wallet file: create, open, records, backup, restore, close.

use super::{Answer, Keystore};
use crate::database::{Database, Location};
use crate::generate::{self, raw};
use crate::loaded::Loaded;
use crate::refusal::{ALREADY_EXISTS, INVALID_PARAMETER, WALLET, refuse};
use crate::service::encryption::new_master_key;
use crate::sign::Sessions;
use bulkhead_keystore_edge::{KeystoreError, Record as RawRecord, Reply};
use bulkhead_wallet_core::flags;
use bulkhead_wallet_core::record::{self, Record, kind};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;

/// Core's version: the client that writes the file.
const CLIENT_VERSION: i32 = 319_900;
/// No wallet comes near it; a hostile source can't fill the disk.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024 * 1024;

impl Keystore {
    pub(super) fn location(&self) -> Result<Location, KeystoreError> {
        self.settings.location.clone().ok_or_else(|| refuse(WALLET, "key store: this one has no file"))
    }

    pub(super) fn must_be_closed(&self) -> Result<(), KeystoreError> {
        if self.loaded.is_some() { Err(refuse(WALLET, "key store: a wallet file is already open")) } else { Ok(()) }
    }

    pub(super) fn create(
        &mut self,
        blank: bool,
        disable_private_keys: bool,
        passphrase: &[u8],
        wanted: u64,
        fill: bool,
    ) -> Answer {
        self.must_be_closed()?;
        let location = self.location()?;
        let mut flags = wanted | flags::DESCRIPTORS | flags::LAST_HARDENED_XPUB_CACHED;
        if blank {
            flags |= flags::BLANK_WALLET;
        }
        if disable_private_keys {
            flags |= flags::DISABLE_PRIVATE_KEYS;
        }
        let keyless = flags & flags::DISABLE_PRIVATE_KEYS != 0;
        if keyless && !passphrase.is_empty() {
            return Err(refuse(
                WALLET,
                "Passphrase provided but private keys are disabled. A passphrase is only used to encrypt private keys, so cannot be used for wallets with private keys disabled.",
            ));
        }
        let mut database = Database::create(&location)?;
        let mut records = vec![raw(&Record::Version(CLIENT_VERSION)), raw(&Record::Flags(flags))];
        // An encrypted wallet never holds a plain key: the master key is there before the first private key.
        let sealed = if passphrase.is_empty() { None } else { Some(new_master_key(passphrase, self.settings.cost)) };
        if let Some((_, record)) = &sealed {
            records.push(raw(&Record::MasterKey(1, record.clone())));
        }
        database.write(&records)?;
        self.loaded = Some(Loaded::load(database, self.settings.network, &mut self.vault)?);
        if let Some((master, _)) = &sealed {
            self.vault.unlock(master).map_err(|error| refuse(WALLET, error.to_string()))?;
        }
        if fill && flags & flags::BLANK_WALLET == 0 && !keyless {
            self.generate_descriptors()?;
        }
        if sealed.is_some() {
            self.lock_vault();
        }
        Ok(Reply::Status(self.status()))
    }

    pub(super) fn verify(&mut self) -> Answer {
        self.must_be_closed()?;
        let opened = self.location().and_then(|location| Database::open(&location));
        self.verified = Some(opened.inspect_err(|_| self.drop_restored())?);
        Ok(Reply::Ok)
    }

    /// A copy that turns out not to be a wallet does not stay.
    fn drop_restored(&mut self) {
        if std::mem::take(&mut self.restored)
            && let Ok(location) = self.location()
        {
            let _ = std::fs::remove_file(location.path());
        }
    }

    pub(super) fn open(&mut self) -> Answer {
        self.must_be_closed()?;
        let database = match self.verified.take() {
            Some(database) => database,
            None => Database::open(&self.location()?)?,
        };
        match Loaded::load(database, self.settings.network, &mut self.vault) {
            Ok(loaded) => {
                self.history = loaded.history.clone();
                self.loaded = Some(loaded);
                Ok(Reply::Status(self.status()))
            }
            Err(error) => {
                self.vault.clear();
                self.drop_restored();
                Err(error)
            }
        }
    }

    pub(super) fn close(&mut self) -> Answer {
        self.vault.clear();
        self.relock = None;
        self.verified = None;
        self.sessions = Sessions::default();
        if let Some(loaded) = self.loaded.take() {
            loaded.database.close()?;
        }
        Ok(Reply::Ok)
    }

    /// The wallet could not use what was restored.
    pub(super) fn discard(&mut self) -> Answer {
        let closed = self.close();
        self.drop_restored();
        closed
    }

    pub(super) fn records(&mut self, start: u64, limit: u32) -> Answer {
        let (records, more) = self.loaded()?.database.page(start, limit, record::is_public)?;
        Ok(Reply::Records { records, more })
    }

    /// Public records from the wallet. Caches of descriptors are not among them: who could write them could pass
    /// off a foreign address as change.
    pub(super) fn write(&mut self, records: &[RawRecord]) -> Answer {
        let network = self.settings.network;
        let (loaded, _) = self.parts()?;
        let mut decoded = Vec::with_capacity(records.len());
        for raw in records {
            let kind = record::kind_of(&raw.key).unwrap_or_default();
            let refused = !record::is_public(&raw.key)
                || kind::LEGACY.contains(&kind)
                || kind == kind::DESCRIPTOR_CACHE
                || kind == kind::DESCRIPTOR_LAST_HARDENED
                || (raw.erase && matches!(kind, kind::DESCRIPTOR | kind::FLAGS));
            if refused {
                return Err(refuse(INVALID_PARAMETER, format!("key store: a {kind} record can't be written")));
            }
            if raw.erase {
                decoded.push(None);
                continue;
            }
            let record = Record::decode(&raw.key, &raw.value)
                .map_err(|error| refuse(INVALID_PARAMETER, format!("key store: {kind} record: {error}")))?;
            loaded.check_written(&record)?;
            decoded.push(Some(record));
        }
        loaded.database.write(records)?;
        for (raw, record) in records.iter().zip(decoded) {
            match record {
                Some(record) => loaded.apply_written(record, network),
                None => loaded.apply_erased(&raw.key),
            }
        }
        Ok(Reply::Ok)
    }

    pub(super) fn generate_descriptors(&mut self) -> Answer {
        let (network, keypool, now) = (self.settings.network, self.settings.keypool, self.now());
        let (loaded, vault) = self.parts()?;
        if loaded.has(flags::DISABLE_PRIVATE_KEYS) {
            return Err(refuse(WALLET, "Error: Private keys are disabled for this wallet"));
        }
        let draft = generate::defaults(loaded, vault, network, keypool, now)?;
        let ids: Vec<_> = draft.entries.iter().map(|entry| entry.record.id).collect();
        self.commit(draft)?;
        let loaded = self.loaded()?;
        Ok(Reply::Descriptors(ids.iter().filter_map(|id| loaded.info(id, true)).collect()))
    }

    pub(super) fn backup(&mut self, beside: Option<OwnedFd>) -> Answer {
        let Some(target) = beside else { return Err(refuse(INVALID_PARAMETER, "key store: no file came with the request")) };
        let location = self.location()?;
        let (loaded, _) = self.parts()?;
        let mut target = File::from(target);
        loaded
            .database
            .with_file(&location, |source| {
                copy(source, &mut target)?;
                target.sync_all()
            })?
            .map_err(|error| refuse(WALLET, format!("Error: Wallet backup failed! {error}")))?;
        Ok(Reply::Ok)
    }

    pub(super) fn restore(&mut self, beside: Option<OwnedFd>) -> Answer {
        self.must_be_closed()?;
        let location = self.location()?;
        let Some(source) = beside else { return Err(refuse(INVALID_PARAMETER, "key store: no file came with the request")) };
        let path = location.path();
        let created = File::options().write(true).create_new(true).mode(0o600).open(&path);
        let mut target = created.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                refuse(ALREADY_EXISTS, format!("Failed to restore wallet. Database file exists in '{}'.", path.display()))
            }
            _ => refuse(WALLET, format!("Failed to restore database path '{}'. {error}", path.display())),
        })?;
        let copied = copy(&mut File::from(source), &mut target).and_then(|()| target.sync_all());
        if let Err(error) = copied {
            // The half-written file is ours: it was created just above.
            let _ = std::fs::remove_file(&path);
            return Err(refuse(WALLET, format!("Failed to restore database path '{}'. {error}", path.display())));
        }
        self.restored = true;
        Ok(Reply::Ok)
    }
}

/// With read and write only: the kernel's copying calls are not permitted here.
fn copy(source: &mut File, target: &mut File) -> io::Result<()> {
    let mut buffer = zeroize::Zeroizing::new(vec![0; 64 * 1024]);
    let mut total = 0_u64;
    loop {
        let length = match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        total += length as u64;
        if total > MAX_FILE_BYTES {
            return Err(io::Error::other("file is too large"));
        }
        target.write_all(&buffer[..length])?;
    }
}
