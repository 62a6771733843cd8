//! A bounded cursor over a message body, with the error texts of Core's streams.

use thiserror::Error;

/// Largest value that a length prefix may have (Core: `MAX_SIZE`).
pub const MAX_SIZE: u64 = 0x0200_0000;

/// Why a message body is not what it claims to be. The texts are Core's, because its tests look for them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The body is shorter than its own lengths say.
    #[error("DataStream::read(): end of data")]
    EndOfData,
    /// Skipping past the end.
    #[error("DataStream::ignore(): end of data")]
    IgnoreEndOfData,
    /// A length prefix above [`MAX_SIZE`].
    #[error("ReadCompactSize(): size too large")]
    SizeTooLarge,
    /// A length prefix that was not written in its shortest form.
    #[error("non-canonical ReadCompactSize()")]
    NonCanonical,
    /// A string above the limit of its field.
    #[error("String length limit exceeded")]
    StringTooLong,
    /// A byte vector above the limit of its field.
    #[error("Vector length limit exceeded")]
    VectorTooLong,
    /// A BIP 155 address above 512 bytes.
    #[error("Address too long: {0} > 512")]
    AddressTooLong(u64),
    /// A BIP 155 address whose length does not suit its network.
    #[error("BIP155 {network} address with length {length} (should be {expected})")]
    AddressLength {
        /// Core's name of the network.
        network: &'static str,
        /// The length that was sent.
        length: u64,
        /// The length that the network has.
        expected: usize,
    },
    /// A place in a block that does not fit 16 bits.
    #[error("CompactSize exceeds limit of type")]
    CompactLimit,
    /// A compact block with more transactions than 16 bits can number.
    #[error("indexes overflowed 16 bits")]
    IndexOverflow,
    /// Differences that add up to more than 16 bits.
    #[error("differential value overflow")]
    DifferenceOverflow,
    /// A transaction marked as segwit without any witness.
    #[error("Superfluous witness record")]
    SuperfluousWitness,
    /// A transaction with unknown flag bits.
    #[error("Unknown transaction optional data")]
    UnknownTransactionData,
}

/// A cursor that never reads past the end and never allocates more than what is left.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    total: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, total: bytes.len() }
    }

    /// Bytes that were not read yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Bytes that were read.
    #[must_use]
    pub fn position(&self) -> usize {
        self.total - self.rest.len()
    }

    /// Whether everything was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`DecodeError::EndOfData`] when fewer are left.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        if count > self.rest.len() {
            return Err(DecodeError::EndOfData);
        }
        let (head, tail) = self.rest.split_at(count);
        self.rest = tail;
        Ok(head)
    }

    /// Skips `count` bytes.
    ///
    /// # Errors
    /// [`DecodeError::IgnoreEndOfData`] when fewer are left.
    pub fn ignore(&mut self, count: usize) -> Result<(), DecodeError> {
        self.take(count).map(|_| ()).map_err(|_| DecodeError::IgnoreEndOfData)
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// [`DecodeError::EndOfData`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self.take(N)?;
        <[u8; N]>::try_from(bytes).map_err(|_| DecodeError::EndOfData)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`DecodeError::EndOfData`].
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes, big endian (ports).
    ///
    /// # Errors
    /// [`DecodeError::EndOfData`].
    pub fn u16_be(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Two bytes, little endian.
    ///
    /// # Errors
    /// [`DecodeError::EndOfData`].
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Four bytes, little endian.
    ///
    /// # Errors
    /// [`DecodeError::EndOfData`].
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Four bytes, little endian, signed.
    ///
    /// # Errors
    /// [`DecodeError::EndOfData`].
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    /// Eight bytes, little endian.
    ///
    /// # Errors
    /// [`DecodeError::EndOfData`].
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Eight bytes, little endian, signed.
    ///
    /// # Errors
    /// [`DecodeError::EndOfData`].
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// A variable-length integer without a range check (service bits of BIP 155).
    ///
    /// # Errors
    /// End of data, or a form that is not the shortest.
    pub fn compact_unbounded(&mut self) -> Result<u64, DecodeError> {
        let (value, least) = match self.u8()? {
            0xfd => (u64::from(self.u16()?), 0xfd),
            0xfe => (u64::from(self.u32()?), 0x1_0000),
            0xff => (self.u64()?, 0x1_0000_0000),
            small => (u64::from(small), 0),
        };
        if value < least {
            return Err(DecodeError::NonCanonical);
        }
        Ok(value)
    }

    /// A length prefix, at most [`MAX_SIZE`].
    ///
    /// # Errors
    /// As [`Reader::compact_unbounded`], and [`DecodeError::SizeTooLarge`].
    pub fn compact(&mut self) -> Result<u64, DecodeError> {
        let value = self.compact_unbounded()?;
        if value > MAX_SIZE {
            return Err(DecodeError::SizeTooLarge);
        }
        Ok(value)
    }

    /// A length prefix of elements that take at least `least` bytes each, so that a reservation of that many
    /// elements is bounded by the message itself.
    ///
    /// # Errors
    /// As [`Reader::compact`]; [`DecodeError::EndOfData`] when that many cannot follow.
    pub fn count(&mut self, least: usize) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.compact()?).map_err(|_| DecodeError::SizeTooLarge)?;
        if count.saturating_mul(least) > self.rest.len() {
            return Err(DecodeError::EndOfData);
        }
        Ok(count)
    }

    /// A byte vector with its length in front.
    ///
    /// # Errors
    /// As [`Reader::count`].
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let count = self.count(1)?;
        self.take(count)
    }

    /// A byte string of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Reader::bytes`], and [`DecodeError::StringTooLong`].
    pub fn limited_string(&mut self, limit: u64) -> Result<&'a [u8], DecodeError> {
        let length = self.compact()?;
        if length > limit {
            return Err(DecodeError::StringTooLong);
        }
        self.take(usize::try_from(length).map_err(|_| DecodeError::SizeTooLarge)?)
    }
}

/// Appends a variable-length integer in its shortest form.
pub fn put_compact(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=0xfc => out.push(value.to_le_bytes()[0]),
        0xfd..=0xffff => {
            out.push(0xfd);
            out.extend_from_slice(&value.to_le_bytes()[..2]);
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xfe);
            out.extend_from_slice(&value.to_le_bytes()[..4]);
        }
        _ => {
            out.push(0xff);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// Appends a length prefix.
pub fn put_length(out: &mut Vec<u8>, length: usize) {
    put_compact(out, u64::try_from(length).unwrap_or(u64::MAX));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn compact_round_trips(value: u64) {
            let mut bytes = Vec::new();
            put_compact(&mut bytes, value);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.compact_unbounded().unwrap(), value);
            prop_assert!(reader.is_empty());
        }
    }

    #[test]
    fn compact_longer_than_needed_is_refused() {
        assert_eq!(Reader::new(&[0xfd, 0xfc, 0]).compact(), Err(DecodeError::NonCanonical));
        assert_eq!(Reader::new(&[0xfe, 0xff, 0xff, 0, 0]).compact(), Err(DecodeError::NonCanonical));
        assert_eq!(Reader::new(&[0xfe, 0, 0, 0, 3]).compact(), Err(DecodeError::SizeTooLarge));
    }

    #[test]
    fn count_beyond_body_is_refused_before_allocation() {
        assert_eq!(Reader::new(&[0xfe, 0, 0, 0, 1, 7]).count(36), Err(DecodeError::EndOfData));
    }
}
