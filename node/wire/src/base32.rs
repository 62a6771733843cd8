//! RFC 4648 base32 in lower case, for onion and I2P names.

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Encodes, with or without `=` padding.
pub(crate) fn encode(bytes: &[u8], pad: bool) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(5) {
        let mut group = [0u8; 5];
        group[..chunk.len()].copy_from_slice(chunk);
        let value = group.iter().fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
        let used = (chunk.len() * 8).div_ceil(5);
        for index in 0..8 {
            if index < used {
                let digit = usize::try_from((value >> (35 - 5 * index)) & 31).unwrap_or(0);
                out.push(char::from(ALPHABET[digit]));
            } else if pad {
                out.push('=');
            }
        }
    }
    out
}

/// Decodes text without padding; any case. `None` for other letters or left-over bits.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut bits = 0u32;
    let mut held = 0u32;
    for letter in text.bytes() {
        let letter = letter.to_ascii_lowercase();
        let digit = ALPHABET.iter().position(|known| *known == letter)?;
        bits = (bits << 5) | u32::try_from(digit).ok()?;
        held += 5;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from((bits >> held) & 0xff).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    (bits == 0 && held < 5).then_some(out)
}
