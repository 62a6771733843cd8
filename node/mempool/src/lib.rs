//! The mempool: which unconfirmed transactions are kept, in which order they would be mined, and which must go.
//!
//! Pure: coins, scripts and the clock belong to the caller.

pub mod cluster;
pub mod entry;
pub mod feerate;
pub mod limit;
pub mod linearize;
pub mod options;
pub mod pool;
pub mod reject;
pub mod replace;
pub mod standard;

pub use entry::{Entry, NewEntry};
pub use feerate::{FeeFrac, FeeRate};
pub use options::Options;
pub use pool::{Event, Mempool, RemovalReason};
pub use reject::{Kind, Reject};
pub use replace::Candidate;

#[cfg(test)]
mod tests;
