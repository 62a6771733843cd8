//! Attributes of the process itself: dumpable, no_new_privs, death signal, number of threads.

use crate::SandboxError;
use nix::{
    sys::{prctl, signal::Signal},
    unistd::getppid,
};

/// Hides memory, environment and descriptors from other processes of the same user, and from core dumps.
pub(crate) fn set_undumpable() -> Result<(), SandboxError> {
    prctl::set_dumpable(false).map_err(|errno| SandboxError::system("prctl(PR_SET_DUMPABLE)", errno))
}

/// Makes exec unable to grant privileges. Landlock and seccomp demand it of unprivileged processes.
pub(crate) fn set_no_new_privs() -> Result<(), SandboxError> {
    prctl::set_no_new_privs().map_err(|errno| SandboxError::system("prctl(PR_SET_NO_NEW_PRIVS)", errno))
}

/// Dies with the parent. A parent that died just before is noticed by a changed parent id; inside a pid
/// namespace that id is always 0, and the closed control channel tells instead.
pub(crate) fn die_with_parent() -> Result<(), SandboxError> {
    let parent = getppid();
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|errno| SandboxError::system("prctl(PR_SET_PDEATHSIG)", errno))?;
    if getppid() != parent {
        std::process::exit(1);
    }
    Ok(())
}

/// A refused allocation must not end in a backtrace, which takes memory and files that a confined process has not. There must be one
/// thread only.
pub(crate) fn forget_backtraces() {
    for name in ["RUST_BACKTRACE", "RUST_LIB_BACKTRACE"] {
        // SAFETY: no other thread reads the environment.
        unsafe { std::env::remove_var(name) };
    }
}

/// Number of threads of this process.
pub(crate) fn thread_count() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

/// Takes a field of `/proc/self/status` out of its text.
pub(crate) fn status_field<'a>(status: &'a str, field: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(str::trim)
}
