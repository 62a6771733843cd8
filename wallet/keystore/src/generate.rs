//! New descriptors: Core's defaults from a fresh seed, and what turns a descriptor into records.

use crate::crypter;
use crate::der;
use crate::loaded::{Entry, Loaded};
use crate::refusal::{WALLET, locked, refuse};
use crate::vault::Vault;
use bitcoin::bip32::{Xpriv, Xpub};
use bitcoin::secp256k1::rand::RngCore;
use bitcoin::secp256k1::rand::rngs::OsRng;
use bitcoin::{Network, PublicKey};
use bulkhead_keystore_edge::{KeystoreError, Record as RawRecord};
use bulkhead_wallet_core::descriptor::{Cache, DescriptorId, Keys, SECP};
use bulkhead_wallet_core::record::{self, CacheRecord, Record, WalletDescriptor, kind};
use bulkhead_wallet_core::{Descriptor, OutputType, defaults, flags};
use zeroize::Zeroizing;

/// Records that are to be written together with what they change in memory.
#[derive(Debug, Default)]
pub struct Draft {
    /// For the file.
    pub records: Vec<RawRecord>,
    /// For memory, once the file has them.
    pub entries: Vec<Entry>,
}

/// A record for the file.
#[must_use]
pub fn raw(record: &Record) -> RawRecord {
    let (key, value) = record.encode();
    RawRecord { key, value, erase: false }
}

/// The record of a private key: encrypted when the wallet is, and put into the vault.
fn key_record(
    loaded: &Loaded,
    vault: &mut Vault,
    id: DescriptorId,
    public: PublicKey,
    secret: &bitcoin::secp256k1::SecretKey,
) -> Result<RawRecord, KeystoreError> {
    let cipher = vault.insert(id, public, secret).ok_or_else(locked)?;
    if loaded.is_encrypted() {
        return Ok(raw(&Record::CryptedKey { id, public, secret: cipher }));
    }
    let der = der::encode(secret, &public);
    let checksum = crypter::key_checksum(&public, &der);
    let record = Record::Key { id, public, der: der.to_vec(), checksum };
    let raw = raw(&record);
    if let Record::Key { der, .. } = record {
        drop(Zeroizing::new(der));
    }
    Ok(raw)
}

/// What is added with a descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// First index.
    pub start: i32,
    /// Index after the last.
    pub end: i32,
    /// Next index to hand out.
    pub next: i32,
    /// Seconds.
    pub creation_time: u64,
}

impl Draft {
    /// Adds a descriptor with its keys and caches. The vault holds the keys at once; who can't write the records
    /// afterwards must load the wallet again.
    ///
    /// # Errors
    /// The wallet is locked, or the descriptor can't be expanded.
    pub fn add(
        &mut self,
        loaded: &Loaded,
        vault: &mut Vault,
        descriptor: Descriptor,
        keys: &Keys,
        range: Range,
    ) -> Result<DescriptorId, KeystoreError> {
        let id = descriptor.id();
        let mut cache = loaded.entries.get(&id).map(|entry| entry.cache.clone()).unwrap_or_default();
        let known = if keys.is_empty() { vault.keys(&id) } else { keys.clone() };
        fill(&descriptor, &known, range.start, range.end, &mut cache)?;
        for (public, secret) in keys.iter() {
            if !vault.has_key(&id, public) {
                self.records.push(key_record(loaded, vault, id, *public, secret)?);
            }
        }
        let record = WalletDescriptor {
            id,
            descriptor: descriptor.public(),
            creation_time: range.creation_time,
            next_index: range.next,
            range_start: range.start,
            range_end: range.end,
        };
        self.records.push(raw(&Record::Descriptor(Box::new(record.clone()))));
        self.records.extend(CacheRecord::of(id, &cache).into_iter().map(|cache| raw(&Record::Cache(Box::new(cache)))));
        self.entries.push(Entry { descriptor, record, cache });
        Ok(id)
    }

    /// A wallet that made a descriptor of its own is not blank any more.
    pub fn end_blank(&mut self, loaded: &Loaded) {
        if loaded.has(flags::BLANK_WALLET) {
            self.records.push(raw(&Record::Flags(loaded.flags & !flags::BLANK_WALLET)));
        }
    }

    /// Makes a descriptor the one that addresses of a type are taken from.
    pub fn activate(&mut self, id: DescriptorId, output_type: OutputType, internal: bool) {
        self.records.push(raw(&Record::Active { output_type: output_type as u8, internal, id }));
    }
}

/// Derives what the cache lacks: for a range with hardened steps each index, otherwise once.
///
/// # Errors
/// Private keys are missing.
pub fn fill(descriptor: &Descriptor, keys: &Keys, start: i32, end: i32, cache: &mut Cache) -> Result<(), KeystoreError> {
    let end = if descriptor.is_hardened_range() { end } else { end.min(start.saturating_add(1)).max(start.saturating_add(1)) };
    for index in start..end {
        let index = u32::try_from(index).map_err(|_| refuse(WALLET, "descriptor range is malformed"))?;
        let known = descriptor.expand(index, cache).is_ok() && (!cache.is_empty() || descriptor.can_self_expand() && index > 0);
        if !known {
            descriptor.fill_cache(index, keys, cache).map_err(|_| {
                refuse(WALLET, "Cannot expand descriptor. Probably because of hardened derivations without private keys provided")
            })?;
        }
    }
    Ok(())
}

/// A master key from fresh randomness, as Core makes it: 32 random bytes are the seed.
///
/// # Errors
/// The seed is one of the two in 2^127 that BIP32 forbids.
pub fn new_master(network: Network) -> Result<Xpriv, KeystoreError> {
    let mut seed = Zeroizing::new([0; 32]);
    OsRng.fill_bytes(seed.as_mut_slice());
    Xpriv::new_master(network, seed.as_slice()).map_err(|error| refuse(WALLET, format!("seed: {error}")))
}

/// One of Core's default descriptors with its key.
///
/// # Errors
/// The text is not a descriptor: can't happen.
pub fn default_descriptor(
    master: &Xpriv,
    output_type: OutputType,
    internal: bool,
    network: Network,
) -> Result<(Descriptor, Keys), KeystoreError> {
    let root = Xpub::from_priv(&SECP, master);
    let text = defaults::descriptor(&root, output_type, internal, network);
    let mut keys = Keys::default();
    let descriptor = Descriptor::parse(&text, &mut keys).map_err(|error| refuse(WALLET, error.to_string()))?;
    keys.insert(PublicKey::new(root.public_key), master.private_key);
    Ok((descriptor, keys))
}

/// The eight defaults of a new seed, active, and the end of "blank".
///
/// # Errors
/// The wallet is locked.
pub fn defaults(loaded: &Loaded, vault: &mut Vault, network: Network, keypool: i32, now: i64) -> Result<Draft, KeystoreError> {
    let mut master = new_master(network)?;
    let mut draft = Draft::default();
    let range = Range { start: 0, end: keypool.max(1), next: 0, creation_time: u64::try_from(now).unwrap_or(0) };
    for (output_type, internal) in defaults::all() {
        let (descriptor, keys) = default_descriptor(&master, output_type, internal, network)?;
        let id = draft.add(loaded, vault, descriptor, &keys, range)?;
        draft.activate(id, output_type, internal);
    }
    master.private_key.non_secure_erase();
    draft.end_blank(loaded);
    Ok(draft)
}

/// The record that erases an unencrypted key.
#[must_use]
pub fn erase_key(id: &DescriptorId, public: &PublicKey) -> RawRecord {
    RawRecord { key: record::key_key(kind::DESCRIPTOR_KEY, id, public), value: Vec::new(), erase: true }
}
