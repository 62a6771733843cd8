//! The edge between `bitcoin-wallet` and its key stores (`schema/edges/wallet_keystore.capnp`), and between
//! `bitcoin-rpc` and the one-shot key store: native messages, their frames, and a blocking client.
//!
//! A frame is a 4-byte little-endian length and one Cap'n Proto message of exactly one segment. There are no
//! capabilities and no asynchronous runtime: the key store links as little as possible.
//!
//! - [`message`]: what can be asked and answered, as plain Rust types.
//! - [`request`], [`reply`]: those types to frames and back; bounds are checked before anything is allocated.
//! - [`wire`]: one frame, with or without a descriptor beside it, over a stream socket.
//! - [`client`]: one method per request.

pub mod client;
mod frame;
pub mod message;
pub mod raw;
pub mod reply;
pub mod request;
pub mod wire;

pub use client::{ClientError, KeystoreClient};
pub use frame::{FrameError, MAX_FRAME_BYTES, MAX_SMALL_FRAME_BYTES};
pub use message::*;
pub use raw::{RawTransaction, SpentCoin};
