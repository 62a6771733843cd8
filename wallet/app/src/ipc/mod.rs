//! The edges of this process: chain, key stores, front door, window.

pub mod chain;
pub mod events;
pub mod keystore;
pub mod scan;
pub mod serve;
pub mod supervisor;
