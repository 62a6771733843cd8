//! System call filters.

use crate::SandboxError;
use bulkhead_policies::{COMMANDS, Instruction, Policy};
use seccompiler::{BpfProgram, apply_filter, sock_filter};

/// What to do where filters are missing.
pub(crate) const REMEDY: &str = "Use a kernel with CONFIG_SECCOMP_FILTER on x86_64.";

/// Installs both filters of the policy: the deadly list first, because the allow-list does not contain
/// `seccomp` itself.
pub(crate) fn apply(policy: &Policy) -> Result<(), String> {
    for program in [policy.kill, policy.allow] {
        if !program.is_empty() {
            apply_filter(&convert(program)).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Installs the filter that the user's commands inherit: what no notification needs is refused.
pub(crate) fn apply_commands() -> Result<(), String> {
    apply_filter(&convert(COMMANDS)).map_err(|error| error.to_string())
}

fn convert(program: &[Instruction]) -> BpfProgram {
    program.iter().map(|i| sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect()
}

/// Whether the kernel can filter system calls.
pub(crate) fn supported() -> bool {
    // SAFETY: a filter pointer of null is the documented probe: EFAULT means that filters are supported.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, 0usize, 0usize, 0usize) };
    result == -1 && nix::errno::Errno::last() == nix::errno::Errno::EFAULT
}

/// Mode of the calling process from the text of `/proc/self/status`.
pub(crate) fn mode(status: &str) -> Result<u32, SandboxError> {
    crate::process::status_field(status, "Seccomp").and_then(|text| text.parse().ok()).ok_or(SandboxError::Malformed)
}
