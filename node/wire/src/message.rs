//! Message bodies by command.
//!
//! As in Core, bytes after the last field of a message are ignored unless a message says otherwise; everything
//! before them must be well formed.

use bitcoin::hashes::{Hash, sha256d};

use crate::bloom::BloomFilter;
use crate::compact::{BlockTransactions, CompactBlock, TransactionsRequest};
use crate::filters::FilterRequest;
use crate::inventory::Inventory;
use crate::netaddr::PeerAddress;
use crate::reader::{DecodeError, Reader, put_compact, put_length};
use crate::version::Version;

/// Most entries of `inv`, `getdata` and `notfound` that a peer may send.
pub const MAX_INV: usize = 50_000;
/// Most headers in one message.
pub const MAX_HEADERS: usize = 2000;
/// Most addresses in one message.
pub const MAX_ADDR: usize = 1000;
/// Most hashes of a locator.
pub const MAX_LOCATOR: usize = 101;
const MAX_FEATURE_ID: u64 = 80;
const MAX_FEATURE_DATA: u64 = 512;

/// Commands that we count by name; the others are `*other*` (Core: `ALL_NET_MESSAGE_TYPES`).
pub const KNOWN_COMMANDS: &[&str] = &[
    "addr",
    "addrv2",
    "block",
    "blocktxn",
    "cfcheckpt",
    "cfheaders",
    "cfilter",
    "cmpctblock",
    "feature",
    "feefilter",
    "filteradd",
    "filterclear",
    "filterload",
    "getaddr",
    "getblocks",
    "getblocktxn",
    "getcfcheckpt",
    "getcfheaders",
    "getcfilters",
    "getdata",
    "getheaders",
    "headers",
    "inv",
    "mempool",
    "merkleblock",
    "notfound",
    "ping",
    "pong",
    "sendaddrv2",
    "sendcmpct",
    "sendheaders",
    "sendtxrcncl",
    "tx",
    "verack",
    "version",
    "wtxidrelay",
];

/// A 32-byte hash as users see it.
#[must_use]
pub fn hash_hex(hash: &[u8; 32]) -> String {
    sha256d::Hash::from_byte_array(*hash).to_string()
}

/// A locator with its stop hash (`getheaders`, `getblocks`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Locator {
    /// Hashes from the newest on, internal order. May be longer than [`MAX_LOCATOR`]: the receiver judges.
    pub have: Vec<[u8; 32]>,
    /// Last hash that is wanted; zeros for as many as possible.
    pub stop: [u8; 32],
}

/// A feature announcement (BIP 434).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// Identifier, 4 to 80 bytes.
    pub id: Vec<u8>,
    /// Parameters, at most 512 bytes.
    pub data: Vec<u8>,
}

/// Every message that we understand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Start of the handshake.
    Version(Box<Version>),
    /// End of the handshake.
    Verack,
    /// Transactions by wtxid (BIP 339).
    WtxidRelay,
    /// Addresses in the long form (BIP 155).
    SendAddrV2,
    /// New blocks as headers (BIP 130).
    SendHeaders,
    /// Compact blocks (BIP 152): announce flag as sent, version.
    SendCompact(u8, u64),
    /// Feature negotiation; `None` when the body is malformed.
    Feature(Option<Feature>),
    /// Least fee rate of announced transactions, satoshi per 1000 vbyte (BIP 133).
    FeeFilter(i64),
    /// Nonce; `None` from peers before BIP 31.
    Ping(Option<u64>),
    /// Nonce and body length; the nonce is `None` when the body is too short.
    Pong(Option<u64>, usize),
    /// Announcement.
    Inv(Vec<Inventory>),
    /// Request.
    GetData(Vec<Inventory>),
    /// What a request could not be served.
    NotFound(Vec<Inventory>),
    /// Request for headers.
    GetHeaders(Locator),
    /// Request for block hashes.
    GetBlocks(Locator),
    /// Headers, 80 bytes each; or only their number when it is above [`MAX_HEADERS`].
    Headers(Result<Vec<[u8; 80]>, u64>),
    /// A block, serialized with witness, without trailing bytes.
    Block(Vec<u8>),
    /// A transaction, serialized, without trailing bytes.
    Tx(Vec<u8>),
    /// Request for the ids of the mempool (BIP 35).
    Mempool,
    /// Addresses; `true` for `addrv2`.
    Addr(Vec<PeerAddress>, bool),
    /// Request for addresses.
    GetAddr,
    /// A block in compact form (BIP 152).
    CompactBlock(CompactBlock),
    /// Request for transactions of a block (BIP 152).
    GetBlockTransactions(TransactionsRequest),
    /// Transactions of a block (BIP 152).
    BlockTransactions(BlockTransactions),
    /// A bloom filter (BIP 37).
    FilterLoad(BloomFilter),
    /// Another element of the bloom filter.
    FilterAdd(Vec<u8>),
    /// No bloom filter any more.
    FilterClear,
    /// Request for block filters (BIP 157).
    GetFilters(FilterRequest),
    /// Request for hashes of block filters.
    GetFilterHashes(FilterRequest),
    /// Request for headers of block filters, one in a thousand.
    GetFilterCheckpoints(FilterRequest),
    /// A command that this node does not implement.
    Unknown(String),
}

impl Message {
    /// Reads a body.
    ///
    /// # Errors
    /// [`DecodeError`]: the message is dropped and logged, the connection goes on.
    pub fn decode(command: &str, body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        Ok(match command {
            "version" => Self::Version(Box::new(Version::decode(body)?)),
            "verack" => Self::Verack,
            "wtxidrelay" => Self::WtxidRelay,
            "sendaddrv2" => Self::SendAddrV2,
            "sendheaders" => Self::SendHeaders,
            "sendcmpct" => Self::SendCompact(reader.u8()?, reader.u64()?),
            "feature" => Self::Feature(feature(&mut reader)),
            "feefilter" => Self::FeeFilter(reader.i64()?),
            // Peers before BIP 31 send no nonce; whether that is right depends on the negotiated version.
            "ping" if body.is_empty() => Self::Ping(None),
            "ping" => Self::Ping(Some(reader.u64()?)),
            "pong" => Self::Pong(reader.u64().ok(), body.len()),
            "inv" => Self::Inv(inventory(&mut reader)?),
            "getdata" => Self::GetData(inventory(&mut reader)?),
            "notfound" => Self::NotFound(inventory(&mut reader)?),
            "getheaders" => Self::GetHeaders(locator(&mut reader)?),
            "getblocks" => Self::GetBlocks(locator(&mut reader)?),
            "headers" => Self::Headers(headers(&mut reader)?),
            "block" => Self::Block(body[..crate::skim::block_length(body)?].to_vec()),
            "tx" => Self::Tx(body[..crate::skim::transaction(body)?.length].to_vec()),
            "mempool" => Self::Mempool,
            "addr" => {
                let count = reader.count(PeerAddress::SIZE_V1)?;
                Self::Addr(list(count, || PeerAddress::read_v1(&mut reader))?, false)
            }
            "addrv2" => {
                let count = reader.count(PeerAddress::LEAST_V2)?;
                Self::Addr(list(count, || PeerAddress::read_v2(&mut reader))?, true)
            }
            "getaddr" => Self::GetAddr,
            "cmpctblock" => Self::CompactBlock(CompactBlock::decode(body)?),
            "getblocktxn" => Self::GetBlockTransactions(TransactionsRequest::decode(body)?),
            "blocktxn" => Self::BlockTransactions(BlockTransactions::decode(body)?),
            "filterload" => Self::FilterLoad(BloomFilter::decode(body)?),
            "filteradd" => Self::FilterAdd(reader.bytes()?.to_vec()),
            "filterclear" => Self::FilterClear,
            "getcfilters" => Self::GetFilters(FilterRequest::decode_range(body)?),
            "getcfheaders" => Self::GetFilterHashes(FilterRequest::decode_range(body)?),
            "getcfcheckpt" => Self::GetFilterCheckpoints(FilterRequest::decode_checkpoints(body)?),
            other => Self::Unknown(other.to_owned()),
        })
    }

    /// Command and body for the wire.
    #[must_use]
    pub fn encode(&self) -> (&str, Vec<u8>) {
        let mut out = Vec::new();
        let command = match self {
            Self::Version(version) => return ("version", version.encode()),
            Self::Verack => "verack",
            Self::WtxidRelay => "wtxidrelay",
            Self::SendAddrV2 => "sendaddrv2",
            Self::SendHeaders => "sendheaders",
            Self::SendCompact(announce, version) => {
                out.push(*announce);
                out.extend_from_slice(&version.to_le_bytes());
                "sendcmpct"
            }
            Self::Feature(feature) => {
                if let Some(feature) = feature {
                    put_length(&mut out, feature.id.len());
                    out.extend_from_slice(&feature.id);
                    put_length(&mut out, feature.data.len());
                    out.extend_from_slice(&feature.data);
                }
                "feature"
            }
            Self::FeeFilter(rate) => {
                out.extend_from_slice(&rate.to_le_bytes());
                "feefilter"
            }
            Self::Ping(nonce) => {
                if let Some(nonce) = nonce {
                    out.extend_from_slice(&nonce.to_le_bytes());
                }
                "ping"
            }
            Self::Pong(nonce, _) => {
                if let Some(nonce) = nonce {
                    out.extend_from_slice(&nonce.to_le_bytes());
                }
                "pong"
            }
            Self::Inv(entries) => put_inventory(&mut out, entries, "inv"),
            Self::GetData(entries) => put_inventory(&mut out, entries, "getdata"),
            Self::NotFound(entries) => put_inventory(&mut out, entries, "notfound"),
            Self::GetHeaders(locator) => put_locator(&mut out, locator, "getheaders"),
            Self::GetBlocks(locator) => put_locator(&mut out, locator, "getblocks"),
            Self::Headers(headers) => {
                let headers = headers.as_deref().unwrap_or_default();
                put_length(&mut out, headers.len());
                for header in headers {
                    out.extend_from_slice(header);
                    put_compact(&mut out, 0);
                }
                "headers"
            }
            Self::Block(bytes) => return ("block", bytes.clone()),
            Self::Tx(bytes) => return ("tx", bytes.clone()),
            Self::Mempool => "mempool",
            Self::Addr(addresses, long) => {
                put_length(&mut out, addresses.len());
                for address in addresses {
                    if *long { address.write_v2(&mut out) } else { address.write_v1(&mut out) }
                }
                if *long { "addrv2" } else { "addr" }
            }
            Self::GetAddr => "getaddr",
            Self::CompactBlock(compact) => return ("cmpctblock", compact.bytes.clone()),
            Self::GetBlockTransactions(request) => return ("getblocktxn", request.encode()),
            Self::BlockTransactions(transactions) => return ("blocktxn", transactions.encode()),
            Self::FilterLoad(filter) => return ("filterload", filter.encode()),
            Self::FilterAdd(element) => {
                put_length(&mut out, element.len());
                out.extend_from_slice(element);
                "filteradd"
            }
            Self::FilterClear => "filterclear",
            Self::GetFilters(request) => return ("getcfilters", request.encode_range()),
            Self::GetFilterHashes(request) => return ("getcfheaders", request.encode_range()),
            Self::GetFilterCheckpoints(request) => return ("getcfcheckpt", request.encode_checkpoints()),
            Self::Unknown(command) => return (command, out),
        };
        (command, out)
    }
}

fn list<T>(count: usize, mut read: impl FnMut() -> Result<T, DecodeError>) -> Result<Vec<T>, DecodeError> {
    (0..count).map(|_| read()).collect()
}

fn inventory(reader: &mut Reader<'_>) -> Result<Vec<Inventory>, DecodeError> {
    let count = reader.count(36)?;
    list(count, || Inventory::read(reader))
}

fn put_inventory(out: &mut Vec<u8>, entries: &[Inventory], command: &'static str) -> &'static str {
    out.reserve(9 + entries.len() * 36);
    put_length(out, entries.len());
    for entry in entries {
        entry.write(out);
    }
    command
}

fn locator(reader: &mut Reader<'_>) -> Result<Locator, DecodeError> {
    // The version in front is not used.
    reader.take(4)?;
    let count = reader.count(32)?;
    let have = list(count, || reader.array())?;
    Ok(Locator { have, stop: reader.array()? })
}

fn put_locator(out: &mut Vec<u8>, locator: &Locator, command: &'static str) -> &'static str {
    out.extend_from_slice(&crate::PROTOCOL_VERSION.to_le_bytes());
    put_length(out, locator.have.len());
    for hash in &locator.have {
        out.extend_from_slice(hash);
    }
    out.extend_from_slice(&locator.stop);
    command
}

fn headers(reader: &mut Reader<'_>) -> Result<Result<Vec<[u8; 80]>, u64>, DecodeError> {
    let count = reader.compact()?;
    if count > 2000 {
        return Ok(Err(count));
    }
    let mut out = Vec::new();
    for _ in 0..count {
        out.push(reader.array()?);
        reader.compact()?;
    }
    Ok(Ok(out))
}

fn feature(reader: &mut Reader<'_>) -> Option<Feature> {
    let id = reader.limited_string(MAX_FEATURE_ID).ok()?.to_vec();
    let data = reader.limited_string(MAX_FEATURE_DATA).ok()?.to_vec();
    (id.len() >= 4 && reader.is_empty()).then_some(Feature { id, data })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::netaddr::Endpoint;
    use proptest::prelude::*;

    fn round_trip(message: &Message) {
        let (command, body) = message.encode();
        assert_eq!(Message::decode(command, &body).as_ref(), Ok(message));
    }

    #[test]
    fn messages_round_trip() {
        let entries = vec![Inventory::new(5, [7; 32]), Inventory::new(0x4000_0002, [8; 32])];
        let address = |text| PeerAddress { time: 9, services: 1033, endpoint: Endpoint::parse(text, 1).unwrap() };
        for message in [
            Message::Verack,
            Message::SendCompact(0, 2),
            Message::Feature(Some(Feature { id: b"abcd".to_vec(), data: vec![1] })),
            Message::FeeFilter(100),
            Message::Ping(Some(3)),
            Message::Pong(Some(3), 8),
            Message::Inv(entries.clone()),
            Message::GetData(entries.clone()),
            Message::NotFound(entries),
            Message::GetHeaders(Locator { have: vec![[1; 32]; 3], stop: [0; 32] }),
            Message::GetBlocks(Locator::default()),
            Message::Headers(Ok(vec![[5; 80]; 2])),
            Message::Addr(vec![address("1.2.3.4:5"), address("[2001:db9::1]:6")], false),
            Message::Addr(vec![address("pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion:7")], true),
        ] {
            round_trip(&message);
        }
    }

    #[test]
    fn unknown_commands_are_kept_by_name() {
        assert_eq!(Message::decode("hello", &[1, 2]), Ok(Message::Unknown("hello".into())));
    }

    #[test]
    fn too_many_headers_are_counted_not_read() {
        assert_eq!(Message::decode("headers", &[0xfd, 0xd1, 7]), Ok(Message::Headers(Err(2001))));
    }

    #[test]
    fn malformed_feature_is_marked() {
        assert_eq!(Message::decode("feature", &[3, b'a', b'b', b'c', 0]), Ok(Message::Feature(None)));
        assert_eq!(Message::decode("feature", b"\x04abcd\x00x"), Ok(Message::Feature(None)));
    }

    #[test]
    fn trailing_bytes_are_tolerated() {
        assert_eq!(Message::decode("feefilter", &[1, 0, 0, 0, 0, 0, 0, 0, 99]), Ok(Message::FeeFilter(1)));
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(index in 0usize..KNOWN_COMMANDS.len(), body in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(message) = Message::decode(KNOWN_COMMANDS[index], &body) {
                let (command, again) = message.encode();
                if !matches!(message, Message::Unknown(_) | Message::Feature(None) | Message::Headers(Err(_)) | Message::Version(_) | Message::Addr(..)) {
                    prop_assert!(Message::decode(command, &again).is_ok());
                }
            }
        }
    }
}
