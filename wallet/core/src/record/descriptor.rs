//! "walletdescriptor" and its caches.

use super::kind;
use crate::codec::{CodecError, Reader, Write};
use crate::descriptor::{Cache, DescriptorId};
use bitcoin::NetworkKind;
use bitcoin::bip32::{ChainCode, ChildNumber, Fingerprint, Xpub};
use bitcoin::secp256k1::PublicKey;

/// A "walletdescriptor" record. The text is not parsed here: a wallet may hold a descriptor that is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalletDescriptor {
    /// Id in the key.
    pub id: DescriptorId,
    /// Public form with checksum.
    pub descriptor: String,
    /// Seconds.
    pub creation_time: u64,
    /// Next index to hand out.
    pub next_index: i32,
    /// First index.
    pub range_start: i32,
    /// Index after the last.
    pub range_end: i32,
}

impl WalletDescriptor {
    pub(super) fn decode(id: DescriptorId, reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            id,
            descriptor: reader.text()?.to_owned(),
            creation_time: reader.u64()?,
            next_index: reader.i32()?,
            range_start: reader.i32()?,
            range_end: reader.i32()?,
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.text(&self.descriptor);
        out.extend_from_slice(&self.creation_time.to_le_bytes());
        out.extend_from_slice(&self.next_index.to_le_bytes());
        out.extend_from_slice(&self.range_start.to_le_bytes());
        out.extend_from_slice(&self.range_end.to_le_bytes());
    }
}

/// Which cached key a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheSlot {
    /// Before the last, unhardened step.
    Parent,
    /// At this index.
    Derived(u32),
    /// After the last hardened step.
    LastHardened,
}

/// A cached extended public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheRecord {
    /// Id of the descriptor.
    pub id: DescriptorId,
    /// Position of the key expression.
    pub position: u32,
    /// What is cached.
    pub slot: CacheSlot,
    /// The 74 bytes of BIP32 without version.
    pub xpub: [u8; 74],
}

impl CacheRecord {
    pub(super) fn decode(key: &mut Reader<'_>, value: &mut Reader<'_>, last_hardened: bool) -> Result<Self, CodecError> {
        let (id, position) = (key.array()?, key.u32()?);
        let slot = match (last_hardened, key.rest().is_empty()) {
            (true, _) => CacheSlot::LastHardened,
            (false, true) => CacheSlot::Parent,
            (false, false) => CacheSlot::Derived(key.u32()?),
        };
        let xpub = value.vector()?.try_into().map_err(|_| CodecError::Invalid("cached key has another length"))?;
        Ok(Self { id, position, slot, xpub })
    }

    pub(super) fn encode(&self) -> (Vec<u8>, Vec<u8>) {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        key.text(if self.slot == CacheSlot::LastHardened { kind::DESCRIPTOR_LAST_HARDENED } else { kind::DESCRIPTOR_CACHE });
        key.extend_from_slice(&self.id);
        key.extend_from_slice(&self.position.to_le_bytes());
        if let CacheSlot::Derived(index) = self.slot {
            key.extend_from_slice(&index.to_le_bytes());
        }
        value.vector(&self.xpub);
        (key, value)
    }

    /// Puts the key into a cache.
    ///
    /// # Errors
    /// The bytes are not an extended public key.
    pub fn apply(&self, network: NetworkKind, cache: &mut Cache) -> Result<(), CodecError> {
        let xpub = decode_xpub(&self.xpub, network)?;
        match self.slot {
            CacheSlot::Parent => cache.parent.insert(self.position, xpub),
            CacheSlot::Derived(index) => cache.derived.insert((self.position, index), xpub),
            CacheSlot::LastHardened => cache.last_hardened.insert(self.position, xpub),
        };
        Ok(())
    }

    /// The records of a whole cache, in Core's order of writing.
    #[must_use]
    pub fn of(id: DescriptorId, cache: &Cache) -> Vec<Self> {
        let record = |position: u32, slot, xpub| Self { id, position, slot, xpub: encode_xpub(xpub) };
        let parents = cache.parent.iter().map(|(position, xpub)| record(*position, CacheSlot::Parent, xpub));
        let derived = cache.derived.iter().map(|((position, index), xpub)| record(*position, CacheSlot::Derived(*index), xpub));
        let last = cache.last_hardened.iter().map(|(position, xpub)| record(*position, CacheSlot::LastHardened, xpub));
        parents.chain(derived).chain(last).collect()
    }
}

fn encode_xpub(xpub: &Xpub) -> [u8; 74] {
    let mut bytes = [0; 74];
    bytes.copy_from_slice(&xpub.encode()[4..]);
    bytes
}

/// Strict: 74 bytes are depth, parent, child, chain code and a valid compressed key.
fn decode_xpub(bytes: &[u8; 74], network: NetworkKind) -> Result<Xpub, CodecError> {
    let mut reader = Reader::new(bytes);
    Ok(Xpub {
        network,
        depth: reader.u8()?,
        parent_fingerprint: Fingerprint::from(reader.array::<4>()?),
        child_number: ChildNumber::from(u32::from_be_bytes(reader.array()?)),
        chain_code: ChainCode::from(reader.array::<32>()?),
        public_key: PublicKey::from_slice(reader.bytes(33)?).map_err(|_| CodecError::Invalid("cached key corrupt"))?,
    })
}
