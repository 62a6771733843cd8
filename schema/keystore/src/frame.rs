//! One Cap'n Proto message of one segment, with its length in front.

use bulkhead_schema::decode::DecodeError;
use capnp::Word;
use capnp::message::{Builder, Reader, ReaderOptions, ScratchSpaceHeapAllocator, SegmentArray};
use capnp::traits::{FromPointerBuilder, FromPointerReader};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

/// Largest frame of any kind, without its length field. Signing needs the transactions that are spent (100 kB each
/// by relay policy, usually far less), and a page of records may hold one transaction of up to 4 MB.
pub const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;
/// Largest frame of every request and reply that is not about signing or records: the edge's entry in the limits table.
pub const MAX_SMALL_FRAME_BYTES: usize = 1024 * 1024;
/// Structs in a list in a struct, with blobs: 5 levels.
const NESTING: i32 = 8;

/// Why a frame could not be made or read.
#[derive(Debug, Error)]
pub enum FrameError {
    /// The length field promises more than the bound.
    #[error("frame of {found} bytes, the limit is {limit}")]
    TooLong {
        /// Bytes that were promised or made.
        found: usize,
        /// The bound that applies.
        limit: usize,
    },
    /// The frame's layout is wrong.
    #[error("malformed frame: {0}")]
    Layout(&'static str),
    /// The content does not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl From<capnp::Error> for FrameError {
    fn from(error: capnp::Error) -> Self {
        Self::Decode(DecodeError::Message(error))
    }
}

impl From<capnp::NotInSchema> for FrameError {
    fn from(error: capnp::NotInSchema) -> Self {
        Self::Decode(DecodeError::Unknown(error))
    }
}

/// Builds a frame. `payload` is the number of bytes of all blobs and texts, `structs` the number of structs and
/// pointers, both generously: the message must fit the first segment.
pub(crate) fn build<T>(
    payload: usize,
    structs: usize,
    limit: usize,
    fill: impl for<'a> FnOnce(<T as capnp::traits::Owned>::Builder<'a>) -> Result<(), FrameError>,
) -> Result<Zeroizing<Vec<u8>>, FrameError>
where
    T: capnp::traits::Owned,
    for<'a> <T as capnp::traits::Owned>::Builder<'a>: FromPointerBuilder<'a>,
{
    let words = 64 + payload / 8 + structs * 24;
    if words * 8 > MAX_FRAME_BYTES * 4 {
        return Err(FrameError::TooLong { found: words * 8, limit: MAX_FRAME_BYTES });
    }
    let mut scratch = Word::allocate_zeroed_vec(words);
    // Secrets may be in the message: the scratch space is wiped when the builder gives it back.
    let mut allocator = ScratchSpaceHeapAllocator::new(Word::words_to_bytes_mut(&mut scratch));
    let mut frame = Zeroizing::new(Vec::new());
    {
        let mut message = Builder::new(&mut allocator);
        fill(message.init_root())?;
        let segments = message.get_segments_for_output();
        let [segment] = &segments[..] else {
            return Err(FrameError::Layout("the message does not fit one segment"));
        };
        let length = segment.len() + 8;
        if length > limit {
            return Err(FrameError::TooLong { found: length, limit });
        }
        let (length, words) = (field(length)?, field(segment.len() / 8)?);
        frame.reserve_exact(segment.len() + 12);
        frame.extend_from_slice(&length.to_le_bytes());
        frame.extend_from_slice(&0_u32.to_le_bytes());
        frame.extend_from_slice(&words.to_le_bytes());
        frame.extend_from_slice(segment);
    }
    Word::words_to_bytes_mut(&mut scratch).zeroize();
    Ok(frame)
}

fn field(value: usize) -> Result<u32, FrameError> {
    u32::try_from(value).map_err(|_| FrameError::TooLong { found: value, limit: MAX_FRAME_BYTES })
}

/// Reads the content of a frame (without the length field): exactly one segment, nothing before or after it.
pub(crate) fn read<T, R>(
    frame: &[u8],
    take: impl for<'a> FnOnce(<T as capnp::traits::Owned>::Reader<'a>) -> Result<R, FrameError>,
) -> Result<R, FrameError>
where
    T: capnp::traits::Owned,
    for<'a> <T as capnp::traits::Owned>::Reader<'a>: FromPointerReader<'a>,
{
    if frame.len() > MAX_FRAME_BYTES {
        return Err(FrameError::TooLong { found: frame.len(), limit: MAX_FRAME_BYTES });
    }
    let Some((table, segment)) = frame.split_first_chunk::<8>() else {
        return Err(FrameError::Layout("shorter than a segment table"));
    };
    let count = u32::from_le_bytes([table[0], table[1], table[2], table[3]]);
    let words = u32::from_le_bytes([table[4], table[5], table[6], table[7]]);
    if count != 0 {
        return Err(FrameError::Layout("more than one segment"));
    }
    if usize::try_from(words).ok().and_then(|words| words.checked_mul(8)) != Some(segment.len()) {
        return Err(FrameError::Layout("segment length and frame length differ"));
    }
    // The segment must start on a word boundary: copy it once into words that are wiped afterwards.
    let mut aligned = Word::allocate_zeroed_vec(segment.len() / 8);
    Word::words_to_bytes_mut(&mut aligned).copy_from_slice(segment);
    let result = {
        let segments = [Word::words_to_bytes(&aligned)];
        let mut options = ReaderOptions::new();
        // Every byte may be looked at twice and structs of size zero count one word each.
        options.traversal_limit_in_words(Some(segment.len() / 4 + 1024)).nesting_limit(NESTING);
        let reader = Reader::new(SegmentArray::new(&segments), options);
        reader.get_root().map_err(FrameError::from).and_then(take)
    };
    Word::words_to_bytes_mut(&mut aligned).zeroize();
    result
}
