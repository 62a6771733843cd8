//! Where messages begin and end in a stream, and how large each is: Cap'n Proto's framing
//! (<https://capnproto.org/encoding.html#serialization-over-a-stream>).
//!
//! The library takes the traversal limit for a bound on messages, and that is twice as large: a reader may look at every byte twice.

/// Most segments of a message: as many as the library reads.
const MAX_SEGMENTS: usize = 512;

/// Follows one stream.
#[derive(Debug)]
pub(crate) struct Frames {
    /// Largest message, bytes.
    limit: u64,
    /// The table of segments, as far as it has come.
    table: Vec<u8>,
    /// Bytes of the message that are still to come.
    body: u64,
}

/// A message that is larger than it may be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a message of {0} bytes")]
    Bytes(u64),
    #[error("a message of {0} segments")]
    Segments(usize),
}

impl Frames {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, table: Vec::new(), body: 0 }
    }

    /// Takes the next bytes of the stream; `found` is told how many bytes each message has that begins in them.
    ///
    /// # Errors
    /// A message is too large, as its table says.
    pub(crate) fn follow(&mut self, mut bytes: &[u8], mut found: impl FnMut(u64)) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            if self.body > 0 {
                let here = bytes.len().min(usize::try_from(self.body).unwrap_or(usize::MAX));
                self.body -= here as u64;
                bytes = &bytes[here..];
                continue;
            }
            let here = bytes.len().min(self.table_bytes()? - self.table.len());
            self.table.extend_from_slice(&bytes[..here]);
            bytes = &bytes[here..];
            if self.table.len() == self.table_bytes()? {
                self.body = self.body_bytes()?;
                self.table.clear();
                found(self.body);
            }
        }
        Ok(())
    }

    fn number(&self, index: usize) -> Option<u32> {
        self.table.get(index * 4..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// Length of the table: at first, of its first number, which says how long it is.
    fn table_bytes(&self) -> Result<usize, FrameError> {
        let Some(last) = self.number(0) else { return Ok(4) };
        let segments = (last as usize).saturating_add(1);
        if segments > MAX_SEGMENTS {
            return Err(FrameError::Segments(segments));
        }
        // One number more than there are segments, filled up to whole words.
        Ok((segments / 2 + 1) * 8)
    }

    fn body_bytes(&self) -> Result<u64, FrameError> {
        let segments = self.number(0).map_or(0, |last| last as usize + 1);
        let words: u64 = (1..=segments).filter_map(|index| self.number(index)).map(u64::from).sum();
        if words * 8 > self.limit { Err(FrameError::Bytes(words * 8)) } else { Ok(words * 8) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use capnp::message::{Builder, HeapAllocator};

    use super::*;

    /// Messages of one and of many segments, and what they announce.
    fn stream() -> (Vec<u8>, Vec<u64>) {
        let (mut bytes, mut sizes) = (Vec::new(), Vec::new());
        for (first, length) in [(1, 0), (1, 10), (64, 100), (8192, 9000), (8, 5), (1, 1)] {
            let allocator = HeapAllocator::new()
                .first_segment_words(first)
                .allocation_strategy(capnp::message::AllocationStrategy::FixedSize);
            let mut message = Builder::new(allocator);
            let mut list = message.initn_root::<capnp::text_list::Builder<'_>>(length);
            for index in 0..length {
                list.set(index, "text");
            }
            let words = capnp::serialize::write_message_to_words(&message);
            let last_segment = u32::from_le_bytes(*words.first_chunk().unwrap()) as usize;
            sizes.push((words.len() - (last_segment.div_ceil(2) + 1) * 8) as u64);
            bytes.extend(words);
        }
        (bytes, sizes)
    }

    #[test]
    fn every_message_is_found_however_the_stream_is_cut() {
        let (bytes, sizes) = stream();
        for step in [1, 3, 4, 8, 13, 64, bytes.len()] {
            let (mut frames, mut found) = (Frames::new(1 << 20), Vec::new());
            for piece in bytes.chunks(step) {
                frames.follow(piece, |size| found.push(size)).unwrap();
            }
            assert_eq!(found, sizes, "in pieces of {step}");
        }
    }

    #[test]
    fn a_message_over_the_limit_is_refused_with_its_table() {
        let announced = |words: u32| [0u32.to_le_bytes(), words.to_le_bytes()].concat();
        let taken = |words| Frames::new(800).follow(&announced(words), |_| ());
        assert_eq!(taken(100), Ok(()));
        assert_eq!(taken(101), Err(FrameError::Bytes(808)));
        assert_eq!(taken(u32::MAX), Err(FrameError::Bytes(u64::from(u32::MAX) * 8)));
        let segments = |count: u32| Frames::new(800).follow(&count.to_le_bytes(), |_| ());
        assert_eq!(segments(511), Ok(()));
        assert_eq!(segments(512), Err(FrameError::Segments(513)));
        assert_eq!(segments(u32::MAX), Err(FrameError::Segments(1 << 32)));
        // Two segments whose sum is over it.
        let sum = [1u32, 60, 41, 0].map(u32::to_le_bytes).concat();
        assert_eq!(Frames::new(800).follow(&sum, |_| ()), Err(FrameError::Bytes(808)));
    }
}
