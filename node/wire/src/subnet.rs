//! Subnets: ban list entries and whitelist ranges.

use std::fmt;

use crate::netaddr::NetAddr;

/// An address range. For networks without ranges, exactly one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subnet {
    network: NetAddr,
    /// Bits that count; for IPv4 and IPv6 only.
    bits: u8,
}

impl Subnet {
    /// Exactly this address. `None` for internal names.
    #[must_use]
    pub fn single(addr: NetAddr) -> Option<Self> {
        let bits = match addr {
            NetAddr::Ipv4(_) => 32,
            NetAddr::Ipv6(_) => 128,
            NetAddr::Internal(_) => return None,
            _ => 0,
        };
        Some(Self { network: addr, bits })
    }

    /// The range of addresses that share the first `bits` bits.
    #[must_use]
    pub fn prefix(addr: NetAddr, bits: u8) -> Option<Self> {
        let network = match addr {
            NetAddr::Ipv4(bytes) if bits <= 32 => NetAddr::Ipv4(masked(bytes, bits)),
            NetAddr::Ipv6(bytes) if bits <= 128 => NetAddr::Ipv6(masked(bytes, bits)),
            _ => return None,
        };
        Some(Self { network, bits })
    }

    /// Reads `addr`, `addr/bits` or `addr/netmask`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let Some((host, mask)) = text.split_once('/') else {
            return Self::single(NetAddr::parse(text)?);
        };
        let addr = NetAddr::parse(host)?;
        if !mask.is_empty() && mask.bytes().all(|byte| byte.is_ascii_digit()) {
            return Self::prefix(addr, mask.parse().ok()?);
        }
        let mask = NetAddr::parse(mask)?;
        if mask.network() != addr.network() {
            return None;
        }
        let bits: u32 = mask.raw().iter().map(|byte| byte.leading_ones()).sum();
        let bits = u8::try_from(bits).ok()?;
        // A mask with holes is not a prefix.
        let rebuilt = match mask {
            NetAddr::Ipv4(_) => masked([255; 4], bits).to_vec(),
            NetAddr::Ipv6(_) => masked([255; 16], bits).to_vec(),
            _ => return None,
        };
        (rebuilt == mask.raw()).then(|| Self::prefix(addr, bits)).flatten()
    }

    /// Whether the address lies inside.
    #[must_use]
    pub fn contains(&self, addr: &NetAddr) -> bool {
        if !addr.is_valid() {
            return false;
        }
        match (self.network, addr) {
            (NetAddr::Ipv4(network), NetAddr::Ipv4(bytes)) => masked(*bytes, self.bits) == network,
            (NetAddr::Ipv6(network), NetAddr::Ipv6(bytes)) => masked(*bytes, self.bits) == network,
            (network, addr) => network == *addr,
        }
    }
}

fn masked<const N: usize>(mut bytes: [u8; N], bits: u8) -> [u8; N] {
    let mut left = u32::from(bits);
    for byte in &mut bytes {
        let keep = left.min(8);
        *byte &= u8::try_from((0xff00u32 >> keep) & 0xff).unwrap_or(0);
        left -= keep;
    }
    bytes
}

impl fmt::Display for Subnet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.network {
            NetAddr::Ipv4(_) | NetAddr::Ipv6(_) => write!(out, "{}/{}", self.network, self.bits),
            _ => write!(out, "{}", self.network),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn texts_normalise() {
        let show = |text: &str| Subnet::parse(text).map(|subnet| subnet.to_string());
        assert_eq!(show("127.0.0.1/24").as_deref(), Some("127.0.0.0/24"));
        assert_eq!(show("127.0.0.1").as_deref(), Some("127.0.0.1/32"));
        assert_eq!(show("10.1.2.3/255.255.0.0").as_deref(), Some("10.1.0.0/16"));
        assert_eq!(show("10.1.2.3/255.0.255.0"), None);
        assert_eq!(show("2001:4d48:ac57:400:cacf:e9ff:fe1d:9c63/19").as_deref(), Some("2001:4000::/19"));
        assert_eq!(show("127.0.0.0/42"), None);
        assert_eq!(show("1.2.3.4/0").as_deref(), Some("0.0.0.0/0"));
    }

    #[test]
    fn membership_needs_the_same_network() {
        let subnet = Subnet::parse("127.0.0.0/8").unwrap();
        assert!(subnet.contains(&NetAddr::parse("127.9.9.9").unwrap()));
        assert!(!subnet.contains(&NetAddr::parse("::1").unwrap()));
    }
}
