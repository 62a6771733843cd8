//! Numbers on the stack: little endian, sign in the highest bit (Core: `CScriptNum`).

use crate::ScriptError;

/// Bytes that operands of arithmetic may have.
pub const DEFAULT_SIZE: usize = 4;
/// Bytes that lock times may have, so that they last beyond the year 2038.
pub const LOCK_TIME_SIZE: usize = 5;

/// Reads a number of at most `size` bytes; `minimal`: it must have no superfluous byte.
pub fn decode(bytes: &[u8], minimal: bool, size: usize) -> Result<i64, ScriptError> {
    if bytes.len() > size.min(8) {
        return Err(ScriptError::ScriptNum);
    }
    let Some(last) = bytes.last() else { return Ok(0) };
    // The highest byte may only be there for its sign bit when the next one's highest bit is taken.
    let needs_sign_byte = bytes.len() > 1 && bytes[bytes.len() - 2] & 0x80 != 0;
    if minimal && last & 0x7f == 0 && !needs_sign_byte {
        return Err(ScriptError::ScriptNum);
    }
    let magnitude = bytes[..bytes.len() - 1].iter().rev().fold(i64::from(last & 0x7f), |sum, byte| sum << 8 | i64::from(*byte));
    Ok(if last & 0x80 != 0 { -magnitude } else { magnitude })
}

/// Writes a number in the shortest way.
pub fn encode(value: i64) -> Vec<u8> {
    let mut bytes: Vec<u8> = value.unsigned_abs().to_le_bytes().to_vec();
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    let negative = value < 0;
    match bytes.last_mut() {
        Some(last) if *last & 0x80 == 0 => *last |= u8::from(negative) << 7,
        Some(_) => bytes.push(u8::from(negative) << 7),
        None => {}
    }
    bytes
}

/// Whether an element counts as true: not zero, and not negative zero (Core: `CastToBool`).
pub fn is_true(bytes: &[u8]) -> bool {
    match bytes.split_last() {
        None => false,
        Some((last, rest)) => rest.iter().any(|byte| *byte != 0) || !matches!(last, 0 | 0x80),
    }
}

/// The element for a boolean.
pub fn from_bool(value: bool) -> Vec<u8> {
    if value { vec![1] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_read_back_and_are_minimal() {
        for value in [0, 1, -1, 16, 127, 128, -128, 255, -255, 256, 32_767, -32_768, 0x7fff_ffff, -0x7fff_ffff, 1 << 38] {
            let bytes = encode(value);
            assert_eq!(decode(&bytes, true, 5).unwrap(), value);
        }
        assert_eq!(encode(-255), [0xff, 0x80]);
    }

    #[test]
    fn superfluous_bytes_and_overlong_numbers_are_refused() {
        assert_eq!(decode(&[0x80], true, 4), Err(ScriptError::ScriptNum));
        assert_eq!(decode(&[1, 0], true, 4), Err(ScriptError::ScriptNum));
        assert_eq!(decode(&[1, 0], false, 4), Ok(1));
        assert_eq!(decode(&[0xff, 0], true, 4), Ok(255));
        assert_eq!(decode(&[0; 5], false, 4), Err(ScriptError::ScriptNum));
        assert!(!is_true(&[0, 0x80]) && is_true(&[0x80, 0]) && !is_true(&[]));
    }
}
