//! The chain process: validation engine, mempool, block templates and the RPCs about them.

pub mod engine;
