//! The serialization that Core uses for records: little-endian integers, compact sizes, vectors and strings
//! with a compact size in front (src/serialize.h).

use thiserror::Error;

/// Why bytes are not a record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CodecError {
    /// The bytes end too early.
    #[error("end of data")]
    End,
    /// Bytes are left over.
    #[error("{0} surplus bytes")]
    Surplus(usize),
    /// A compact size is not in its shortest form.
    #[error("non-canonical compact size")]
    NonCanonical,
    /// A text is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A value is outside its domain.
    #[error("{0}")]
    Invalid(&'static str),
}

/// Reads from a slice; never allocates more than the slice holds.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(CodecError::End)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next bytes as an array.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(CodecError::End)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// # Errors
    /// Nothing is left.
    #[doc(hidden)]
    pub fn u8(&mut self) -> Result<u8, CodecError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A 32-bit integer, little-endian.
    ///
    /// # Errors
    /// Fewer than 4 bytes are left.
    pub fn u32(&mut self) -> Result<u32, CodecError> {
        self.array().map(u32::from_le_bytes)
    }

    /// A signed 32-bit integer, little-endian.
    ///
    /// # Errors
    /// Fewer than 4 bytes are left.
    pub fn i32(&mut self) -> Result<i32, CodecError> {
        self.array().map(i32::from_le_bytes)
    }

    /// A 64-bit integer, little-endian.
    ///
    /// # Errors
    /// Fewer than 8 bytes are left.
    pub fn u64(&mut self) -> Result<u64, CodecError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A signed 64-bit integer, little-endian.
    ///
    /// # Errors
    /// Fewer than 8 bytes are left.
    pub fn i64(&mut self) -> Result<i64, CodecError> {
        self.array().map(i64::from_le_bytes)
    }

    /// A length in Core's compact form.
    ///
    /// # Errors
    /// End of data, or not the shortest form.
    pub fn compact_size(&mut self) -> Result<u64, CodecError> {
        let (value, least) = match self.u8()? {
            253 => (u64::from(u16::from_le_bytes(self.array()?)), 253),
            254 => (u64::from(self.u32()?), 0x1_0000),
            255 => (self.u64()?, 0x1_0000_0000),
            small => return Ok(u64::from(small)),
        };
        if value < least { Err(CodecError::NonCanonical) } else { Ok(value) }
    }

    /// A byte vector with its length in front.
    ///
    /// # Errors
    /// See [`Reader::compact_size`]; the vector is longer than the data.
    pub fn vector(&mut self) -> Result<&'a [u8], CodecError> {
        let length = usize::try_from(self.compact_size()?).map_err(|_| CodecError::End)?;
        self.bytes(length)
    }

    /// A text with its length in front.
    ///
    /// # Errors
    /// See [`Reader::vector`]; not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, CodecError> {
        core::str::from_utf8(self.vector()?).map_err(|_| CodecError::NotUtf8)
    }

    /// Succeeds when everything was read.
    ///
    /// # Errors
    /// Bytes are left over.
    pub fn finish(self) -> Result<(), CodecError> {
        if self.rest.is_empty() { Ok(()) } else { Err(CodecError::Surplus(self.rest.len())) }
    }
}

/// Appends in Core's form.
pub trait Write {
    /// A length in Core's compact form.
    fn compact_size(&mut self, value: usize);
    /// A byte vector with its length in front.
    fn vector(&mut self, bytes: &[u8]);
    /// A text with its length in front.
    fn text(&mut self, text: &str) {
        self.vector(text.as_bytes());
    }
}

impl Write for Vec<u8> {
    fn compact_size(&mut self, value: usize) {
        match u64::try_from(value).unwrap_or(u64::MAX) {
            small @ 0..253 => self.push(small.to_le_bytes()[0]),
            medium @ 253..0x1_0000 => {
                self.push(253);
                self.extend_from_slice(&medium.to_le_bytes()[..2]);
            }
            large @ 0x1_0000..0x1_0000_0000 => {
                self.push(254);
                self.extend_from_slice(&large.to_le_bytes()[..4]);
            }
            huge => {
                self.push(255);
                self.extend_from_slice(&huge.to_le_bytes());
            }
        }
    }

    fn vector(&mut self, bytes: &[u8]) {
        self.compact_size(bytes.len());
        self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn compact_sizes_round_trip_and_are_canonical() {
        for value in [0, 1, 252, 253, 254, 255, 256, 65_535, 65_536, 4_000_000] {
            let mut bytes = Vec::new();
            bytes.compact_size(value);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.compact_size().unwrap(), value as u64);
            reader.finish().unwrap();
        }
        assert_eq!(Reader::new(&[253, 1, 0]).compact_size(), Err(CodecError::NonCanonical));
        assert_eq!(Reader::new(&[254, 1, 0, 0, 0]).compact_size(), Err(CodecError::NonCanonical));
    }

    #[test]
    fn a_vector_longer_than_the_data_is_an_error() {
        assert_eq!(Reader::new(&[255, 255, 255, 255, 255, 255, 255, 255, 255]).vector(), Err(CodecError::End));
        assert_eq!(Reader::new(&[3, 1, 2]).vector(), Err(CodecError::End));
        assert_eq!(Reader::new(&[2, 0xff, 0xfe]).text(), Err(CodecError::NotUtf8));
        let mut reader = Reader::new(&[1, 2, 3]);
        reader.u8().unwrap();
        assert_eq!(reader.finish(), Err(CodecError::Surplus(2)));
    }
}
