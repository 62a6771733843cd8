//! `bitcoin-wallet`: wallet logic without keys and without files. It knows public descriptors, coins, history
//! and labels, chooses coins and drafts transactions; the key store of each wallet keeps the file and signs.
//!
//! - [`records`]: public records of `wallet.dat`.
//! - [`state`]: one wallet in memory, pure.
//! - [`spend`]: sizes, fees, coin selection, drafts; pure.
//! - [`ipc`]: the edges of the process.
//! - [`app`], [`wallets`]: what is loaded, and its life.
//! - [`rpc`]: the methods.
//! - [`tool`]: the offline tool for wallet files.

pub mod app;
pub mod ipc;
pub mod records;
pub mod rpc;
pub mod spend;
pub mod state;
pub mod tool;
pub mod wallets;
