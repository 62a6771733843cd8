//! BIP173 and BIP350 text, with the location of wrong characters.
//!
//! The location of up to two errors follows from the syndromes of the BCH code over GF(1024); the texts and the order of
//! the checks are Core's (src/bech32.cpp).

const CHARSET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const CHECKSUM_SIZE: usize = 6;
/// Longest valid text.
pub const LIMIT: usize = 90;

/// Which checksum a text has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// BIP173.
    Bech32,
    /// BIP350.
    Bech32m,
}

impl Variant {
    fn constant(self) -> u32 {
        match self {
            Variant::Bech32 => 1,
            Variant::Bech32m => 0x2bc8_30a3,
        }
    }
}

fn polymod(values: impl IntoIterator<Item = u8>) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    values.into_iter().fold(1, |checksum: u32, value| {
        let top = checksum >> 25;
        let shifted = (checksum & 0x01ff_ffff) << 5 ^ u32::from(value);
        GENERATOR.iter().enumerate().filter(|(i, _)| top >> i & 1 == 1).fold(shifted, |sum, (_, k)| sum ^ k)
    })
}

fn expand<'a>(hrp: &'a str, values: &'a [u8]) -> impl Iterator<Item = u8> + 'a {
    let high = hrp.bytes().map(|byte| byte >> 5);
    let low = hrp.bytes().map(|byte| byte & 31);
    high.chain([0]).chain(low).chain(values.iter().copied())
}

/// Text of `values` (5-bit groups) with a lower-case prefix.
pub fn encode(variant: Variant, hrp: &str, values: &[u8]) -> String {
    let residue = polymod(expand(hrp, values).chain([0; CHECKSUM_SIZE])) ^ variant.constant();
    let checksum = (0..CHECKSUM_SIZE).map(|i| (residue >> (5 * (5 - i)) & 31) as u8);
    let data = values.iter().copied().chain(checksum).map(|value| char::from(CHARSET[usize::from(value & 31)]));
    format!("{hrp}1{}", data.collect::<String>())
}

fn bad_characters(text: &str) -> Vec<usize> {
    let (mut lower, mut upper) = (false, false);
    let mut bad = Vec::new();
    for (i, byte) in text.bytes().enumerate() {
        let is_bad = match byte {
            b'a'..=b'z' if upper => true,
            b'A'..=b'Z' if lower => true,
            b'a'..=b'z' => {
                lower = true;
                false
            }
            b'A'..=b'Z' => {
                upper = true;
                false
            }
            _ => !(33..=126).contains(&byte),
        };
        if is_bad {
            bad.push(i);
        }
    }
    bad
}

fn symbol(byte: u8) -> Option<u8> {
    CHARSET.iter().position(|known| *known == byte.to_ascii_lowercase()).map(|i| i as u8)
}

fn separator(text: &str) -> Option<usize> {
    text.rfind('1').filter(|pos| *pos > 0 && pos + CHECKSUM_SIZE < text.len())
}

/// Variant, lower-case prefix and 5-bit groups without checksum.
pub fn decode(text: &str) -> Option<(Variant, String, Vec<u8>)> {
    if text.len() > LIMIT || !bad_characters(text).is_empty() {
        return None;
    }
    let pos = separator(text)?;
    let mut values: Vec<u8> = text.bytes().skip(pos + 1).map(symbol).collect::<Option<_>>()?;
    let hrp = text[..pos].to_ascii_lowercase();
    let residue = polymod(expand(&hrp, &values));
    let variant = [Variant::Bech32, Variant::Bech32m].into_iter().find(|variant| variant.constant() == residue)?;
    values.truncate(values.len() - CHECKSUM_SIZE);
    Some((variant, hrp, values))
}

/// Why a text does not decode and at which byte positions; an empty text means that nothing is wrong.
pub fn locate_errors(text: &str) -> (&'static str, Vec<usize>) {
    if text.len() > LIMIT {
        return ("Bech32 string too long", (LIMIT..text.len()).collect());
    }
    let bad = bad_characters(text);
    if !bad.is_empty() {
        return ("Invalid character or mixed case", bad);
    }
    let Some(last) = text.rfind('1') else { return ("Missing separator", Vec::new()) };
    let Some(pos) = separator(text) else { return ("Invalid separator position", vec![last]) };
    let mut values = Vec::new();
    for (i, byte) in text.bytes().enumerate().skip(pos + 1) {
        match symbol(byte) {
            Some(value) => values.push(value),
            None => return ("Invalid Base 32 character", vec![i]),
        }
    }
    let hrp = text[..pos].to_ascii_lowercase();
    let field = Field::new();
    let mut found: (Option<Variant>, Vec<usize>) = (None, Vec::new());
    for variant in [Variant::Bech32, Variant::Bech32m] {
        let residue = polymod(expand(&hrp, &values)) ^ variant.constant();
        if residue == 0 {
            return ("", Vec::new());
        }
        let mut positions: Vec<usize> =
            field.error_positions(residue, values.len()).into_iter().map(|p| text.len() - p - 1).collect();
        positions.sort_unstable();
        if found.1.is_empty() || (!positions.is_empty() && positions.len() < found.1.len()) {
            if !positions.is_empty() {
                found.0 = Some(variant);
            }
            found.1 = positions;
        }
    }
    let message = match found.0 {
        Some(Variant::Bech32) => "Invalid Bech32 checksum",
        Some(Variant::Bech32m) => "Invalid Bech32m checksum",
        None => "Invalid checksum",
    };
    (message, found.1)
}

/// GF(1024) as the quadratic extension of GF(32) by e^2 = 9e + 23; e is primitive.
struct Field {
    exp: [u16; 1023],
    log: [u16; 1024],
}

/// Order of the multiplicative group.
const ORDER: usize = 1023;

impl Field {
    fn new() -> Self {
        // GF(32) with a^5 = a^3 + 1.
        let multiply = |mut a: u16, mut b: u16| {
            let mut product = 0;
            while b != 0 {
                if b & 1 == 1 {
                    product ^= a;
                }
                a <<= 1;
                if a & 32 != 0 {
                    a ^= 0b10_1001;
                }
                b >>= 1;
            }
            product
        };
        let mut field = Field { exp: [0; 1023], log: [0; 1024] };
        let mut power: u16 = 1;
        for i in 0..ORDER {
            field.exp[i] = power;
            field.log[usize::from(power)] = i as u16;
            // Multiply by e: low is the constant part, high the coefficient of e.
            let (low, high) = (power & 31, power >> 5);
            power = (multiply(high, 9) ^ low) << 5 | multiply(high, 23);
        }
        field
    }

    fn log(&self, value: u16) -> usize {
        usize::from(self.log[usize::from(value)])
    }

    /// value * e^power
    fn shift(&self, value: u16, power: usize) -> u16 {
        if value == 0 { 0 } else { self.exp[(self.log(value) + power) % ORDER] }
    }

    fn syndrome(&self, residue: u32, j: usize) -> u16 {
        (0..CHECKSUM_SIZE).fold(0, |sum, k| sum ^ self.shift((residue >> (5 * k) & 31) as u16, j * k))
    }

    /// Positions (from the right) of one or two wrong symbols, or nothing if there are more.
    fn error_positions(&self, residue: u32, length: usize) -> Vec<usize> {
        let s = [997, 998, 999].map(|j| self.syndrome(residue, j));
        if s.iter().all(|s| *s != 0) {
            let [l0, l1, l2] = s.map(|s| self.log(s));
            if (2 * l1 + 2 * ORDER - l2 - l0).is_multiple_of(ORDER) {
                let p = (l1 + ORDER - l0) % ORDER;
                let value_log = l0 + (ORDER - 997) * p;
                return if p < length && value_log.is_multiple_of(33) { vec![p] } else { Vec::new() };
            }
        }
        (0..length).find_map(|p1| self.second_error(s, p1, length).map(|p2| vec![p1, p2])).unwrap_or_default()
    }

    fn second_error(&self, s: [u16; 3], p1: usize, length: usize) -> Option<usize> {
        let nonzero = |value: u16| (value != 0).then_some(value);
        let upper = self.log(nonzero(s[2] ^ self.shift(s[1], p1))?);
        let lower = self.log(nonzero(s[1] ^ self.shift(s[0], p1))?);
        let p2 = (upper + ORDER - lower) % ORDER;
        if p2 >= length || p1 == p2 {
            return None;
        }
        let other = self.log(nonzero(s[1] ^ self.shift(s[0], p2))?);
        let inverse = ORDER - self.log(self.exp[p1] ^ self.exp[p2]);
        let in_gf32 = |log: usize| log.is_multiple_of(33);
        let value_2 = lower + inverse + (ORDER - 997) * p2;
        let value_1 = other + inverse + (ORDER - 997) * p1;
        (in_gf32(value_2) && in_gf32(value_1)).then_some(p2)
    }
}

/// Regroups 8-bit bytes into 5-bit groups, zero padded.
pub fn to_groups(bytes: &[u8]) -> Vec<u8> {
    let (mut buffer, mut bits, mut groups) = (0u32, 0, Vec::with_capacity(bytes.len() * 8 / 5 + 1));
    for byte in bytes {
        buffer = buffer << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            groups.push((buffer >> bits & 31) as u8);
        }
        buffer &= (1 << bits) - 1;
    }
    if bits > 0 {
        groups.push((buffer << (5 - bits) & 31) as u8);
    }
    groups
}

/// Regroups 5-bit groups into bytes; refuses padding that is longer than 4 bits or not zero.
pub fn from_groups(groups: &[u8]) -> Option<Vec<u8>> {
    let (mut buffer, mut bits, mut bytes) = (0u32, 0, Vec::with_capacity(groups.len() * 5 / 8));
    for group in groups {
        buffer = buffer << 5 | u32::from(*group);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits) as u8);
            buffer &= (1 << bits) - 1;
        }
    }
    (bits < 5 && buffer == 0).then_some(bytes)
}
