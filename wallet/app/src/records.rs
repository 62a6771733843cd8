//! The public records of `wallet.dat` (Core: `wallet/walletdb.cpp`): keys and values as bytes.
//!
//! The key store owns the file and every record that can hold a secret; this module only knows the
//! records that wallet logic reads and writes. Decoding is strict: a value that is too short or too long
//! is an error, and lengths are checked against the bytes that are left before anything is allocated.

use bitcoin::consensus::{Decodable, Encodable};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, OutPoint, Transaction, Txid, VarInt};
use bulkhead_wallet_core::record::{CacheRecord, kind};

/// A change to one record: `value` is `None` when the record is erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Record key as stored.
    pub key: Vec<u8>,
    /// New value, or `None` to erase.
    pub value: Option<Vec<u8>>,
}

/// Why a record could not be decoded.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecordError {
    /// Fewer bytes than the format needs.
    #[error("record is truncated")]
    Truncated,
    /// Bytes were left over.
    #[error("record has surplus bytes")]
    Surplus,
    /// A text is not UTF-8.
    #[error("record text is not UTF-8")]
    Text,
    /// The transaction of a `tx` record does not decode, or has another id than its key says.
    #[error("record holds a bad transaction")]
    Transaction,
    /// A cached key is malformed.
    #[error("record holds a bad cached key")]
    Cache,
    /// A key of the string map of a `tx` record is unknown, as Core refuses it.
    #[error("unexpected value in the string map of a transaction record")]
    Map,
}

/// 32-byte descriptor id as Core computes it.
pub type DescId = [u8; 32];

/// State of a transaction as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredState {
    /// Block hash, or zero, or one (abandoned).
    pub block: [u8; 32],
    /// Position in the block, -1 when conflicted or abandoned.
    pub index: i32,
}

/// One `tx` record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxRecord {
    /// The transaction with its witness.
    pub tx: Transaction,
    /// Where it stood.
    pub state: StoredState,
    /// String map without `fromaccount`, in key order.
    pub strings: Vec<(String, String)>,
    /// `Message` and `PaymentRequest` entries.
    pub messages: Vec<(String, String)>,
    /// Seconds when the wallet saw it first.
    pub time_received: u32,
}

/// A decoded public record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Record {
    Tx(Box<TxRecord>),
    Name {
        address: String,
        label: String,
    },
    Purpose {
        address: String,
        purpose: String,
    },
    DestData {
        address: String,
        key: String,
        value: String,
    },
    BestBlock(Vec<BlockHash>),
    OrderPosNext(i64),
    Flags(u64),
    Descriptor {
        id: DescId,
        text: String,
        creation: u64,
        next: i32,
        start: i32,
        end: i32,
    },
    /// A key that was derived with private keys.
    Cache(Box<CacheRecord>),
    Active {
        internal: bool,
        kind: u8,
        id: DescId,
    },
    LockedCoin(OutPoint),
    /// The client that opened the wallet last.
    Version(i32),
    /// A record that wallet logic has no use for.
    Other(String),
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], RecordError> {
        if self.0.len() < count {
            return Err(RecordError::Truncated);
        }
        let (head, tail) = self.0.split_at(count);
        self.0 = tail;
        Ok(head)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let mut out = [0u8; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }
    fn decode<T: Decodable>(&mut self) -> Result<T, RecordError> {
        T::consensus_decode(&mut self.0).map_err(|_| RecordError::Truncated)
    }
    fn count(&mut self) -> Result<usize, RecordError> {
        let count = self.decode::<VarInt>()?.0;
        // Every element takes at least one byte, so a count beyond what is left is a lie.
        if count > self.0.len() as u64 {
            return Err(RecordError::Truncated);
        }
        Ok(count as usize)
    }
    fn bytes(&mut self) -> Result<Vec<u8>, RecordError> {
        let count = self.count()?;
        Ok(self.take(count)?.to_vec())
    }
    fn text(&mut self) -> Result<String, RecordError> {
        String::from_utf8(self.bytes()?).map_err(|_| RecordError::Text)
    }
    fn pairs(&mut self) -> Result<Vec<(String, String)>, RecordError> {
        let count = self.count()?;
        let mut out = Vec::new();
        for _ in 0..count {
            out.push((self.text()?, self.text()?));
        }
        Ok(out)
    }
    fn end(&self) -> Result<(), RecordError> {
        if self.0.is_empty() { Ok(()) } else { Err(RecordError::Surplus) }
    }
}

fn put<T: Encodable + ?Sized>(out: &mut Vec<u8>, value: &T) {
    value.consensus_encode(out).expect("writing to a Vec cannot fail");
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, &VarInt(text.len() as u64));
    out.extend_from_slice(text.as_bytes());
}

fn key(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_text(&mut out, name);
    out
}

fn key_text(name: &str, parts: &[&str]) -> Vec<u8> {
    let mut out = key(name);
    for part in parts {
        put_text(&mut out, part);
    }
    out
}

/// Decodes one record.
///
/// # Errors
/// A record of a known type whose key or value is malformed. Unknown types are [`Record::Other`].
pub fn decode(key: &[u8], value: &[u8]) -> Result<Record, RecordError> {
    let mut k = Reader(key);
    let mut v = Reader(value);
    let name = k.text()?;
    let record = match name.as_str() {
        "tx" => {
            let txid = Txid::from_byte_array(k.array()?);
            let record = decode_tx(&mut v)?;
            if record.tx.compute_txid() != txid {
                return Err(RecordError::Transaction);
            }
            Record::Tx(Box::new(record))
        }
        "name" => Record::Name { address: k.text()?, label: v.text()? },
        "purpose" => Record::Purpose { address: k.text()?, purpose: v.text()? },
        "destdata" => Record::DestData { address: k.text()?, key: k.text()?, value: v.text()? },
        "bestblock_nomerkle" => {
            v.array::<4>()?;
            let count = v.count()?;
            let mut hashes = Vec::new();
            for _ in 0..count {
                hashes.push(BlockHash::from_byte_array(v.array()?));
            }
            Record::BestBlock(hashes)
        }
        "orderposnext" => Record::OrderPosNext(v.decode()?),
        "flags" => Record::Flags(v.decode()?),
        "version" => Record::Version(v.decode()?),
        "walletdescriptor" => Record::Descriptor {
            id: k.array()?,
            text: v.text()?,
            creation: v.decode()?,
            next: v.decode()?,
            start: v.decode()?,
            end: v.decode()?,
        },
        kind::DESCRIPTOR_CACHE | kind::DESCRIPTOR_LAST_HARDENED => {
            return match bulkhead_wallet_core::record::Record::decode(key, value) {
                Ok(bulkhead_wallet_core::record::Record::Cache(record)) => Ok(Record::Cache(record)),
                _ => Err(RecordError::Cache),
            };
        }
        "activeexternalspk" | "activeinternalspk" => {
            Record::Active { internal: name == "activeinternalspk", kind: k.array::<1>()?[0], id: v.array()? }
        }
        "lockedutxo" => {
            v.take(v.0.len())?;
            Record::LockedCoin(k.decode()?)
        }
        _ => return Ok(Record::Other(name)),
    };
    k.end()?;
    v.end()?;
    Ok(record)
}

fn decode_tx(v: &mut Reader<'_>) -> Result<TxRecord, RecordError> {
    let tx = v.decode::<Transaction>().map_err(|_| RecordError::Transaction)?;
    let block = v.array()?;
    let branch = v.count()?;
    v.take(branch.checked_mul(32).ok_or(RecordError::Truncated)?)?;
    let index = v.decode()?;
    // Very old wallets kept previous transactions here; Core skips them, no descriptor wallet has them.
    if v.count()? != 0 {
        return Err(RecordError::Transaction);
    }
    let mut strings = v.pairs()?;
    strings.retain(|(name, _)| name != "fromaccount" && name != "spent");
    const KNOWN: [&str; 8] = ["n", "timesmart", "from", "message", "comment", "to", "replaces_txid", "replaced_by_txid"];
    if strings.iter().any(|(name, _)| !KNOWN.contains(&name.as_str())) {
        return Err(RecordError::Map);
    }
    let messages = v.pairs()?;
    v.array::<4>()?;
    let time_received = v.decode()?;
    v.array::<2>()?;
    Ok(TxRecord { tx, state: StoredState { block, index }, strings, messages, time_received })
}

/// Writes a `tx` record.
pub fn write_tx(txid: &Txid, record: &TxRecord) -> Change {
    let mut k = key("tx");
    k.extend_from_slice(txid.as_byte_array());
    let mut v = Vec::new();
    put(&mut v, &record.tx);
    v.extend_from_slice(&record.state.block);
    v.push(0);
    put(&mut v, &record.state.index);
    v.push(0);
    let mut strings = record.strings.clone();
    strings.push(("fromaccount".into(), String::new()));
    strings.sort();
    for list in [&strings, &record.messages] {
        put(&mut v, &VarInt(list.len() as u64));
        for (name, text) in list {
            put_text(&mut v, name);
            put_text(&mut v, text);
        }
    }
    v.extend_from_slice(&[0; 4]);
    put(&mut v, &record.time_received);
    v.extend_from_slice(&[0, 0]);
    Change { key: k, value: Some(v) }
}

/// Erases a `tx` record.
pub fn erase_tx(txid: &Txid) -> Change {
    let mut k = key("tx");
    k.extend_from_slice(txid.as_byte_array());
    Change { key: k, value: None }
}

fn text_value(text: &str) -> Vec<u8> {
    let mut v = Vec::new();
    put_text(&mut v, text);
    v
}

/// Label of an address; `None` erases it.
pub fn write_name(address: &str, label: Option<&str>) -> Change {
    Change { key: key_text("name", &[address]), value: label.map(text_value) }
}

/// Purpose of an address ("send", "receive", "refund"); `None` erases it.
pub fn write_purpose(address: &str, purpose: Option<&str>) -> Change {
    Change { key: key_text("purpose", &[address]), value: purpose.map(text_value) }
}

/// Data of an address ("used", "rr<id>"); `None` erases it.
pub fn write_dest_data(address: &str, name: &str, value: Option<&str>) -> Change {
    Change { key: key_text("destdata", &[address, name]), value: value.map(text_value) }
}

/// Block locator up to which the wallet has scanned. Core also leaves an empty locator under the old key.
pub fn write_best_block(locator: &[BlockHash]) -> [Change; 2] {
    const LOCATOR_VERSION: i32 = 70016;
    let value = |hashes: &[BlockHash]| {
        let mut v = Vec::new();
        put(&mut v, &LOCATOR_VERSION);
        put(&mut v, &VarInt(hashes.len() as u64));
        for hash in hashes {
            v.extend_from_slice(hash.as_byte_array());
        }
        v
    };
    [
        Change { key: key("bestblock"), value: Some(value(&[])) },
        Change { key: key("bestblock_nomerkle"), value: Some(value(locator)) },
    ]
}

/// Version of the client that opened the wallet last.
pub fn write_version(version: i32) -> Change {
    Change { key: key("version"), value: Some(version.to_le_bytes().to_vec()) }
}

/// Next position in the order of transactions.
pub fn write_order_pos_next(next: i64) -> Change {
    Change { key: key("orderposnext"), value: Some(next.to_le_bytes().to_vec()) }
}

/// Wallet flags.
pub fn write_flags(flags: u64) -> Change {
    Change { key: key("flags"), value: Some(flags.to_le_bytes().to_vec()) }
}

/// A descriptor without private keys.
pub fn write_descriptor(id: &DescId, text: &str, creation: u64, next: i32, start: i32, end: i32) -> Change {
    let mut k = key("walletdescriptor");
    k.extend_from_slice(id);
    let mut v = Vec::new();
    put_text(&mut v, text);
    put(&mut v, &creation);
    for number in [next, start, end] {
        put(&mut v, &number);
    }
    Change { key: k, value: Some(v) }
}

/// Which descriptor makes new addresses of a type (0 legacy, 1 p2sh-segwit, 2 bech32, 3 bech32m).
pub fn write_active(internal: bool, kind: u8, id: Option<&DescId>) -> Change {
    let mut k = key(if internal { "activeinternalspk" } else { "activeexternalspk" });
    k.push(kind);
    Change { key: k, value: id.map(|id| id.to_vec()) }
}

/// A coin that the user locked; `locked` false erases the record.
pub fn write_locked(coin: &OutPoint, locked: bool) -> Change {
    let mut k = key("lockedutxo");
    put(&mut k, coin);
    Change { key: k, value: locked.then(|| vec![b'1']) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use bitcoin::{Amount, ScriptBuf, Sequence, TxIn, TxOut, Witness, absolute, transaction};

    fn tx() -> Transaction {
        Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::from_slice(&[[1u8; 4]]),
            }],
            output: vec![TxOut { value: Amount::from_sat(7), script_pubkey: ScriptBuf::new() }],
        }
    }

    fn round(change: Change) -> Record {
        decode(&change.key, &change.value.unwrap()).unwrap()
    }

    #[test]
    fn records_survive_a_round_trip() {
        let record = TxRecord {
            tx: tx(),
            state: StoredState { block: [3; 32], index: 5 },
            strings: vec![("comment".into(), "x".into()), ("n".into(), "4".into())],
            messages: vec![("Message".into(), "hi".into())],
            time_received: 99,
        };
        assert_eq!(round(write_tx(&record.tx.compute_txid(), &record)), Record::Tx(Box::new(record)));
        assert_eq!(round(write_name("a", Some("l"))), Record::Name { address: "a".into(), label: "l".into() });
        let locator = vec![BlockHash::from_byte_array([1; 32]), BlockHash::from_byte_array([2; 32])];
        assert_eq!(round(write_best_block(&locator)[1].clone()), Record::BestBlock(locator));
        assert_eq!(round(write_active(true, 2, Some(&[9; 32]))), Record::Active { internal: true, kind: 2, id: [9; 32] });
        assert_eq!(round(write_order_pos_next(-1)), Record::OrderPosNext(-1));
        let coin = OutPoint { txid: tx().compute_txid(), vout: 3 };
        assert_eq!(round(write_locked(&coin, true)), Record::LockedCoin(coin));
        let text = "wpkh(x)#y";
        assert_eq!(
            round(write_descriptor(&[8; 32], text, 1, 2, 3, 4)),
            Record::Descriptor { id: [8; 32], text: text.into(), creation: 1, next: 2, start: 3, end: 4 }
        );
    }

    #[test]
    fn malformed_records_are_refused() {
        let good = write_flags(5);
        let mut long = good.value.clone().unwrap();
        long.push(0);
        assert_eq!(decode(&good.key, &long), Err(RecordError::Surplus));
        assert_eq!(decode(&good.key, &[1, 2]), Err(RecordError::Truncated));
        // A count that claims more than the record holds must not allocate.
        let best = &write_best_block(&[])[1];
        let mut lie = best.value.clone().unwrap();
        lie.pop();
        lie.extend_from_slice(&[0xfe, 0xff, 0xff, 0xff, 0x7f]);
        assert_eq!(decode(&best.key, &lie), Err(RecordError::Truncated));
        let record = TxRecord {
            tx: tx(),
            state: StoredState { block: [0; 32], index: 0 },
            strings: vec![],
            messages: vec![],
            time_received: 0,
        };
        let other = Txid::from_byte_array([7; 32]);
        let change = write_tx(&other, &record);
        assert_eq!(decode(&change.key, &change.value.unwrap()), Err(RecordError::Transaction));
    }
}
