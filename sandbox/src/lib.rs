//! Births of confined processes.
//!
//! Three doors:
//! - [`spawner::start`]: called by the supervisor before it confines itself and before any thread. The
//!   spawner is a fork that only gives birth to other processes, because a confined supervisor cannot.
//! - [`spawn`]: clone into fresh namespaces, arrange descriptors, empty the environment, exec.
//! - [`enter`]: called by each process in the first screenful of its `main`, before any thread or runtime.
//!
//! Inside, one file per kernel feature. This is the only crate in which unsafe code is permitted.

mod capabilities;
mod descriptors;
mod enter;
mod error;
mod landlock;
mod last_words;
pub mod memory;
mod mode;
mod namespaces;
pub mod passing;
mod process;
mod report;
mod rlimits;
mod seccomp;
mod spawn;
pub mod spawner;

pub use bulkhead_policies::{COMMANDS_HASH, Policy, policy};
pub use enter::{PathGrant, enter, enter_within};
pub use error::SandboxError;
pub use last_words::{ABORT_CODE, Cause, on_abort};
pub use mode::Mode;
pub use report::Report;
pub use rlimits::{descriptors as descriptor_limit, raise_descriptors};
pub use spawn::{SpawnSpec, spawn};
