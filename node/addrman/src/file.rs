//! `peers.dat` (format 4) and `anchors.dat`: network magic, data, double SHA-256 of both.

use bitcoin::hashes::{Hash, sha256d};
use bulkhead_wire::reader::{DecodeError, Reader, put_length};
use bulkhead_wire::{Endpoint, NetAddr, PeerAddress};
use thiserror::Error;

use crate::entry::{BUCKET_SIZE, Entry, NEW_BUCKETS, TRIED_BUCKETS};
use crate::tables::{AddrMan, Id, MAX_REFERENCES, slot};

const FORMAT: u8 = 4;
const INCOMPATIBILITY_BASE: u8 = 32;
/// First format with BIP 155 addresses.
const FORMAT_BIP155: u8 = 3;
/// First format with the version of the AS map at the end.
const FORMAT_ASMAP: u8 = 2;
/// Version in front of each address on disk; the flag says that BIP 155 is used.
const DISK_VERSION: u32 = 220_000;
const DISK_ADDRV2: u32 = 1 << 29;
const DISK_IGNORED: u32 = 0x0007_ffff;
const XOR_BUCKETS: u32 = 1 << 30;
/// Most anchors that are ever written is 2; more than this is no anchors file.
const MAX_ANCHORS: usize = 100;

/// Why a file was not taken. The texts are Core's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FileError {
    /// The file ends early or an address is malformed.
    #[error("{}: iostream error", file_text(.0))]
    Decode(#[from] DecodeError),
    /// The file is of another network.
    #[error("Invalid network magic number")]
    Magic,
    /// The file was changed or written partly.
    #[error("Checksum mismatch, data corrupted")]
    Checksum,
    /// The compatibility byte is below what was ever written.
    #[error("Corrupted addrman database: The compat value ({0}) is lower than the expected minimum value 32.: iostream error")]
    Compat(u8),
    /// A newer program wrote the file.
    #[error(
        "Unsupported format of addrman database: {format}. It is compatible with formats >={lowest}, but the maximum supported by this version of Bulkhead is 4.: iostream error"
    )]
    Version {
        /// Format of the file.
        format: u8,
        /// Lowest format that a reader must know.
        lowest: u8,
    },
    /// More entries than the tables hold.
    #[error("Corrupt AddrMan serialization: {name}={found}, should be in [0, {most}]: iostream error")]
    Count {
        /// `nNew` or `nTried`.
        name: &'static str,
        /// What the file says.
        found: i32,
        /// What fits.
        most: usize,
    },
    /// The tables contradict themselves.
    #[error("Corrupt data. Consistency check failed with code {0}: iostream error")]
    Inconsistent(i32),
}

/// Core reads files with another reader than messages, which has words of its own for their end.
fn file_text(error: &DecodeError) -> String {
    match error {
        DecodeError::EndOfData => "AutoFile::read: end of file".to_owned(),
        other => other.to_string(),
    }
}

fn sealed(magic: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut out = magic.to_vec();
    out.extend_from_slice(data);
    let sum = sha256d::Hash::hash(&out).to_byte_array();
    out.extend_from_slice(&sum);
    out
}

/// Checks the magic; the checksum is compared after the data was read, as Core does.
fn open(magic: [u8; 4], file: &[u8]) -> Result<Reader<'_>, FileError> {
    let mut reader = Reader::new(file);
    if reader.array::<4>()? != magic {
        return Err(FileError::Magic);
    }
    Ok(reader)
}

fn check_sum(file: &[u8], reader: &mut Reader<'_>) -> Result<(), FileError> {
    let covered = &file[..reader.position()];
    let found: [u8; 32] = reader.array()?;
    if sha256d::Hash::hash(covered).to_byte_array() != found {
        return Err(FileError::Checksum);
    }
    Ok(())
}

fn put_address(out: &mut Vec<u8>, address: &PeerAddress) {
    out.extend_from_slice(&(DISK_VERSION | DISK_ADDRV2).to_le_bytes());
    address.write_v2(out);
}

fn address(reader: &mut Reader<'_>, allow_v2: bool) -> Result<PeerAddress, FileError> {
    let version = reader.u32()? & !DISK_IGNORED;
    if version & !DISK_ADDRV2 != 0 || (version != 0 && !allow_v2) {
        return Err(FileError::Decode(DecodeError::EndOfData));
    }
    if version == DISK_ADDRV2 {
        return Ok(PeerAddress::read_v2(reader)?);
    }
    let (time, services) = (reader.u32()?, reader.u64()?);
    let endpoint = Endpoint::new(NetAddr::from_v1(reader.array()?), reader.u16_be()?);
    Ok(PeerAddress { time, services, endpoint })
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    put_address(out, &entry.address);
    let source = Endpoint::new(entry.source, 0);
    let at = out.len();
    source.write_v2(out);
    // The source is stored without a port.
    out.truncate(out.len().saturating_sub(2).max(at));
    out.extend_from_slice(&entry.last_success.to_le_bytes());
    out.extend_from_slice(&entry.attempts.to_le_bytes());
}

fn entry(reader: &mut Reader<'_>, v2: bool) -> Result<Entry, FileError> {
    let address = address(reader, v2)?;
    let source = if v2 { NetAddr::read_disk(reader)? } else { NetAddr::from_v1(reader.array()?) };
    let mut entry = Entry::new(address, source);
    entry.last_success = reader.i64()?;
    entry.attempts = reader.i32()?;
    Ok(entry)
}

fn count32(count: usize) -> [u8; 4] {
    i32::try_from(count).unwrap_or(i32::MAX).to_le_bytes()
}

/// The bytes of `peers.dat`.
#[must_use]
pub fn encode_peers(magic: [u8; 4], addrman: &AddrMan) -> Vec<u8> {
    let mut out = vec![FORMAT, INCOMPATIBILITY_BASE + FORMAT];
    out.extend_from_slice(&addrman.key);
    let counts = addrman.count(|_| true);
    out.extend_from_slice(&count32(counts.new));
    out.extend_from_slice(&count32(counts.tried));
    out.extend_from_slice(&(u32::try_from(NEW_BUCKETS).unwrap_or(0) ^ XOR_BUCKETS).to_le_bytes());
    let mut ids: Vec<Id> = addrman.entries.keys().copied().collect();
    ids.sort_unstable();
    let (tried, new): (Vec<Id>, Vec<Id>) = ids.into_iter().partition(|id| addrman.entries[id].tried);
    for id in new.iter().chain(&tried) {
        put_entry(&mut out, &addrman.entries[id]);
    }
    let index: std::collections::HashMap<Id, usize> = new.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    for bucket in addrman.new.chunks(BUCKET_SIZE) {
        let members: Vec<usize> = bucket.iter().flatten().filter_map(|id| index.get(id).copied()).collect();
        out.extend_from_slice(&count32(members.len()));
        for member in members {
            out.extend_from_slice(&count32(member));
        }
    }
    out.extend_from_slice(&addrman.map.version());
    sealed(magic, &out)
}

fn bounded(name: &'static str, found: i32, most: usize) -> Result<usize, FileError> {
    usize::try_from(found).ok().filter(|count| *count <= most).ok_or(FileError::Count { name, found, most })
}

/// Reads `peers.dat` into an empty address manager.
///
/// # Errors
/// [`FileError`]; the address manager must be thrown away then.
pub fn decode_peers(magic: [u8; 4], file: &[u8], mut addrman: AddrMan) -> Result<AddrMan, FileError> {
    let mut reader = open(magic, file)?;
    let format = reader.u8()?;
    let compat = reader.u8()?;
    let lowest = compat.checked_sub(INCOMPATIBILITY_BASE).ok_or(FileError::Compat(compat))?;
    if lowest > FORMAT {
        return Err(FileError::Version { format, lowest });
    }
    let v2 = format >= FORMAT_BIP155;
    addrman.key = reader.array()?;
    let new = reader.i32()?;
    let tried = reader.i32()?;
    let mut buckets = reader.u32()?;
    if format >= 1 {
        buckets ^= XOR_BUCKETS;
    }
    let new = bounded("nNew", new, NEW_BUCKETS * BUCKET_SIZE)?;
    let tried = bounded("nTried", tried, TRIED_BUCKETS * BUCKET_SIZE)?;
    let mut new_ids = Vec::new();
    for _ in 0..new {
        let entry = entry(&mut reader, v2)?;
        if addrman.find(&entry.address.endpoint).is_some() {
            return Err(FileError::Inconsistent(-5));
        }
        new_ids.push(addrman.create(entry));
    }
    let mut lost_tried = 0;
    for _ in 0..tried {
        let entry = entry(&mut reader, v2)?;
        if !restore_tried(&mut addrman, entry) {
            lost_tried += 1;
        }
    }
    let mut places = Vec::new();
    for bucket in 0..buckets {
        let members = reader.i32()?;
        for _ in 0..members.max(0) {
            if let Some(id) = usize::try_from(reader.i32()?).ok().and_then(|index| new_ids.get(index)) {
                places.push((bucket, *id));
            }
        }
    }
    let asmap: [u8; 32] = if format >= FORMAT_ASMAP { reader.array()? } else { [0; 32] };
    let same = usize::try_from(buckets) == Ok(NEW_BUCKETS) && asmap == addrman.map.version();
    if !same {
        tracing::debug!(target: "addrman", "Bucketing method was updated, re-bucketing addrman entries from disk");
    }
    for (bucket, id) in places {
        restore_new(&mut addrman, usize::try_from(bucket).unwrap_or(0), id, same);
    }
    check_sum(file, &mut reader)?;
    let lost: Vec<Id> =
        addrman.entries.iter().filter(|(_, entry)| !entry.tried && entry.references == 0).map(|(id, _)| *id).collect();
    for id in &lost {
        addrman.delete(*id);
    }
    if lost_tried + lost.len() > 0 {
        tracing::debug!(
            target: "addrman",
            "addrman lost {} new and {lost_tried} tried addresses due to collisions or invalid addresses", lost.len()
        );
    }
    match addrman.check() {
        Some(code) => Err(FileError::Inconsistent(code)),
        None => Ok(addrman),
    }
}

fn restore_tried(addrman: &mut AddrMan, entry: Entry) -> bool {
    let bucket = entry.tried_bucket(&addrman.key, &addrman.map);
    let at = slot((bucket, entry.position(&addrman.key, false, bucket)));
    let endpoint = entry.address.endpoint;
    if !endpoint.addr.is_valid() || addrman.tried[at].is_some() || addrman.find(&endpoint).is_some() {
        return false;
    }
    addrman.tried[at] = Some(addrman.create(Entry { tried: true, ..entry }));
    true
}

fn restore_new(addrman: &mut AddrMan, bucket: usize, id: Id, same: bool) {
    let Some(entry) = addrman.entries.get(&id).copied() else { return };
    if !entry.address.endpoint.addr.is_valid() || entry.references >= MAX_REFERENCES {
        return;
    }
    let mut at = slot((bucket, entry.position(&addrman.key, true, bucket)));
    if !same || addrman.new.get(at).is_none_or(Option::is_some) {
        let bucket = entry.new_bucket(&addrman.key, &addrman.map, &entry.source);
        at = slot((bucket, entry.position(&addrman.key, true, bucket)));
    }
    if addrman.new[at].is_none() {
        addrman.new[at] = Some(id);
        if let Some(entry) = addrman.entries.get_mut(&id) {
            entry.references += 1;
        }
    }
}

/// The bytes of `anchors.dat`.
#[must_use]
pub fn encode_anchors(magic: [u8; 4], anchors: &[PeerAddress]) -> Vec<u8> {
    let mut out = Vec::new();
    put_length(&mut out, anchors.len());
    for anchor in anchors {
        put_address(&mut out, anchor);
    }
    sealed(magic, &out)
}

/// Reads `anchors.dat`.
///
/// # Errors
/// [`FileError`].
pub fn decode_anchors(magic: [u8; 4], file: &[u8]) -> Result<Vec<PeerAddress>, FileError> {
    let mut reader = open(magic, file)?;
    let count = reader.count(4)?.min(MAX_ANCHORS);
    let mut anchors = Vec::new();
    for _ in 0..count {
        anchors.push(address(&mut reader, true)?);
    }
    check_sum(file, &mut reader)?;
    Ok(anchors)
}
