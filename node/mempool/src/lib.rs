//! The mempool: which unconfirmed transactions are kept, in which order they would be mined, and which must go.
//!
//! Pure: coins, scripts and the clock belong to the caller.

pub mod cluster;
pub mod diagram;
pub mod entry;
pub mod ephemeral;
pub mod estimator;
pub mod feerate;
mod flow;
pub mod limit;
pub mod linearize;
pub mod options;
pub mod pool;
pub mod reject;
mod reorg;
pub mod replace;
pub mod stage;
pub mod standard;
pub mod truc;

pub use cluster::TxChunk;
pub use entry::{Entry, LockPoints, NewEntry};
pub use feerate::{FeeFrac, FeeRate};
pub use options::Options;
pub use pool::{Event, Mempool, RemovalReason};
pub use reject::{Kind, Reject};
pub use replace::Candidate;

#[cfg(test)]
mod tests;
