//! Which system calls do confined processes really make? Follows a node and everything that it starts with
//! ptrace, from the first instruction, and counts calls after each process has confined itself, and the rules that
//! admitted them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use bulkhead_policies::policy;
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Filters that a process installs; once they are in place it is confined.
const FILTERS: u32 = 2;
/// Component word of the process that gives birth to the others.
const SPAWNER: &str = "spawner";

/// How often a call was made, and how often the answer was a refusal.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Calls made.
    pub made: u64,
    /// Of these, answered by EPERM, EACCES or ENOSYS.
    pub refused: u64,
}

/// What one component did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Counts by number of the call.
    pub calls: BTreeMap<i64, Count>,
    /// Rules of its policy that admitted a call, by their position in [`Policy::rules`].
    pub rules: BTreeSet<usize>,
}

/// What every component did, by component.
pub type Record = BTreeMap<String, Seen>;

#[derive(Default)]
struct Process {
    filters: u32,
    component: Option<String>,
    /// Born by the spawner, whose filters it has: what it does before it is confined is the spawner's need.
    of_spawner: bool,
}

impl Process {
    /// In whose name a call is counted; `None`: it is not confined.
    fn judged_as(&self) -> Option<&str> {
        if self.filters >= FILTERS { self.component.as_deref() } else { self.of_spawner.then_some(SPAWNER) }
    }
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
                if event == libc::PTRACE_EVENT_EXEC
                    && let Some(process) = self.processes.get_mut(&thread.as_raw())
                {
                    *process = Process { of_spawner: process.of_spawner, ..Process::default() };
                }
                (thread, None)
            }
            WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
            WaitStatus::Exited(thread, _) | WaitStatus::Signaled(thread, _, _) => {
                self.threads.remove(&thread.as_raw());
                // Numbers come back.
                self.processes.remove(&thread.as_raw());
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
        let id = thread.process;
        let number = thread.inside.take();
        if number.is_none() {
            thread.inside = Some(regs.orig_rax.cast_signed());
        }
        if !self.processes.contains_key(&id) {
            let of_spawner = self.is_spawner(parent(id));
            self.processes.insert(id, Process { of_spawner, ..Process::default() });
        }
        let Some(number) = number else { return self.enters(id, &regs) };
        self.leaves(id, number, regs.rax.cast_signed());
    }

    fn is_spawner(&self, process: Option<i32>) -> bool {
        let process = process.and_then(|process| self.processes.get(&process));
        process.is_some_and(|process| process.component.as_deref() == Some(SPAWNER))
    }

    /// Counted on entry: exit_group never comes back.
    fn enters(&mut self, id: i32, regs: &libc::user_regs_struct) {
        if self.processes.get(&id).is_some_and(|process| process.filters >= FILTERS && process.component.is_none()) {
            let component = component(id, self.is_spawner(parent(id)));
            if let Some(process) = self.processes.get_mut(&id) {
                process.component = Some(component);
            }
        }
        let Some(component) = self.processes.get(&id).and_then(Process::judged_as) else { return };
        let number = regs.orig_rax.cast_signed();
        let args = [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9];
        let seen = self.record.entry(component.to_owned()).or_default();
        seen.calls.entry(number).or_default().made += 1;
        let rules = policy(component).map_or(&[][..], |policy| policy.rules);
        let admitting = rules.iter().enumerate().filter(|(_, rule)| rule.admits(number, &args));
        seen.rules.extend(admitting.map(|(index, _)| index));
    }

    fn leaves(&mut self, id: i32, number: i64, answer: i64) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        if [-1, -13, -38].contains(&answer)
            && let Some(component) = process.judged_as()
            && let Some(count) = self.record.get_mut(component).and_then(|seen| seen.calls.get_mut(&number))
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

fn parent(pid: i32) -> Option<i32> {
    crate::proc::status(pid, pid).ok()?.get("PPid")?.parse().ok()
}

/// The component word. A `bitcoin-node` whose parent is one too is the spawner; one that the spawner has born is
/// another supervisor.
fn component(pid: i32, of_spawner: bool) -> String {
    let binary = |pid: i32| {
        let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        path.file_name().and_then(|name| name.to_str()).map(str::to_owned)
    };
    let Some(own) = binary(pid) else { return "unknown".to_owned() };
    if own == "bitcoin-node" && !of_spawner && parent(pid).and_then(binary).as_deref() == Some("bitcoin-node") {
        return SPAWNER.to_owned();
    }
    own.trim_start_matches("bitcoin-").to_owned()
}
