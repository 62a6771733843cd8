//! The spawner's side: one thread, one loop over the channel and the deaths of children.

use super::{
    Exit, Options, Outcome, SpawnerHandle,
    wire::{self, Answer, Request},
};
use crate::{Mode, PathGrant, SandboxError, SpawnSpec, enter, policy, process, seccomp, spawn};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal, kill},
        signalfd::{SfdFlags, SignalFd},
        socket::{AddressFamily, SockFlag, SockType, socketpair},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{ForkResult, Pid, fork, setsid},
};
use std::{
    collections::BTreeSet,
    ffi::CString,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::PathBuf,
};

pub(super) fn start(options: Options) -> Result<SpawnerHandle, SandboxError> {
    let count = process::thread_count();
    if count > 1 {
        return Err(SandboxError::Threads { component: "spawner", count });
    }
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .map_err(|errno| SandboxError::system("socketpair", errno))?;
    // SAFETY: there is one thread, so the child finds no lock held by another.
    match unsafe { fork() }.map_err(|errno| SandboxError::system("fork", errno))? {
        ForkResult::Child => {
            drop(ours);
            let code = i32::from(run(&options, theirs).is_err());
            // SAFETY: leaves without running exit handlers and destructors of the supervisor.
            unsafe { libc::_exit(code) }
        }
        ForkResult::Parent { child } => {
            drop(theirs);
            let mut handle = SpawnerHandle { channel: ours, pid: child.as_raw(), exits: std::collections::VecDeque::new() };
            handle.wait_until_confined()?;
            Ok(handle)
        }
    }
}

impl SpawnerHandle {
    /// The spawner's first message tells whether it could confine itself.
    fn wait_until_confined(&mut self) -> Result<(), SandboxError> {
        match wire::receive_answer(&self.channel, true)? {
            Some(Answer::Born(_)) => Ok(()),
            Some(Answer::Refused(text)) => Err(SandboxError::Refused(text)),
            _ => Err(SandboxError::SpawnerGone),
        }
    }
}

fn run(options: &Options, channel: OwnedFd) -> Result<(), SandboxError> {
    let signals = match prepare(options, &channel) {
        Ok(signals) => signals,
        Err(error) => {
            wire::send_answer(&channel, &Answer::Refused(error.to_string()))?;
            return Err(error);
        }
    };
    wire::send_answer(&channel, &Answer::Born(0))?;
    let mut children = BTreeSet::new();
    let result = serve(options, &channel, &signals, &mut children);
    for child in children {
        let _ = kill(Pid::from_raw(child), Signal::SIGKILL);
    }
    result
}

/// Leaves everything of the supervisor behind, then confines itself.
fn prepare(options: &Options, channel: &OwnedFd) -> Result<SignalFd, SandboxError> {
    let system = SandboxError::system;
    // Out of the terminal's process group: Ctrl-C must reach the supervisor only, which then stops in order.
    setsid().map_err(|errno| system("setsid", errno))?;
    let signals = [Signal::SIGCHLD].into_iter().collect::<SigSet>();
    signals.thread_block().map_err(|errno| system("sigprocmask", errno))?;
    let listener = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(|errno| system("signalfd", errno))?;
    keep_only(&[channel.as_raw_fd(), listener.as_raw_fd()])?;
    if options.mode != Mode::Off {
        let policy = policy("spawner").ok_or_else(|| SandboxError::UnknownComponent("spawner".to_owned()))?;
        if options.runs_commands {
            process::die_with_parent()?;
            process::set_no_new_privs()?;
            confine_commands(options.mode)?;
        } else {
            enter(policy, &grants(options), options.mode)?;
        }
    } else {
        process::die_with_parent()?;
    }
    Ok(listener)
}

/// The filter of the user's commands; a kernel without filters is tolerated where `enter` tolerates it.
fn confine_commands(mode: Mode) -> Result<(), SandboxError> {
    match seccomp::apply_commands() {
        Err(cause) if mode == Mode::Strict => {
            let component = "spawner of commands";
            Err(SandboxError::Missing { component, feature: "seccomp", cause, remedy: seccomp::REMEDY })
        }
        _ => Ok(()),
    }
}

/// Closes what the fork copied: listening sockets, locks and logs of the supervisor. 0, 1 and 2 become /dev/null.
fn keep_only(kept: &[i32]) -> Result<(), SandboxError> {
    let mut kept = kept.to_vec();
    kept.sort_unstable();
    let null = std::fs::File::options().read(true).write(true).open("/dev/null");
    let null = null.map_err(|source| SandboxError::GrantPath { path: "/dev/null".into(), source })?;
    crate::descriptors::replace_stdio(&null).map_err(|errno| SandboxError::system("dup2", errno))?;
    drop(null);
    let mut next = 3;
    for number in kept {
        crate::descriptors::close_range(next, Some(number - 1)).map_err(|errno| SandboxError::system("close_range", errno))?;
        next = number + 1;
    }
    crate::descriptors::close_range(next, None).map_err(|errno| SandboxError::system("close_range", errno))
}

/// The folder of the binaries and the dynamic loader may be executed.
fn grants(options: &Options) -> Vec<PathGrant> {
    const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
    let mut grants = vec![
        PathGrant { name: "binaries", path: options.binaries.clone() },
        PathGrant { name: "everywhere", path: PathBuf::from("/") },
    ];
    if std::fs::exists(LOADER).unwrap_or(false) {
        grants.push(PathGrant { name: "loader", path: PathBuf::from(LOADER) });
    }
    grants
}

fn serve(options: &Options, channel: &OwnedFd, signals: &SignalFd, children: &mut BTreeSet<i32>) -> Result<(), SandboxError> {
    loop {
        let mut ready = [PollFd::new(channel.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(SandboxError::system("poll", errno)),
        }
        let any = |index: usize| ready[index].any().unwrap_or(false);
        let (request, death) = (any(0), any(1));
        if death {
            while let Ok(Some(_)) = signals.read_signal() {}
            reap(channel, children)?;
        }
        if request {
            match wire::receive_request(channel)? {
                None => return Ok(()),
                Some(Request::Kill(pid)) if children.contains(&pid) => {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
                Some(Request::Kill(_)) => {}
                Some(Request::Spawn { component, args, keep }) => {
                    let answer = match birth(options, &component, args, keep) {
                        Ok(pid) => {
                            children.insert(pid);
                            Answer::Born(pid)
                        }
                        Err(error) => Answer::Refused(error.to_string()),
                    };
                    wire::send_answer(channel, &answer)?;
                }
            }
        }
    }
}

fn birth(options: &Options, component: &str, args: Vec<String>, keep: Vec<(OwnedFd, i32)>) -> Result<i32, SandboxError> {
    let policy = policy(component).ok_or_else(|| SandboxError::UnknownComponent(component.to_owned()))?;
    let args = args.into_iter().map(CString::new).collect::<Result<_, _>>().map_err(|_| SandboxError::ZeroByte("an argument"))?;
    spawn(SpawnSpec { program: options.binaries.join(policy.binary), args, keep, policy, mode: options.mode })
}

fn reap(channel: &OwnedFd, children: &mut BTreeSet<i32>) -> Result<(), SandboxError> {
    loop {
        let (pid, outcome) = match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => (pid.as_raw(), Outcome::Code(code)),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid.as_raw(), Outcome::Signal(signal as i32)),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(errno) => return Err(SandboxError::system("waitpid", errno)),
        };
        if children.remove(&pid) {
            wire::send_answer(channel, &Answer::Exited(Exit { pid, outcome }))?;
        }
    }
}
