//! Makes a live process issue a system call of our choice, as an attacker who runs code inside it would.
//!
//! Attach from outside as root, put number and arguments into the registers, step over one `syscall`
//! instruction of the process itself, read the answer, put everything back. The kernel judges the call exactly
//! as if the process had made it: filters, Landlock domain, namespaces and credentials are the thread's own.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Bytes of scratch memory that are mapped into the process while it is held.
pub const SCRATCH: u64 = 64 * 1024;

/// What the kernel answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Success with this value.
    Value(i64),
    /// The error number.
    Refused(Errno),
    /// The process was ended by this signal (SIGSYS: the filter's deadly list).
    Killed(Signal),
}

/// Why an injection could not be made at all.
#[derive(Debug)]
pub struct InjectError(pub String);

impl std::fmt::Display for InjectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A thread that is held still between two of its instructions. Let go when dropped.
pub struct Held {
    pid: Pid,
    tid: Pid,
    memory: File,
    instruction: u64,
    original: libc::user_regs_struct,
    scratch: u64,
    used: u64,
    dead: bool,
}

fn because<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> InjectError {
    move |error| InjectError(format!("{what}: {error}"))
}

impl Held {
    /// Stops the main thread of a process.
    ///
    /// # Errors
    /// When the process is gone, or we are not allowed to trace it.
    pub fn stop(pid: i32) -> Result<Self, InjectError> {
        Self::stop_thread(pid, pid)
    }

    /// Stops one thread of a process; the others run on.
    ///
    /// # Errors
    /// As [`Held::stop`].
    pub fn stop_thread(pid: i32, tid: i32) -> Result<Self, InjectError> {
        let (process, thread) = (Pid::from_raw(pid), Pid::from_raw(tid));
        let memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem"));
        let memory = memory.map_err(because("opening memory"))?;
        let instruction = find_syscall_instruction(pid, &memory)?;
        ptrace::seize(thread, ptrace::Options::empty()).map_err(because("attaching"))?;
        ptrace::interrupt(thread).map_err(because("stopping"))?;
        match waitpid(thread, Some(WaitPidFlag::__WALL)).map_err(because("waiting"))? {
            WaitStatus::Stopped(..) | WaitStatus::PtraceEvent(..) => {}
            other => return Err(InjectError(format!("cannot stop: {other:?}"))),
        }
        let original = ptrace::getregs(thread).map_err(because("reading registers"))?;
        let mut held = Self { pid: process, tid: thread, memory, instruction, original, scratch: 0, used: 0, dead: false };
        let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
        match held.call(libc::SYS_mmap, &[0, SCRATCH, 3, flags, u64::MAX, 0])? {
            Answer::Value(address) => held.scratch = address.cast_unsigned(),
            other => return Err(InjectError(format!("no scratch memory: {other:?}"))),
        }
        Ok(held)
    }

    /// Copies bytes into the scratch memory and answers their address.
    ///
    /// # Errors
    /// When the scratch memory is full or the process is gone.
    pub fn place(&mut self, bytes: &[u8]) -> Result<u64, InjectError> {
        let length = (bytes.len() as u64).next_multiple_of(16);
        if self.used + length > SCRATCH {
            return Err(InjectError("scratch memory is full".into()));
        }
        let address = self.scratch + self.used;
        self.memory.write_all_at(bytes, address).map_err(because("writing memory"))?;
        self.used += length;
        Ok(address)
    }

    /// Copies a path or text with its terminating zero.
    ///
    /// # Errors
    /// As [`Held::place`].
    pub fn text(&mut self, text: &str) -> Result<u64, InjectError> {
        self.place(&[text.as_bytes(), &[0]].concat())
    }

    /// Forgets what was placed.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Makes one system call.
    ///
    /// # Errors
    /// When the call cannot be made; a refusal by the kernel is an [`Answer`].
    pub fn call(&mut self, number: i64, args: &[u64]) -> Result<Answer, InjectError> {
        if self.dead {
            return Err(InjectError("the process is gone".into()));
        }
        let arg = |index: usize| args.get(index).copied().unwrap_or(0);
        let mut regs = self.original;
        regs.rip = self.instruction;
        regs.rax = number.cast_unsigned();
        // No interrupted call is to be restarted on the way to ours.
        regs.orig_rax = u64::MAX;
        (regs.rdi, regs.rsi, regs.rdx) = (arg(0), arg(1), arg(2));
        (regs.r10, regs.r8, regs.r9) = (arg(3), arg(4), arg(5));
        ptrace::setregs(self.tid, regs).map_err(because("writing registers"))?;
        loop {
            ptrace::step(self.tid, None).map_err(because("stepping"))?;
            match waitpid(self.tid, Some(WaitPidFlag::__WALL)).map_err(because("waiting"))? {
                WaitStatus::Stopped(_, Signal::SIGTRAP) => break,
                // A signal of the process's own life: it is not delivered while we look. None is used by our binaries.
                WaitStatus::Stopped(..) | WaitStatus::PtraceEvent(..) => {}
                WaitStatus::Signaled(_, signal, _) => {
                    self.dead = true;
                    return Ok(Answer::Killed(signal));
                }
                WaitStatus::Exited(_, code) => {
                    self.dead = true;
                    return Err(InjectError(format!("the process ended with code {code}")));
                }
                other => return Err(InjectError(format!("unexpected stop {other:?}"))),
            }
        }
        let after = ptrace::getregs(self.tid).map_err(because("reading registers"))?;
        if after.rip != self.instruction + 2 {
            return Err(InjectError(format!("the call did not return: rip {:x}", after.rip)));
        }
        let value = after.rax.cast_signed();
        Ok(if (-4095..0).contains(&value) {
            Answer::Refused(Errno::from_raw(i32::try_from(-value).unwrap_or(0)))
        } else {
            Answer::Value(value)
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.dead {
            return;
        }
        if self.scratch != 0 {
            // The process goes on without the memory in any case.
            let _ = self.call(libc::SYS_munmap, &[self.scratch, SCRATCH]);
        }
        // With the original registers an interrupted call is restarted by the kernel.
        let _ = ptrace::setregs(self.tid, self.original);
        let _ = ptrace::detach(self.tid, None);
    }
}

/// Address of a `syscall` instruction in code of the process.
fn find_syscall_instruction(pid: i32, memory: &File) -> Result<u64, InjectError> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).map_err(because("reading maps"))?;
    for line in maps.lines().filter(|line| line.contains(" r-xp ") && !line.contains("[vsyscall]")) {
        let Some((from, to)) = line.split(' ').next().and_then(|range| range.split_once('-')) else { continue };
        let (Ok(from), Ok(to)) = (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16)) else { continue };
        let length = usize::try_from(to - from).unwrap_or(0).min(64 << 20);
        let mut code = vec![0; length];
        if memory.read_exact_at(&mut code, from).is_err() {
            continue;
        }
        if let Some(offset) = code.windows(2).position(|pair| pair == [0x0f, 0x05]) {
            return Ok(from + offset as u64);
        }
    }
    Err(InjectError("no syscall instruction in the code of the process".into()))
}
