//! The publisher's half of ZMTP 3.0 (rfc.zeromq.org/spec/23), without I/O: what a subscriber's bytes mean, and how messages
//! become bytes.

use std::collections::BTreeMap;

/// Longest frame that a subscriber may send, bytes.
const MAX_FRAME: u64 = 4096;
/// Different subscriptions of one subscriber.
const MAX_SUBSCRIPTIONS: usize = 1024;
const GREETING: usize = 64;
const SIGNATURE: usize = 10;

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ZmtpError {
    /// The first bytes are not those of ZMTP.
    #[error("not ZMTP")]
    Signature,
    /// Before version 3.
    #[error("version {0} of ZMTP")]
    Version(u8),
    /// Another mechanism than NULL.
    #[error("security mechanism")]
    Mechanism,
    /// A frame with unknown flags, or one that is too long.
    #[error("malformed or too long frame")]
    Frame,
    /// No READY command, or not from a subscriber.
    #[error("no subscriber")]
    Peer,
    /// Too many subscriptions.
    #[error("too many subscriptions")]
    Subscriptions,
}

/// What to send first: greeting and READY command of a publisher.
pub fn opening() -> Vec<u8> {
    let mut bytes = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0];
    bytes.extend(b"NULL");
    bytes.resize(GREETING, 0);
    let mut ready = b"\x05READY\x0bSocket-Type".to_vec();
    ready.extend(3_u32.to_be_bytes());
    ready.extend(b"PUB");
    put_frame(&mut bytes, COMMAND, &ready);
    bytes
}

/// A message of several parts as bytes.
pub fn message(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 9).sum());
    for (at, part) in parts.iter().enumerate() {
        put_frame(&mut bytes, if at + 1 < parts.len() { MORE } else { 0 }, part);
    }
    bytes
}

fn put_frame(bytes: &mut Vec<u8>, flags: u8, body: &[u8]) {
    match u8::try_from(body.len()) {
        Ok(length) => bytes.extend([flags, length]),
        Err(_) => {
            bytes.push(flags | LONG);
            bytes.extend((body.len() as u64).to_be_bytes());
        }
    }
    bytes.extend(body);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Greeting,
    Ready,
    Open,
}

/// One subscriber.
#[derive(Debug)]
pub struct Subscriber {
    stage: Stage,
    buffer: Vec<u8>,
    /// Prefixes of topics, each as often as it was subscribed to.
    subscriptions: BTreeMap<Vec<u8>, usize>,
}

impl Default for Subscriber {
    fn default() -> Self {
        Self { stage: Stage::Greeting, buffer: Vec::new(), subscriptions: BTreeMap::new() }
    }
}

impl Subscriber {
    /// Whether it wants a topic.
    pub fn wants(&self, topic: &[u8]) -> bool {
        self.subscriptions.keys().any(|prefix| topic.starts_with(prefix))
    }

    /// Takes bytes from the subscriber; gives bytes to send back.
    ///
    /// # Errors
    /// The connection has to end.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Vec<u8>, ZmtpError> {
        self.buffer.extend(bytes);
        let mut reply = Vec::new();
        if self.stage == Stage::Greeting {
            check_greeting(&self.buffer)?;
            if self.buffer.len() < GREETING {
                return Ok(reply);
            }
            self.buffer.drain(..GREETING);
            self.stage = Stage::Ready;
        }
        while let Some((flags, body)) = self.next_frame()? {
            self.frame(flags, &body, &mut reply)?;
        }
        Ok(reply)
    }

    fn next_frame(&mut self) -> Result<Option<(u8, Vec<u8>)>, ZmtpError> {
        let Some(flags) = self.buffer.first().copied() else { return Ok(None) };
        if flags & !(MORE | LONG | COMMAND) != 0 {
            return Err(ZmtpError::Frame);
        }
        let header = if flags & LONG == 0 { 2 } else { 9 };
        let Some(length) = self.buffer.get(1..header) else { return Ok(None) };
        let length = length.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        if length > MAX_FRAME {
            return Err(ZmtpError::Frame);
        }
        let end = header + length as usize; // at most MAX_FRAME
        let Some(body) = self.buffer.get(header..end).map(<[u8]>::to_vec) else { return Ok(None) };
        self.buffer.drain(..end);
        Ok(Some((flags, body)))
    }

    fn frame(&mut self, flags: u8, body: &[u8], reply: &mut Vec<u8>) -> Result<(), ZmtpError> {
        if flags & COMMAND == 0 {
            if self.stage != Stage::Open {
                return Err(ZmtpError::Peer);
            }
            return match body.split_first() {
                Some((1, topic)) => self.subscribe(topic),
                Some((0, topic)) => {
                    self.cancel(topic);
                    Ok(())
                }
                // Anything else that a subscriber publishes upwards means nothing here.
                _ => Ok(()),
            };
        }
        let (name, data) = command(body)?;
        match (self.stage, name) {
            (Stage::Ready, b"READY") => {
                if !is_subscriber(data) {
                    return Err(ZmtpError::Peer);
                }
                self.stage = Stage::Open;
                Ok(())
            }
            (Stage::Open, b"SUBSCRIBE") => self.subscribe(data),
            (Stage::Open, b"CANCEL") => {
                self.cancel(data);
                Ok(())
            }
            (Stage::Open, b"PING") => {
                // Two bytes of time, then a context that goes back.
                let mut pong = b"\x04PONG".to_vec();
                pong.extend(data.get(2..).unwrap_or_default());
                put_frame(reply, COMMAND, &pong);
                Ok(())
            }
            (Stage::Open, _) => Ok(()),
            _ => Err(ZmtpError::Peer),
        }
    }

    fn subscribe(&mut self, topic: &[u8]) -> Result<(), ZmtpError> {
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS && !self.subscriptions.contains_key(topic) {
            return Err(ZmtpError::Subscriptions);
        }
        *self.subscriptions.entry(topic.to_vec()).or_default() += 1;
        Ok(())
    }

    fn cancel(&mut self, topic: &[u8]) {
        if let Some(count) = self.subscriptions.get_mut(topic) {
            *count -= 1;
            if *count == 0 {
                self.subscriptions.remove(topic);
            }
        }
    }
}

/// Checks as much of a greeting as is there.
fn check_greeting(bytes: &[u8]) -> Result<(), ZmtpError> {
    let wrong_start = bytes.first().is_some_and(|byte| *byte != 0xff);
    let wrong_end = bytes.get(SIGNATURE - 1).is_some_and(|byte| byte & 1 == 0);
    if wrong_start || wrong_end {
        return Err(ZmtpError::Signature);
    }
    if let Some(version) = bytes.get(SIGNATURE).filter(|version| **version < 3) {
        return Err(ZmtpError::Version(*version));
    }
    let mechanism = bytes.get(12..32).map(|bytes| bytes.starts_with(b"NULL\0"));
    if mechanism == Some(false) { Err(ZmtpError::Mechanism) } else { Ok(()) }
}

fn command(body: &[u8]) -> Result<(&[u8], &[u8]), ZmtpError> {
    let (length, rest) = body.split_first().ok_or(ZmtpError::Frame)?;
    rest.split_at_checked(usize::from(*length)).ok_or(ZmtpError::Frame)
}

/// Whether the properties of a READY command are those of a subscriber.
fn is_subscriber(mut properties: &[u8]) -> bool {
    while let Some((length, rest)) = properties.split_first() {
        let Some((name, rest)) = rest.split_at_checked(usize::from(*length)) else { return false };
        let Some((length, rest)) = rest.split_first_chunk::<4>() else { return false };
        let Ok(length) = usize::try_from(u32::from_be_bytes(*length)) else { return false };
        let Some((value, rest)) = rest.split_at_checked(length) else { return false };
        if name.eq_ignore_ascii_case(b"Socket-Type") {
            return value == b"SUB" || value == b"XSUB";
        }
        properties = rest;
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn greeting() -> Vec<u8> {
        opening()[..GREETING].to_vec()
    }

    fn ready(kind: &[u8]) -> Vec<u8> {
        let mut body = b"\x05READY\x0bSocket-Type".to_vec();
        body.extend((kind.len() as u32).to_be_bytes());
        body.extend(kind);
        let mut bytes = Vec::new();
        put_frame(&mut bytes, COMMAND, &body);
        bytes
    }

    fn open() -> Subscriber {
        let mut subscriber = Subscriber::default();
        assert!(subscriber.receive(&[greeting(), ready(b"SUB")].concat()).unwrap().is_empty());
        subscriber
    }

    #[test]
    fn subscriptions_come_as_messages_or_commands_byte_by_byte() {
        let mut subscriber = Subscriber::default();
        let mut bytes = [greeting(), ready(b"SUB")].concat();
        bytes.extend(message(&[b"\x01hash"]));
        put_frame(&mut bytes, COMMAND, b"\x09SUBSCRIBEraw");
        for byte in bytes {
            subscriber.receive(&[byte]).unwrap();
        }
        assert!(subscriber.wants(b"hashblock") && subscriber.wants(b"rawtx") && !subscriber.wants(b"sequence"));
        subscriber.receive(&message(&[b"\x00hash"])).unwrap();
        assert!(!subscriber.wants(b"hashblock"));
    }

    #[test]
    fn a_topic_is_kept_as_often_as_it_was_asked_for() {
        let mut subscriber = open();
        for bytes in [b"\x01".as_slice(), b"\x01", b"\x00"] {
            subscriber.receive(&message(&[bytes])).unwrap();
        }
        assert!(subscriber.wants(b"anything"));
        subscriber.receive(&message(&[b"\x00"])).unwrap();
        assert!(!subscriber.wants(b"anything"));
    }

    #[test]
    fn pings_are_answered() {
        let mut ping = Vec::new();
        put_frame(&mut ping, COMMAND, b"\x04PING\x00\x0acontext");
        assert_eq!(open().receive(&ping).unwrap(), b"\x04\x0c\x04PONGcontext");
    }

    #[test]
    fn others_are_sent_away() {
        let wrong = |bytes: &[u8]| Subscriber::default().receive(bytes).unwrap_err();
        assert_eq!(wrong(b"GET / HTTP/1.1"), ZmtpError::Signature);
        let mut old = greeting();
        old[SIGNATURE] = 1;
        assert_eq!(wrong(&old), ZmtpError::Version(1));
        let mut plain = greeting();
        plain[12..17].copy_from_slice(b"PLAIN");
        assert_eq!(wrong(&plain), ZmtpError::Mechanism);
        assert_eq!(wrong(&[greeting(), ready(b"PUB")].concat()), ZmtpError::Peer);
        assert_eq!(wrong(&[greeting(), message(&[b"\x01"])].concat()), ZmtpError::Peer);
        assert_eq!(open().receive(&[8, 0]).unwrap_err(), ZmtpError::Frame);
        assert_eq!(open().receive(&message(&[&[1; 5000]])).unwrap_err(), ZmtpError::Frame);
        let mut greedy = open();
        let outcome = (0..=MAX_SUBSCRIPTIONS as u32)
            .try_for_each(|topic| greedy.receive(&message(&[&[&[1][..], &topic.to_be_bytes()].concat()])).map(drop));
        assert_eq!(outcome, Err(ZmtpError::Subscriptions));
    }

    #[test]
    fn long_parts_have_long_lengths() {
        let bytes = message(&[b"rawblock", &[7; 300], &5_u32.to_le_bytes()]);
        assert_eq!(&bytes[..2], [MORE, 8]);
        assert_eq!(&bytes[10..19], [MORE | LONG, 0, 0, 0, 0, 0, 0, 1, 44]);
        assert_eq!(&bytes[319..], [0, 4, 5, 0, 0, 0]);
    }
}
