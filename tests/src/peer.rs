//! A peer that speaks the v1 transport and does nothing by itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bitcoin::consensus::encode::{Error as DecodeError, deserialize_partial, serialize};
use bitcoin::p2p::message::{NetworkMessage, RawNetworkMessage};
use bitcoin::p2p::message_network::VersionMessage;
use bitcoin::p2p::{Address, Magic, ServiceFlags};

/// How long a node may take to say something.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to a node on regtest.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Peer {
    /// Connects and shakes hands.
    ///
    /// # Errors
    /// When the node does not want it.
    pub fn connect(port: u16) -> Result<Self, String> {
        let failed = |error: std::io::Error| error.to_string();
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let mut new = Self { stream, received: Vec::new() };
        let nowhere = Address::new(&SocketAddr::from(([127, 0, 0, 1], port)), ServiceFlags::NONE);
        // Another nonce each time, or the node would think it met itself.
        let nonce = new.stream.local_addr().map_err(failed)?.port().into();
        let version = VersionMessage {
            version: 70_016,
            services: ServiceFlags::NETWORK | ServiceFlags::WITNESS,
            timestamp: 0,
            receiver: nowhere.clone(),
            sender: nowhere,
            nonce,
            user_agent: "/bench/".into(),
            start_height: 0,
            relay: true,
        };
        new.send(NetworkMessage::Version(version))?;
        new.wait_for("version", |message| matches!(message, NetworkMessage::Version(_)))?;
        new.send(NetworkMessage::WtxidRelay)?;
        new.send(NetworkMessage::Verack)?;
        new.wait_for("verack", |message| matches!(message, NetworkMessage::Verack))?;
        Ok(new)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, message: NetworkMessage) -> Result<(), String> {
        self.send_bytes(&encode(message))
    }

    /// Sends messages that [`encode`] made.
    ///
    /// # Errors
    /// As [`Peer::send`].
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.write_all(bytes).map_err(|error| error.to_string())
    }

    /// The next message.
    ///
    /// # Errors
    /// When none comes, or bytes that are none.
    pub fn receive(&mut self) -> Result<NetworkMessage, String> {
        loop {
            match deserialize_partial::<RawNetworkMessage>(&self.received) {
                Ok((message, size)) => {
                    self.received.drain(..size);
                    return Ok(message.into_payload());
                }
                Err(DecodeError::Io(_)) => {}
                Err(error) => return Err(error.to_string()),
            }
            let mut piece = [0; 64 * 1024];
            let count = self.stream.read(&mut piece).map_err(|error| error.to_string())?;
            if count == 0 {
                return Err("disconnected".into());
            }
            self.received.extend_from_slice(&piece[..count]);
        }
    }

    /// Drops messages until one is as wanted.
    ///
    /// # Errors
    /// As [`Peer::receive`].
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&NetworkMessage) -> bool) -> Result<NetworkMessage, String> {
        loop {
            let message = self.receive().map_err(|error| format!("{what}: {error}"))?;
            if wanted(&message) {
                return Ok(message);
            }
        }
    }

    /// A second handle of the same connection, to read from another thread.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn stream(&self) -> Result<TcpStream, String> {
        self.stream.try_clone().map_err(|error| error.to_string())
    }
}

/// The bytes of a message.
#[must_use]
pub fn encode(message: NetworkMessage) -> Vec<u8> {
    serialize(&RawNetworkMessage::new(Magic::REGTEST, message))
}
