//! The chain process: validation engine, mempool, block templates and the RPCs about them.

pub mod compact;
pub mod engine;
pub mod indexes;
pub mod mempool_accept;
pub mod mining;
pub mod recent;
pub mod rest;
pub mod rpc;
pub mod saved;
pub mod serve;
pub mod start;
pub mod warnings;
