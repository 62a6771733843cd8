//! Which autonomous system an address belongs to (`-asmap`): a program of bits that reads the bits of an address
//! (Core: `util/asmap.cpp`). No input makes it read beyond its end, and a sound one always answers.

/// Bits of an address.
const ADDRESS_BITS: u32 = 128;

/// The map that is built in (`-asmap` without a file, `exportasmap`); where it comes from: `data/README.md`.
pub static EMBEDDED: &[u8] = include_bytes!("../data/ip_asn.dat");

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

/// The autonomous system that the map says for an address (IPv4 as IPv6, first bit highest); `None`: the map is not sound.
#[must_use]
pub fn interpret(map: &[u8], address: u128) -> Option<u32> {
    let mut program = Program::new(map);
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

/// What was the instruction before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Jump,
    Match,
    Default,
}

/// Whether every address leads to an answer and nothing in the map is superfluous. Follows every path through the program once.
#[must_use]
pub fn is_sound(bytes: &[u8]) -> bool {
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
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Bits, lowest first, padded.
    fn map(bits: &str) -> Vec<u8> {
        let bits: Vec<u8> = bits.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
        bits.chunks(8).map(|byte| byte.iter().enumerate().map(|(at, bit)| bit << at).sum()).collect()
    }

    #[test]
    fn unsound_maps_are_refused() {
        // If the first bit is 1 system 3, otherwise system 2. Jump over 17 bits: class of 5 bits, value 0. Return 2 and 3:
        // class of 15 bits, values 1 and 2.
        let sound = map("10 0 00000  0 0 000000000000001  0 0 000000000000010");
        assert!(is_sound(&sound));
        assert_eq!((interpret(&sound, 0), interpret(&sound, 1 << 127)), (Some(2), Some(3)));
        // A default before eight bits that must match.
        let matches = map("111 0 000000000000001 110 1111111 00100000  0 0 000000000000011");
        assert!(is_sound(&matches));
        assert_eq!((interpret(&matches, 0x20 << 120), interpret(&matches, 0x21 << 120)), (Some(4), Some(2)));
        assert!(!is_sound(&[]));
        assert!(!is_sound(&sound[..sound.len() - 1]));
        assert!(!is_sound(&[sound.clone(), vec![0]].concat()));
        // A default that is followed by its use at once.
        assert!(!is_sound(&map("111 0 000000000000001  0 0 000000000000001")));
    }

    #[test]
    fn the_built_in_map_is_sound_and_knows_the_net() {
        assert!(is_sound(EMBEDDED));
        let v4 = |octets: [u8; 4]| 0xffff_0000_0000 | u128::from(u32::from_be_bytes(octets));
        assert_eq!(interpret(EMBEDDED, v4([8, 8, 8, 8])), Some(15169));
        assert_eq!(interpret(EMBEDDED, v4([1, 1, 1, 1])), Some(13335));
        assert_eq!(interpret(EMBEDDED, v4([9, 9, 9, 9])), Some(19281));
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_and_a_sound_map_always_answers(bytes in proptest::collection::vec(any::<u8>(), 0..40), address: u128) {
            if is_sound(&bytes) {
                prop_assert!(interpret(&bytes, address).is_some());
            }
        }
    }
}
