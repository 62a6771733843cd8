//! A wallet file for another machine: everything but the private keys (Core's `ExportWatchOnlyWallet`).

use super::{Answer, Keystore};
use crate::database::Database;
use crate::generate::raw;
use crate::refusal::{INVALID_PARAMETER, WALLET, refuse};
use bitcoin::NetworkKind;
use bulkhead_keystore_edge::{KeystoreError, Record as RawRecord, Reply};
use bulkhead_wallet_core::descriptor::{Cache, DescriptorId, Form, Keys};
use bulkhead_wallet_core::record::{self, CacheRecord, Record, WalletDescriptor, kind};
use bulkhead_wallet_core::{Descriptor, flags};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

impl Keystore {
    pub(super) fn export_watch_only(&mut self, beside: Option<OwnedFd>) -> Answer {
        let Some(target) = beside else { return Err(refuse(INVALID_PARAMETER, "key store: no file came with the request")) };
        let records = self.watch_only_records()?;
        let location = self.settings.location.as_ref();
        let magic = location.map(|location| location.magic).ok_or_else(|| refuse(WALLET, "key store: this one has no file"))?;
        let image = Database::image(magic, &records)?;
        let mut target = File::from(target);
        target
            .write_all(&image)
            .and_then(|()| target.sync_all())
            .map_err(|error| refuse(WALLET, format!("Error: Unable to write the exported wallet: {error}")))?;
        Ok(Reply::Ok)
    }

    fn watch_only_records(&self) -> Result<Vec<RawRecord>, KeystoreError> {
        let loaded = self.loaded()?;
        if loaded.entries.is_empty() {
            return Err(refuse(WALLET, "Error: Wallet has no descriptors to export"));
        }
        let network = NetworkKind::from(self.settings.network);
        let mut records = vec![raw(&Record::Flags(loaded.flags | flags::DISABLE_PRIVATE_KEYS))];
        let mut ids: BTreeMap<DescriptorId, DescriptorId> = BTreeMap::new();
        for (old, entry) in &loaded.entries {
            let missing = || refuse(WALLET, "Can't get descriptor string.");
            let text = entry.descriptor.print(Form::Normalized(&Keys::default(), &entry.cache), network).ok_or_else(missing)?;
            let descriptor = Descriptor::parse(&text, &mut Keys::default()).map_err(|error| refuse(WALLET, error.to_string()))?;
            let id = descriptor.id();
            ids.insert(*old, id);
            // What can be derived from public keys needs no cache; the positions of keys are the same.
            let cache = if descriptor.can_self_expand() { Cache::default() } else { entry.cache.clone() };
            records.extend(CacheRecord::of(id, &cache).into_iter().map(|cache| raw(&Record::Cache(Box::new(cache)))));
            let record = WalletDescriptor { id, descriptor: descriptor.public(), ..entry.record.clone() };
            records.push(raw(&Record::Descriptor(Box::new(record))));
        }
        for ((output_type, internal), id) in &loaded.active {
            if let Some(id) = ids.get(id) {
                records.push(raw(&Record::Active { output_type: *output_type as u8, internal: *internal, id: *id }));
            }
        }
        loaded.database.for_each(|key, value| {
            let copied = record::is_public(key)
                && record::kind_of(key).is_ok_and(|kind| {
                    matches!(
                        kind,
                        kind::TX
                            | kind::NAME
                            | kind::PURPOSE
                            | kind::DEST_DATA
                            | kind::LOCKED_UTXO
                            | kind::ORDER_POS_NEXT
                            | kind::BEST_BLOCK
                            | kind::BEST_BLOCK_NO_MERKLE
                            | kind::VERSION
                    )
                });
            if copied {
                records.push(RawRecord { key: key.to_vec(), value: value.to_vec(), erase: false });
            }
            Ok(())
        })?;
        Ok(records)
    }
}
