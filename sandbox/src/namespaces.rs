//! Namespaces: created at clone, proved by comparing inode numbers with those of the parent.

use bulkhead_policies::Namespace;
use std::{fmt::Write as _, os::unix::fs::MetadataExt};

/// Environment variable through which the inode numbers of the parent's namespaces arrive. It is the only
/// variable of a confined process.
pub(crate) const VARIABLE: &str = "BULKHEAD_PARENT_NAMESPACES";

/// Flags for clone.
pub(crate) fn clone_flags(namespaces: &[Namespace]) -> libc::c_int {
    namespaces.iter().fold(0, |flags, namespace| {
        flags
            | match namespace {
                Namespace::User => libc::CLONE_NEWUSER,
                Namespace::Net => libc::CLONE_NEWNET,
                Namespace::Pid => libc::CLONE_NEWPID,
                Namespace::Ipc => libc::CLONE_NEWIPC,
                Namespace::Uts => libc::CLONE_NEWUTS,
                Namespace::Mount => libc::CLONE_NEWNS,
                Namespace::Cgroup => libc::CLONE_NEWCGROUP,
            }
    })
}

fn inode(namespace: Namespace) -> Option<u64> {
    std::fs::metadata(format!("/proc/self/ns/{}", namespace.proc_name())).ok().map(|m| m.ino())
}

/// "net:123,pid:456": the namespaces of the calling process, for its children.
pub(crate) fn describe_own() -> String {
    use Namespace as N;
    let mut text = String::new();
    for namespace in [N::User, N::Net, N::Pid, N::Ipc, N::Uts, N::Mount, N::Cgroup] {
        if let Some(inode) = inode(namespace) {
            let comma = if text.is_empty() { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(text, "{comma}{}:{inode}", namespace.name());
        }
    }
    text
}

/// Those of the wanted namespaces that differ from the parent's as told in `parent`.
pub(crate) fn separate(wanted: &[Namespace], parent: &str) -> Vec<Namespace> {
    let differs = |namespace: Namespace| {
        let told = parent.split(',').find_map(|part| part.strip_prefix(namespace.name())?.strip_prefix(':'));
        match (told.and_then(|text| text.parse::<u64>().ok()), inode(namespace)) {
            (Some(theirs), Some(ours)) => theirs != ours,
            _ => false,
        }
    };
    wanted.iter().copied().filter(|namespace| differs(*namespace)).collect()
}
