//! The policy of every process, as data.
//!
//! `<process>.toml` states descriptors, edges, paths, namespaces and limits; `<process>.json` lists the
//! system calls in seccompiler's format, each with the reason why it is there. The build script checks
//! them (a missing reason or a list that outgrew its limit fails the build), compiles the lists into BPF
//! and emits one [`Policy`] per process. No permission is written anywhere else.

mod types;

pub use types::*;

include!(concat!(env!("OUT_DIR"), "/policies.rs"));

/// Finds the policy of a component by its word ("chain", "keystore", ...).
#[must_use]
pub fn policy(component: &str) -> Option<&'static Policy> {
    ALL.iter().copied().find(|policy| policy.name == component)
}
