//! The network process as a library: the engine without sockets, and the process around it.

pub mod engine;
pub mod process;
pub mod tor_dialogue;

mod rpc;
