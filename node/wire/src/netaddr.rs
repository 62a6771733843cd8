//! Network addresses, endpoints and the records of `addr` and `addrv2` (BIP 155).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sha2::Sha256;
use sha3::{Digest, Sha3_256};

use crate::base32;
use crate::reader::{DecodeError, Reader, put_compact, put_length};

/// Longest address that BIP 155 allows.
const MAX_ADDRV2: u64 = 512;
const IPV4_IN_IPV6: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
const TORV2_IN_IPV6: [u8; 6] = [0xfd, 0x87, 0xd8, 0x7e, 0xeb, 0x43];
pub(crate) const INTERNAL_IN_IPV6: [u8; 6] = [0xfd, 0x6b, 0x88, 0xc0, 0x87, 0x24];

/// The networks that Core tells apart, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Network {
    /// Not publicly routable.
    Unroutable,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// Tor v3.
    Onion,
    /// I2P.
    I2p,
    /// CJDNS.
    Cjdns,
    /// A name, only inside the address manager.
    Internal,
}

impl Network {
    /// The networks that RPCs list.
    pub const LISTED: [Self; 5] = [Self::Ipv4, Self::Ipv6, Self::Onion, Self::I2p, Self::Cjdns];

    /// Core's name of the network.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unroutable => "not_publicly_routable",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Onion => "onion",
            Self::I2p => "i2p",
            Self::Cjdns => "cjdns",
            Self::Internal => "internal",
        }
    }

    /// The network with this name; any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::LISTED.into_iter().find(|network| network.name().eq_ignore_ascii_case(name))
    }
}

/// An address without port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NetAddr {
    /// IPv4.
    Ipv4([u8; 4]),
    /// IPv6.
    Ipv6([u8; 16]),
    /// Public key of a Tor v3 service.
    Onion([u8; 32]),
    /// SHA-256 of an I2P destination.
    I2p([u8; 32]),
    /// CJDNS, inside fc00::/8.
    Cjdns([u8; 16]),
    /// First bytes of the SHA-256 of a name.
    Internal([u8; 10]),
}

impl NetAddr {
    /// An address that stands for a name: the source of what a seed told (Core: `CNetAddr::SetInternal`).
    #[must_use]
    pub fn internal(name: &str) -> Self {
        let hash: [u8; 32] = Sha256::digest(name.as_bytes()).into();
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&hash[..10]);
        Self::Internal(bytes)
    }

    /// `::`, which counts as no address.
    pub const NONE: Self = Self::Ipv6([0; 16]);

    /// From 16 bytes in which other networks hide behind prefixes.
    #[must_use]
    pub fn from_v1(bytes: [u8; 16]) -> Self {
        if bytes[..12] == IPV4_IN_IPV6 {
            let mut v4 = [0; 4];
            v4.copy_from_slice(&bytes[12..]);
            Self::Ipv4(v4)
        } else if bytes[..6] == TORV2_IN_IPV6 {
            Self::NONE
        } else if bytes[..6] == INTERNAL_IN_IPV6 {
            let mut name = [0; 10];
            name.copy_from_slice(&bytes[6..]);
            Self::Internal(name)
        } else {
            Self::Ipv6(bytes)
        }
    }

    /// The 16 bytes of the old format; zeros when the network does not fit.
    #[must_use]
    pub fn to_v1(&self) -> [u8; 16] {
        let mut out = [0; 16];
        match self {
            Self::Ipv4(bytes) => {
                out[..12].copy_from_slice(&IPV4_IN_IPV6);
                out[12..].copy_from_slice(bytes);
            }
            Self::Ipv6(bytes) => out = *bytes,
            Self::Internal(bytes) => {
                out[..6].copy_from_slice(&INTERNAL_IN_IPV6);
                out[6..].copy_from_slice(bytes);
            }
            Self::Onion(_) | Self::I2p(_) | Self::Cjdns(_) => {}
        }
        out
    }

    /// Whether the old format can carry it.
    #[must_use]
    pub fn is_v1_compatible(&self) -> bool {
        matches!(self, Self::Ipv4(_) | Self::Ipv6(_) | Self::Internal(_))
    }

    /// The network that it belongs to by form.
    #[must_use]
    pub fn network(&self) -> Network {
        match self {
            Self::Ipv4(_) => Network::Ipv4,
            Self::Ipv6(_) => Network::Ipv6,
            Self::Onion(_) => Network::Onion,
            Self::I2p(_) => Network::I2p,
            Self::Cjdns(_) => Network::Cjdns,
            Self::Internal(_) => Network::Internal,
        }
    }

    /// Its own bytes, without prefix.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        match self {
            Self::Ipv4(bytes) => bytes,
            Self::Ipv6(bytes) | Self::Cjdns(bytes) => bytes,
            Self::Onion(bytes) | Self::I2p(bytes) => bytes,
            Self::Internal(bytes) => bytes,
        }
    }

    /// The bytes that hashes of the address manager use (Core: `GetAddrBytes`).
    #[must_use]
    pub fn key_bytes(&self) -> Vec<u8> {
        if self.is_v1_compatible() { self.to_v1().to_vec() } else { self.raw().to_vec() }
    }

    /// Reads a numeric address, an onion or an I2P name. Host names give `None`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_suffix(".onion") {
            return parse_onion(name);
        }
        if text.len() == 60 && text.get(52..).is_some_and(|tail| tail.eq_ignore_ascii_case(".b32.i2p")) {
            return <[u8; 32]>::try_from(base32::decode(text.get(..52)?)?).ok().map(Self::I2p);
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        let bare = bare.split('%').next().unwrap_or(bare);
        match bare.parse::<IpAddr>() {
            Ok(ip) => Some(Self::from(ip)),
            Err(_) => short_v4(bare).map(Self::Ipv4),
        }
    }

    /// With `-cjdnsreachable`, fc00::/8 is CJDNS and nothing else.
    #[must_use]
    pub fn flipped_to_cjdns(self) -> Self {
        match self {
            Self::Ipv6(bytes) if bytes[0] == 0xfc => Self::Cjdns(bytes),
            other => other,
        }
    }

    /// The socket address type that it can be dialled with.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ipv4(bytes) => Some(IpAddr::V4(Ipv4Addr::from(*bytes))),
            Self::Ipv6(bytes) | Self::Cjdns(bytes) => Some(IpAddr::V6(Ipv6Addr::from(*bytes))),
            Self::Onion(_) | Self::I2p(_) | Self::Internal(_) => None,
        }
    }

    /// Reads the BIP 155 form without a port, as peers.dat has it.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn read_disk(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::read_v2(reader)
    }

    fn read_v2(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let id = reader.u8()?;
        let length = reader.compact()?;
        if length > MAX_ADDRV2 {
            return Err(DecodeError::AddressTooLong(length));
        }
        let bytes = reader.take(usize::try_from(length).map_err(|_| DecodeError::SizeTooLarge)?)?;
        let wrong = |network, expected| DecodeError::AddressLength { network, length, expected };
        Ok(match id {
            1 => Self::Ipv4(bytes.try_into().map_err(|_| wrong("IPv4", 4))?),
            2 => {
                let bytes: [u8; 16] = bytes.try_into().map_err(|_| wrong("IPv6", 16))?;
                match Self::from_v1(bytes) {
                    // Only the form for the disk may hide a name; IPv4 and Tor v2 inside IPv6 are dropped.
                    Self::Internal(name) => Self::Internal(name),
                    Self::Ipv6(bytes) => Self::Ipv6(bytes),
                    _ => Self::NONE,
                }
            }
            4 => Self::Onion(bytes.try_into().map_err(|_| wrong("TORv3", 32))?),
            5 => Self::I2p(bytes.try_into().map_err(|_| wrong("I2P", 32))?),
            6 => Self::Cjdns(bytes.try_into().map_err(|_| wrong("CJDNS", 16))?),
            _ => Self::NONE,
        })
    }

    fn write_v2(&self, out: &mut Vec<u8>) {
        if let Self::Internal(_) = self {
            out.push(2);
            put_length(out, 16);
            out.extend_from_slice(&self.to_v1());
            return;
        }
        out.push(match self {
            Self::Ipv4(_) => 1,
            Self::Ipv6(_) | Self::Internal(_) => 2,
            Self::Onion(_) => 4,
            Self::I2p(_) => 5,
            Self::Cjdns(_) => 6,
        });
        put_length(out, self.raw().len());
        out.extend_from_slice(self.raw());
    }
}

/// The old forms of an IPv4 address with one to four numbers, the last of which fills what is left ("127.1").
fn short_v4(text: &str) -> Option<[u8; 4]> {
    let numbers = text.split('.').map(number).collect::<Option<Vec<u32>>>()?;
    let (last, leading) = numbers.split_last()?;
    if leading.len() > 3 || leading.iter().any(|number| *number > 255) {
        return None;
    }
    let free = 8 * (4 - leading.len());
    if u64::from(*last) >= 1u64 << free {
        return None;
    }
    let mut value = *last;
    for (index, number) in leading.iter().enumerate() {
        value |= number << (24 - 8 * index);
    }
    Some(value.to_be_bytes())
}

fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

fn onion_checksum(key: &[u8]) -> [u8; 2] {
    let digest = Sha3_256::new().chain_update(b".onion checksum").chain_update(key).chain_update([3]).finalize();
    [digest[0], digest[1]]
}

fn parse_onion(name: &str) -> Option<NetAddr> {
    let bytes = base32::decode(name)?;
    let (key, tail) = bytes.split_at_checked(32)?;
    let sum = onion_checksum(key);
    (tail == [sum[0], sum[1], 3].as_slice()).then(|| key.try_into().ok().map(NetAddr::Onion)).flatten()
}

impl From<IpAddr> for NetAddr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::Ipv4(v4.octets()),
            IpAddr::V6(v6) => Self::from_v1(v6.octets()),
        }
    }
}

impl fmt::Display for NetAddr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(bytes) => write!(out, "{}", Ipv4Addr::from(*bytes)),
            Self::Ipv6(bytes) | Self::Cjdns(bytes) => out.write_str(&plain_v6(*bytes)),
            Self::Onion(key) => {
                let sum = onion_checksum(key);
                let mut bytes = key.to_vec();
                bytes.extend_from_slice(&[sum[0], sum[1], 3]);
                write!(out, "{}.onion", base32::encode(&bytes, true))
            }
            Self::I2p(bytes) => write!(out, "{}.b32.i2p", base32::encode(bytes, false)),
            Self::Internal(bytes) => write!(out, "{}.internal", base32::encode(bytes, true)),
        }
    }
}

/// RFC 5952 text, but never with an embedded dotted quad, as Core prints it.
fn plain_v6(bytes: [u8; 16]) -> String {
    let groups = Ipv6Addr::from(bytes).segments();
    let mut best = (0usize, 0usize);
    let mut start = 0;
    while start < 8 {
        let length = groups[start..].iter().take_while(|group| **group == 0).count();
        if length > best.1 {
            best = (start, length);
        }
        start += length.max(1);
    }
    let hex = |part: &[u16]| part.iter().map(|group| format!("{group:x}")).collect::<Vec<_>>().join(":");
    if best.1 < 2 {
        return hex(&groups);
    }
    format!("{}::{}", hex(&groups[..best.0]), hex(&groups[best.0 + best.1..]))
}

/// An address with a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// Address.
    pub addr: NetAddr,
    /// Port.
    pub port: u16,
}

impl Endpoint {
    /// No address, port 0.
    pub const NONE: Self = Self { addr: NetAddr::NONE, port: 0 };

    /// An endpoint.
    #[must_use]
    pub fn new(addr: NetAddr, port: u16) -> Self {
        Self { addr, port }
    }

    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port` with a numeric host, an onion or an I2P name.
    #[must_use]
    pub fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (host, port) = split_host_port(text, default_port)?;
        NetAddr::parse(host).map(|addr| Self { addr, port })
    }

    /// For sockets.
    #[must_use]
    pub fn socket(&self) -> Option<SocketAddr> {
        self.addr.ip().map(|ip| SocketAddr::new(ip, self.port))
    }

    /// The bytes that hashes of the address manager use (Core: `CService::GetKey`).
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        let mut out = self.addr.key_bytes();
        out.extend_from_slice(&self.port.to_be_bytes());
        out
    }

    pub(crate) fn read_v1(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { addr: NetAddr::from_v1(reader.array()?), port: reader.u16_be()? })
    }

    pub(crate) fn write_v1(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.addr.to_v1());
        out.extend_from_slice(&self.port.to_be_bytes());
    }

    /// Reads the BIP 155 form.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn read_v2(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { addr: NetAddr::read_v2(reader)?, port: reader.u16_be()? })
    }

    /// Writes the BIP 155 form.
    pub fn write_v2(&self, out: &mut Vec<u8>) {
        self.addr.write_v2(out);
        out.extend_from_slice(&self.port.to_be_bytes());
    }
}

/// Splits a port off; the host keeps no brackets. `None` for a port that is no number from 1 to 65535.
#[must_use]
pub fn split_host_port(text: &str, default_port: u16) -> Option<(&str, u16)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, tail) = rest.split_once(']')?;
        return match tail.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port != 0).map(|port| (host, port)),
            None => tail.is_empty().then_some((host, default_port)),
        };
    }
    match text.split_once(':') {
        // More than one colon without brackets is a bare IPv6 address.
        Some((_, tail)) if tail.contains(':') => Some((text, default_port)),
        Some((host, port)) => port.parse().ok().filter(|port| *port != 0).map(|port| (host, port)),
        None => Some((text, default_port)),
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(socket: SocketAddr) -> Self {
        Self { addr: socket.ip().into(), port: socket.port() }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.addr {
            NetAddr::Ipv6(_) | NetAddr::Cjdns(_) => write!(out, "[{}]:{}", self.addr, self.port),
            _ => write!(out, "{}:{}", self.addr, self.port),
        }
    }
}

/// An endpoint as gossip carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress {
    /// When it was last seen, seconds.
    pub time: u32,
    /// Service bits that are claimed for it.
    pub services: u64,
    /// Where it is.
    pub endpoint: Endpoint,
}

impl PeerAddress {
    /// Fewest bytes of a record in `addrv2`.
    pub(crate) const LEAST_V2: usize = 9;
    /// Bytes of a record in `addr`.
    pub(crate) const SIZE_V1: usize = 30;

    pub(crate) fn read_v1(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { time: reader.u32()?, services: reader.u64()?, endpoint: Endpoint::read_v1(reader)? })
    }

    pub(crate) fn write_v1(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.time.to_le_bytes());
        out.extend_from_slice(&self.services.to_le_bytes());
        self.endpoint.write_v1(out);
    }

    /// Reads the BIP 155 form.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn read_v2(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { time: reader.u32()?, services: reader.compact_unbounded()?, endpoint: Endpoint::read_v2(reader)? })
    }

    /// Writes the BIP 155 form.
    pub fn write_v2(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.time.to_le_bytes());
        put_compact(out, self.services);
        self.endpoint.write_v2(out);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn texts_round_trip() {
        for text in [
            "1.2.3.4",
            "2001:db9::1",
            "::1",
            "fc00:1:2:3:4:5:6:7",
            "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion",
            "ukeu3k5oycgaauneqgtnvselmt4yemvoilkln7jpvamvfx7dnkdq.b32.i2p",
        ] {
            assert_eq!(NetAddr::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(NetAddr::parse("::ffff:1.2.3.4"), Some(NetAddr::Ipv4([1, 2, 3, 4])));
        assert_eq!(NetAddr::parse("127.1"), Some(NetAddr::Ipv4([127, 0, 0, 1])));
        assert_eq!(NetAddr::parse("127.1.65536"), None);
        assert_eq!(NetAddr::parse(""), None);
        assert_eq!(NetAddr::parse("example.org"), None);
        assert_eq!(NetAddr::parse("pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscrya.onion"), None);
    }

    #[test]
    fn host_and_port_split() {
        assert_eq!(split_host_port("[::1]:80", 1), Some(("::1", 80)));
        assert_eq!(split_host_port("::1", 1), Some(("::1", 1)));
        assert_eq!(split_host_port("1.2.3.4:65536", 1), None);
        assert_eq!(split_host_port("h", 9), Some(("h", 9)));
    }

    #[test]
    fn v2_address_of_wrong_length_is_refused() {
        let mut reader = Reader::new(&[1, 5, 1, 2, 3, 4, 5]);
        let error = NetAddr::read_v2(&mut reader).unwrap_err();
        assert_eq!(error.to_string(), "BIP155 IPv4 address with length 5 (should be 4)");
        let mut reader = Reader::new(&[4, 0xfd, 1, 2]);
        assert_eq!(NetAddr::read_v2(&mut reader), Err(DecodeError::AddressTooLong(513)));
    }

    #[test]
    fn unknown_network_is_read_over() {
        let mut reader = Reader::new(&[99, 3, 1, 2, 3, 7]);
        assert_eq!(NetAddr::read_v2(&mut reader), Ok(NetAddr::NONE));
        assert_eq!(reader.remaining(), 1);
    }
}
