//! What kind of place an address is: loopback, private, documentation, tunnelled (Core: `netaddress.cpp`).

use crate::netaddr::{NetAddr, Network};

impl NetAddr {
    fn v4(&self) -> Option<[u8; 4]> {
        if let Self::Ipv4(bytes) = self { Some(*bytes) } else { None }
    }

    fn v6(&self) -> Option<&[u8; 16]> {
        if let Self::Ipv6(bytes) = self { Some(bytes) } else { None }
    }

    fn v6_starts(&self, prefix: &[u8]) -> bool {
        self.v6().is_some_and(|bytes| bytes.starts_with(prefix))
    }

    /// 127/8, 0/8 or ::1.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Ipv4(bytes) => bytes[0] == 127 || bytes[0] == 0,
            Self::Ipv6(bytes) => *bytes == std::net::Ipv6Addr::LOCALHOST.octets(),
            _ => false,
        }
    }

    /// The wildcard of a listening socket.
    #[must_use]
    pub fn is_bind_any(&self) -> bool {
        matches!(self, Self::Ipv4(_) | Self::Ipv6(_)) && self.raw().iter().all(|byte| *byte == 0)
    }

    fn is_private_v4(&self) -> bool {
        self.v4().is_some_and(|a| {
            a[0] == 10
                || (a[0] == 192 && a[1] == 168)
                || (a[0] == 172 && (16..=31).contains(&a[1]))
                || (a[0] == 198 && (a[1] == 18 || a[1] == 19))
                || (a[0] == 169 && a[1] == 254)
                || (a[0] == 100 && (64..=127).contains(&a[1]))
                || a[..3] == [192, 0, 2]
                || a[..3] == [198, 51, 100]
                || a[..3] == [203, 0, 113]
        })
    }

    fn is_private_v6(&self) -> bool {
        self.v6_starts(&[0xfe, 0x80, 0, 0, 0, 0, 0, 0])
            || self.v6().is_some_and(|a| a[0] & 0xfe == 0xfc)
            || (self.v6_starts(&[0x20, 0x01, 0x00]) && self.v6().is_some_and(|a| matches!(a[3] & 0xf0, 0x10 | 0x20)))
    }

    /// Whether it can name a host at all.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        match self {
            Self::Ipv4(bytes) => *bytes != [0; 4] && *bytes != [255; 4],
            Self::Ipv6(bytes) => *bytes != [0; 16] && !bytes.starts_with(&[0x20, 0x01, 0x0d, 0xb8]),
            Self::Cjdns(bytes) => bytes[0] == 0xfc,
            Self::Onion(_) | Self::I2p(_) => true,
            Self::Internal(_) => false,
        }
    }

    /// Whether it is reachable from the public network.
    #[must_use]
    pub fn is_routable(&self) -> bool {
        self.is_valid() && !self.is_private_v4() && !self.is_private_v6() && !self.is_local()
    }

    /// Whether gossip may pass it on even when we cannot reach it.
    #[must_use]
    pub fn is_relayable(&self) -> bool {
        matches!(self, Self::Ipv4(_) | Self::Ipv6(_) | Self::Onion(_) | Self::I2p(_) | Self::Cjdns(_))
    }

    fn is_tunnel(&self) -> bool {
        self.v6_starts(&[0x20, 0x02])
    }

    fn is_translated(&self) -> bool {
        self.v6_starts(&[0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0])
            || self.v6_starts(&[0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0])
    }

    /// The IPv4 address that it is, or that it tunnels.
    #[must_use]
    pub fn linked_v4(&self) -> Option<[u8; 4]> {
        if !self.is_routable() {
            return None;
        }
        if let Some(bytes) = self.v4() {
            return Some(bytes);
        }
        let bytes = self.v6()?;
        if self.is_translated() {
            Some([bytes[12], bytes[13], bytes[14], bytes[15]])
        } else if self.is_tunnel() {
            Some([bytes[2], bytes[3], bytes[4], bytes[5]])
        } else if self.v6_starts(&[0x20, 0x01, 0, 0]) {
            Some([!bytes[12], !bytes[13], !bytes[14], !bytes[15]])
        } else {
            None
        }
    }

    /// The network that counts for reachability (Core: `GetNetClass`).
    #[must_use]
    pub fn class(&self) -> Network {
        if let Self::Internal(_) = self {
            return Network::Internal;
        }
        if !self.is_routable() {
            return Network::Unroutable;
        }
        if self.linked_v4().is_some() {
            return Network::Ipv4;
        }
        self.network()
    }

    /// The group that the address manager and the eviction logic treat as one operator
    /// (Core: `NetGroupManager::GetGroup` without an AS map).
    #[must_use]
    pub fn group(&self) -> Vec<u8> {
        // The numbers are Core's `Network` values; they are part of hashes in peers.dat buckets.
        let mut out = vec![match self.class() {
            Network::Unroutable => 0,
            Network::Ipv4 => 1,
            Network::Ipv6 => 2,
            Network::Onion => 3,
            Network::I2p => 4,
            Network::Cjdns => 5,
            Network::Internal => 6,
        }];
        if self.is_local() {
            return out;
        }
        if let Self::Internal(bytes) = self {
            out.extend_from_slice(bytes);
            return out;
        }
        if !self.is_routable() {
            return out;
        }
        if let Some(v4) = self.linked_v4() {
            out.extend_from_slice(&v4[..2]);
            return out;
        }
        let bits: usize = match self {
            Self::Onion(_) | Self::I2p(_) => 4,
            Self::Cjdns(_) => 12,
            _ if self.v6_starts(&[0x20, 0x01, 0x04, 0x70]) => 36,
            _ => 32,
        };
        let raw = self.raw();
        out.extend_from_slice(&raw[..bits / 8]);
        if !bits.is_multiple_of(8) {
            out.push(raw[bits / 8] | ((1 << (8 - bits % 8)) - 1));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn classes_follow_the_ranges() {
        let class = |text: &str| NetAddr::parse(text).unwrap().class();
        assert_eq!(class("127.0.0.1"), Network::Unroutable);
        assert_eq!(class("8.8.8.8"), Network::Ipv4);
        assert_eq!(class("192.168.1.1"), Network::Unroutable);
        assert_eq!(class("2001:470::1"), Network::Ipv6);
        assert_eq!(class("2002:808:808::1"), Network::Ipv4);
        assert_eq!(class("fc00::1"), Network::Unroutable);
    }

    #[test]
    fn groups_are_two_bytes_of_v4_and_four_of_v6() {
        assert_eq!(NetAddr::parse("1.2.3.4").unwrap().group(), vec![1, 1, 2]);
        assert_eq!(NetAddr::parse("127.0.0.1").unwrap().group(), vec![0]);
        assert_eq!(NetAddr::parse("2001:2001:9999::1").unwrap().group(), vec![2, 0x20, 1, 0x20, 1]);
        assert_eq!(NetAddr::parse("2001:470:abcd::1").unwrap().group(), vec![2, 0x20, 1, 4, 0x70, 0xaf]);
    }
}
