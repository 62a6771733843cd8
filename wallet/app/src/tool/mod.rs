//! `bitcoin-wallet <command>`: the offline tool for wallet files (Core: `bitcoin-wallet.cpp`, `wallet/wallettool.cpp`).
//!
//! The process that the user starts reads no wallet. It finds the paths, opens the dump file, and starts two confined
//! processes: the key store of the wallet, and this binary again, which talks to the key store and prints ([`confined`]).

pub mod confined;
mod launch;
mod options;

pub use launch::main;
