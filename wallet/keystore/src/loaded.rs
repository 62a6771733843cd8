//! What the key store knows of its wallet file: flags, descriptors, keys, rules.

use crate::crypter;
use crate::database::Database;
use crate::der;
use crate::refusal::{WALLET, refuse};
use crate::service::decode_history;
use crate::vault::Vault;
use bitcoin::secp256k1::PublicKey;
use bitcoin::{Network, NetworkKind, ScriptBuf};
use bulkhead_keystore_edge::{DescriptorInfo, KeystoreError, encode_pair};
use bulkhead_spend_policy::{History, Rules};
use bulkhead_wallet_core::descriptor::{Cache, DescriptorId, Keys, SECP};
use bulkhead_wallet_core::record::{self, CacheRecord, MasterKey, Record, WalletDescriptor, kind};
use bulkhead_wallet_core::{Descriptor, OutputType, flags};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A descriptor of the wallet.
#[derive(Debug)]
pub struct Entry {
    /// Parsed.
    pub descriptor: Descriptor,
    /// As stored.
    pub record: WalletDescriptor,
    /// As stored.
    pub cache: Cache,
}

/// A wallet file that is open.
#[derive(Debug)]
pub struct Loaded {
    /// The file.
    pub database: Database,
    /// Core's flags.
    pub flags: u64,
    /// Master key records by id; none: not encrypted.
    pub master_keys: BTreeMap<u32, MasterKey>,
    /// Descriptors by id.
    pub entries: BTreeMap<DescriptorId, Entry>,
    /// Active descriptors by type and "is for change".
    pub active: BTreeMap<(OutputType, bool), DescriptorId>,
    /// Spending rules.
    pub rules: Rules,
    /// What left the wallet before, as stored.
    pub history: History,
    /// Which descriptor and index a script belongs to; built when first needed, dropped when ranges change.
    scripts: Option<Scripts>,
}

/// Where scripts and keys are found.
#[derive(Debug, Default)]
struct Scripts {
    by_script: HashMap<ScriptBuf, (DescriptorId, u32)>,
    by_key: HashMap<PublicKey, (DescriptorId, u32)>,
}

/// Names of the file in Core's texts.
fn corrupt(database: &Database, detail: &str) -> KeystoreError {
    tracing::error!(target: "walletdb", "{detail}");
    refuse(WALLET, format!("Error loading {}: Wallet corrupted", database.path().display()))
}

impl Loaded {
    /// Reads every record. Nothing is written, but that master keys which protect nothing are removed from a wallet without
    /// private keys.
    ///
    /// # Errors
    /// Core's texts for wallets that are corrupt, too new, or not made of descriptors.
    pub fn load(database: Database, network: Network, vault: &mut Vault) -> Result<Self, KeystoreError> {
        vault.clear();
        let file = database.path().display().to_string();
        let mut loaded = Self {
            database,
            flags: 0,
            master_keys: BTreeMap::new(),
            entries: BTreeMap::new(),
            active: BTreeMap::new(),
            rules: Rules::default(),
            history: History::default(),
            scripts: None,
        };
        loaded.check_flags(&file)?;
        let mut records = Vec::new();
        let mut unexpected = None;
        loaded.database.for_each(|key, value| {
            match record::kind_of(key) {
                Ok(
                    kind::DESCRIPTOR
                    | kind::DESCRIPTOR_CACHE
                    | kind::DESCRIPTOR_LAST_HARDENED
                    | kind::DESCRIPTOR_KEY
                    | kind::DESCRIPTOR_CRYPTED_KEY
                    | kind::MASTER_KEY
                    | kind::ACTIVE_EXTERNAL
                    | kind::ACTIVE_INTERNAL
                    | kind::SPENDING_RULES
                    | kind::SPENDING_HISTORY,
                ) => records.push((key.to_vec(), zeroize::Zeroizing::new(value.to_vec()))),
                Ok(legacy) if kind::LEGACY.contains(&legacy) => unexpected = Some(legacy.to_owned()),
                _ => {}
            }
            Ok(())
        })?;
        if unexpected.is_some() {
            return Err(refuse(
                WALLET,
                format!(
                    "Unexpected legacy entry in descriptor wallet found. Loading wallet {file}\n\nThe wallet might have been tampered with or created with malicious intent.\n"
                ),
            ));
        }
        // Descriptors sort before their caches and keys only by luck: two passes.
        for (key, value) in records.iter().filter(|(key, _)| record::kind_of(key) == Ok(kind::DESCRIPTOR)) {
            loaded.load_descriptor(key, value, &file)?;
        }
        // The identity of the descriptor stands behind the kind.
        let with = |wanted: &str| -> BTreeSet<&[u8]> {
            let start = record::prefix(wanted).len();
            let found = records.iter().filter(|(key, _)| record::kind_of(key) == Ok(wanted));
            found.filter_map(|(key, _)| key.get(start..start + 32)).collect()
        };
        if !with(kind::DESCRIPTOR_KEY).is_disjoint(&with(kind::DESCRIPTOR_CRYPTED_KEY)) {
            return Err(corrupt(&loaded.database, "Wallet contains both unencrypted and encrypted keys"));
        }
        for (key, value) in records.iter().filter(|(key, _)| record::kind_of(key) != Ok(kind::DESCRIPTOR)) {
            loaded.load_other(key, value, network, vault)?;
        }
        let is = |key: &[u8], wanted: &str| record::kind_of(key) == Ok(wanted);
        if !records.iter().any(|(key, _)| is(key, kind::DESCRIPTOR_CRYPTED_KEY)) {
            let masters = records.iter().filter(|(key, _)| is(key, kind::MASTER_KEY)).map(|(key, _)| key.clone());
            loaded.drop_idle_master_keys(masters.collect())?;
        }
        if loaded.is_encrypted() {
            vault.lock();
        }
        Ok(loaded)
    }

    /// Core once "encrypted" wallets that have no private keys; the master keys that this left would only ask for a passphrase.
    fn drop_idle_master_keys(&mut self, keys: Vec<Vec<u8>>) -> Result<(), KeystoreError> {
        if !self.has(flags::DISABLE_PRIVATE_KEYS) || keys.is_empty() {
            return Ok(());
        }
        tracing::info!(
            "Detected extraneous encryption keys in this wallet without private keys. Removing extraneous encryption keys."
        );
        let erased = |key| bulkhead_keystore_edge::Record { key, value: Vec::new(), erase: true };
        self.database.write(&keys.into_iter().map(erased).collect::<Vec<_>>())?;
        self.master_keys.clear();
        Ok(())
    }

    fn check_flags(&mut self, file: &str) -> Result<(), KeystoreError> {
        let Some(value) = self.database.read(&record::prefix(kind::FLAGS))? else {
            return Err(refuse(
                WALLET,
                format!(
                    "Error loading {file}: Wallet is a legacy wallet. Please migrate to a descriptor wallet using the migration tool (migratewallet RPC)."
                ),
            ));
        };
        let Ok(Record::Flags(flags)) = Record::decode(&record::prefix(kind::FLAGS), &value) else {
            return Err(corrupt(&self.database, "wallet flags are malformed"));
        };
        if !flags::tolerable(flags) {
            return Err(refuse(WALLET, format!("Error loading {file}: Wallet requires newer version of Bulkhead")));
        }
        if flags & flags::DESCRIPTORS == 0 {
            return Err(refuse(
                WALLET,
                format!(
                    "Error loading {file}: Wallet is a legacy wallet. Please migrate to a descriptor wallet using the migration tool (migratewallet RPC)."
                ),
            ));
        }
        self.flags = flags;
        Ok(())
    }

    fn load_descriptor(&mut self, key: &[u8], value: &[u8], file: &str) -> Result<(), KeystoreError> {
        let Ok(Record::Descriptor(record)) = Record::decode(key, value) else {
            return Err(corrupt(&self.database, "a descriptor record is malformed"));
        };
        let Ok(descriptor) = Descriptor::parse_with_checksum(&record.descriptor, &mut Keys::default()) else {
            return Err(refuse(
                WALLET,
                format!(
                    "Unrecognized descriptor found. Loading wallet {file}\n\nThe wallet might have been created on a newer version.\nPlease try running the latest software version.\n"
                ),
            ));
        };
        if descriptor.id() != record.id {
            return Err(corrupt(&self.database, "The descriptor ID calculated by the wallet differs from the one in DB"));
        }
        self.entries.insert(record.id, Entry { descriptor, record: *record, cache: Cache::default() });
        Ok(())
    }

    fn load_other(&mut self, key: &[u8], value: &[u8], network: Network, vault: &mut Vault) -> Result<(), KeystoreError> {
        let Ok(record) = Record::decode(key, value) else {
            let kind = record::kind_of(key).unwrap_or("?");
            return Err(corrupt(&self.database, &format!("Error reading wallet database: {kind} record corrupt")));
        };
        match record {
            Record::Cache(cache) => {
                let Some(entry) = self.entries.get_mut(&cache.id) else { return Ok(()) };
                if cache.apply(NetworkKind::from(network), &mut entry.cache).is_err() {
                    return Err(corrupt(&self.database, "a cached key is corrupt"));
                }
            }
            Record::Key { id, public, der, checksum } => {
                let der = zeroize::Zeroizing::new(der);
                if crypter::key_checksum(&public, &der) != checksum {
                    return Err(corrupt(
                        &self.database,
                        "Error reading wallet database: descriptor unencrypted key CPubKey/CPrivKey corrupt",
                    ));
                }
                let Some(mut secret) = der::decode(&SECP, &der, &public) else {
                    return Err(corrupt(
                        &self.database,
                        "Error reading wallet database: descriptor unencrypted key CPrivKey corrupt",
                    ));
                };
                let inserted = vault.insert(id, public, &secret);
                secret.non_secure_erase();
                if inserted.is_none() || !self.master_keys.is_empty() {
                    return Err(corrupt(&self.database, "Wallet contains both unencrypted and encrypted keys"));
                }
            }
            Record::CryptedKey { id, public, secret } => vault.insert_encrypted(id, public, secret),
            Record::MasterKey(id, key) => {
                self.master_keys.insert(id, key);
            }
            Record::Active { output_type, internal, id } => {
                if let Some(kind) = OutputType::from_number(output_type) {
                    self.active.insert((kind, internal), id);
                }
            }
            Record::Other { key, value } if record::kind_of(&key) == Ok(kind::SPENDING_RULES) => {
                let text = core::str::from_utf8(&value).ok();
                // A wallet whose rules can't be read must not sign without them.
                self.rules = text
                    .and_then(|text| text.parse().ok())
                    .ok_or_else(|| corrupt(&self.database, "the spending rules are malformed"))?;
            }
            Record::Other { key, value } if record::kind_of(&key) == Ok(kind::SPENDING_HISTORY) => {
                self.history =
                    decode_history(&value).ok_or_else(|| corrupt(&self.database, "the spending history is malformed"))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a passphrase protects the keys.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        !self.master_keys.is_empty()
    }

    /// Whether a flag is set.
    #[must_use]
    pub fn has(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }

    /// What the wallet is told about a descriptor. `cache`: with its cache records.
    #[must_use]
    pub fn info(&self, id: &DescriptorId, cache: bool) -> Option<DescriptorInfo> {
        let entry = self.entries.get(id)?;
        let active = self.active.iter().find(|(_, active)| *active == id);
        let pairs = CacheRecord::of(
            *id,
            if cache {
                &entry.cache
            } else {
                const { &Cache { parent: BTreeMap::new(), derived: BTreeMap::new(), last_hardened: BTreeMap::new() } }
            },
        );
        Some(DescriptorInfo {
            id: *id,
            public: entry.record.descriptor.clone(),
            private: zeroize::Zeroizing::default(),
            range_start: entry.record.range_start,
            range_end: entry.record.range_end,
            next_index: entry.record.next_index,
            creation_time: i64::try_from(entry.record.creation_time).unwrap_or(i64::MAX),
            active: active.is_some(),
            internal: active.is_some_and(|((_, internal), _)| *internal),
            output_type: entry.descriptor.output_type().map_or("", OutputType::name).to_owned(),
            cache: pairs
                .into_iter()
                .map(|record| {
                    let (key, value) = Record::Cache(Box::new(record)).encode();
                    encode_pair(&key, &value)
                })
                .collect(),
        })
    }

    /// Ranges or descriptors changed.
    pub fn forget_scripts(&mut self) {
        self.scripts = None;
    }

    fn scripts(&mut self) -> &Scripts {
        let entries = &self.entries;
        self.scripts.get_or_insert_with(|| {
            let mut scripts = Scripts::default();
            for (id, entry) in entries {
                let (start, end) =
                    if entry.descriptor.is_range() { (entry.record.range_start, entry.record.range_end) } else { (0, 1) };
                for index in start..end {
                    let Ok(index) = u32::try_from(index) else { continue };
                    let Ok(expansion) = entry.descriptor.expand(index, &entry.cache) else { continue };
                    for script in expansion.scripts {
                        scripts.by_script.entry(script).or_insert((*id, index));
                    }
                    for derived in expansion.keys {
                        scripts.by_key.entry(derived.key.inner).or_insert((*id, index));
                    }
                }
            }
            scripts
        })
    }

    /// The descriptor and index that an output script belongs to.
    pub fn find(&mut self, script: &ScriptBuf) -> Option<(DescriptorId, u32)> {
        self.scripts().by_script.get(script).copied()
    }

    /// The descriptor and index that a public key belongs to.
    pub fn find_key(&mut self, key: &PublicKey) -> Option<(DescriptorId, u32)> {
        self.scripts().by_key.get(key).copied()
    }

    /// Takes over records that were written from outside and concern what is kept here.
    ///
    /// # Errors
    /// A record that this store can't accept; nothing was changed.
    pub fn check_written(&self, record: &Record) -> Result<(), KeystoreError> {
        match record {
            Record::Descriptor(new) => {
                let known = self.entries.get(&new.id).is_some_and(|entry| entry.record.descriptor == new.descriptor);
                if !known {
                    return Err(refuse(WALLET, "key store: a descriptor is added by its own request"));
                }
                if new.range_start < 0 || new.range_end < new.range_start {
                    return Err(refuse(WALLET, "key store: descriptor range is malformed"));
                }
            }
            Record::Flags(new) if (new ^ self.flags) & flags::DISABLE_PRIVATE_KEYS != 0 => {
                return Err(refuse(WALLET, "key store: this flag can't be changed"));
            }
            _ => {}
        }
        Ok(())
    }

    /// Applies a record that was written.
    pub fn apply_written(&mut self, record: Record, network: Network) {
        match record {
            Record::Descriptor(new) => {
                if let Some(entry) = self.entries.get_mut(&new.id) {
                    if (entry.record.range_start, entry.record.range_end) != (new.range_start, new.range_end) {
                        self.scripts = None;
                    }
                    entry.record = *new;
                }
            }
            Record::Cache(cache) => {
                if let Some(entry) = self.entries.get_mut(&cache.id) {
                    // A bad key was refused before it was written.
                    let _ = cache.apply(NetworkKind::from(network), &mut entry.cache);
                    self.scripts = None;
                }
            }
            Record::Flags(flags) => self.flags = flags,
            Record::Active { output_type, internal, id } => {
                if let Some(kind) = OutputType::from_number(output_type) {
                    self.active.insert((kind, internal), id);
                }
            }
            _ => {}
        }
    }

    /// Applies the removal of a record.
    pub fn apply_erased(&mut self, key: &[u8]) {
        let mut reader = bulkhead_wallet_core::codec::Reader::new(key);
        let internal = match reader.text() {
            Ok(kind::ACTIVE_EXTERNAL) => false,
            Ok(kind::ACTIVE_INTERNAL) => true,
            _ => return,
        };
        if let Some(output_type) = reader.u8().ok().and_then(OutputType::from_number) {
            self.active.remove(&(output_type, internal));
        }
    }
}
