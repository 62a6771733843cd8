//! Consensus rules of Bitcoin as pure functions: no files, no clock, no threads, no database.
//!
//! Script execution is not here (see `bulkhead-script`); everything that decides about headers, blocks and
//! transactions besides scripts is. Reject reasons are the short texts of Bitcoin Core, because peers' logs,
//! RPC clients and tests read them.

pub mod amount;
pub mod block;
pub mod compact;
pub mod genesis;
pub mod header;
pub mod merkle;
pub mod networks;
pub mod params;
pub mod pow;
pub mod prepared;
pub mod reject;
pub mod sequence;
pub mod signet;
pub mod sigops;
pub mod tx;
pub mod unknown_rules;
pub mod versionbits;

pub use header::{HeaderFacts, HeaderView};
pub use params::Params;
pub use prepared::PreparedBlock;
pub use reject::{Reject, RejectKind};

/// Largest weight of a block, in weight units (BIP141).
pub const MAX_BLOCK_WEIGHT: usize = 4_000_000;
/// Weight units per non-witness byte.
pub const WITNESS_SCALE_FACTOR: usize = 4;
/// Largest cost of signature operations in a block (BIP141).
pub const MAX_BLOCK_SIGOPS_COST: usize = 80_000;
/// Confirmations that a coinbase output needs before it may be spent.
pub const COINBASE_MATURITY: i32 = 100;
/// Seconds that a block may be ahead of the node's clock.
pub const MAX_FUTURE_BLOCK_TIME: i64 = 2 * 60 * 60;
/// Seconds that the first block of a difficulty period may lie before its parent (BIP94).
pub const MAX_TIMEWARP: i64 = 600;
