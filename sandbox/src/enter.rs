//! The door for a process that confines itself.

use crate::{Mode, Policy, Report, SandboxError, capabilities, descriptors, landlock, namespaces, process, rlimits, seccomp};
use std::{fs::File, io::Read, path::PathBuf};

/// A path for one of the names in the policy's list.
#[derive(Debug, Clone)]
pub struct PathGrant {
    /// Name in the policy ("blocksdir"); several paths may come under one name.
    pub name: &'static str,
    /// Existing file or directory.
    pub path: PathBuf,
}

/// Confines the calling process, for good: limits, undumpable, no_new_privs, death with the parent,
/// Landlock with a probe, capabilities, and the system call filters last. Namespaces were created at birth by
/// [`crate::spawn`]; here they are checked. Call it before the first thread: filters bind only the calling one.
///
/// # Errors
/// In strict mode any missing layer. In every mode: threads that exist already, unknown or unopenable grants.
pub fn enter(policy: &Policy, grants: &[PathGrant], mode: Mode) -> Result<Report, SandboxError> {
    enter_within(policy, grants, mode, None)
}

/// As [`enter`], with a limit of memory (bytes of private data) in the place of the policy's.
///
/// # Errors
/// As [`enter`].
pub fn enter_within(policy: &Policy, grants: &[PathGrant], mode: Mode, memory: Option<u64>) -> Result<Report, SandboxError> {
    let mut report =
        Report { pid: nix::unistd::getpid().as_raw(), uid: nix::unistd::geteuid().as_raw(), mode, ..Report::default() };
    if mode == Mode::Off {
        report.dumpable = true;
        report.descriptors = descriptors::list();
        report.missing.push("everything: started with -sandbox=off".to_owned());
        report.capabilities = format!("{:016x}", capabilities::effective()?);
        return Ok(report);
    }
    let count = process::thread_count();
    if count > 1 {
        return Err(SandboxError::Threads { component: policy.name, count });
    }
    process::forget_backtraces();
    let mut status = File::open("/proc/self/status").ok();
    report.descriptors = descriptors::list();
    if let Some(file) = &status {
        // Our own means of reporting is closed again below.
        let own = format!("{} ", std::os::fd::AsRawFd::as_raw_fd(file));
        report.descriptors.retain(|line| !line.starts_with(&own));
    }
    let layers = Layers { policy, mode };

    rlimits::apply(policy, memory)?;
    process::set_undumpable()?;
    process::set_no_new_privs()?;
    if policy.dies_with_parent {
        process::die_with_parent()?;
    }
    layers.namespaces(&mut report)?;
    layers.landlock(grants, &mut report)?;
    capabilities::drop_all().map_err(|errno| SandboxError::system("capset", errno))?;
    layers.seccomp(&mut report)?;

    report.no_new_privs = true;
    if let Some(file) = &mut status {
        // What the kernel was asked for and does not show is not there.
        let text = read_fresh(file)?;
        report.seccomp_mode = seccomp::mode(&text)?;
        report.capabilities = process::status_field(&text, "CapEff").unwrap_or_default().to_owned();
        report.no_new_privs = process::status_field(&text, "NoNewPrivs") == Some("1");
    }
    Ok(report)
}

/// What the kernel says about us now, through a descriptor from before the confinement. Nothing was read from
/// it before, so that no seek is needed; a plain read, because the convenient ones ask for more system calls.
fn read_fresh(file: &mut File) -> Result<String, SandboxError> {
    let mut buffer = vec![0u8; 8192];
    let length = file.read(&mut buffer).map_err(SandboxError::Status)?;
    buffer.truncate(length);
    String::from_utf8(buffer).map_err(|_| SandboxError::Malformed)
}

/// The layers that a kernel may lack.
struct Layers<'a> {
    policy: &'a Policy,
    mode: Mode,
}

impl Layers<'_> {
    /// Refuses in strict mode; otherwise writes the lack down.
    fn lacks(&self, report: &mut Report, feature: &'static str, cause: String, remedy: &'static str) -> Result<(), SandboxError> {
        if self.mode == Mode::Strict {
            return Err(SandboxError::Missing { component: self.policy.name, feature, cause, remedy });
        }
        report.missing.push(format!("{feature}: {cause}. {remedy}"));
        Ok(())
    }

    fn namespaces(&self, report: &mut Report) -> Result<(), SandboxError> {
        let parent = std::env::var(namespaces::VARIABLE).unwrap_or_default();
        let separate = namespaces::separate(self.policy.namespaces, &parent);
        report.namespaces = separate.iter().map(|namespace| namespace.name().to_owned()).collect();
        let lacking: Vec<&str> = self.policy.namespaces.iter().filter(|n| !separate.contains(n)).map(|n| n.name()).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        self.lacks(
            report,
            "a set of fresh namespaces",
            format!("missing are {}", lacking.join(", ")),
            crate::spawn::NAMESPACE_REMEDY,
        )
    }

    fn landlock(&self, grants: &[PathGrant], report: &mut Report) -> Result<(), SandboxError> {
        const REMEDY: &str = "Use Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK and landlock in the lsm= list.";
        if landlock::abi() == 0 {
            return self.lacks(report, "Landlock", "the kernel has it not or has it switched off".to_owned(), REMEDY);
        }
        let outcome = landlock::apply(self.policy, grants)?;
        report.landlock_abi = outcome.abi;
        report.landlock_rights = outcome.rights;
        // Rights of a later ABI only double what namespaces and filters refuse anyway: told, never fatal.
        report.missing.extend(outcome.missing.into_iter().map(|right| format!("Landlock right {right}: needs a newer kernel")));
        Ok(())
    }

    fn seccomp(&self, report: &mut Report) -> Result<(), SandboxError> {
        use seccomp::REMEDY;
        if !seccomp::supported() {
            return self.lacks(report, "seccomp", "the kernel cannot filter system calls".to_owned(), REMEDY);
        }
        report.filter_hash = self.policy.filter_hash.to_owned();
        report.allowed_syscalls = self.policy.allowed_syscalls;
        report.filtered_syscalls = self.policy.filtered_syscalls;
        // Unknown until the status file is read again; PR_SET_SECCOMP succeeding means mode 2.
        report.seccomp_mode = 2;
        if let Err(cause) = seccomp::apply(self.policy) {
            report.seccomp_mode = 0;
            return self.lacks(report, "seccomp", cause, REMEDY);
        }
        Ok(())
    }
}
