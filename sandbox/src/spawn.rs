//! The door through which a process is born: clone into fresh namespaces, arrange descriptors, exec.

use crate::{Mode, Policy, SandboxError, capabilities, descriptors, namespaces};
use bulkhead_policies::Namespace;
use nix::{errno::Errno, fcntl::OFlag, unistd};
use std::{
    ffi::{CStr, CString},
    fs::File,
    io::Read,
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::PathBuf,
};

pub(crate) const NAMESPACE_REMEDY: &str = "Allow user namespaces: user.max_user_namespaces above 0, \
     kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0 where those exist.";

/// Highest descriptor number that a child may ask for.
const MAX_NUMBER: RawFd = 255;

/// A process to be born.
#[derive(Debug)]
pub struct SpawnSpec {
    /// Path of the binary.
    pub program: PathBuf,
    /// Arguments after the program name. Visible to every process of the machine: never a secret.
    pub args: Vec<CString>,
    /// Descriptors and the numbers under which the child finds them. 0, 1 and 2 are `/dev/null` unless listed.
    pub keep: Vec<(OwnedFd, i32)>,
    /// Policy of the child.
    pub policy: &'static Policy,
    /// What to do when the kernel does not grant the namespaces.
    pub mode: Mode,
}

/// Starts a process and returns its id once exec succeeded.
///
/// # Errors
/// In strict mode when the namespaces are not granted; otherwise failures of clone and exec.
pub fn spawn(spec: SpawnSpec) -> Result<i32, SandboxError> {
    let wanted: &[Namespace] = if spec.mode == Mode::Off { &[] } else { spec.policy.namespaces };
    let plan = Plan::new(&spec)?;
    match plan.run(wanted) {
        Err(Failure { stage: Stage::Clone, errno }) if !wanted.is_empty() => {
            if spec.mode == Mode::Strict {
                return Err(SandboxError::Missing {
                    component: spec.policy.name,
                    feature: "a set of fresh namespaces",
                    cause: format!("clone answered {errno}"),
                    remedy: NAMESPACE_REMEDY,
                });
            }
            // Root may create the others where user namespaces are switched off.
            let without_user: Vec<Namespace> = wanted.iter().copied().filter(|n| *n != Namespace::User).collect();
            plan.run(&without_user).or_else(|_| plan.run(&[])).map_err(|failure| failure.into_error(&spec))
        }
        other => other.map_err(|failure| failure.into_error(&spec)),
    }
}

/// Step of a birth, as told through the status pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    Clone = 0,
    Map = 1,
    Descriptors = 2,
    Privileges = 3,
    Exec = 4,
}

#[derive(Debug)]
struct Failure {
    stage: Stage,
    errno: Errno,
}

impl Failure {
    fn into_error(self, spec: &SpawnSpec) -> SandboxError {
        match self.stage {
            Stage::Clone => SandboxError::system("clone", self.errno),
            Stage::Map => SandboxError::system("writing uid_map", self.errno),
            Stage::Descriptors => SandboxError::system("arranging descriptors", self.errno),
            Stage::Privileges => SandboxError::system("dropping privileges", self.errno),
            Stage::Exec => SandboxError::Exec { program: spec.program.clone(), errno: self.errno },
        }
    }
}

/// Everything that the child needs, prepared before clone: between clone and exec it only makes plain system
/// calls, because another thread of the parent might have held the allocator's lock.
struct Plan {
    program: CString,
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    uid_map: String,
    gid_map: String,
    /// Source and target numbers, sorted by target.
    moves: Vec<(RawFd, RawFd)>,
    confine: bool,
    // Owners of what the pointers and numbers above refer to.
    _strings: Vec<CString>,
    _null: File,
}

impl Plan {
    fn new(spec: &SpawnSpec) -> Result<Self, SandboxError> {
        let zero = |what| move |_| SandboxError::ZeroByte(what);
        let program = CString::new(spec.program.as_os_str().as_bytes()).map_err(zero("the program path"))?;
        let mut strings = vec![program.clone()];
        strings.extend(spec.args.iter().cloned());
        let argc = strings.len();
        if spec.policy.inherit_environment {
            for (key, value) in std::env::vars_os().filter(|(key, _)| key != namespaces::VARIABLE) {
                let entry = [key.as_bytes(), b"=", value.as_bytes()].concat();
                strings.push(CString::new(entry).map_err(zero("the environment"))?);
            }
        }
        let entry = format!("{}={}", namespaces::VARIABLE, namespaces::describe_own());
        strings.push(CString::new(entry).map_err(zero("the environment"))?);
        let pointers: Vec<_> = strings.iter().map(|text| text.as_ptr()).collect();
        let ended = |part: &[*const libc::c_char]| part.iter().copied().chain([std::ptr::null()]).collect::<Vec<_>>();

        let null = File::options().read(true).write(true).open("/dev/null");
        let null = null.map_err(|source| SandboxError::GrantPath { path: "/dev/null".into(), source })?;
        let mut moves: Vec<_> = spec.keep.iter().map(|(fd, target)| (fd.as_raw_fd(), *target)).collect();
        for target in 0..=2 {
            if !moves.iter().any(|(_, taken)| *taken == target) {
                moves.push((null.as_raw_fd(), target));
            }
        }
        moves.sort_unstable_by_key(|(_, target)| *target);
        for (index, (_, target)) in moves.iter().enumerate() {
            if !(0..=MAX_NUMBER).contains(target) || index > 0 && moves[index - 1].1 == *target {
                return Err(SandboxError::DescriptorNumber(*target));
            }
        }
        let (uid, gid) = (unistd::geteuid(), unistd::getegid());
        Ok(Self {
            program,
            argv: ended(&pointers[..argc]),
            envp: ended(&pointers[argc..]),
            uid_map: format!("{uid} {uid} 1\n"),
            gid_map: format!("{gid} {gid} 1\n"),
            moves,
            confine: spec.mode != Mode::Off,
            _strings: strings,
            _null: null,
        })
    }

    /// Clones; the parent learns from a pipe that closes at exec whether all went well.
    fn run(&self, wanted: &[Namespace]) -> Result<i32, Failure> {
        let fail = |errno| Failure { stage: Stage::Clone, errno };
        let (reader, writer) = unistd::pipe2(OFlag::O_CLOEXEC).map_err(fail)?;
        let flags = libc::c_long::from(namespaces::clone_flags(wanted) | libc::SIGCHLD);
        // SAFETY: without CLONE_VM this is a fork: the child gets a copy of the address space and continues
        // on a copy of this stack. It calls only `child`, which makes plain system calls and never returns.
        let answer = unsafe { libc::syscall(libc::SYS_clone, flags, 0usize, 0usize, 0usize, 0usize) };
        let pid = Errno::result(answer).map_err(fail)?;
        if pid == 0 {
            self.child(wanted.contains(&Namespace::User), writer.as_raw_fd());
        }
        drop(writer);
        let pid = i32::try_from(pid).expect("process ids fit 31 bits");
        let mut message = [0u8; 5];
        let mut status = File::from(reader);
        match status.read_exact(&mut message) {
            Ok(()) => {
                let _ = nix::sys::wait::waitpid(unistd::Pid::from_raw(pid), None);
                let errno = Errno::from_raw(i32::from_le_bytes([message[1], message[2], message[3], message[4]]));
                let stage = match message[0] {
                    1 => Stage::Map,
                    2 => Stage::Descriptors,
                    3 => Stage::Privileges,
                    _ => Stage::Exec,
                };
                Err(Failure { stage, errno })
            }
            // Closed by exec, or by an early death that the caller learns from wait.
            Err(_) => Ok(pid),
        }
    }

    /// The child between clone and exec.
    fn child(&self, user_namespace: bool, status: RawFd) -> ! {
        match self.prepare(user_namespace, status) {
            Ok(status) => {
                // SAFETY: all pointers were made from CStrings owned by self; both arrays end with null.
                unsafe { libc::execve(self.program.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr()) };
                tell(status, Stage::Exec, Errno::last());
            }
            Err((status, stage, errno)) => tell(status, stage, errno),
        }
        // SAFETY: ends the process without running destructors that belong to the parent.
        unsafe { libc::_exit(127) }
    }

    fn prepare(&self, user_namespace: bool, status: RawFd) -> Result<RawFd, (RawFd, Stage, Errno)> {
        let at = |stage| move |errno| (status, stage, errno);
        if user_namespace {
            // The copy of an undumpable spawner belongs to root in /proc: an ordinary user could not open its
            // own maps. Exec makes a fresh address space, and `enter` hides that one again.
            // SAFETY: integer arguments only.
            let dumpable = unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1usize, 0usize, 0usize, 0usize) };
            Errno::result(dumpable).map_err(at(Stage::Map))?;
            // Without this an unprivileged process may not map its group.
            write_file(c"/proc/self/setgroups", b"deny").map_err(at(Stage::Map))?;
            match write_file(c"/proc/self/uid_map", self.uid_map.as_bytes()) {
                // Who maps uid 0 needs CAP_SETFCAP, which the spawner has given up like every other capability. A
                // child of root stays unmapped then: it sees itself as the overflow user, the kernel still checks
                // its files by uid 0, and exec leaves it without capabilities in its own namespace too.
                Err(Errno::EPERM) => {}
                written => {
                    written.map_err(at(Stage::Map))?;
                    write_file(c"/proc/self/gid_map", self.gid_map.as_bytes()).map_err(at(Stage::Map))?;
                }
            }
        }
        die_with_parent(status).map_err(at(Stage::Privileges))?;
        reset_signals().map_err(at(Stage::Privileges))?;
        let status = self.arrange(status).map_err(at(Stage::Descriptors))?;
        let at = |stage| move |errno| (status, stage, errno);
        if self.confine {
            // Here and not only in `enter`: exec as an ordinary user empties the effective set, and without
            // CAP_SETPCAP the bounding set could no longer be emptied.
            // SAFETY: integer arguments only.
            let nnp = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1usize, 0usize, 0usize, 0usize) };
            Errno::result(nnp).map_err(at(Stage::Privileges))?;
            capabilities::drop_all().map_err(at(Stage::Privileges))?;
        }
        Ok(status)
    }

    /// Moves every kept descriptor to its number and closes the rest. Returns the new number of the status pipe.
    fn arrange(&self, status: RawFd) -> Result<RawFd, Errno> {
        let last = self.moves.last().map_or(2, |(_, target)| *target);
        let status_target = last + 1;
        // First everything above all targets, so that no move overwrites a source.
        let base = MAX_NUMBER + 2;
        let mut lifted: [RawFd; MAX_NUMBER as usize + 1] = [-1; MAX_NUMBER as usize + 1];
        for (slot, (source, _)) in lifted.iter_mut().zip(&self.moves) {
            *slot = duplicate_above(*source, base)?;
        }
        let lifted_status = duplicate_above(status, base)?;
        let mut next = 0;
        for (slot, (_, target)) in lifted.iter().zip(&self.moves) {
            descriptors::close_range(next, Some(*target - 1))?;
            // SAFETY: both numbers belong to this process; the target is replaced on purpose.
            Errno::result(unsafe { libc::dup3(*slot, *target, 0) }).or_else(|e| if *slot == *target { Ok(0) } else { Err(e) })?;
            next = *target + 1;
        }
        // SAFETY: as above; the status pipe must vanish at exec.
        Errno::result(unsafe { libc::dup3(lifted_status, status_target, libc::O_CLOEXEC) })?;
        descriptors::close_range(status_target + 1, None)?;
        Ok(status_target)
    }
}

fn duplicate_above(source: RawFd, base: RawFd) -> Result<RawFd, Errno> {
    // SAFETY: integer arguments only.
    Errno::result(unsafe { libc::fcntl(source, libc::F_DUPFD_CLOEXEC, base) })
}

fn write_file(path: &CStr, content: &[u8]) -> Result<(), Errno> {
    // SAFETY: the path ends with zero, the buffer is valid for its length, the descriptor is ours to close.
    unsafe {
        let fd = Errno::result(libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC))?;
        let written = Errno::result(libc::write(fd, content.as_ptr().cast(), content.len()));
        libc::close(fd);
        written.map(drop)
    }
}

/// Dies with the parent; a parent that died already has closed the reading end of the status pipe.
fn die_with_parent(status: RawFd) -> Result<(), Errno> {
    let mut poll = libc::pollfd { fd: status, events: 0, revents: 0 };
    // SAFETY: integer arguments, and one valid pollfd for the duration of the call.
    unsafe {
        Errno::result(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0usize, 0usize, 0usize))?;
        Errno::result(libc::poll(&raw mut poll, 1, 0))?;
    }
    if poll.revents & libc::POLLERR != 0 { Err(Errno::ESRCH) } else { Ok(()) }
}

/// Unblocks every signal: the spawner blocks SIGCHLD for itself.
fn reset_signals() -> Result<(), Errno> {
    // SAFETY: the set is initialised by sigemptyset before it is used.
    unsafe {
        let mut empty = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut empty);
        Errno::result(libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut())).map(drop)
    }
}

fn tell(status: RawFd, stage: Stage, errno: Errno) {
    let mut message = [stage as u8, 0, 0, 0, 0];
    message[1..].copy_from_slice(&(errno as i32).to_le_bytes());
    // SAFETY: five valid bytes. Nothing can be done about a failure: the parent sees the exit code.
    unsafe { libc::write(status, message.as_ptr().cast(), message.len()) };
}
