//! The v1 transport: magic, command, length, checksum, body.

use bitcoin::hashes::{Hash, sha256d};
use bulkhead_planted::{Fault, planted};
use thiserror::Error;

/// Bytes in front of each body.
pub const HEADER_SIZE: usize = 24;
/// Longest body that we accept (Core: `MAX_PROTOCOL_MESSAGE_LENGTH`).
pub const MAX_BODY: usize = 4_000_000;
/// Bytes of a command, padded with zeros.
pub const COMMAND_SIZE: usize = 12;
/// How far ahead of received bytes a body buffer grows.
pub(crate) const AHEAD: usize = 256 * 1024;

/// One complete message that passed its checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Command text, at most 12 printable bytes.
    pub command: String,
    /// Body.
    pub body: Vec<u8>,
    /// Bytes that the message took on the wire.
    pub raw_size: usize,
}

/// A message that was read completely but is dropped; the connection goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejected {
    /// The checksum does not match.
    Checksum {
        /// Command as it was sent, not yet made safe for logs.
        command: Vec<u8>,
        /// Body length.
        length: usize,
        /// First four bytes of the body's double SHA-256.
        expected: [u8; 4],
        /// What the header carried.
        found: [u8; 4],
    },
    /// The command has bytes outside the printable range or after its first zero.
    Command {
        /// Command as it was sent.
        command: Vec<u8>,
        /// Body length.
        length: usize,
    },
    /// The contents of a v2 packet do not begin with the name of a message.
    Type {
        /// Contents length.
        length: usize,
    },
}

impl Rejected {
    /// Bytes that the message took on the wire.
    #[must_use]
    pub fn raw_size(&self) -> usize {
        match self {
            Self::Checksum { length, .. } | Self::Command { length, .. } => HEADER_SIZE + length,
            Self::Type { length } => crate::v2::EXPANSION + length,
        }
    }
}

/// A stream that cannot be followed further: disconnect.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Another network, or another protocol.
    #[error("wrong message start")]
    Magic([u8; 4]),
    /// A body above [`MAX_BODY`].
    #[error("message body of {length} bytes")]
    TooLarge {
        /// Command as it was sent.
        command: Vec<u8>,
        /// Announced length.
        length: u32,
    },
}

/// Cuts a byte stream into frames. Holds at most one body, and never reserves more than 256 KiB ahead of what came.
#[derive(Debug)]
pub struct Framer {
    magic: [u8; 4],
    header: Vec<u8>,
    body: Vec<u8>,
    expected: Option<usize>,
}

impl Framer {
    /// A framer for the network with this magic.
    #[must_use]
    pub fn new(magic: [u8; 4]) -> Self {
        Self { magic, header: Vec::with_capacity(HEADER_SIZE), body: Vec::new(), expected: None }
    }

    /// Consumes bytes from the front of `input` until one message is complete or `input` is empty.
    ///
    /// # Errors
    /// [`FrameError`]: the stream is lost; the framer must not be used again.
    pub fn push(&mut self, input: &mut &[u8]) -> Result<Option<Result<Frame, Rejected>>, FrameError> {
        if self.expected.is_none() {
            let wanted = HEADER_SIZE - self.header.len();
            let (head, tail) = input.split_at(wanted.min(input.len()));
            self.header.extend_from_slice(head);
            *input = tail;
            if self.header.len() < HEADER_SIZE {
                return Ok(None);
            }
            self.expected = Some(self.check_header()?);
        }
        let expected = self.expected.unwrap_or_default();
        let wanted = expected - self.body.len();
        let (head, tail) = input.split_at(wanted.min(input.len()));
        if self.body.capacity() < self.body.len() + head.len() {
            self.body.reserve_exact((head.len() + AHEAD).min(wanted));
        }
        self.body.extend_from_slice(head);
        *input = tail;
        if self.body.len() < expected {
            return Ok(None);
        }
        Ok(Some(self.finish()))
    }

    fn check_header(&self) -> Result<usize, FrameError> {
        let magic = four(&self.header, 0);
        if magic != self.magic {
            return Err(FrameError::Magic(magic));
        }
        let length = u32::from_le_bytes(four(&self.header, 16));
        match usize::try_from(length) {
            Ok(bytes) if bytes <= MAX_BODY => Ok(bytes),
            _ => Err(FrameError::TooLarge { command: trimmed(&self.header[4..16]), length }),
        }
    }

    fn finish(&mut self) -> Result<Frame, Rejected> {
        let body = std::mem::take(&mut self.body);
        let header = std::mem::replace(&mut self.header, Vec::with_capacity(HEADER_SIZE));
        self.expected = None;
        let raw = &header[4..16];
        let expected = checksum(&body);
        let found = four(&header, 20);
        if expected != found && !(planted(Fault::FrameChecksum) && expected[..2] == found[..2]) {
            return Err(Rejected::Checksum { command: trimmed(raw), length: body.len(), expected, found });
        }
        let command = trimmed(raw);
        let tail_is_zero = raw.iter().skip(command.len()).all(|byte| *byte == 0);
        let printable = command.iter().all(|byte| (b' '..=0x7e).contains(byte));
        if !tail_is_zero || !printable {
            return Err(Rejected::Command { command, length: body.len() });
        }
        let raw_size = HEADER_SIZE + body.len();
        Ok(Frame { command: command.into_iter().map(char::from).collect(), body, raw_size })
    }
}

fn four(bytes: &[u8], at: usize) -> [u8; 4] {
    let mut out = [0; 4];
    out.copy_from_slice(&bytes[at..at + 4]);
    out
}

fn trimmed(raw: &[u8]) -> Vec<u8> {
    raw.iter().copied().take_while(|byte| *byte != 0).collect()
}

/// First four bytes of the double SHA-256 of `body`.
#[must_use]
pub fn checksum(body: &[u8]) -> [u8; 4] {
    four(&sha256d::Hash::hash(body).to_byte_array(), 0)
}

/// A complete v1 message. A command longer than 12 bytes is cut.
#[must_use]
pub fn encode(magic: [u8; 4], command: &str, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_SIZE + body.len());
    out.extend_from_slice(&magic);
    let mut name = [0; COMMAND_SIZE];
    for (slot, byte) in name.iter_mut().zip(command.bytes()) {
        *slot = byte;
    }
    out.extend_from_slice(&name);
    out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&checksum(body));
    out.extend_from_slice(body);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];

    proptest! {
        #[test]
        fn frames_survive_any_split(body in proptest::collection::vec(any::<u8>(), 0..2000), step in 1usize..97) {
            let mut stream = encode(MAGIC, "tx", &body);
            stream.extend(encode(MAGIC, "verack", &[]));
            let mut framer = Framer::new(MAGIC);
            let mut seen = Vec::new();
            for mut piece in stream.chunks(step) {
                while !piece.is_empty() {
                    if let Some(frame) = framer.push(&mut piece).unwrap() {
                        seen.push(frame.unwrap());
                    }
                }
            }
            prop_assert_eq!(seen.len(), 2);
            prop_assert_eq!(&seen[0].body, &body);
            prop_assert_eq!(seen[1].command.as_str(), "verack");
        }

        #[test]
        fn any_bytes_never_break_the_framer(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let mut framer = Framer::new(MAGIC);
            let mut stream = MAGIC.to_vec();
            stream.extend(bytes);
            let mut input = stream.as_slice();
            while !input.is_empty() {
                if framer.push(&mut input).is_err() { break; }
            }
        }
    }

    #[test]
    fn wrong_checksum_drops_the_message_only() {
        let mut stream = encode(MAGIC, "ping", &[1; 8]);
        stream[20] ^= 1;
        stream.extend(encode(MAGIC, "pong", &[2; 8]));
        let mut framer = Framer::new(MAGIC);
        let mut input = stream.as_slice();
        assert!(matches!(framer.push(&mut input), Ok(Some(Err(Rejected::Checksum { .. })))));
        assert_eq!(framer.push(&mut input).unwrap().unwrap().unwrap().command, "pong");
    }

    #[test]
    fn body_above_the_limit_ends_the_stream() {
        let mut stream = encode(MAGIC, "tx", &[]);
        stream[16..20].copy_from_slice(&4_000_001u32.to_le_bytes());
        let mut input = stream.as_slice();
        assert!(matches!(Framer::new(MAGIC).push(&mut input), Err(FrameError::TooLarge { length: 4_000_001, .. })));
    }

    #[test]
    fn command_with_bytes_after_its_end_is_rejected() {
        let mut stream = encode(MAGIC, "tx", &[]);
        stream[8] = b'x';
        let mut input = stream.as_slice();
        assert!(matches!(Framer::new(MAGIC).push(&mut input), Ok(Some(Err(Rejected::Command { .. })))));
    }
}
