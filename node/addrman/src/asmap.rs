//! Groups of addresses: by autonomous system where a map is in use (`-asmap`), by prefix otherwise.

use std::borrow::Cow;

use bitcoin::hashes::{Hash, sha256d};
use bulkhead_asmap::{interpret, is_sound};
use bulkhead_wire::{NetAddr, Network};

/// Set in front of IPv4 addresses.
const V4_PREFIX: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
/// First byte of a group that is an autonomous system, the same for IPv4 and IPv6.
const SYSTEM_CLASS: u8 = 2;

/// A map that was checked, or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AsMap(Cow<'static, [u8]>);

impl AsMap {
    /// Takes a map, if every address leads to an answer and nothing in it is superfluous.
    #[must_use]
    pub fn new(bytes: impl Into<Cow<'static, [u8]>>) -> Option<Self> {
        let bytes = bytes.into();
        is_sound(&bytes).then_some(Self(bytes))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Identifies the map in peers.dat; zeros for none.
    #[must_use]
    pub fn version(&self) -> [u8; 32] {
        if self.is_empty() {
            return [0; 32];
        }
        sha256d::Hash::hash(&self.0).to_byte_array()
    }

    /// The autonomous system of an address; 0: none is known.
    #[must_use]
    pub fn system(&self, addr: &NetAddr) -> u32 {
        if self.is_empty() || !matches!(addr.class(), Network::Ipv4 | Network::Ipv6) {
            return 0;
        }
        let mut bytes = addr.to_v1();
        if let Some(v4) = addr.linked_v4() {
            bytes[..12].copy_from_slice(&V4_PREFIX);
            bytes[12..].copy_from_slice(&v4);
        }
        interpret(&self.0, u128::from_be_bytes(bytes)).unwrap_or(0)
    }

    /// The group of an address: who controls one address of a group easily controls others.
    #[must_use]
    pub fn group(&self, addr: &NetAddr) -> Vec<u8> {
        match self.system(addr) {
            0 => addr.group(),
            system => [&[SYSTEM_CLASS][..], &system.to_le_bytes()].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bits_of_the_address_lead_to_its_system() {
        let map = AsMap::new(bulkhead_asmap::EMBEDDED).unwrap();
        assert_eq!(map.system(&NetAddr::parse("8.8.8.8").unwrap()), 15169);
        assert_eq!(map.system(&NetAddr::parse("2001:4860::1").unwrap()), 15169);
        assert_eq!(map.group(&NetAddr::parse("8.8.8.8").unwrap()), [2, 0x41, 0x3b, 0, 0]);
        let onion = NetAddr::parse("pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion").unwrap();
        assert_eq!((map.system(&onion), map.group(&onion)), (0, onion.group()));
        assert_ne!(map.version(), [0; 32]);
        assert_eq!(AsMap::new(Vec::new()), None);
    }
}
