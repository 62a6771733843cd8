//! Wallet logic without I/O, clock or threads, shared by `bitcoin-wallet` and `bitcoin-keystore`.
//!
//! - [`record`]: keys and values of `wallet.dat`, byte for byte those of Bitcoin Core.
//! - [`descriptor`]: output descriptors, the crate `bulkhead-descriptor`, which chain reads them with too.
//! - [`defaults`]: the eight descriptors of a new wallet.
//! - [`output_type`]: the address types.
//! - [`flags`]: wallet flags.
//!
//! The messages between the two processes are in `bulkhead-keystore-edge` (`schema/keystore`).

pub mod codec;
pub mod defaults;
pub mod flags;
pub mod record;

pub use bulkhead_descriptor::{self as descriptor, Descriptor, OutputType, output_type};
