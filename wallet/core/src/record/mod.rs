//! Records of `wallet.dat`: keys and values byte for byte those of Bitcoin Core (src/wallet/walletdb.cpp).
//!
//! Each key starts with its type as a text with its length in front; the file keeps keys in byte order.

mod descriptor;
mod encryption;
mod transaction;

pub use descriptor::{CacheRecord, CacheSlot, WalletDescriptor};
pub use encryption::MasterKey;
pub use transaction::{TxState, WalletTx};

use crate::codec::{CodecError, Reader, Write};
use crate::descriptor::DescriptorId;
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, OutPoint, PublicKey, Txid};

/// Type names as they stand in keys.
pub mod kind {
    #![allow(missing_docs)]
    pub const ACTIVE_EXTERNAL: &str = "activeexternalspk";
    pub const ACTIVE_INTERNAL: &str = "activeinternalspk";
    pub const BEST_BLOCK: &str = "bestblock";
    pub const BEST_BLOCK_NO_MERKLE: &str = "bestblock_nomerkle";
    pub const DEST_DATA: &str = "destdata";
    pub const FLAGS: &str = "flags";
    pub const LOCKED_UTXO: &str = "lockedutxo";
    pub const MASTER_KEY: &str = "mkey";
    pub const MIN_VERSION: &str = "minversion";
    pub const NAME: &str = "name";
    pub const ORDER_POS_NEXT: &str = "orderposnext";
    pub const PURPOSE: &str = "purpose";
    pub const SETTINGS: &str = "settings";
    pub const TX: &str = "tx";
    pub const VERSION: &str = "version";
    pub const DESCRIPTOR: &str = "walletdescriptor";
    pub const DESCRIPTOR_CACHE: &str = "walletdescriptorcache";
    pub const DESCRIPTOR_LAST_HARDENED: &str = "walletdescriptorlhcache";
    pub const DESCRIPTOR_CRYPTED_KEY: &str = "walletdescriptorckey";
    pub const DESCRIPTOR_KEY: &str = "walletdescriptorkey";
    /// Spending rules; unknown to Core, which ignores it.
    pub const SPENDING_RULES: &str = "spendingrules";
    /// What left the wallet lately, for the rules; unknown to Core, which ignores it.
    pub const SPENDING_HISTORY: &str = "spendinghistory";

    /// Records of wallets before descriptors: they don't belong into a descriptor wallet.
    pub const LEGACY: [&str; 10] =
        ["ckey", "cscript", "defaultkey", "hdchain", "keymeta", "key", "wkey", "pool", "watchmeta", "watchs"];

    /// Records that hold a private key, encrypted or not, or what protects it. They never leave the key store, and
    /// nobody else writes them.
    pub const SECRET: [&str; 10] = [
        DESCRIPTOR_KEY,
        DESCRIPTOR_CRYPTED_KEY,
        MASTER_KEY,
        SPENDING_RULES,
        SPENDING_HISTORY,
        "key",
        "wkey",
        "ckey",
        "hdchain",
        "defaultkey",
    ];
}

/// The type of a record.
///
/// # Errors
/// The key does not start with a text.
pub fn kind_of(key: &[u8]) -> Result<&str, CodecError> {
    Reader::new(key).text()
}

/// Whether the record may leave the key store or be written from outside: an unreadable type counts as secret.
#[must_use]
pub fn is_public(key: &[u8]) -> bool {
    kind_of(key).is_ok_and(|kind| !kind::SECRET.contains(&kind))
}

/// One record, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// "name": label of an address.
    Name {
        /// The address.
        address: String,
        /// Its label.
        label: String,
    },
    /// "purpose": why an address is in the book.
    Purpose {
        /// The address.
        address: String,
        /// send, receive or refund.
        purpose: String,
    },
    /// "destdata": more about an address.
    DestinationData {
        /// The address.
        address: String,
        /// "used", or "rr" and a number.
        key: String,
        /// Meaning depends on the key.
        value: String,
    },
    /// "tx".
    Transaction(Box<WalletTx>),
    /// "orderposnext".
    OrderPosNext(i64),
    /// "bestblock": kept empty.
    BestBlock(Locator),
    /// "bestblock_nomerkle": up to where the wallet is synchronized.
    BestBlockNoMerkle(Locator),
    /// "flags".
    Flags(u64),
    /// "minversion".
    MinVersion(i32),
    /// "version": the client that opened the wallet last.
    Version(i32),
    /// "lockedutxo": an output that is not to be spent.
    LockedUtxo(OutPoint),
    /// "activeexternalspk" and "activeinternalspk".
    Active {
        /// Number of the address type.
        output_type: u8,
        /// For change.
        internal: bool,
        /// Id of the descriptor.
        id: DescriptorId,
    },
    /// "walletdescriptor".
    Descriptor(Box<WalletDescriptor>),
    /// "walletdescriptorcache" and "walletdescriptorlhcache".
    Cache(Box<CacheRecord>),
    /// "mkey".
    MasterKey(u32, MasterKey),
    /// "walletdescriptorkey": the private key as DER and a checksum over both keys.
    Key {
        /// Id of the descriptor.
        id: DescriptorId,
        /// Public key.
        public: PublicKey,
        /// DER form with the curve spelt out, as OpenSSL wrote it.
        der: Vec<u8>,
        /// Double SHA256 of public key and DER.
        checksum: [u8; 32],
    },
    /// "walletdescriptorckey": the encrypted private key.
    CryptedKey {
        /// Id of the descriptor.
        id: DescriptorId,
        /// Public key.
        public: PublicKey,
        /// Ciphertext.
        secret: Vec<u8>,
    },
    /// A type that is not interpreted.
    Other {
        /// Whole key.
        key: Vec<u8>,
        /// Value.
        value: Vec<u8>,
    },
}

/// A block locator: hashes from the tip backwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locator {
    /// Empty: unknown.
    pub have: Vec<BlockHash>,
}

impl Locator {
    /// Number in front of every locator on disk (Core's `DUMMY_VERSION`).
    const VERSION: i32 = 70016;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&Self::VERSION.to_le_bytes());
        out.compact_size(self.have.len());
        for hash in &self.have {
            out.extend_from_slice(hash.as_ref());
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.i32()?;
        let count = usize::try_from(reader.compact_size()?).map_err(|_| CodecError::End)?;
        let bytes = reader.bytes(count.checked_mul(32).ok_or(CodecError::End)?)?;
        let hash = |chunk: &[u8]| BlockHash::from_slice(chunk).map_err(|_| CodecError::End);
        Ok(Self { have: bytes.chunks_exact(32).map(hash).collect::<Result<_, _>>()? })
    }
}

fn pubkey(reader: &mut Reader<'_>) -> Result<PublicKey, CodecError> {
    PublicKey::from_slice(reader.vector()?).map_err(|_| CodecError::Invalid("public key corrupt"))
}

impl Record {
    /// Reads a record and consumes it whole; an unknown type is [`Record::Other`].
    ///
    /// # Errors
    /// Key or value is not in the form of its type.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, CodecError> {
        let mut k = Reader::new(key);
        let mut v = Reader::new(value);
        let record = match k.text()? {
            kind::NAME => Self::Name { address: k.text()?.to_owned(), label: v.text()?.to_owned() },
            kind::PURPOSE => Self::Purpose { address: k.text()?.to_owned(), purpose: v.text()?.to_owned() },
            kind::DEST_DATA => {
                Self::DestinationData { address: k.text()?.to_owned(), key: k.text()?.to_owned(), value: v.text()?.to_owned() }
            }
            kind::TX => {
                let txid = Txid::from_byte_array(k.array()?);
                let tx = WalletTx::decode(&mut v)?;
                if tx.tx.compute_txid() != txid {
                    return Err(CodecError::Invalid("transaction id differs from the key"));
                }
                Self::Transaction(Box::new(tx))
            }
            kind::ORDER_POS_NEXT => Self::OrderPosNext(v.i64()?),
            kind::BEST_BLOCK => Self::BestBlock(Locator::decode(&mut v)?),
            kind::BEST_BLOCK_NO_MERKLE => Self::BestBlockNoMerkle(Locator::decode(&mut v)?),
            kind::FLAGS => Self::Flags(v.u64()?),
            kind::MIN_VERSION => Self::MinVersion(v.i32()?),
            kind::VERSION => Self::Version(v.i32()?),
            kind::LOCKED_UTXO => {
                v.u8()?;
                Self::LockedUtxo(OutPoint { txid: Txid::from_byte_array(k.array()?), vout: k.u32()? })
            }
            kind::ACTIVE_EXTERNAL => Self::Active { output_type: k.u8()?, internal: false, id: v.array()? },
            kind::ACTIVE_INTERNAL => Self::Active { output_type: k.u8()?, internal: true, id: v.array()? },
            kind::DESCRIPTOR => Self::Descriptor(Box::new(WalletDescriptor::decode(k.array()?, &mut v)?)),
            kind::DESCRIPTOR_CACHE => Self::Cache(Box::new(CacheRecord::decode(&mut k, &mut v, false)?)),
            kind::DESCRIPTOR_LAST_HARDENED => Self::Cache(Box::new(CacheRecord::decode(&mut k, &mut v, true)?)),
            kind::MASTER_KEY => Self::MasterKey(k.u32()?, MasterKey::decode(&mut v)?),
            kind::DESCRIPTOR_KEY => {
                Self::Key { id: k.array()?, public: pubkey(&mut k)?, der: v.vector()?.to_vec(), checksum: v.array()? }
            }
            kind::DESCRIPTOR_CRYPTED_KEY => {
                Self::CryptedKey { id: k.array()?, public: pubkey(&mut k)?, secret: v.vector()?.to_vec() }
            }
            _ => return Ok(Self::Other { key: key.to_vec(), value: value.to_vec() }),
        };
        k.finish()?;
        v.finish()?;
        Ok(record)
    }

    /// Key and value as stored.
    #[must_use]
    pub fn encode(&self) -> (Vec<u8>, Vec<u8>) {
        let (mut k, mut v) = (Vec::new(), Vec::new());
        match self {
            Self::Name { address, label } => {
                k.text(kind::NAME);
                k.text(address);
                v.text(label);
            }
            Self::Purpose { address, purpose } => {
                k.text(kind::PURPOSE);
                k.text(address);
                v.text(purpose);
            }
            Self::DestinationData { address, key, value } => {
                k.text(kind::DEST_DATA);
                k.text(address);
                k.text(key);
                v.text(value);
            }
            Self::Transaction(tx) => {
                k = tx_key(&tx.tx.compute_txid());
                tx.encode(&mut v);
            }
            Self::OrderPosNext(number) => {
                k.text(kind::ORDER_POS_NEXT);
                v.extend_from_slice(&number.to_le_bytes());
            }
            Self::BestBlock(locator) => {
                k.text(kind::BEST_BLOCK);
                locator.encode(&mut v);
            }
            Self::BestBlockNoMerkle(locator) => {
                k.text(kind::BEST_BLOCK_NO_MERKLE);
                locator.encode(&mut v);
            }
            Self::Flags(flags) => {
                k.text(kind::FLAGS);
                v.extend_from_slice(&flags.to_le_bytes());
            }
            Self::MinVersion(number) => {
                k.text(kind::MIN_VERSION);
                v.extend_from_slice(&number.to_le_bytes());
            }
            Self::Version(number) => {
                k.text(kind::VERSION);
                v.extend_from_slice(&number.to_le_bytes());
            }
            Self::LockedUtxo(outpoint) => {
                k.text(kind::LOCKED_UTXO);
                k.extend_from_slice(outpoint.txid.as_ref());
                k.extend_from_slice(&outpoint.vout.to_le_bytes());
                v.push(b'1');
            }
            Self::Active { output_type, internal, id } => {
                k.text(if *internal { kind::ACTIVE_INTERNAL } else { kind::ACTIVE_EXTERNAL });
                k.push(*output_type);
                v.extend_from_slice(id);
            }
            Self::Descriptor(descriptor) => {
                k.text(kind::DESCRIPTOR);
                k.extend_from_slice(&descriptor.id);
                descriptor.encode(&mut v);
            }
            Self::Cache(cache) => (k, v) = cache.encode(),
            Self::MasterKey(id, key) => {
                k.text(kind::MASTER_KEY);
                k.extend_from_slice(&id.to_le_bytes());
                key.encode(&mut v);
            }
            Self::Key { id, public, der, checksum } => {
                k = key_key(kind::DESCRIPTOR_KEY, id, public);
                v.vector(der);
                v.extend_from_slice(checksum);
            }
            Self::CryptedKey { id, public, secret } => {
                k = key_key(kind::DESCRIPTOR_CRYPTED_KEY, id, public);
                v.vector(secret);
            }
            Self::Other { key, value } => (k, v) = (key.clone(), value.clone()),
        }
        (k, v)
    }
}

/// The key of a "tx" record.
#[must_use]
pub fn tx_key(txid: &Txid) -> Vec<u8> {
    let mut key = Vec::with_capacity(35);
    key.text(kind::TX);
    key.extend_from_slice(txid.as_ref());
    key
}

/// The key of a record that belongs to a public key of a descriptor.
#[must_use]
pub fn key_key(kind: &str, id: &DescriptorId, public: &PublicKey) -> Vec<u8> {
    let mut key = Vec::new();
    key.text(kind);
    key.extend_from_slice(id);
    key.vector(&public.to_bytes());
    key
}

/// The key that all records of a type start with.
#[must_use]
pub fn prefix(kind: &str) -> Vec<u8> {
    let mut key = Vec::new();
    key.text(kind);
    key
}

#[cfg(test)]
mod tests;
