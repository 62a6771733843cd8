//! Resource limits.

use crate::SandboxError;
use bulkhead_policies::{Policy, Resource};
use nix::{
    errno::Errno,
    sys::resource::{Resource as Kind, getrlimit, setrlimit},
};

/// Lowers soft and hard limits to the numbers of the policy. A limit that is already lower stays.
pub(crate) fn apply(policy: &Policy) -> Result<(), SandboxError> {
    for limit in policy.rlimits {
        let kind = kind(limit.resource);
        let (_, hard) = getrlimit(kind).map_err(|errno| SandboxError::system("getrlimit", errno))?;
        let value = limit.value.min(hard);
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
