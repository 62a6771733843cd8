//! `bitcoin-wallet`: wallet logic without keys and without files. It knows public descriptors, coins, history
//! and labels, chooses coins and drafts transactions; the key store of each wallet keeps the file and signs.
//!
//! - [`records`]: public records of `wallet.dat`.
//! - [`state`]: one wallet in memory, pure.

pub mod records;
pub mod spend;
pub mod state;
