//! How one connection cuts its stream into messages: v1, or v2 with the way back to v1.

use thiserror::Error;

use crate::frame::{self, Frame, FrameError, Framer, Rejected};
use crate::v2::{Outcome, Secrets, V2, V2Error};

/// A stream that can't be followed further: disconnect.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TransportError {
    /// On a v1 connection.
    #[error("{0}")]
    V1(#[from] FrameError),
    /// On a v2 connection.
    #[error("{0}")]
    V2(#[from] V2Error),
}

/// What a connection speaks, as RPCs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Not known yet.
    Detecting,
    /// In the clear.
    V1,
    /// Encrypted (BIP 324).
    V2,
}

impl Protocol {
    /// Core's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Detecting => "detecting",
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

#[derive(Debug)]
enum Spoken {
    V1(Framer),
    V2(Box<V2>),
}

/// The transport of one connection, both directions.
#[derive(Debug)]
pub struct Transport {
    magic: [u8; 4],
    spoken: Spoken,
}

impl Transport {
    /// A v1 connection.
    #[must_use]
    pub fn v1(magic: [u8; 4]) -> Self {
        Self { magic, spoken: Spoken::V1(Framer::new(magic)) }
    }

    /// A v2 connection, which becomes a v1 connection when the other side opened it and speaks v1.
    #[must_use]
    pub fn v2(magic: [u8; 4], initiating: bool, secrets: Secrets) -> Self {
        Self { magic, spoken: Spoken::V2(Box::new(V2::new(magic, initiating, secrets))) }
    }

    /// Consumes bytes from the front of `input` until one message is complete or `input` is empty.
    ///
    /// # Errors
    /// [`TransportError`]: the stream is lost; the transport must not be used again.
    pub fn push(&mut self, input: &mut &[u8]) -> Result<Option<Result<Frame, Rejected>>, TransportError> {
        let prefix = match &mut self.spoken {
            Spoken::V1(framer) => return Ok(framer.push(input)?),
            Spoken::V2(v2) => match v2.push(input)? {
                Outcome::More => return Ok(None),
                Outcome::Message(message) => return Ok(Some(message)),
                Outcome::V1(prefix) => prefix,
            },
        };
        let mut framer = Framer::new(self.magic);
        // Shorter than a header, so no message can be complete.
        framer.push(&mut prefix.as_slice())?;
        let message = framer.push(input)?;
        self.spoken = Spoken::V1(framer);
        Ok(message)
    }

    /// Bytes of the handshake that must go out before any message.
    #[must_use]
    pub fn take_handshake(&mut self) -> Vec<u8> {
        match &mut self.spoken {
            Spoken::V1(_) => Vec::new(),
            Spoken::V2(v2) => v2.take_outgoing(),
        }
    }

    /// Whether messages can be encoded: on a v2 connection after the peer's key came.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        match &self.spoken {
            Spoken::V1(_) => true,
            Spoken::V2(v2) => v2.is_ready(),
        }
    }

    /// A complete message. Messages must go out in the order in which they were encoded. `None` before
    /// [`Transport::is_ready`].
    #[must_use]
    pub fn encode(&mut self, command: &str, body: &[u8]) -> Option<Vec<u8>> {
        match &mut self.spoken {
            Spoken::V1(_) => Some(frame::encode(self.magic, command, body)),
            Spoken::V2(v2) => v2.encode(command, body),
        }
    }

    /// What the connection speaks. v2 only when the peer has proved that it has the same keys.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match &self.spoken {
            Spoken::V1(_) => Protocol::V1,
            Spoken::V2(v2) if v2.session_id().is_some() => Protocol::V2,
            Spoken::V2(_) => Protocol::Detecting,
        }
    }

    /// Equal on both sides of a v2 connection.
    #[must_use]
    pub fn session_id(&self) -> Option<[u8; 32]> {
        match &self.spoken {
            Spoken::V1(_) => None,
            Spoken::V2(v2) => v2.session_id(),
        }
    }

    /// Whether the peer said nothing at all on a v2 connection that we opened: it may speak v1 only.
    #[must_use]
    pub fn heard_nothing(&self) -> bool {
        match &self.spoken {
            Spoken::V1(_) => false,
            Spoken::V2(v2) => v2.heard_nothing(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::v2::MAX_GARBAGE;
    use bitcoin::secp256k1::rand::SeedableRng;
    use bitcoin::secp256k1::rand::rngs::StdRng;
    use proptest::prelude::*;

    const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];

    fn secrets(seed: u8) -> Secrets {
        Secrets::random(&mut StdRng::from_seed([seed; 32]))
    }

    fn pair() -> (Transport, Transport) {
        (Transport::v2(MAGIC, true, secrets(1)), Transport::v2(MAGIC, false, secrets(2)))
    }

    /// Feeds everything in pieces of `step` bytes.
    fn feed(to: &mut Transport, bytes: &[u8], step: usize) -> Result<Vec<Result<Frame, Rejected>>, TransportError> {
        let mut seen = Vec::new();
        for mut piece in bytes.chunks(step) {
            while !piece.is_empty() {
                seen.extend(to.push(&mut piece)?);
            }
        }
        Ok(seen)
    }

    /// Both sides after the exchange of keys and version packets.
    fn connected(step: usize) -> (Transport, Transport) {
        let (mut alice, mut bob) = pair();
        for _ in 0..2 {
            assert!(feed(&mut bob, &alice.take_handshake(), step).unwrap().is_empty());
            assert!(feed(&mut alice, &bob.take_handshake(), step).unwrap().is_empty());
        }
        (alice, bob)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn messages_survive_any_split(body in proptest::collection::vec(any::<u8>(), 0..3000), step in 1usize..5000) {
            let (mut alice, mut bob) = connected(step);
            prop_assert_eq!(alice.protocol(), Protocol::V2);
            prop_assert!(alice.session_id().is_some() && alice.session_id() == bob.session_id());
            // Across the change of keys.
            for _ in 0..230 {
                let ping = alice.encode("ping", &[1; 8]).unwrap();
                prop_assert_eq!(ping.len(), 29);
                prop_assert_eq!(feed(&mut bob, &ping, step).unwrap().len(), 1);
            }
            let bytes = bob.encode("version", &body).unwrap();
            let seen = feed(&mut alice, &bytes, step).unwrap();
            let frame = seen[0].as_ref().unwrap();
            prop_assert_eq!((frame.command.as_str(), &frame.body, frame.raw_size), ("version", &body, bytes.len()));
        }

        #[test]
        fn any_bytes_never_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..6000), initiating: bool) {
            let _ = feed(&mut Transport::v2(MAGIC, initiating, secrets(1)), &bytes, 700);
        }
    }

    #[test]
    fn peers_that_speak_v1_are_answered_in_v1() {
        let mut bob = Transport::v2(MAGIC, false, secrets(2));
        let version = frame::encode(MAGIC, "version", &[7; 100]);
        let seen = feed(&mut bob, &version, 5).unwrap();
        assert_eq!(seen[0].as_ref().unwrap().body, [7; 100]);
        assert_eq!((bob.protocol(), bob.take_handshake()), (Protocol::V1, Vec::new()));
        assert_eq!(bob.encode("verack", &[]).unwrap(), frame::encode(MAGIC, "verack", &[]));
    }

    #[test]
    fn v1_peers_of_other_networks_are_recognised() {
        let mut bob = Transport::v2(MAGIC, false, secrets(2));
        let version = frame::encode([1, 2, 3, 4], "version", &[]);
        assert_eq!(feed(&mut bob, &version, 24), Err(V2Error::OtherNetwork([1, 2, 3, 4]).into()));
    }

    #[test]
    fn the_first_wrong_byte_makes_the_accepting_side_send_its_key() {
        let mut bob = Transport::v2(MAGIC, false, secrets(2));
        assert!(feed(&mut bob, &MAGIC, 4).unwrap().is_empty());
        assert!(bob.take_handshake().is_empty());
        assert!(feed(&mut bob, b"x", 1).unwrap().is_empty());
        assert!(bob.take_handshake().len() >= 64);
        assert_eq!((bob.protocol(), bob.is_ready(), bob.encode("ping", &[])), (Protocol::Detecting, false, None));
    }

    #[test]
    fn garbage_without_end_and_forged_packets_end_the_connection() {
        let mut alice = Transport::v2(MAGIC, true, secrets(1));
        assert!(alice.heard_nothing());
        let mut endless = vec![5; 64 + MAX_GARBAGE + 15];
        assert!(feed(&mut alice, &endless, 1000).unwrap().is_empty());
        assert!(!alice.heard_nothing());
        endless.truncate(1);
        assert_eq!(feed(&mut alice, &endless, 1), Err(V2Error::NoTerminator.into()));

        let (mut alice, mut bob) = connected(9999);
        let mut bytes = bob.encode("ping", &[0; 8]).unwrap();
        bytes[10] ^= 1;
        assert_eq!(feed(&mut alice, &bytes, 9999), Err(V2Error::NotAuthentic(9).into()));
    }

    #[test]
    fn unknown_types_are_dropped_and_large_packets_refused() {
        let (mut alice, mut bob) = connected(9999);
        let bytes = bob.encode("\u{1}bad", &[]).unwrap();
        assert_eq!(feed(&mut alice, &bytes, 9999).unwrap(), [Err(Rejected::Type { length: 13 })]);
        let bytes = bob.encode("x", &vec![0; frame::MAX_BODY]).unwrap();
        assert_eq!(feed(&mut alice, &bytes, 1 << 20).unwrap().len(), 1);
        let bytes = bob.encode("x", &vec![0; frame::MAX_BODY + 1]).unwrap();
        assert_eq!(feed(&mut alice, &bytes, 1 << 20), Err(V2Error::TooLarge(frame::MAX_BODY + 14).into()));
    }
}
