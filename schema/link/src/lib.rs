//! Cap'n Proto RPC between two processes: one stream, one edge, one thread.
//!
//! # Correctness
//! capnp-rpc is single-threaded, so a process runs all its connections in one [`run`] on one thread and
//! hands work for other threads over by queues. A connection that ends is an error value at whoever waits
//! on it ([`Peer::get`] answers [`LinkError::PeerGone`]); nothing panics and nothing hangs. The bounds of
//! each edge are those of `bulkhead_schema::limits`.

mod beside;
mod connection;
mod frames;
mod gate;
mod gather;
mod ledger;
mod network;
mod observe;
mod peer;

pub use connection::{Closed, Connection, Role, connect, serve};
pub use observe::observe;
pub use peer::Peer;

use bulkhead_schema::limits::EdgeLimits;

/// Why a link cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The runtime of this thread could not be made.
    #[error("cannot start the event loop: {0}")]
    Runtime(std::io::Error),
    /// The descriptor is not a stream socket that the event loop can watch.
    #[error("cannot use the descriptor of edge {edge}: {source}")]
    Descriptor {
        /// Name of the edge.
        edge: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// No edge has this name in the table of limits.
    #[error("unknown edge {0}")]
    UnknownEdge(String),
    /// The other process is not there (it ended and is being started again, or never was).
    #[error("{0} is not available")]
    PeerGone(&'static str),
}

/// Looks an edge up in the table of limits.
///
/// # Errors
/// [`LinkError::UnknownEdge`] when the table does not have it.
pub fn edge(name: &str) -> Result<&'static EdgeLimits, LinkError> {
    bulkhead_schema::limits::edge(name).ok_or_else(|| LinkError::UnknownEdge(name.to_owned()))
}

/// Runs a future, and whatever it spawns with `tokio::task::spawn_local`, on this thread.
///
/// # Errors
/// [`LinkError::Runtime`] when the event loop cannot be made.
pub fn run<F: Future>(main: F) -> Result<F::Output, LinkError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(LinkError::Runtime)?;
    Ok(tokio::task::LocalSet::new().block_on(&runtime, main))
}

/// Turns any error into the one that a Cap'n Proto call answers, with Core's wording of a C++ exception
/// (libmultiprocess sends `std::exception: ` and the text).
pub fn failed(error: impl std::fmt::Display) -> capnp::Error {
    capnp::Error::failed(format!("std::exception: {error}"))
}
