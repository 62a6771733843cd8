//! Bounded reading and Core's compact encodings (`serialize.h` VARINT, `compressor.cpp`).

use bitcoin::hashes::Hash;
use bitcoin::secp256k1::PublicKey;
use bitcoin::{Amount, PubkeyHash, ScriptBuf, ScriptHash, TxOut};
use bulkhead_planted::{Fault, planted};

/// A stored value that cannot be read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The value ends too early.
    #[error("value ends too early")]
    Truncated,
    /// Bytes are left over.
    #[error("value has trailing bytes")]
    Trailing,
    /// A number does not fit its type.
    #[error("number is too large")]
    Overflow,
    /// A count is larger than what can follow it.
    #[error("count is larger than the value")]
    Count,
    /// A compressed public key is not on the curve.
    #[error("compressed public key is invalid")]
    PublicKey,
    /// The value was written by an unknown version.
    #[error("unknown version {0}")]
    Version(u8),
}

/// Scripts longer than this can never be spent; Core stores them but replaces them when it reads.
const MAX_SCRIPT_SIZE: usize = 10_000;
const SPECIAL_SCRIPTS: u64 = 6;
const MAX_COMPACT_SIZE: u64 = 0x0200_0000;

/// Reads from a byte slice.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(CodecError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(CodecError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, CodecError> {
        self.array::<1>().map(|bytes| bytes[0])
    }

    /// Four bytes, little endian.
    pub fn u32(&mut self) -> Result<u32, CodecError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Core's VARINT.
    pub fn varint(&mut self) -> Result<u64, CodecError> {
        let mut value = 0u64;
        loop {
            let byte = self.byte()?;
            if value > u64::MAX >> 7 {
                return Err(CodecError::Overflow);
            }
            value = value << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            value = value.checked_add(1).ok_or(CodecError::Overflow)?;
        }
    }

    /// A VARINT that must fit 32 bits.
    pub fn varint_u32(&mut self) -> Result<u32, CodecError> {
        u32::try_from(self.varint()?).map_err(|_| CodecError::Overflow)
    }

    /// CompactSize in its shortest form, at most 0x02000000 (Core: `ReadCompactSize` with its range check).
    pub fn compact_size(&mut self) -> Result<u64, CodecError> {
        let (value, shortest) = match self.byte()? {
            0xfd => (u64::from(u16::from_le_bytes(self.array()?)), 0xfd),
            0xfe => (u64::from(self.u32()?), 0x1_0000),
            0xff => (u64::from_le_bytes(self.array()?), 0x1_0000_0000),
            small => (u64::from(small), 0),
        };
        if value < shortest || value > MAX_COMPACT_SIZE { Err(CodecError::Overflow) } else { Ok(value) }
    }

    /// CompactSize, as on the network; not larger than the bytes that are left (each item takes at least one).
    pub fn count(&mut self) -> Result<usize, CodecError> {
        let first = self.byte()?;
        let value = match first {
            0xfd => u64::from(u16::from_le_bytes(self.array()?)),
            0xfe => u64::from(self.u32()?),
            0xff => u64::from_le_bytes(self.array()?),
            small => u64::from(small),
        };
        let fits = |count: &usize| *count <= self.remaining() || planted(Fault::CountUnbounded);
        usize::try_from(value).ok().filter(fits).ok_or(CodecError::Count)
    }

    /// Core's compressed output.
    pub fn tx_out(&mut self) -> Result<TxOut, CodecError> {
        let value = decompress_amount(self.varint()?);
        Ok(TxOut { value: Amount::from_sat(value), script_pubkey: self.script()? })
    }

    fn script(&mut self) -> Result<ScriptBuf, CodecError> {
        let code = self.varint()?;
        match code {
            0 => Ok(ScriptBuf::new_p2pkh(&PubkeyHash::from_byte_array(self.array()?))),
            1 => Ok(ScriptBuf::new_p2sh(&ScriptHash::from_byte_array(self.array()?))),
            2..=5 => self.key_script(code as u8),
            _ => {
                let size = usize::try_from(code - SPECIAL_SCRIPTS).map_err(|_| CodecError::Overflow)?;
                let bytes = self.take(size)?;
                let unspendable = size > MAX_SCRIPT_SIZE;
                Ok(ScriptBuf::from_bytes(if unspendable { vec![0x6a] } else { bytes.to_vec() }))
            }
        }
    }

    fn key_script(&mut self, code: u8) -> Result<ScriptBuf, CodecError> {
        let mut key = [0u8; 33];
        key[0] = if code < 4 { code } else { code - 2 };
        key[1..].copy_from_slice(self.take(32)?);
        let mut script = Vec::with_capacity(67);
        if code < 4 {
            script.push(33);
            script.extend_from_slice(&key);
        } else {
            let full = PublicKey::from_slice(&key).map_err(|_| CodecError::PublicKey)?.serialize_uncompressed();
            script.push(65);
            script.extend_from_slice(&full);
        }
        script.push(0xac);
        Ok(ScriptBuf::from_bytes(script))
    }

    /// Fails unless everything was read.
    pub fn finish(self) -> Result<(), CodecError> {
        if self.rest.is_empty() { Ok(()) } else { Err(CodecError::Trailing) }
    }
}

/// Appends Core's VARINT.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    let mut bytes = [0u8; 10];
    let mut at = bytes.len();
    let mut more = 0;
    loop {
        at -= 1;
        bytes[at] = (value & 0x7f) as u8 | more; // seven bits
        if value <= 0x7f {
            break;
        }
        value = (value >> 7) - 1;
        more = 0x80;
    }
    out.extend_from_slice(&bytes[at..]);
}

/// Appends a CompactSize.
pub fn put_count(out: &mut Vec<u8>, count: usize) {
    match count {
        0..=0xfc => out.push(count as u8),
        0xfd..=0xffff => {
            out.push(0xfd);
            out.extend_from_slice(&(count as u16).to_le_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xfe);
            out.extend_from_slice(&(count as u32).to_le_bytes());
        }
        _ => {
            out.push(0xff);
            out.extend_from_slice(&(count as u64).to_le_bytes());
        }
    }
}

/// Appends Core's compressed output.
pub fn put_tx_out(out: &mut Vec<u8>, output: &TxOut) {
    put_varint(out, compress_amount(output.value.to_sat()));
    let script = output.script_pubkey.as_bytes();
    if output.script_pubkey.is_p2pkh() {
        out.push(0);
        out.extend_from_slice(&script[3..23]);
    } else if output.script_pubkey.is_p2sh() {
        out.push(1);
        out.extend_from_slice(&script[2..22]);
    } else if let Some((code, key)) = compressible_key(script) {
        out.push(code);
        out.extend_from_slice(key);
    } else {
        put_varint(out, script.len() as u64 + SPECIAL_SCRIPTS);
        out.extend_from_slice(script);
    }
}

/// Code and x coordinate of a script that pays to one public key.
fn compressible_key(script: &[u8]) -> Option<(u8, &[u8])> {
    match script {
        [33, sign @ (2 | 3), x @ .., 0xac] if x.len() == 32 => Some((*sign, x)),
        [65, 4, xy @ .., 0xac] if xy.len() == 64 => {
            PublicKey::from_slice(&script[1..66]).ok()?;
            Some((4 | (xy[63] & 1), &xy[..32]))
        }
        _ => None,
    }
}

/// Core's `CompressAmount`. Far above all money the arithmetic wraps, as Core's does: such an amount is in no valid coin, but
/// a damaged record may hold it, and what it is compressed to means another amount then.
pub fn compress_amount(satoshi: u64) -> u64 {
    if satoshi == 0 {
        return 0;
    }
    let mut rest = satoshi;
    let mut exponent = 0;
    while rest.is_multiple_of(10) && exponent < 9 {
        rest /= 10;
        exponent += 1;
    }
    if exponent < 9 {
        // The last digit is not 0 here.
        let mantissa = (rest / 10).wrapping_mul(9).wrapping_add(rest % 10 - 1);
        mantissa.wrapping_mul(10).wrapping_add(1 + exponent)
    } else {
        (rest - 1).wrapping_mul(10).wrapping_add(1 + 9)
    }
}

/// Core's `DecompressAmount`; wraps for numbers that no amount compresses to.
pub fn decompress_amount(code: u64) -> u64 {
    if code == 0 {
        return 0;
    }
    let code = code - 1;
    let exponent = code % 10;
    let rest = code / 10;
    let base = if exponent < 9 { (rest / 9).wrapping_mul(10).wrapping_add(rest % 9 + 1) } else { rest.wrapping_add(1) };
    (0..exponent).fold(base, |value, _| value.wrapping_mul(10))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn varints_are_core_s() {
        for (value, bytes) in [
            (0u64, vec![0u8]),
            (0x7f, vec![0x7f]),
            (0x80, vec![0x80, 0]),
            (0x1234, vec![0xa3, 0x34]),
            (0xffff, vec![0x82, 0xfe, 0x7f]),
        ] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(Reader::new(&out).varint(), Ok(value));
        }
        let mut out = Vec::new();
        put_varint(&mut out, u64::MAX);
        assert_eq!(Reader::new(&out).varint(), Ok(u64::MAX));
        assert_eq!(Reader::new(&[0xff; 12]).varint(), Err(CodecError::Overflow));
        assert_eq!(Reader::new(&[0x80]).varint(), Err(CodecError::Truncated));
    }

    #[test]
    fn amounts_compress_to_core_s_numbers() {
        for (amount, code) in
            [(0, 0), (1, 1), (1_000_000, 7), (100_000_000, 9), (5_000_000_000, 0x32), (2_100_000_000_000_000, 0x1406f40)]
        {
            assert_eq!(compress_amount(amount), code);
            assert_eq!(decompress_amount(code), amount);
        }
        for amount in (0..100_000).chain([123_456_789_012_345]) {
            assert_eq!(decompress_amount(compress_amount(amount)), amount);
        }
    }

    /// What Core's unsigned 64-bit arithmetic gives. Fails where overflow is checked: `cargo test` without `--release`.
    #[test]
    fn amounts_far_above_all_money_wrap_as_core_s_do() {
        for (amount, code, back) in [
            (u64::MAX, 18_446_744_073_709_551_603, 2_049_638_230_412_172_324),
            (1 << 63, 9_223_372_036_854_775_807, 10_248_191_152_060_973_120),
            (u64::MAX - 5, 16_602_069_666_338_596_442, u64::MAX - 5),
            (10_000_000_000_000_000_000, 100_000_000_000, 10_000_000_000_000_000_000),
        ] {
            assert_eq!(compress_amount(amount), code);
            assert_eq!(decompress_amount(code), back);
        }
        assert_eq!(decompress_amount(u64::MAX), 2_049_638_230_412_174_624);
    }

    #[test]
    fn outputs_come_back_as_they_were() {
        let key = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";
        let scripts = [
            String::new(),
            format!("76a914{}88ac", "11".repeat(20)),
            format!("a914{}87", "22".repeat(20)),
            format!("21{}{}ac", "02", &key[..64]),
            format!("4104{key}ac"),
            format!("4104{}ac", "11".repeat(64)),
            format!("5120{}", "33".repeat(32)),
            "6a".repeat(200),
        ];
        let sizes = [2, 22, 22, 34, 34, 69, 36, 203];
        for (hex, size) in scripts.iter().zip(sizes) {
            let output = TxOut { value: Amount::from_sat(100_000_000), script_pubkey: ScriptBuf::from_hex(hex).unwrap() };
            let mut bytes = Vec::new();
            put_tx_out(&mut bytes, &output);
            assert_eq!(bytes.len(), size, "{hex}");
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.tx_out().unwrap(), output);
            reader.finish().unwrap();
        }
    }
}
