//! Requests to frames and back.

use crate::frame::{self, FrameError, MAX_FRAME_BYTES, MAX_SMALL_FRAME_BYTES};
use crate::message::{OneShotDescriptor, Record, Request, Secret, SecretText};
use crate::raw::RawTransaction;
use bulkhead_schema::decode::{count, data, hash32, text};
use bulkhead_schema::wire::wallet_keystore_capnp::{record, request};
use zeroize::Zeroizing;

/// Passphrases, addresses, private keys and rules are short; Core sets no bound on a passphrase.
const MAX_SECRET: usize = 64 * 1024;
/// A descriptor: 16 to 999 keys of at most 250 characters each.
const MAX_DESCRIPTOR: usize = 512 * 1024;
/// A message to sign comes from one RPC argument.
const MAX_MESSAGE: usize = 900 * 1024;
/// Records in one write, private keys or descriptors in one one-shot request.
pub(crate) const MAX_ITEMS: u32 = 65_536;

impl Request {
    fn limit(&self) -> usize {
        match self {
            Self::SignTransaction { .. }
            | Self::OneShotSignTransaction { .. }
            | Self::SignRaw(_)
            | Self::OneShotSignRaw { .. }
            | Self::Write(_) => MAX_FRAME_BYTES,
            _ => MAX_SMALL_FRAME_BYTES,
        }
    }

    /// The request as a frame, length field included.
    ///
    /// # Errors
    /// The request is larger than the edge allows.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, FrameError> {
        let (payload, structs) = self.size();
        frame::build::<request::Owned>(payload, structs, self.limit(), |root| self.fill(root))
    }

    fn size(&self) -> (usize, usize) {
        match self {
            Self::Create { passphrase, .. } | Self::Encrypt(passphrase) | Self::Unlock { passphrase, .. } => {
                (passphrase.len(), 8)
            }
            Self::Write(records) => (records.iter().map(|record| record.key.len() + record.value.len()).sum(), 8 + records.len()),
            Self::AddDescriptor { descriptor, .. } => (descriptor.len(), 8),
            Self::ChangePassphrase { old, new } => (old.len() + new.len(), 8),
            Self::SignTransaction { psbt, .. } => (psbt.len(), 8),
            Self::SignMessage { address, message, script } => (address.len() + message.len() + script.len(), 8),
            Self::OneShotSignMessage { wif, message } => (wif.len() + message.len(), 8),
            Self::OneShotSignTransaction { psbt, wifs, descriptors, .. } => (
                psbt.len()
                    + wifs.iter().map(|wif| wif.len()).sum::<usize>()
                    + descriptors.iter().map(|item| item.descriptor.len()).sum::<usize>(),
                8 + wifs.len() + descriptors.len(),
            ),
            Self::SignRaw(raw) => raw.size(),
            Self::OneShotSignRaw { raw, wifs } => {
                let (bytes, structs) = raw.size();
                (bytes + wifs.iter().map(|wif| wif.len()).sum::<usize>(), 8 + structs + wifs.len())
            }
            Self::SetRules { passphrase, rules } => (passphrase.len() + rules.len(), 8),
            Self::GenerateDescriptor { hd_key, output_type, .. } => (hd_key.len() + output_type.len(), 8),
            Self::AddHdKey(key) => (key.len(), 8),
            _ => (64, 8),
        }
    }

    fn fill(&self, mut root: request::Builder<'_>) -> Result<(), FrameError> {
        match self {
            Self::Create { blank, disable_private_keys, passphrase, flags, generate } => {
                let mut create = root.init_create();
                create.set_blank(*blank);
                create.set_disable_private_keys(*disable_private_keys);
                create.set_passphrase(passphrase);
                create.set_flags(*flags);
                create.set_generate(*generate);
            }
            Self::Open => root.set_open(()),
            Self::Records { start, limit } => {
                let mut page = root.init_records();
                page.set_start(*start);
                page.set_limit(*limit);
            }
            Self::Write(records) => fill_records(records, root.init_write(length(records.len())?)),
            Self::AddDescriptor { descriptor, range_start, range_end, next_index, creation_time } => {
                let mut add = root.init_add_descriptor();
                add.set_descriptor(descriptor.as_str());
                add.set_range_start(*range_start);
                add.set_range_end(*range_end);
                add.set_next_index(*next_index);
                add.set_creation_time(*creation_time);
            }
            Self::GenerateDescriptors => root.set_generate_descriptors(()),
            Self::Encrypt(passphrase) => root.set_encrypt(passphrase),
            Self::Unlock { passphrase, seconds } => {
                let mut unlock = root.init_unlock();
                unlock.set_passphrase(passphrase);
                unlock.set_seconds(*seconds);
            }
            Self::Lock => root.set_lock(()),
            Self::ChangePassphrase { old, new } => {
                let mut change = root.init_change_passphrase();
                change.set_old(old);
                change.set_new(new);
            }
            Self::SignTransaction { psbt, sighash, finalize, bip32_derivations, update_only } => {
                let mut sign = root.init_sign_transaction();
                sign.set_psbt(psbt);
                sign.set_sighash(*sighash);
                sign.set_finalize(*finalize);
                sign.set_bip32_derivations(*bip32_derivations);
                sign.set_update_only(*update_only);
            }
            Self::SignMessage { address, message, script } => {
                let mut sign = root.init_sign_message();
                sign.set_address(address.as_str());
                sign.set_message(message.as_str());
                sign.set_script(script);
            }
            Self::ExportDescriptor { id, consent } => {
                let mut export = root.init_export_descriptor();
                export.set_id(id);
                export.set_consent(*consent);
            }
            Self::Backup => root.set_backup(()),
            Self::Restore => root.set_restore(()),
            Self::Close => root.set_close(()),
            Self::Discard => root.set_discard(()),
            Self::Dump => root.set_dump(()),
            Self::CreateFromDump => root.set_create_from_dump(()),
            Self::Status => root.set_status(()),
            Self::Flush => root.set_flush(()),
            Self::Hold(on) => root.set_hold(*on),
            Self::TopUp { id, range_end } => {
                let mut top_up = root.init_top_up();
                top_up.set_id(id);
                top_up.set_range_end(*range_end);
            }
            Self::OneShotSignMessage { wif, message } => {
                let mut sign = root.init_one_shot_sign_message();
                sign.set_wif(wif.as_str());
                sign.set_message(message.as_str());
            }
            Self::OneShotSignTransaction { psbt, wifs, descriptors, sighash, finalize, bip32_derivations } => {
                let mut sign = root.init_one_shot_sign_transaction();
                sign.set_psbt(psbt);
                sign.set_sighash(*sighash);
                sign.set_finalize(*finalize);
                sign.set_bip32_derivations(*bip32_derivations);
                fill_wifs(wifs, sign.reborrow().init_wifs(length(wifs.len())?));
                let mut list = sign.init_descriptors(length(descriptors.len())?);
                for (index, item) in (0..).zip(descriptors) {
                    let mut entry = list.reborrow().get(index);
                    entry.set_descriptor(item.descriptor.as_str());
                    entry.set_range_start(item.range_start);
                    entry.set_range_end(item.range_end);
                }
            }
            Self::SignRaw(raw) => raw.fill(root.init_sign_raw())?,
            Self::OneShotSignRaw { raw, wifs } => {
                let mut sign = root.init_one_shot_sign_raw();
                raw.fill(sign.reborrow().init_raw())?;
                fill_wifs(wifs, sign.init_wifs(length(wifs.len())?));
            }
            Self::SetRules { passphrase, rules } => {
                let mut set = root.init_set_rules();
                set.set_passphrase(passphrase);
                set.set_rules(rules.as_str());
            }
            Self::Rules => root.set_rules(()),
            Self::GenerateDescriptor { hd_key, output_type, internal } => {
                let mut generate = root.init_generate_descriptor();
                generate.set_hd_key(hd_key.as_str());
                generate.set_output_type(output_type.as_str());
                generate.set_internal(*internal);
            }
            Self::ExportHdKeys { consent } => root.set_export_hd_keys(*consent),
            Self::Verify => root.set_verify(()),
            Self::AddHdKey(key) => root.set_add_hd_key(key.as_str()),
            Self::ExportWatchOnly => root.set_export_watch_only(()),
        }
        Ok(())
    }

    /// Reads the content of a frame, without the length field.
    ///
    /// # Errors
    /// The frame is not exactly one request within the bounds of the edge.
    pub fn decode(content: &[u8]) -> Result<Self, FrameError> {
        let request = frame::read::<request::Owned, _>(content, take)?;
        if content.len() > request.limit() {
            return Err(FrameError::TooLong { found: content.len(), limit: request.limit() });
        }
        Ok(request)
    }
}

pub(crate) fn length(items: usize) -> Result<u32, FrameError> {
    u32::try_from(items)
        .ok()
        .filter(|items| *items <= MAX_ITEMS)
        .ok_or(FrameError::TooLong { found: items, limit: MAX_ITEMS as usize })
}

pub(crate) fn fill_records(records: &[Record], mut list: capnp::struct_list::Builder<'_, record::Owned>) {
    for (index, item) in (0..).zip(records) {
        let mut entry = list.reborrow().get(index);
        entry.set_key(&item.key);
        entry.set_value(&item.value);
        entry.set_erase(item.erase);
    }
}

pub(crate) fn take_records(list: capnp::struct_list::Reader<'_, record::Owned>) -> Result<Vec<Record>, FrameError> {
    let mut records = Vec::with_capacity(count("records", list.len(), MAX_ITEMS)?);
    for item in list {
        records.push(Record {
            key: data("key", item.get_key()?, MAX_FRAME_BYTES)?.to_vec(),
            value: data("value", item.get_value()?, MAX_FRAME_BYTES)?.to_vec(),
            erase: item.get_erase(),
        });
    }
    Ok(records)
}

fn secret(field: &'static str, bytes: &[u8]) -> Result<Secret, FrameError> {
    Ok(Zeroizing::new(data(field, bytes, MAX_SECRET)?.to_vec()))
}

fn secret_text(field: &'static str, reader: capnp::text::Reader<'_>, limit: usize) -> Result<SecretText, FrameError> {
    Ok(Zeroizing::new(text(field, reader, limit)?.to_owned()))
}

fn fill_wifs(wifs: &[SecretText], mut list: capnp::text_list::Builder<'_>) {
    for (index, wif) in (0..).zip(wifs) {
        list.set(index, wif.as_str());
    }
}

fn take_wifs(list: capnp::text_list::Reader<'_>) -> Result<Vec<SecretText>, FrameError> {
    let mut wifs = Vec::with_capacity(count("wifs", list.len(), MAX_ITEMS)?);
    for wif in list {
        wifs.push(secret_text("wif", wif?, MAX_SECRET)?);
    }
    Ok(wifs)
}

fn take(root: request::Reader<'_>) -> Result<Request, FrameError> {
    Ok(match root.which()? {
        request::Create(create) => {
            let create = create?;
            Request::Create {
                blank: create.get_blank(),
                disable_private_keys: create.get_disable_private_keys(),
                passphrase: secret("passphrase", create.get_passphrase()?)?,
                flags: create.get_flags(),
                generate: create.get_generate(),
            }
        }
        request::Open(()) => Request::Open,
        request::Records(page) => {
            let page = page?;
            Request::Records { start: page.get_start(), limit: page.get_limit() }
        }
        request::Write(records) => Request::Write(take_records(records?)?),
        request::AddDescriptor(add) => {
            let add = add?;
            Request::AddDescriptor {
                descriptor: secret_text("descriptor", add.get_descriptor()?, MAX_DESCRIPTOR)?,
                range_start: add.get_range_start(),
                range_end: add.get_range_end(),
                next_index: add.get_next_index(),
                creation_time: add.get_creation_time(),
            }
        }
        request::GenerateDescriptors(()) => Request::GenerateDescriptors,
        request::Encrypt(passphrase) => Request::Encrypt(secret("passphrase", passphrase?)?),
        request::Unlock(unlock) => {
            let unlock = unlock?;
            Request::Unlock { passphrase: secret("passphrase", unlock.get_passphrase()?)?, seconds: unlock.get_seconds() }
        }
        request::Lock(()) => Request::Lock,
        request::ChangePassphrase(change) => {
            let change = change?;
            Request::ChangePassphrase { old: secret("old", change.get_old()?)?, new: secret("new", change.get_new()?)? }
        }
        request::SignTransaction(sign) => {
            let sign = sign?;
            Request::SignTransaction {
                psbt: data("psbt", sign.get_psbt()?, MAX_FRAME_BYTES)?.to_vec(),
                sighash: sign.get_sighash(),
                finalize: sign.get_finalize(),
                bip32_derivations: sign.get_bip32_derivations(),
                update_only: sign.get_update_only(),
            }
        }
        request::SignMessage(sign) => {
            let sign = sign?;
            Request::SignMessage {
                address: text("address", sign.get_address()?, MAX_SECRET)?.to_owned(),
                message: text("message", sign.get_message()?, MAX_MESSAGE)?.to_owned(),
                script: data("script", sign.get_script()?, MAX_SECRET)?.to_vec(),
            }
        }
        request::ExportDescriptor(export) => {
            let export = export?;
            Request::ExportDescriptor { id: hash32("id", export.get_id()?)?, consent: export.get_consent() }
        }
        request::Backup(()) => Request::Backup,
        request::Restore(()) => Request::Restore,
        request::Close(()) => Request::Close,
        request::Discard(()) => Request::Discard,
        request::Dump(()) => Request::Dump,
        request::CreateFromDump(()) => Request::CreateFromDump,
        request::Status(()) => Request::Status,
        request::Flush(()) => Request::Flush,
        request::Hold(on) => Request::Hold(on),
        request::TopUp(top_up) => {
            let top_up = top_up?;
            Request::TopUp { id: hash32("id", top_up.get_id()?)?, range_end: top_up.get_range_end() }
        }
        request::OneShotSignMessage(sign) => {
            let sign = sign?;
            Request::OneShotSignMessage {
                wif: secret_text("wif", sign.get_wif()?, MAX_SECRET)?,
                message: text("message", sign.get_message()?, MAX_MESSAGE)?.to_owned(),
            }
        }
        request::OneShotSignTransaction(sign) => take_one_shot(sign?)?,
        request::SignRaw(raw) => Request::SignRaw(RawTransaction::take(raw?)?),
        request::OneShotSignRaw(sign) => {
            let sign = sign?;
            Request::OneShotSignRaw { raw: RawTransaction::take(sign.get_raw()?)?, wifs: take_wifs(sign.get_wifs()?)? }
        }
        request::SetRules(set) => {
            let set = set?;
            Request::SetRules {
                passphrase: secret("passphrase", set.get_passphrase()?)?,
                rules: text("rules", set.get_rules()?, MAX_SECRET)?.to_owned(),
            }
        }
        request::Rules(()) => Request::Rules,
        request::GenerateDescriptor(generate) => {
            let generate = generate?;
            Request::GenerateDescriptor {
                hd_key: text("hdKey", generate.get_hd_key()?, 256)?.to_owned(),
                output_type: text("outputType", generate.get_output_type()?, 32)?.to_owned(),
                internal: generate.get_internal(),
            }
        }
        request::ExportHdKeys(consent) => Request::ExportHdKeys { consent },
        request::Verify(()) => Request::Verify,
        request::AddHdKey(key) => Request::AddHdKey(secret_text("hdKey", key?, 256)?),
        request::ExportWatchOnly(()) => Request::ExportWatchOnly,
    })
}

fn take_one_shot(
    sign: bulkhead_schema::wire::wallet_keystore_capnp::one_shot_transaction::Reader<'_>,
) -> Result<Request, FrameError> {
    let wifs = take_wifs(sign.get_wifs()?)?;
    let list = sign.get_descriptors()?;
    let mut descriptors = Vec::with_capacity(count("descriptors", list.len(), MAX_ITEMS)?);
    for item in list {
        descriptors.push(OneShotDescriptor {
            descriptor: secret_text("descriptor", item.get_descriptor()?, MAX_DESCRIPTOR)?,
            range_start: item.get_range_start(),
            range_end: item.get_range_end(),
        });
    }
    Ok(Request::OneShotSignTransaction {
        psbt: data("psbt", sign.get_psbt()?, MAX_FRAME_BYTES)?.to_vec(),
        wifs,
        descriptors,
        sighash: sign.get_sighash(),
        finalize: sign.get_finalize(),
        bip32_derivations: sign.get_bip32_derivations(),
    })
}
