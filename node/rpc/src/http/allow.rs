//! `-rpcallowip`: who may connect at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    network: u128,
    mask: u128,
    is_v4: bool,
}

/// IPv4 addresses that arrive on an IPv6 socket are IPv4 addresses.
fn canonical(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), true),
        IpAddr::V6(v6) => (v6.to_bits(), false),
    }
}

fn prefix_mask(bits: u32, width: u32) -> Option<u128> {
    let all = if width == 32 { u128::from(u32::MAX) } else { u128::MAX };
    match bits {
        0 => Some(0),
        _ if bits <= width => Some(all & all.checked_shl(width - bits)?),
        _ => None,
    }
}

impl Subnet {
    /// Reads an address, address/prefix length or address/netmask.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, mask) = text.split_once('/').map_or((text, None), |(address, mask)| (address, Some(mask)));
        let (network, is_v4) = canonical(address.trim_matches(['[', ']']).parse().ok()?);
        let width = if is_v4 { 32 } else { 128 };
        let mask = match mask {
            None => prefix_mask(width, width)?,
            Some(mask) => match mask.parse::<u32>() {
                Ok(bits) => prefix_mask(bits, width)?,
                Err(_) => {
                    let (mask, mask_is_v4) = canonical(mask.parse().ok()?);
                    let contiguous = (0..=width).any(|bits| prefix_mask(bits, width) == Some(mask));
                    (mask_is_v4 == is_v4 && contiguous).then_some(mask)?
                }
            },
        };
        Some(Self { network: network & mask, mask, is_v4 })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let (address, is_v4) = canonical(address);
        is_v4 == self.is_v4 && address & self.mask == self.network
    }
}

/// The addresses that may use the server.
#[derive(Clone, Debug)]
pub struct AllowList(Vec<Subnet>);

impl AllowList {
    /// Loopback and the given entries; entries that do not parse were refused at start and are left out.
    #[must_use]
    pub fn new(entries: &[String]) -> Self {
        let mut subnets = vec![
            Subnet { network: u128::from(Ipv4Addr::new(127, 0, 0, 0).to_bits()), mask: 0xff00_0000, is_v4: true },
            Subnet { network: Ipv6Addr::LOCALHOST.to_bits(), mask: u128::MAX, is_v4: false },
        ];
        subnets.extend(entries.iter().filter_map(|entry| Subnet::parse(entry)));
        Self(subnets)
    }

    /// Whether this address may.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        self.0.iter().any(|subnet| subnet.contains(address))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn allows(entries: &[&str], address: &str) -> bool {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        AllowList::new(&entries).allows(address.parse().unwrap())
    }

    #[test]
    fn loopback_is_always_allowed_and_nothing_else() {
        assert!(allows(&[], "127.0.0.1") && allows(&[], "127.9.9.9") && allows(&[], "::1") && allows(&[], "::ffff:127.0.0.1"));
        assert!(!allows(&[], "10.0.0.1") && !allows(&[], "::2"));
    }

    #[test]
    fn entries_open_exactly_their_range() {
        assert!(allows(&["10.1.0.0/16"], "10.1.255.1") && !allows(&["10.1.0.0/16"], "10.2.0.1"));
        assert!(allows(&["10.1.0.0/255.255.0.0"], "10.1.9.9") && !allows(&["10.1.0.0/255.255.0.0"], "10.2.9.9"));
        assert!(allows(&["1.2.3.4"], "1.2.3.4") && !allows(&["1.2.3.4"], "1.2.3.5"));
        assert!(allows(&["::/0"], "2001::1") && !allows(&["::/0"], "9.9.9.9"));
        assert!(allows(&["0.0.0.0/0"], "9.9.9.9") && !allows(&["0.0.0.0/0"], "2001::1"));
    }

    #[test]
    fn nonsense_opens_nothing() {
        for entry in ["", "1.2.3.4/33", "1.2.3.4/255.0.255.0", "1.2.3", "::1/129", "a/b"] {
            assert_eq!(Subnet::parse(entry), None, "{entry}");
        }
    }
}
