//! What black-box tests share: starting a node, talking to it, and looking at its processes from outside.

pub mod actions;
pub mod bpf;
pub mod chain;
pub mod family;
pub mod hostile;
pub mod inject;
pub mod mutant;
pub mod node;
pub mod peer;
pub mod port;
pub mod proc;
pub mod proof;
pub mod record;
pub mod replay;
pub mod secrets;
pub mod watch;
