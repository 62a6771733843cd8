//! Replies to frames and back. The wallet treats a reply with the same distrust as the key store a request.

use crate::frame::{self, FrameError, MAX_FRAME_BYTES, MAX_SMALL_FRAME_BYTES};
use crate::message::{DescriptorInfo, HdKey, KeystoreError, Reply, Signed, Status};
use crate::request::{fill_records, take_records};
use bulkhead_schema::decode::{blobs, count, data, hash32, hashes, text};
use bulkhead_schema::wire::wallet_keystore_capnp::{descriptor, reply};
use zeroize::Zeroizing;

const MAX_TEXT: usize = 1024 * 1024;
/// Descriptors in one reply; `generateDescriptors` answers eight.
const MAX_DESCRIPTORS: u32 = 4096;
/// Cache records of one reply: one per index of a hardened range; Core tops up at most 1,000,000, in steps here.
const MAX_CACHE: u32 = 65_536;
/// Inputs of a transaction of 400,000 weight units fit many times.
const MAX_INPUTS: u32 = 65_536;

impl Reply {
    fn limit(&self) -> usize {
        match self {
            Self::Signed(_) | Self::Records { .. } | Self::Descriptors(_) => MAX_FRAME_BYTES,
            _ => MAX_SMALL_FRAME_BYTES,
        }
    }

    /// The reply as a frame, length field included.
    ///
    /// # Errors
    /// The reply is larger than the edge allows.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, FrameError> {
        let (payload, structs) = self.size();
        frame::build::<reply::Owned>(payload, structs, self.limit(), |root| self.fill(root))
    }

    fn size(&self) -> (usize, usize) {
        match self {
            Self::Ok | Self::Status(_) => (64, 8),
            Self::Error(error) => (error.message.len() + error.policy.len(), 8),
            Self::Records { records, .. } => {
                (records.iter().map(|record| record.key.len() + record.value.len()).sum(), 8 + records.len())
            }
            Self::Descriptors(list) => list.iter().fold((0, 8), |(payload, structs), item| {
                let cache: usize = item.cache.iter().map(Vec::len).sum();
                (payload + item.public.len() + item.private.len() + cache + 128, structs + 2 + item.cache.len())
            }),
            Self::Signed(signed) => {
                let texts: usize = signed.errors.iter().map(|(_, message)| message.len()).sum();
                (signed.psbt.len() + texts, 8 + signed.errors.len())
            }
            Self::Text(text) => (text.len(), 8),
            Self::HdKeys(keys) => keys.iter().fold((0, 8), |(payload, structs), key| {
                (payload + key.xpub.len() + key.xprv.len() + key.descriptors.len() * 32, structs + 2 + key.descriptors.len())
            }),
        }
    }

    fn fill(&self, mut root: reply::Builder<'_>) -> Result<(), FrameError> {
        match self {
            Self::Ok => root.set_ok(()),
            Self::Error(error) => {
                let mut builder = root.init_error();
                builder.set_code(error.code);
                builder.set_message(error.message.as_str());
                builder.set_policy(error.policy.as_str());
            }
            Self::Records { records, more } => {
                let mut page = root.init_records();
                page.set_more(*more);
                fill_records(records, page.init_records(length(records.len())?));
            }
            Self::Descriptors(list) => {
                let mut builder = root.init_descriptors(length(list.len())?);
                for (index, item) in (0..).zip(list) {
                    fill_descriptor(item, builder.reborrow().get(index))?;
                }
            }
            Self::Signed(signed) => {
                let mut builder = root.init_signed();
                builder.set_psbt(&signed.psbt);
                builder.set_complete(signed.complete);
                let mut errors = builder.init_errors(length(signed.errors.len())?);
                for (index, (input, message)) in (0..).zip(&signed.errors) {
                    let mut entry = errors.reborrow().get(index);
                    entry.set_index(*input);
                    entry.set_message(message.as_str());
                }
            }
            Self::Text(text) => root.set_text(text.as_str()),
            Self::Status(status) => {
                let mut builder = root.init_status();
                builder.set_encrypted(status.encrypted);
                builder.set_locked(status.locked);
                builder.set_unlocked_until(status.unlocked_until);
                builder.set_has_private_keys(status.has_private_keys);
                builder.set_flags(status.flags);
                builder.set_file_bytes(status.file_bytes);
            }
            Self::HdKeys(keys) => {
                let mut builder = root.init_hd_keys(length(keys.len())?);
                for (index, key) in (0..).zip(keys) {
                    let mut entry = builder.reborrow().get(index);
                    entry.set_xpub(key.xpub.as_str());
                    entry.set_xprv(key.xprv.as_str());
                    entry.set_has_private(key.has_private);
                    let mut ids = entry.init_descriptors(length(key.descriptors.len())?);
                    for (position, id) in (0..).zip(&key.descriptors) {
                        ids.set(position, id);
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads the content of a frame, without the length field.
    ///
    /// # Errors
    /// The frame is not exactly one reply within the bounds of the edge.
    pub fn decode(content: &[u8]) -> Result<Self, FrameError> {
        let reply = frame::read::<reply::Owned, _>(content, take)?;
        if content.len() > reply.limit() {
            return Err(FrameError::TooLong { found: content.len(), limit: reply.limit() });
        }
        Ok(reply)
    }
}

fn length(items: usize) -> Result<u32, FrameError> {
    u32::try_from(items).map_err(|_| FrameError::TooLong { found: items, limit: MAX_FRAME_BYTES })
}

fn fill_descriptor(item: &DescriptorInfo, mut entry: descriptor::Builder<'_>) -> Result<(), FrameError> {
    entry.set_id(&item.id);
    entry.set_public(item.public.as_str());
    entry.set_private(item.private.as_str());
    entry.set_range_start(item.range_start);
    entry.set_range_end(item.range_end);
    entry.set_next_index(item.next_index);
    entry.set_creation_time(item.creation_time);
    entry.set_active(item.active);
    entry.set_internal(item.internal);
    entry.set_output_type(item.output_type.as_str());
    let mut cache = entry.init_cache(length(item.cache.len())?);
    for (index, pair) in (0..).zip(&item.cache) {
        cache.set(index, pair);
    }
    Ok(())
}

fn take(root: reply::Reader<'_>) -> Result<Reply, FrameError> {
    Ok(match root.which()? {
        reply::Ok(()) => Reply::Ok,
        reply::Error(error) => {
            let error = error?;
            Reply::Error(KeystoreError {
                code: error.get_code(),
                message: text("message", error.get_message()?, MAX_TEXT)?.to_owned(),
                policy: text("policy", error.get_policy()?, 128)?.to_owned(),
            })
        }
        reply::Records(page) => {
            let page = page?;
            Reply::Records { records: take_records(page.get_records()?)?, more: page.get_more() }
        }
        reply::Descriptors(list) => {
            let list = list?;
            let mut items = Vec::with_capacity(count("descriptors", list.len(), MAX_DESCRIPTORS)?);
            for item in list {
                items.push(take_descriptor(item)?);
            }
            Reply::Descriptors(items)
        }
        reply::Signed(signed) => {
            let signed = signed?;
            let list = signed.get_errors()?;
            let mut errors = Vec::with_capacity(count("errors", list.len(), MAX_INPUTS)?);
            for item in list {
                errors.push((item.get_index(), text("message", item.get_message()?, 1024)?.to_owned()));
            }
            Reply::Signed(Signed {
                psbt: data("psbt", signed.get_psbt()?, MAX_FRAME_BYTES)?.to_vec(),
                complete: signed.get_complete(),
                errors,
            })
        }
        reply::Text(value) => Reply::Text(text("text", value?, MAX_TEXT)?.to_owned()),
        reply::Status(status) => {
            let status = status?;
            Reply::Status(Status {
                encrypted: status.get_encrypted(),
                locked: status.get_locked(),
                unlocked_until: status.get_unlocked_until(),
                has_private_keys: status.get_has_private_keys(),
                flags: status.get_flags(),
                file_bytes: status.get_file_bytes(),
            })
        }
        reply::HdKeys(list) => {
            let list = list?;
            let mut keys = Vec::with_capacity(count("hdKeys", list.len(), MAX_DESCRIPTORS)?);
            for key in list {
                keys.push(HdKey {
                    xpub: text("xpub", key.get_xpub()?, 256)?.to_owned(),
                    xprv: Zeroizing::new(text("xprv", key.get_xprv()?, 256)?.to_owned()),
                    descriptors: hashes("descriptors", key.get_descriptors()?, MAX_DESCRIPTORS)?,
                    has_private: key.get_has_private(),
                });
            }
            Reply::HdKeys(keys)
        }
    })
}

fn take_descriptor(item: descriptor::Reader<'_>) -> Result<DescriptorInfo, FrameError> {
    Ok(DescriptorInfo {
        id: hash32("id", item.get_id()?)?,
        public: text("public", item.get_public()?, MAX_TEXT)?.to_owned(),
        private: Zeroizing::new(text("private", item.get_private()?, MAX_TEXT)?.to_owned()),
        range_start: item.get_range_start(),
        range_end: item.get_range_end(),
        next_index: item.get_next_index(),
        creation_time: item.get_creation_time(),
        active: item.get_active(),
        internal: item.get_internal(),
        output_type: text("outputType", item.get_output_type()?, 32)?.to_owned(),
        cache: blobs("cache", item.get_cache()?, MAX_CACHE, 1024)?,
    })
}
