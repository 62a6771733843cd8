//! Why a process could not be born or confined.

use nix::errno::Errno;
use std::{io, path::PathBuf};

/// Failure of the sandbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// A layer is missing and the mode is strict.
    #[error("sandbox: {feature} is not available for {component}: {cause}. {remedy} Or start with -sandbox=degraded")]
    Missing {
        /// Component word.
        component: &'static str,
        /// Kernel feature.
        feature: &'static str,
        /// What the kernel answered.
        cause: String,
        /// What the user can do, a sentence.
        remedy: &'static str,
    },
    /// `enter` was called too late: other threads would stay unconfined.
    #[error("sandbox: {component} has {count} threads, confinement must come before the first thread")]
    Threads {
        /// Component word.
        component: &'static str,
        /// Number of threads.
        count: usize,
    },
    /// A path was granted under a name that the policy does not know.
    #[error("sandbox: the policy of {component} has no path named '{name}'")]
    UnknownGrant {
        /// Component word.
        component: &'static str,
        /// Name of the grant.
        name: &'static str,
    },
    /// A granted path could not be opened.
    #[error("sandbox: cannot grant {path}: {source}", path = path.display())]
    GrantPath {
        /// The path.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A system call failed.
    #[error("sandbox: {call} failed: {errno}")]
    System {
        /// Name of the call.
        call: &'static str,
        /// Error number.
        errno: Errno,
    },
    /// Landlock refused a rule set for a reason other than an old kernel.
    #[error("sandbox: landlock: {0}")]
    Landlock(String),
    /// The kernel accepted a layer and did not enforce it.
    #[error("sandbox: {probe} was expected to be refused in {component} and was not")]
    Probe {
        /// Component word.
        component: &'static str,
        /// What was tried.
        probe: &'static str,
    },
    /// The kernel does not say any more what it enforces.
    #[error("sandbox: cannot read /proc/self/status: {0}")]
    Status(io::Error),
    /// An argument, program path or environment entry contains a zero byte.
    #[error("sandbox: {0} contains a zero byte")]
    ZeroByte(&'static str),
    /// The binary could not be executed.
    #[error("sandbox: cannot execute {program}: {errno}", program = program.display())]
    Exec {
        /// Path of the binary.
        program: PathBuf,
        /// Error number.
        errno: Errno,
    },
    /// The component is not known.
    #[error("sandbox: no policy is named '{0}'")]
    UnknownComponent(String),
    /// Two descriptors were to get the same number, or a number is out of range.
    #[error("sandbox: descriptor number {0} is used twice or out of range")]
    DescriptorNumber(i32),
    /// The spawner went away.
    #[error("sandbox: the spawner is gone")]
    SpawnerGone,
    /// The spawner sent or received something that is not a message.
    #[error("sandbox: malformed message on the spawner's channel")]
    Malformed,
    /// The spawner could not give birth; the text is its error.
    #[error("{0}")]
    Refused(String),
}

impl SandboxError {
    /// Wraps the error number of a failed call.
    pub(crate) const fn system(call: &'static str, errno: Errno) -> Self {
        Self::System { call, errno }
    }
}
