//! Changes to an input: blind ones, ones that know words of Cap'n Proto, and ones that try what the code compared.

/// Longest input that is made, unless a seed is longer.
pub const LONGEST: usize = 64 * 1024;

/// xorshift64: the same sequence from the same seed, so that a run can be repeated.
pub struct Random(u64);

impl Random {
    /// Starts a sequence.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`; 0 when that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.number() % bound.max(1) as u64).unwrap_or(0)
    }
}

/// Two values that the code compared and found unequal, and their size in bytes.
pub type Comparison = (u64, u64, usize);

const BYTES: [u8; 8] = [0, 1, 0x7f, 0x80, 0xfc, 0xfd, 0xfe, 0xff];
const NUMBERS: [u64; 12] = [
    0,
    1,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x0200_0000,
    0x0200_0001,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
    2_100_000_000_000_000,
    2_100_000_000_000_001,
];

/// A changed copy of `seed`. `other` is another input to take pieces from.
#[must_use]
pub fn mutate(seed: &[u8], other: &[u8], compared: &[Comparison], random: &mut Random) -> Vec<u8> {
    let longest = LONGEST.max(seed.len());
    let mut data = seed.to_vec();
    for _ in 0..=random.below(4) {
        one(&mut data, other, compared, random);
    }
    data.truncate(longest);
    data
}

fn one(data: &mut Vec<u8>, other: &[u8], compared: &[Comparison], random: &mut Random) {
    let length = data.len();
    let at = random.below(length);
    match random.below(14) {
        0 if length > 0 => data[at] ^= 1 << random.below(8),
        1 if length > 0 => data[at] = BYTES[random.below(BYTES.len())],
        2 if length > 0 => data[at] = data[at].wrapping_add(random.number().to_le_bytes()[0] % 32).wrapping_sub(16),
        3 => data.truncate(random.below(length + 1)),
        4 => data.insert(random.below(length + 1), random.number().to_le_bytes()[0]),
        5 if length > 0 => {
            let end = (at + 1 + random.below(16)).min(length);
            data.drain(at..end);
        }
        6 if length > 0 => {
            let end = (at + random.below(64)).min(length);
            let piece = data[at..end].to_vec();
            let to = random.below(length + 1);
            data.splice(to..to, piece);
        }
        7 => number(data, NUMBERS[random.below(NUMBERS.len())], 1 << random.below(4), random),
        8 => {
            let value = random.number();
            number(data, value, 1 << random.below(4), random);
        }
        9 => word(data, random),
        10 if !other.is_empty() => {
            let from = random.below(other.len());
            let end = (from + 1 + random.below(64)).min(other.len());
            let to = random.below(length + 1);
            data.splice(to..to, other[from..end].iter().copied());
        }
        11 if !other.is_empty() => {
            data.truncate(at);
            data.extend_from_slice(&other[random.below(other.len())..]);
        }
        _ if !compared.is_empty() => {
            let (found, wanted, size) = compared[random.below(compared.len())];
            answer(data, found, wanted, size, random);
        }
        _ => data.extend_from_slice(&random.number().to_le_bytes()),
    }
}

/// Writes a number of `size` bytes over the data, in either order of bytes.
fn number(data: &mut [u8], value: u64, size: usize, random: &mut Random) {
    if data.len() < size {
        return;
    }
    let at = random.below(data.len() - size + 1);
    data[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
    if random.below(2) == 0 {
        data[at..at + size].reverse();
    }
}

/// Cap'n Proto's unit is a word of 8 bytes: copies one over another (two pointers to the same bytes), moves where a
/// pointer points, or changes the size that it claims.
fn word(data: &mut [u8], random: &mut Random) {
    let words = data.len() / 8;
    if words < 2 {
        return;
    }
    let (from, to) = (random.below(words) * 8, random.below(words) * 8);
    match random.below(3) {
        0 => data.copy_within(from..from + 8, to),
        1 => data[to] = data[to].wrapping_add(4 * (1 + random.number().to_le_bytes()[0] % 8)),
        _ => data[to + 4 + random.below(4)] = random.number().to_le_bytes()[0],
    }
}

/// Puts `wanted` where the data holds `found`, as the code that compared them would have liked.
fn answer(data: &mut [u8], found: u64, wanted: u64, size: usize, random: &mut Random) {
    let (mut find, mut put) = (found.to_le_bytes()[..size].to_vec(), wanted.to_le_bytes()[..size].to_vec());
    if random.below(2) == 0 {
        std::mem::swap(&mut find, &mut put);
    }
    if random.below(4) == 0 {
        find.reverse();
        put.reverse();
    }
    if data.len() < size {
        return;
    }
    let start = random.below(data.len() - size + 1);
    let places = (start..=data.len() - size).chain(0..start);
    for place in places {
        if data[place..place + size] == find[..] {
            data[place..place + size].copy_from_slice(&put);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_compared_is_put_where_it_was_found() {
        let mut random = Random::new(1);
        let made = (0..200).any(|_| {
            let mut data = b"..ABCD..".to_vec();
            answer(&mut data, u64::from(u32::from_le_bytes(*b"ABCD")), u64::from(u32::from_le_bytes(*b"WXYZ")), 4, &mut random);
            data == b"..WXYZ.."
        });
        assert!(made);
    }

    #[test]
    fn inputs_of_any_size_are_changed_and_stay_bounded() {
        let mut random = Random::new(7);
        for length in [0, 1, 7, 8, 9, 100] {
            let seed = vec![5; length];
            for _ in 0..2000 {
                let data = mutate(&seed, &seed, &[(5, 6, 1), (5, 6, 8)], &mut random);
                assert!(data.len() <= LONGEST);
            }
        }
    }
}
