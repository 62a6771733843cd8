//! Memory that is never swapped and never in a core dump, for what passwords are checked against.

use std::ops::Range;

use bulkhead_sandbox::memory::{SECRET_PAGE_BYTES, SecretPage};

/// Pages that are filled from the front. Nothing is taken out; they are wiped when dropped.
#[derive(Debug, Default)]
pub struct LockedMemory {
    pages: Vec<SecretPage>,
    /// Bytes of the last page that are taken.
    filled: usize,
    /// Bytes of the pages before it that are too few for what was to be stored next.
    left_over: usize,
    chunks: usize,
}

/// A place in [`LockedMemory`].
#[derive(Clone, Debug)]
pub struct Chunk {
    page: usize,
    bytes: Range<usize>,
}

/// What `getmemoryinfo` shows: bytes, and pieces that are taken or free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockedUse {
    /// Bytes that are taken.
    pub used: usize,
    /// All bytes; all of them are locked.
    pub total: usize,
    /// Pieces that are taken.
    pub chunks_used: usize,
    /// Pieces that are free and may be taken: one at the end of the last page.
    pub chunks_free: usize,
}

/// Why something cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum LockedError {
    /// It is longer than a page.
    #[error("a secret of {0} bytes is longer than a page")]
    TooLong(usize),
    /// The limit of locked memory (`ulimit -l`) is reached.
    #[error("no memory can be locked: {0}")]
    System(#[from] std::io::Error),
}

impl LockedMemory {
    /// Stores a copy.
    ///
    /// # Errors
    /// [`LockedError`].
    pub fn store(&mut self, bytes: &[u8]) -> Result<Chunk, LockedError> {
        if bytes.len() > SECRET_PAGE_BYTES {
            return Err(LockedError::TooLong(bytes.len()));
        }
        if self.pages.is_empty() || SECRET_PAGE_BYTES - self.filled < bytes.len() {
            if !self.pages.is_empty() {
                self.left_over += SECRET_PAGE_BYTES - self.filled;
            }
            self.pages.push(SecretPage::new()?);
            self.filled = 0;
        }
        let chunk = Chunk { page: self.pages.len() - 1, bytes: self.filled..self.filled + bytes.len() };
        self.pages[chunk.page][chunk.bytes.clone()].copy_from_slice(bytes);
        self.filled += bytes.len();
        self.chunks += 1;
        Ok(chunk)
    }

    /// What was stored there.
    #[must_use]
    pub fn get(&self, chunk: &Chunk) -> &[u8] {
        &self.pages[chunk.page][chunk.bytes.clone()]
    }

    /// How much of it is taken.
    #[must_use]
    pub fn usage(&self) -> LockedUse {
        let total = self.pages.len() * SECRET_PAGE_BYTES;
        let open = if self.pages.is_empty() { 0 } else { SECRET_PAGE_BYTES - self.filled };
        let used = total - open - self.left_over;
        // What is left at the end of earlier pages is not used again, but it is free.
        LockedUse { used, total, chunks_used: self.chunks, chunks_free: usize::from(open > 0) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_stored_is_read_and_counted() {
        let mut memory = LockedMemory::default();
        assert_eq!(memory.usage(), LockedUse { used: 0, total: 0, chunks_used: 0, chunks_free: 0 });
        let one = memory.store(b"salt").unwrap();
        let two = memory.store(&[7; SECRET_PAGE_BYTES]).unwrap();
        assert_eq!((memory.get(&one), memory.get(&two)), (&b"salt"[..], &[7; SECRET_PAGE_BYTES][..]));
        let full = LockedUse { used: SECRET_PAGE_BYTES + 4, total: 2 * SECRET_PAGE_BYTES, chunks_used: 2, chunks_free: 0 };
        assert_eq!(memory.usage(), full);
        assert!(matches!(memory.store(&[0; SECRET_PAGE_BYTES + 1]), Err(LockedError::TooLong(_))));
        assert_eq!(memory.usage(), full, "nothing changed");
    }
}
