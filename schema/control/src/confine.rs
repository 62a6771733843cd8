//! The one call into the sandbox.

use crate::message::Report;
use crate::{Component, ControlError};
pub use bulkhead_sandbox::PathGrant;
use bulkhead_sandbox::{Mode, policy};

/// Confines this process by its component's policy. `memory`: bytes of private data in the place of the policy's limit.
///
/// # Errors
/// The layer that could not be enforced, or an unknown mode.
pub fn enter(component: Component, mode: &str, grants: &[PathGrant], memory: Option<u64>) -> Result<Report, ControlError> {
    let mode: Mode = mode.parse().map_err(|error| ControlError::Sandbox(format!("{error}")))?;
    let policy = policy(component.word()).ok_or_else(|| ControlError::NoPolicy(component.word().into()))?;
    let report =
        bulkhead_sandbox::enter_within(policy, grants, mode, memory).map_err(|error| ControlError::Sandbox(error.to_string()))?;
    Ok(Report {
        pid: report.pid,
        uid: report.uid,
        mode: report.mode.name().to_owned(),
        no_new_privs: report.no_new_privs,
        seccomp_mode: report.seccomp_mode,
        filter_hash: report.filter_hash,
        allowed_syscalls: report.allowed_syscalls,
        filtered_syscalls: report.filtered_syscalls,
        landlock_abi: report.landlock_abi,
        landlock_rights: report.landlock_rights,
        namespaces: report.namespaces,
        descriptors: report.descriptors,
        missing: report.missing,
        capabilities: report.capabilities,
        dumpable: report.dumpable,
    })
}
