//! Which system calls do confined processes really make? Follows a node and everything that it starts with
//! ptrace, from the first instruction, and counts calls after each process has confined itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Filters that a process installs; once they are in place it is confined.
const FILTERS: u32 = 2;

/// How often a call was made, and how often the answer was a refusal.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Calls made.
    pub made: u64,
    /// Of these, answered by EPERM, EACCES or ENOSYS.
    pub refused: u64,
}

/// Counts by component and number of the call.
pub type Record = BTreeMap<String, BTreeMap<i64, Count>>;

#[derive(Default)]
struct Process {
    filters: u32,
    component: Option<String>,
}

#[derive(Default)]
struct Thread {
    process: i32,
    /// Number of the call that is being made.
    inside: Option<i64>,
}

/// Runs a command to its end and answers its exit code and the record of all its confined processes.
///
/// # Errors
/// When it cannot be started or traced.
pub fn record(program: &Path, args: &[String]) -> Result<(i32, Record), String> {
    // It stops itself before it becomes the program, so that nothing is missed.
    let child = Command::new("/bin/sh").args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""]).arg(program).args(args).spawn();
    let leader = Pid::from_raw(child.map_err(|error| error.to_string())?.id().cast_signed());
    let text = |error: Errno| error.to_string();
    waitpid(leader, Some(WaitPidFlag::WUNTRACED)).map_err(text)?;
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(leader, options).map_err(text)?;
    kill(leader, Signal::SIGCONT).map_err(text)?;
    let mut follower = Follower::default();
    let mut code = -1;
    loop {
        match waitpid(None::<Pid>, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == leader => code = status,
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == leader => code = 128 + signal as i32,
            Ok(status) => follower.handle(status),
            Err(Errno::ECHILD) => return Ok((code, follower.record)),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

#[derive(Default)]
struct Follower {
    processes: BTreeMap<i32, Process>,
    threads: BTreeMap<i32, Thread>,
    record: Record,
}

impl Follower {
    fn handle(&mut self, status: WaitStatus) {
        let (thread, signal) = match status {
            WaitStatus::PtraceSyscall(thread) => {
                self.syscall(thread);
                (thread, None)
            }
            WaitStatus::PtraceEvent(thread, _, event) => {
                if event == libc::PTRACE_EVENT_EXEC {
                    self.processes.remove(&thread.as_raw());
                }
                (thread, None)
            }
            WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
            WaitStatus::Exited(thread, _) | WaitStatus::Signaled(thread, _, _) => {
                self.threads.remove(&thread.as_raw());
                return;
            }
            _ => return,
        };
        // A thread that was killed meanwhile cannot go on; its end is told next.
        let _ = ptrace::syscall(thread, signal);
    }

    fn syscall(&mut self, tid: Pid) {
        let Ok(regs) = ptrace::getregs(tid) else { return };
        let thread = self
            .threads
            .entry(tid.as_raw())
            .or_insert_with(|| Thread { process: group(tid.as_raw()).unwrap_or(tid.as_raw()), inside: None });
        let Some(number) = thread.inside.take() else {
            thread.inside = Some(regs.orig_rax.cast_signed());
            let process = self.processes.entry(thread.process).or_default();
            if process.filters >= FILTERS {
                // Counted on entry: exit_group never comes back.
                let component = process.component.get_or_insert_with(|| component(tid.as_raw()));
                let calls = self.record.entry(component.clone()).or_default();
                calls.entry(regs.orig_rax.cast_signed()).or_default().made += 1;
            }
            return;
        };
        let process = self.processes.entry(thread.process).or_default();
        let answer = regs.rax.cast_signed();
        if process.filters >= FILTERS
            && let Some(component) = &process.component
            && [-1, -13, -38].contains(&answer)
            && let Some(count) = self.record.get_mut(component).and_then(|calls| calls.get_mut(&number))
        {
            count.refused += 1;
        }
        if number == libc::SYS_seccomp && answer == 0 {
            process.filters += 1;
        }
    }
}

fn group(tid: i32) -> Option<i32> {
    crate::proc::status(tid, tid).ok()?.get("Tgid")?.parse().ok()
}

/// The component word; the spawner is the `bitcoin-node` whose parent is one too.
fn component(tid: i32) -> String {
    let binary = |pid: i32| {
        let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        path.file_name().and_then(|name| name.to_str()).map(str::to_owned)
    };
    let Some(own) = binary(tid) else { return "unknown".to_owned() };
    let parent = crate::proc::status(tid, tid).ok().and_then(|status| status.get("PPid")?.parse().ok());
    if own == "bitcoin-node" && parent.and_then(binary).as_deref() == Some("bitcoin-node") {
        return "spawner".to_owned();
    }
    own.trim_start_matches("bitcoin-").to_owned()
}
