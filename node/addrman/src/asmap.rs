//! Which autonomous system an address belongs to (`-asmap`): a program of bits that reads the bits of an address
//! (Core: `util/asmap.cpp`).

use bitcoin::hashes::{Hash, sha256d};
use bulkhead_wire::{NetAddr, Network};

/// Bits of an address.
const ADDRESS_BITS: u32 = 128;
/// Set in front of IPv4 addresses.
const V4_PREFIX: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
/// First byte of a group that is an autonomous system, the same for IPv4 and IPv6.
const SYSTEM_CLASS: u8 = 2;

/// A map that was checked, or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AsMap(Vec<u8>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instruction {
    /// The answer.
    Return(u32),
    /// If the next bit is 1, skip so many bits of the program.
    Jump(u64),
    /// The next bits must be these: value and count. Otherwise the default is the answer.
    Match(u32, u32),
    /// The answer from here on unless another is found.
    Default(u32),
}

/// Reads bits, lowest first.
#[derive(Debug, Clone, Copy)]
struct Program<'a> {
    bytes: &'a [u8],
    at: u64,
}

impl<'a> Program<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn end(&self) -> u64 {
        u64::try_from(self.bytes.len()).unwrap_or(u64::MAX / 8) * 8
    }

    fn left(&self) -> u64 {
        self.end().saturating_sub(self.at)
    }

    fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(usize::try_from(self.at / 8).ok()?)?;
        let bit = byte >> (self.at % 8) & 1 == 1;
        self.at += 1;
        Some(bit)
    }

    /// A number of at least `least`: as many ones as classes are passed over, a zero unless it is the last class, then
    /// so many bits as the class has, highest first.
    fn number(&mut self, least: u32, mut sizes: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let mut value = least;
        let last = *sizes.end();
        let size = loop {
            let size = sizes.next()?;
            if size == last || !self.bit()? {
                break size;
            }
            value = value.checked_add(1 << size)?;
        };
        let mut rest = 0;
        for _ in 0..size {
            rest = rest << 1 | u32::from(self.bit()?);
        }
        value.checked_add(rest)
    }

    /// `None`: the program ends within it.
    fn instruction(&mut self) -> Option<Instruction> {
        // Classes of 0, 0 and 1 bits: 0, 10, 110, 111.
        let kind = match (self.bit()?, ()) {
            (false, ()) => 0,
            (true, ()) if !self.bit()? => 1,
            _ => 2 + u32::from(self.bit()?),
        };
        Some(match kind {
            0 => Instruction::Return(self.number(1, 15..=24)?),
            1 => Instruction::Jump(u64::from(self.number(17, 5..=30)?)),
            2 => {
                let value = self.number(2, 1..=8)?;
                let count = value.ilog2();
                Instruction::Match(value & !(1 << count), count)
            }
            _ => Instruction::Default(self.number(1, 15..=24)?),
        })
    }
}

/// Bits of an address, highest first.
struct AddressBits {
    bits: u128,
    left: u32,
}

impl AddressBits {
    fn take(&mut self, count: u32) -> Option<u32> {
        self.left = self.left.checked_sub(count)?;
        u32::try_from(self.bits >> self.left & ((1 << count) - 1)).ok()
    }
}

impl AsMap {
    /// Takes a map, if every address leads to an answer and nothing in it is superfluous.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
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
        self.interpret(u128::from_be_bytes(bytes)).unwrap_or(0)
    }

    fn interpret(&self, address: u128) -> Option<u32> {
        let mut program = Program::new(&self.0);
        let mut bits = AddressBits { bits: address, left: ADDRESS_BITS };
        let mut default = 0;
        loop {
            match program.instruction()? {
                Instruction::Return(system) => return Some(system),
                Instruction::Jump(distance) => {
                    if distance >= program.left() {
                        return None;
                    }
                    if bits.take(1)? == 1 {
                        program.at += distance;
                    }
                }
                Instruction::Match(value, count) => {
                    if bits.take(count)? != value {
                        return Some(default);
                    }
                }
                Instruction::Default(system) => default = system,
            }
        }
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

/// What was the instruction before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Jump,
    Match,
    Default,
}

/// Follows every path through the program once.
fn is_sound(bytes: &[u8]) -> bool {
    check(bytes).is_some()
}

fn check(bytes: &[u8]) -> Option<()> {
    let mut program = Program::new(bytes);
    let mut bits = ADDRESS_BITS;
    // Where jumps lead, and how many bits of the address are left there; the nearest is last.
    let mut targets: Vec<(u64, u32)> = Vec::new();
    let mut before = Before::Jump;
    let mut short_match = false;
    loop {
        if targets.last().is_some_and(|(target, _)| program.at >= *target) {
            return None;
        }
        match program.instruction()? {
            Instruction::Return(_) => {
                if before == Before::Default {
                    return None;
                }
                let Some((target, left)) = targets.pop() else {
                    // Only padding may follow.
                    let padding = program.left() <= 7 && std::iter::from_fn(|| program.bit()).all(|bit| !bit);
                    return padding.then_some(());
                };
                if program.at != target {
                    return None;
                }
                bits = left;
                before = Before::Jump;
            }
            Instruction::Jump(distance) => {
                if distance > program.left() {
                    return None;
                }
                bits = bits.checked_sub(1)?;
                let target = program.at + distance;
                if targets.last().is_some_and(|(nearest, _)| target >= *nearest) {
                    return None;
                }
                targets.push((target, bits));
                before = Before::Jump;
            }
            Instruction::Match(_, count) => {
                // Of matches in a row, only one may have less than all eight bits.
                let short = count < 8;
                if before == Before::Match && short && short_match {
                    return None;
                }
                short_match = short;
                bits = bits.checked_sub(count)?;
                before = Before::Match;
            }
            Instruction::Default(_) => {
                if before == Before::Default {
                    return None;
                }
                before = Before::Default;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    /// Bits, lowest first, padded.
    fn map(bits: &str) -> Vec<u8> {
        let bits: Vec<u8> = bits.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
        bits.chunks(8).map(|byte| byte.iter().enumerate().map(|(at, bit)| bit << at).sum()).collect()
    }

    /// If the first bit is 1 system 3, otherwise system 2.
    fn halves() -> Vec<u8> {
        // Jump over 17 bits: class of 5 bits, value 0. Return 2 and 3: class of 15 bits, values 1 and 2.
        map("10 0 00000  0 0 000000000000001  0 0 000000000000010")
    }

    #[test]
    fn bits_of_the_address_lead_to_its_system() {
        let map = AsMap::new(halves()).unwrap();
        assert_eq!(map.system(&NetAddr::parse("8000::1").unwrap()), 3);
        assert_eq!(map.system(&NetAddr::parse("2001:4860::1").unwrap()), 2);
        assert_eq!(map.group(&NetAddr::parse("8.8.8.8").unwrap()), [2, 2, 0, 0, 0]);
        let onion = NetAddr::parse("pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion").unwrap();
        assert_eq!((map.system(&onion), map.group(&onion)), (0, onion.group()));
        assert_ne!(map.version(), [0; 32]);
    }

    #[test]
    fn unsound_maps_are_refused() {
        assert_eq!(AsMap::new(Vec::new()), None);
        let sound = halves();
        assert_eq!(AsMap::new(sound[..sound.len() - 1].to_vec()), None);
        assert_eq!(AsMap::new([sound.clone(), vec![0]].concat()), None);
        // A default that is followed by its use at once.
        assert_eq!(AsMap::new(map("111 0 000000000000001  0 0 000000000000001")), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_and_a_sound_map_always_answers(bytes in proptest::collection::vec(any::<u8>(), 0..40), address: u128) {
            if let Some(map) = AsMap::new(bytes) {
                prop_assert!(map.interpret(address).is_some());
            }
        }
    }
}
