//! The encrypted transport (BIP 324), without sockets: bytes in, messages out, and the other way round.
//!
//! Who opened the connection sends its key at once. Who accepted it waits until the first bytes differ from those of
//! a v1 `version` message; if they do not, the connection is a v1 connection.

mod cipher;
pub mod types;

use bitcoin::secp256k1::ellswift::ElligatorSwift;
use bitcoin::secp256k1::rand::{CryptoRng, Rng};
use bitcoin::secp256k1::{All, Secp256k1, SecretKey};
use std::sync::LazyLock;
use thiserror::Error;

use crate::frame::{AHEAD, COMMAND_SIZE, Frame, MAX_BODY, Rejected};
use cipher::{CONTENTS_AT, Cipher, LENGTH_SIZE, TERMINATOR_SIZE, contents};

pub(crate) use cipher::EXPANSION;

/// Bytes of an encoded public key.
const KEY_SIZE: usize = 64;
/// Most bytes of garbage that either side may send between its key and its terminator.
pub const MAX_GARBAGE: usize = 4095;
/// Bytes at the start of a stream that tell v1 from v2: magic and command of `version`.
const PREFIX_SIZE: usize = 16;
/// Where the command begins in them.
const COMMAND_AT: usize = 4;
/// Longest contents of a packet: a command in the long form and the longest body.
const MAX_CONTENTS: usize = 1 + COMMAND_SIZE + MAX_BODY;

static CURVE: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

/// A stream that can't be followed further: disconnect.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum V2Error {
    /// A v1 peer of another network.
    #[error("V1 peer with wrong MessageStart")]
    OtherNetwork([u8; COMMAND_AT]),
    /// No terminator within the most garbage that is allowed.
    #[error("missing garbage terminator")]
    NoTerminator,
    /// Contents above what a message can have.
    #[error("packet too large ({0} bytes)")]
    TooLarge(usize),
    /// A packet is not authentic.
    #[error("packet decryption failure ({0} bytes)")]
    NotAuthentic(usize),
}

/// What one side of one connection makes up.
#[derive(Clone)]
pub struct Secrets {
    key: SecretKey,
    encoding: ElligatorSwift,
    garbage: Vec<u8>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Secrets {
    /// Fresh ones.
    pub fn random(rng: &mut (impl Rng + CryptoRng)) -> Self {
        let mut garbage = vec![0; rng.gen_range(0..=MAX_GARBAGE)];
        rng.fill_bytes(&mut garbage);
        Self::new(SecretKey::new(rng), rng.r#gen(), garbage)
    }

    /// An ephemeral key, what blinds its encoding, and garbage, of which at most [`MAX_GARBAGE`] bytes are taken.
    #[must_use]
    pub fn new(key: SecretKey, entropy: [u8; 32], mut garbage: Vec<u8>) -> Self {
        garbage.truncate(MAX_GARBAGE);
        Self { key, encoding: ElligatorSwift::from_seckey(&CURVE, key, Some(entropy)), garbage }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It may still be a v1 connection.
    Detecting,
    Key,
    Garbage,
    /// Version packet, perhaps after decoys.
    Version,
    Messages,
}

/// What came out of the bytes.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Nothing yet: every byte was consumed.
    More,
    /// A message, or one that is dropped.
    Message(Result<Frame, Rejected>),
    /// The peer speaks v1; these are the bytes so far.
    V1(Vec<u8>),
}

/// One connection.
#[derive(Debug)]
pub struct V2 {
    magic: [u8; COMMAND_AT],
    initiating: bool,
    secrets: Secrets,
    state: State,
    buffer: Vec<u8>,
    /// Contents of the packet that is being received, once its length is known.
    expected: Option<usize>,
    /// Authenticated with the next packet of the peer: its garbage.
    aad: Vec<u8>,
    cipher: Option<Cipher>,
    outgoing: Vec<u8>,
}

impl V2 {
    /// The side that opens the connection (`initiating`), or the side that accepts it.
    #[must_use]
    pub fn new(magic: [u8; COMMAND_AT], initiating: bool, secrets: Secrets) -> Self {
        let state = if initiating { State::Key } else { State::Detecting };
        let mut new = Self {
            magic,
            initiating,
            secrets,
            state,
            buffer: Vec::new(),
            expected: None,
            aad: Vec::new(),
            cipher: None,
            outgoing: Vec::new(),
        };
        if initiating {
            new.send_key();
        }
        new
    }

    fn send_key(&mut self) {
        self.outgoing.extend_from_slice(&self.secrets.encoding.to_array());
        self.outgoing.extend_from_slice(&self.secrets.garbage);
    }

    /// Bytes of the handshake that must go out now.
    pub(crate) fn take_outgoing(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outgoing)
    }

    /// Whether messages can be encoded.
    pub(crate) fn is_ready(&self) -> bool {
        self.cipher.is_some()
    }

    /// Known once the peer's version packet has proved that it has the same keys.
    pub(crate) fn session_id(&self) -> Option<[u8; 32]> {
        self.cipher.as_ref().filter(|_| self.state == State::Messages).map(|cipher| cipher.session_id)
    }

    /// Whether nothing came yet on a connection that we opened.
    pub(crate) fn heard_nothing(&self) -> bool {
        self.initiating && self.state == State::Key && self.buffer.is_empty()
    }

    /// A complete message; `None` before [`V2::is_ready`].
    pub(crate) fn encode(&mut self, command: &str, body: &[u8]) -> Option<Vec<u8>> {
        let cipher = self.cipher.as_mut()?;
        let mut packet = Vec::with_capacity(EXPANSION + 1 + COMMAND_SIZE + body.len());
        packet.resize(CONTENTS_AT, 0);
        types::put(command, &mut packet);
        packet.extend_from_slice(body);
        cipher.encrypt(&mut packet, &[], false);
        Some(packet)
    }

    /// Consumes bytes from the front of `input` until one message is complete or `input` is empty.
    pub(crate) fn push(&mut self, input: &mut &[u8]) -> Result<Outcome, V2Error> {
        while !input.is_empty() {
            let wanted = self.wanted().min(input.len());
            if self.buffer.capacity() < self.buffer.len() + wanted {
                match self.state {
                    // It grows byte by byte.
                    State::Garbage => self.buffer.reserve(wanted),
                    _ => self.buffer.reserve_exact((wanted + AHEAD).min(self.wanted())),
                }
            }
            let (head, tail) = input.split_at(wanted);
            self.buffer.extend_from_slice(head);
            *input = tail;
            match self.state {
                State::Detecting => {
                    if let Some(prefix) = self.detect() {
                        return Ok(Outcome::V1(prefix));
                    }
                }
                State::Key => self.take_key()?,
                State::Garbage => self.take_garbage()?,
                State::Version | State::Messages => {
                    if let Some(message) = self.take_packet()? {
                        return Ok(Outcome::Message(message));
                    }
                }
            }
        }
        Ok(Outcome::More)
    }

    /// Bytes that may be taken before the state has to look at them; at least one.
    fn wanted(&self) -> usize {
        match self.state {
            State::Detecting => PREFIX_SIZE - self.buffer.len(),
            State::Key => KEY_SIZE - self.buffer.len(),
            State::Garbage => 1,
            State::Version | State::Messages => match self.expected {
                None => LENGTH_SIZE - self.buffer.len(),
                Some(length) => EXPANSION - LENGTH_SIZE + length - self.buffer.len(),
            },
        }
    }

    fn detect(&mut self) -> Option<Vec<u8>> {
        let mut prefix = [0; PREFIX_SIZE];
        prefix[..COMMAND_AT].copy_from_slice(&self.magic);
        prefix[COMMAND_AT..COMMAND_AT + 7].copy_from_slice(b"version");
        if !prefix.starts_with(&self.buffer) {
            self.state = State::Key;
            self.send_key();
        } else if self.buffer.len() == PREFIX_SIZE {
            return Some(std::mem::take(&mut self.buffer));
        }
        None
    }

    fn take_key(&mut self) -> Result<(), V2Error> {
        // Ours would look random to a v1 peer of another network; it gets nothing more to guess at.
        if !self.initiating && self.buffer.get(COMMAND_AT..PREFIX_SIZE) == Some(b"version\0\0\0\0\0".as_slice()) {
            let mut magic = [0; COMMAND_AT];
            magic.copy_from_slice(&self.buffer[..COMMAND_AT]);
            return Err(V2Error::OtherNetwork(magic));
        }
        let Ok(theirs) = <[u8; KEY_SIZE]>::try_from(self.buffer.as_slice()) else { return Ok(()) };
        let theirs = ElligatorSwift::from_array(theirs);
        let mut cipher = Cipher::new(self.magic, self.secrets.key, self.secrets.encoding, theirs, self.initiating);
        self.buffer.clear();
        self.state = State::Garbage;
        self.outgoing.extend_from_slice(&cipher.our_terminator);
        // The version packet has no contents yet.
        let mut packet = vec![0; CONTENTS_AT];
        cipher.encrypt(&mut packet, &std::mem::take(&mut self.secrets.garbage), false);
        self.outgoing.extend_from_slice(&packet);
        self.cipher = Some(cipher);
        Ok(())
    }

    fn take_garbage(&mut self) -> Result<(), V2Error> {
        let Some(cipher) = &self.cipher else { return Ok(()) };
        if self.buffer.ends_with(&cipher.their_terminator) {
            self.buffer.truncate(self.buffer.len() - TERMINATOR_SIZE);
            self.aad = std::mem::take(&mut self.buffer);
            self.state = State::Version;
        } else if self.buffer.len() == MAX_GARBAGE + TERMINATOR_SIZE {
            return Err(V2Error::NoTerminator);
        }
        Ok(())
    }

    fn take_packet(&mut self) -> Result<Option<Result<Frame, Rejected>>, V2Error> {
        let Some(cipher) = &mut self.cipher else { return Ok(None) };
        let Some(expected) = self.expected else {
            if let Ok(length) = <[u8; LENGTH_SIZE]>::try_from(self.buffer.as_slice()) {
                let length = cipher.decrypt_length(length);
                if length > MAX_CONTENTS {
                    return Err(V2Error::TooLarge(length));
                }
                self.expected = Some(length);
                self.buffer.clear();
            }
            return Ok(None);
        };
        if self.buffer.len() < EXPANSION - LENGTH_SIZE + expected {
            return Ok(None);
        }
        let mut packet = std::mem::take(&mut self.buffer);
        let aad = std::mem::take(&mut self.aad);
        self.expected = None;
        let ignore = cipher.decrypt(&mut packet, &aad).ok_or(V2Error::NotAuthentic(expected))?;
        if ignore {
            return Ok(None);
        }
        if self.state == State::Version {
            self.state = State::Messages;
            return Ok(None);
        }
        let place = contents(packet.len());
        let raw_size = expected + EXPANSION;
        let Some((command, size)) = packet.get(place.clone()).and_then(types::get) else {
            return Ok(Some(Err(Rejected::Type { length: expected })));
        };
        packet.truncate(place.end);
        packet.drain(..place.start + size);
        Ok(Some(Ok(Frame { command, body: packet, raw_size })))
    }
}
