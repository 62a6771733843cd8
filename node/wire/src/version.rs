//! The `version` message, whose later fields older peers leave out.

use crate::netaddr::{Endpoint, NetAddr};
use crate::reader::{DecodeError, Reader, put_length};

/// Longest user agent (Core: `MAX_SUBVERSION_LENGTH`).
pub const MAX_SUBVERSION: u64 = 256;

/// What a peer says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Protocol version.
    pub version: i32,
    /// Services that the sender offers.
    pub services: u64,
    /// The sender's clock, seconds; never negative.
    pub time: i64,
    /// Services that the sender believes the receiver has. Not used by Core.
    pub receiver_services: u64,
    /// How the sender sees the receiver.
    pub receiver: Endpoint,
    /// Random number against connections to oneself; 1 when absent.
    pub nonce: u64,
    /// User agent, raw bytes.
    pub user_agent: Vec<u8>,
    /// Height of the sender's chain; -1 when absent.
    pub height: i32,
    /// Whether the sender wants transactions announced (BIP 37); true when absent.
    pub relay: bool,
}

impl Version {
    /// Reads the fields that are there; bytes after the last one are tolerated, as Core does.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let version = reader.i32()?;
        let services = reader.u64()?;
        let time = reader.i64()?.max(0);
        let receiver_services = reader.u64().map_err(|_| DecodeError::IgnoreEndOfData)?;
        let receiver = Endpoint::read_v1(&mut reader)?;
        let mut out = Self {
            version,
            services,
            time,
            receiver_services,
            receiver,
            nonce: 1,
            user_agent: Vec::new(),
            height: -1,
            relay: true,
        };
        if !reader.is_empty() {
            reader.ignore(26)?;
            out.nonce = reader.u64()?;
        }
        if !reader.is_empty() {
            out.user_agent = reader.limited_string(MAX_SUBVERSION)?.to_vec();
        }
        if !reader.is_empty() {
            out.height = reader.i32()?;
        }
        if !reader.is_empty() {
            out.relay = reader.u8()? != 0;
        }
        Ok(out)
    }

    /// The body as we send it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&self.services.to_le_bytes());
        out.extend_from_slice(&self.time.to_le_bytes());
        out.extend_from_slice(&self.receiver_services.to_le_bytes());
        self.receiver.write_v1(&mut out);
        out.extend_from_slice(&self.services.to_le_bytes());
        Endpoint::new(NetAddr::NONE, 0).write_v1(&mut out);
        out.extend_from_slice(&self.nonce.to_le_bytes());
        put_length(&mut out, self.user_agent.len());
        out.extend_from_slice(&self.user_agent);
        out.extend_from_slice(&self.height.to_le_bytes());
        out.push(u8::from(self.relay));
        out
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn short_version_takes_defaults() {
        let full = Version {
            version: 70017,
            services: 9,
            time: 5,
            receiver_services: 0,
            receiver: Endpoint::parse("1.2.3.4:8333", 0).unwrap(),
            nonce: 77,
            user_agent: b"/x/".to_vec(),
            height: 3,
            relay: false,
        };
        let bytes = full.encode();
        assert_eq!(Version::decode(&bytes), Ok(full.clone()));
        let short = Version::decode(&bytes[..46]).unwrap();
        assert_eq!((short.nonce, short.height, short.relay), (1, -1, true));
        assert_eq!(Version::decode(&bytes[..45]), Err(DecodeError::EndOfData));
        let mut longer = bytes;
        longer.push(9);
        assert_eq!(Version::decode(&longer), Ok(full));
    }
}
