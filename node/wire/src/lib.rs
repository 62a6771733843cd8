//! Peer-to-peer codecs: both transports, message bodies and network addresses.
//!
//! Everything here is pure: bytes in, values out. No sockets, clock, threads or logging, so each decoder can be
//! fuzzed in-process. A decoder bounds what it is about to allocate by the bytes that are really there.

pub mod bloom;
pub mod compact;
pub mod filters;
pub mod frame;
pub mod inventory;
pub mod message;
pub mod netaddr;
pub mod pcp;
pub mod reader;
pub mod sam;
pub mod services;
pub mod skim;
pub mod socks5;
pub mod subnet;
pub mod torcontrol;
pub mod transport;
pub mod v2;
pub mod version;

mod base32;
mod classes;

pub use frame::{Frame, FrameError, Framer, Rejected};
pub use inventory::{Inventory, Kind};
pub use message::Message;
pub use netaddr::{Endpoint, NetAddr, Network, PeerAddress};
pub use reader::{DecodeError, Reader};
pub use subnet::Subnet;
pub use transport::{Protocol, Transport, TransportError};

/// Highest protocol version that we speak (BIP 434 `feature` messages).
pub const PROTOCOL_VERSION: i32 = 70017;
/// Peers that announce less than this are disconnected.
pub const MIN_PEER_PROTO_VERSION: i32 = 31800;
/// Peers above this version expect a nonce in `ping` (BIP 31).
pub const BIP0031_VERSION: i32 = 60000;
/// First version with `sendheaders` (BIP 130).
pub const SENDHEADERS_VERSION: i32 = 70012;
/// First version with `feefilter` (BIP 133).
pub const FEEFILTER_VERSION: i32 = 70013;
/// First version with compact blocks (BIP 152).
pub const SHORT_IDS_BLOCKS_VERSION: i32 = 70014;
/// First version with `wtxidrelay` (BIP 339).
pub const WTXID_RELAY_VERSION: i32 = 70016;
/// First version with `feature` (BIP 434).
pub const FEATURE_VERSION: i32 = 70017;

/// Replaces everything outside Core's default safe alphabet with nothing (Core: `SanitizeString`).
#[must_use]
pub fn sanitize(text: &[u8]) -> String {
    const EXTRA: &[u8] = b" .,;-_/:?@()";
    text.iter().filter(|byte| byte.is_ascii_alphanumeric() || EXTRA.contains(byte)).map(|byte| char::from(*byte)).collect()
}
