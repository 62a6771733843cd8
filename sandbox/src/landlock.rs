//! Landlock: which paths, TCP ports and processes outside can be reached.
//!
//! The crate is told to fail on anything that the kernel does not know, never to drop it silently, and the
//! result is proved by trying what must now be refused: some kernels claim an ABI number without its rights.

use crate::{PathGrant, SandboxError};
use bulkhead_policies::{FsRight, Policy};
use landlock::{
    AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, Scope,
};
use std::{fs, io::ErrorKind, net::TcpStream};

/// Result of confinement by Landlock.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub abi: u32,
    pub rights: Vec<String>,
    /// Rights that the kernel is too old for.
    pub missing: Vec<String>,
}

/// ABI of the kernel, 0 without Landlock.
pub(crate) fn abi() -> u32 {
    const CREATE_RULESET_VERSION: libc::c_uint = 1;
    // SAFETY: the documented query: a null attribute of size 0 with the version flag.
    let answer =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, CREATE_RULESET_VERSION) };
    u32::try_from(answer).unwrap_or(0)
}

/// First ABI that knows a right. Needed to leave out what an old kernel cannot govern; what was left out is
/// reported, what was kept is demanded.
const fn since(right: FsRight) -> u32 {
    match right {
        FsRight::Refer => 2,
        FsRight::Truncate => 3,
        FsRight::IoctlDev => 5,
        _ => 1,
    }
}

const TCP_SINCE: u32 = 4;
const SCOPE_SINCE: u32 = 6;

/// Governs what the policy says and grants the given paths.
pub(crate) fn apply(policy: &Policy, grants: &[PathGrant]) -> Result<Outcome, SandboxError> {
    let abi = abi();
    let mut outcome = Outcome { abi, ..Outcome::default() };
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let mut governed = BitFlags::<AccessFs>::empty();
    for right in policy.landlock.fs {
        if outcome.note(since(*right), &format!("{right:?}")) {
            governed |= access(*right);
        }
    }
    if !governed.is_empty() {
        ruleset = ruleset.handle_access(governed).map_err(text)?;
    }
    for (wanted, right, name) in [
        (policy.landlock.deny_tcp_bind, AccessNet::BindTcp, "BindTcp"),
        (policy.landlock.deny_tcp_connect, AccessNet::ConnectTcp, "ConnectTcp"),
    ] {
        if wanted && outcome.note(TCP_SINCE, name) {
            ruleset = ruleset.handle_access(right).map_err(text)?;
        }
    }
    for (wanted, scope, name) in [
        (policy.landlock.scope_signal, Scope::Signal, "ScopeSignal"),
        (policy.landlock.scope_abstract_unix, Scope::AbstractUnixSocket, "ScopeAbstractUnix"),
    ] {
        if wanted && outcome.note(SCOPE_SINCE, name) {
            ruleset = ruleset.scope(scope).map_err(text)?;
        }
    }
    if outcome.rights.is_empty() {
        return Ok(outcome);
    }
    let mut created = ruleset.create().map_err(text)?;
    for grant in grants {
        let rule = policy.paths.iter().find(|rule| rule.name == grant.name);
        let rule = rule.ok_or(SandboxError::UnknownGrant { component: policy.name, name: grant.name })?;
        let mut rights = rule.rights.iter().fold(BitFlags::empty(), |all, right| all | access(*right)) & governed;
        let open = |source| SandboxError::GrantPath { path: grant.path.clone(), source };
        if !fs::metadata(&grant.path).map_err(open)?.is_dir() {
            rights &= AccessFs::from_file(landlock::ABI::V5);
        }
        if rights.is_empty() {
            continue;
        }
        let path = PathFd::new(&grant.path).map_err(|error| open(std::io::Error::other(error)))?;
        created = created.add_rule(PathBeneath::new(path, rights)).map_err(text)?;
    }
    let status = created.restrict_self().map_err(text)?;
    if status.ruleset != RulesetStatus::FullyEnforced {
        return Err(SandboxError::Landlock(format!("not fully enforced: {:?}", status.ruleset)));
    }
    probe(policy, grants, abi)?;
    Ok(outcome)
}

impl Outcome {
    /// Records whether the kernel knows a right.
    fn note(&mut self, since: u32, name: &str) -> bool {
        let known = self.abi >= since;
        let list = if known { &mut self.rights } else { &mut self.missing };
        list.push(name.to_owned());
        known
    }
}

/// Tries what must be refused now.
fn probe(policy: &Policy, grants: &[PathGrant], abi: u32) -> Result<(), SandboxError> {
    let lies = |probe| Err(SandboxError::Probe { component: policy.name, probe });
    let root_granted = grants.iter().any(|grant| grant.path.parent().is_none());
    let governs = |right| policy.landlock.fs.contains(&right) && !root_granted;
    if governs(FsRight::ReadDir) && fs::read_dir("/").is_ok() {
        return lies("listing /");
    }
    if governs(FsRight::ReadFile) && fs::File::open("/proc/self/status").is_ok() {
        return lies("reading /proc/self/status");
    }
    if governs(FsRight::WriteFile) && fs::OpenOptions::new().write(true).open("/dev/null").is_ok() {
        return lies("opening /dev/null for writing");
    }
    if policy.landlock.deny_tcp_connect && abi >= TCP_SINCE {
        // Port 1 of the loopback interface: refused by Landlock before any packet.
        match TcpStream::connect(("127.0.0.1", 1)) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            _ => return lies("connecting TCP"),
        }
    }
    Ok(())
}

fn text(error: impl std::error::Error) -> SandboxError {
    SandboxError::Landlock(error.to_string())
}

fn access(right: FsRight) -> BitFlags<AccessFs> {
    BitFlags::from(match right {
        FsRight::Execute => AccessFs::Execute,
        FsRight::ReadFile => AccessFs::ReadFile,
        FsRight::WriteFile => AccessFs::WriteFile,
        FsRight::ReadDir => AccessFs::ReadDir,
        FsRight::RemoveFile => AccessFs::RemoveFile,
        FsRight::RemoveDir => AccessFs::RemoveDir,
        FsRight::MakeReg => AccessFs::MakeReg,
        FsRight::MakeDir => AccessFs::MakeDir,
        FsRight::MakeSym => AccessFs::MakeSym,
        FsRight::MakeChar => AccessFs::MakeChar,
        FsRight::MakeBlock => AccessFs::MakeBlock,
        FsRight::MakeFifo => AccessFs::MakeFifo,
        FsRight::MakeSock => AccessFs::MakeSock,
        FsRight::Refer => AccessFs::Refer,
        FsRight::Truncate => AccessFs::Truncate,
        FsRight::IoctlDev => AccessFs::IoctlDev,
    })
}
