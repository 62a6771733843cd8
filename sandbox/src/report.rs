//! What confinement was achieved, in the words of the kernel.

use crate::Mode;

/// The layers that are in force. `getsandboxinfo` shows one per process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Process id as the process sees it (1 inside a pid namespace).
    pub pid: i32,
    /// User id.
    pub uid: u32,
    /// Mode that was asked for.
    pub mode: Mode,
    /// The process can never gain privileges by exec.
    pub no_new_privs: bool,
    /// 0: no filter, 2: filters are in force (from `/proc/self/status`, read after the last filter).
    pub seccomp_mode: u32,
    /// SHA-256 of the installed BPF programs, hex. Empty without filters.
    pub filter_hash: String,
    /// System calls on the allow-list.
    pub allowed_syscalls: u32,
    /// How many of them are limited to certain arguments.
    pub filtered_syscalls: u32,
    /// Landlock ABI of the kernel; 0 without Landlock. Informative: rights are proved by probing.
    pub landlock_abi: u32,
    /// Rights that are governed.
    pub landlock_rights: Vec<String>,
    /// Namespaces that differ from those of the parent.
    pub namespaces: Vec<String>,
    /// Open descriptors at the time of confinement: "3 socket", "5 file append /path".
    pub descriptors: Vec<String>,
    /// Layers that the kernel did not grant, with the remedy. Empty in strict mode.
    pub missing: Vec<String>,
    /// Effective capability set, 16 hex digits.
    pub capabilities: String,
    /// Whether others of the same user may read the memory.
    pub dumpable: bool,
}
