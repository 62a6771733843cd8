//! What a process that was taken over can say on an edge: bytes become messages of Cap'n Proto RPC, well-formed or not, so
//! that any bytes (of a fuzzer, of a random sequence) are a conversation. Used by the fuzz targets of the edges and by the
//! processes that misbehave in `tests/security`.

mod content;
mod edges;
mod keystore;
mod message;
mod script;
mod typed;
mod unions;

pub use edges::{Edge, Interface, edge};
pub use keystore::{every_request, is_signature, keystore_frames};
pub use message::{Asked, answer_with_nothing, bootstrap_answer, next_question};
pub use script::{Script, answers, calls, conversation};
pub use typed::{Fields, Talk, To, methods_of};
pub use unions::{members_in, members_within, union_members};

/// Takes choices out of bytes. At the end of the bytes everything is 0.
pub struct Source<'a> {
    rest: &'a [u8],
}

impl<'a> Source<'a> {
    /// All of the bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    /// A number below `bound`, which is at most 256; 0 when that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    /// Four bytes, little endian.
    pub fn word(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// At most `count` bytes.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}
