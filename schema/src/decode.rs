//! Reading values that another process sent: bound first, allocate later, take everything or fail.

use thiserror::Error;

/// Why a value of another process was not accepted.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// A field of fixed size has another size.
    #[error("{field}: {found} bytes instead of {expected}")]
    Size {
        /// Name of the field.
        field: &'static str,
        /// Bytes that it must have.
        expected: usize,
        /// Bytes that it has.
        found: usize,
    },
    /// A blob or text is longer than its bound.
    #[error("{field}: {found} bytes, the limit is {limit}")]
    TooLong {
        /// Name of the field.
        field: &'static str,
        /// Largest accepted length in bytes.
        limit: usize,
        /// Length in bytes that was found.
        found: usize,
    },
    /// No block has this height.
    #[error("{field}: {found} is no height of a block")]
    Height {
        /// Name of the field.
        field: &'static str,
        /// What was found.
        found: i32,
    },
    /// A list has more elements than its bound.
    #[error("{field}: {found} elements, the limit is {limit}")]
    TooMany {
        /// Name of the field.
        field: &'static str,
        /// Largest accepted number of elements.
        limit: u32,
        /// Number of elements that was found.
        found: u32,
    },
    /// A text is not UTF-8.
    #[error("{field}: not UTF-8")]
    NotUtf8 {
        /// Name of the field.
        field: &'static str,
    },
    /// A number is outside its range.
    #[error("{field}: {found} is out of range")]
    OutOfRange {
        /// Name of the field.
        field: &'static str,
        /// The number that was found.
        found: i64,
    },
    /// The message itself is malformed.
    #[error("malformed message: {0}")]
    Message(#[from] capnp::Error),
    /// A union or enum has a value that this version does not know.
    #[error("{0}")]
    Unknown(#[from] capnp::NotInSchema),
}

/// Exactly 32 bytes: a block hash, txid or wtxid in internal order.
pub fn hash32(field: &'static str, data: &[u8]) -> Result<[u8; 32], DecodeError> {
    data.try_into().map_err(|_| DecodeError::Size { field, expected: 32, found: data.len() })
}

/// A blob of at most `limit` bytes, not yet copied.
pub fn data<'a>(field: &'static str, data: &'a [u8], limit: usize) -> Result<&'a [u8], DecodeError> {
    if data.len() > limit {
        return Err(DecodeError::TooLong { field, limit, found: data.len() });
    }
    Ok(data)
}

/// A text of at most `limit` bytes, not yet copied.
pub fn text<'a>(field: &'static str, reader: capnp::text::Reader<'a>, limit: usize) -> Result<&'a str, DecodeError> {
    let bytes = data(field, reader.as_bytes(), limit)?;
    core::str::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8 { field })
}

/// The length of a list, when it is at most `limit`.
pub fn count(field: &'static str, found: u32, limit: u32) -> Result<usize, DecodeError> {
    if found > limit {
        return Err(DecodeError::TooMany { field, limit, found });
    }
    usize::try_from(found).map_err(|_| DecodeError::TooMany { field, limit, found })
}

/// Highest block that anybody believes in: there will be 1,900 years of blocks before it. Heights are computed with, and nobody shall
/// have to think of overflows.
pub const MAX_HEIGHT: i32 = 100_000_000;

/// The height of a block; -1 stands for no block.
///
/// # Errors
/// [`DecodeError::Height`].
pub fn height(field: &'static str, found: i32) -> Result<i32, DecodeError> {
    if (-1..=MAX_HEIGHT).contains(&found) { Ok(found) } else { Err(DecodeError::Height { field, found }) }
}

/// A list of texts: at most `limit` of at most `each` bytes.
pub fn texts(
    field: &'static str,
    list: capnp::text_list::Reader<'_>,
    limit: u32,
    each: usize,
) -> Result<Vec<String>, DecodeError> {
    let mut texts = Vec::with_capacity(count(field, list.len(), limit)?);
    for item in list.iter() {
        texts.push(text(field, item?, each)?.to_owned());
    }
    Ok(texts)
}

/// A list of blobs: at most `limit` of at most `each` bytes.
pub fn blobs(
    field: &'static str,
    list: capnp::data_list::Reader<'_>,
    limit: u32,
    each: usize,
) -> Result<Vec<Vec<u8>>, DecodeError> {
    let mut blobs = Vec::with_capacity(count(field, list.len(), limit)?);
    for item in list.iter() {
        blobs.push(data(field, item?, each)?.to_vec());
    }
    Ok(blobs)
}

/// A list of hashes of 32 bytes, at most `limit`.
pub fn hashes(field: &'static str, list: capnp::data_list::Reader<'_>, limit: u32) -> Result<Vec<[u8; 32]>, DecodeError> {
    let mut hashes = Vec::with_capacity(count(field, list.len(), limit)?);
    for item in list.iter() {
        hashes.push(hash32(field, item?)?);
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn hash32_takes_32_bytes_and_nothing_else() {
        assert_eq!(hash32("hash", &[7; 32]).unwrap(), [7; 32]);
        assert!(matches!(hash32("hash", &[0; 31]), Err(DecodeError::Size { found: 31, .. })));
        assert!(matches!(hash32("hash", &[]), Err(DecodeError::Size { found: 0, .. })));
    }

    #[test]
    fn heights_are_those_of_blocks() {
        for found in [-1, 0, MAX_HEIGHT] {
            assert_eq!(height("height", found).unwrap(), found);
        }
        for found in [i32::MIN, -2, MAX_HEIGHT + 1, i32::MAX] {
            assert!(matches!(height("height", found), Err(DecodeError::Height { .. })));
        }
    }

    #[test]
    fn text_is_bounded_before_it_is_copied() {
        let long = "x".repeat(11);
        let reader = capnp::text::Reader::from(long.as_str());
        assert!(matches!(text("name", reader, 10), Err(DecodeError::TooLong { found: 11, .. })));
        assert_eq!(text("name", reader, 11).unwrap(), long);
        let broken = capnp::text::Reader(&[0xff, 0xfe]);
        assert!(matches!(text("name", broken, 10), Err(DecodeError::NotUtf8 { .. })));
    }

    #[test]
    fn lists_are_bounded_by_their_count() {
        let mut message = capnp::message::Builder::new_default();
        let mut list = message.initn_root::<capnp::data_list::Builder<'_>>(3);
        for index in 0..3 {
            list.set(index, &[1; 32]);
        }
        let reader = list.into_reader();
        assert_eq!(hashes("hashes", reader, 3).unwrap().len(), 3);
        assert!(matches!(hashes("hashes", reader, 2), Err(DecodeError::TooMany { found: 3, .. })));
        assert!(blobs("hashes", reader, 3, 31).is_err());
    }
}
