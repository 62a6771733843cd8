//! Resource limits.

use crate::SandboxError;
use bulkhead_policies::{Policy, Resource};
use nix::{
    errno::Errno,
    sys::resource::{Resource as Kind, getrlimit, setrlimit},
};

/// Descriptors that the supervisor may have beyond any confined process. Linux refuses to pass descriptors while more of them
/// are on their way (of one user, in all of its processes) than the limit of the sender, so a process that was taken over and
/// sends descriptors to itself must reach its own limit well before the supervisor's. Twice what one datagram carries.
const DESCRIPTORS_OF_SUPERVISOR: u64 = 512;
/// No process gets fewer than this, however low the limit of the machine.
const FEWEST_DESCRIPTORS: u64 = 64;

/// Raises the number of descriptors that this process may have to what the machine permits, and returns it.
///
/// # Errors
/// Those of the system calls.
pub fn raise_descriptors() -> Result<u64, SandboxError> {
    let (soft, hard) = getrlimit(Kind::RLIMIT_NOFILE).map_err(|errno| SandboxError::system("getrlimit", errno))?;
    if soft < hard {
        setrlimit(Kind::RLIMIT_NOFILE, hard, hard).map_err(|errno| SandboxError::system("setrlimit", errno))?;
    }
    Ok(hard)
}

/// How many descriptors a process of this policy has when the supervisor has `supervisor`.
pub fn descriptors(policy: &Policy, supervisor: u64) -> u64 {
    let within = supervisor.saturating_sub(DESCRIPTORS_OF_SUPERVISOR).max(FEWEST_DESCRIPTORS).min(supervisor);
    let wanted = policy.rlimits.iter().filter(|limit| limit.resource == Resource::Nofile).map(|limit| limit.value);
    wanted.min().map_or(within, |wanted| wanted.min(within))
}

/// Lowers soft and hard limits to the numbers of the policy. A limit that is already lower stays. `memory`: bytes of data instead
/// of the policy's.
pub(crate) fn apply(policy: &Policy, memory: Option<u64>) -> Result<(), SandboxError> {
    let data = memory.map(|bytes| (Resource::Data, bytes));
    let of_policy = policy.rlimits.iter().map(|limit| (limit.resource, limit.value));
    let of_policy = of_policy.filter(|(resource, _)| *resource != Resource::Data || memory.is_none());
    for (resource, value) in of_policy.chain(data) {
        let kind = kind(resource);
        let (_, hard) = getrlimit(kind).map_err(|errno| SandboxError::system("getrlimit", errno))?;
        let value = if kind == Kind::RLIMIT_NOFILE { descriptors(policy, hard) } else { value.min(hard) };
        match setrlimit(kind, value, value) {
            // EINVAL: a resource that this kernel does not know.
            Ok(()) | Err(Errno::EINVAL) => {}
            Err(errno) => return Err(SandboxError::system("setrlimit", errno)),
        }
    }
    Ok(())
}

const fn kind(resource: Resource) -> Kind {
    match resource {
        Resource::Core => Kind::RLIMIT_CORE,
        Resource::Nofile => Kind::RLIMIT_NOFILE,
        Resource::Nproc => Kind::RLIMIT_NPROC,
        Resource::Fsize => Kind::RLIMIT_FSIZE,
        Resource::Msgqueue => Kind::RLIMIT_MSGQUEUE,
        Resource::Rtprio => Kind::RLIMIT_RTPRIO,
        Resource::Data => Kind::RLIMIT_DATA,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_process_can_have_as_many_descriptors_as_its_supervisor() {
        let children = bulkhead_policies::ALL.iter().filter(|policy| !["node", "spawner"].contains(&policy.name));
        let mut seen = 0;
        for policy in children {
            seen += 1;
            assert!(policy.rlimits.iter().any(|limit| limit.resource == Resource::Nofile), "{} has no limit", policy.name);
            for supervisor in [1024, 4096, 20_000, 1 << 20, u64::MAX] {
                let own = descriptors(policy, supervisor);
                assert!(own >= 64 && own + DESCRIPTORS_OF_SUPERVISOR <= supervisor, "{} of {supervisor}", policy.name);
            }
            assert_eq!(descriptors(policy, 100), 64);
        }
        assert_eq!(seen, 7);
    }
}
