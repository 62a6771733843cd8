//! The key store: one wallet file, its private keys, and the spending rules that stand before them.
//!
//! - [`service`]: requests to replies.
//! - [`database`]: `wallet.dat`; [`loaded`]: what is known of an open one; [`generate`]: new descriptors.
//! - [`vault`]: private keys in memory; [`crypter`], [`der`]: their encrypted and plain forms on disk.
//! - [`sign`], [`message`]: signatures.

pub mod crypter;
pub mod database;
pub mod der;
pub mod generate;
pub mod loaded;
pub mod message;
pub mod refusal;
mod residue;
pub mod service;
pub mod sign;
pub mod vault;
