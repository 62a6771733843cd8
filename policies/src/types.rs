//! Plain types in which a policy is expressed.

/// Everything that one process may do. All data is static and generated from the policy files.
#[derive(Debug)]
pub struct Policy {
    /// Component word: also folder, policy file and log prefix.
    pub name: &'static str,
    /// File name of the binary.
    pub binary: &'static str,
    /// What the process is for, in one line.
    pub purpose: &'static str,
    /// Edges that it speaks on ("net-chain", ...).
    pub edges: &'static [&'static str],
    /// Descriptors that it is born with or is sent later.
    pub descriptors: &'static [Descriptor],
    /// Places in the file system that it may reach. Anything else is refused by Landlock.
    pub paths: &'static [PathRule],
    /// Capabilities that it keeps: empty for every process.
    pub capabilities: &'static [&'static str],
    /// Namespaces that are created for it at birth.
    pub namespaces: &'static [Namespace],
    /// Resource limits.
    pub rlimits: &'static [Rlimit],
    /// What Landlock governs beyond the paths.
    pub landlock: Landlock,
    /// Whether it is killed when its parent dies. The supervisor outlives the shell that started it.
    pub dies_with_parent: bool,
    /// Whether it inherits the environment of the supervisor. Only commands of the user need it.
    pub inherit_environment: bool,
    /// Every rule of the allow-list, for tests and documents.
    pub rules: &'static [SyscallRule],
    /// Every system call that kills the process.
    pub deadly: &'static [SyscallRule],
    /// Allow-list: what is not listed answers EPERM, unknown new calls and clone3 answer ENOSYS.
    pub allow: &'static [Instruction],
    /// Second filter: a call of the named dangerous list ends the process.
    pub kill: &'static [Instruction],
    /// SHA-256 over both programs, lower-case hex.
    pub filter_hash: &'static str,
    /// Number of different system calls on the allow-list.
    pub allowed_syscalls: u32,
    /// How many of them are allowed only with certain arguments.
    pub filtered_syscalls: u32,
}

/// A descriptor that a process holds.
#[derive(Debug, Clone, Copy)]
pub struct Descriptor {
    /// Name used on the control channel.
    pub name: &'static str,
    /// "socket", "file", "directory" or "pipe".
    pub kind: &'static str,
    /// Why the process needs it.
    pub reason: &'static str,
}

/// A named place in the file system and what may be done below it.
#[derive(Debug, Clone, Copy)]
pub struct PathRule {
    /// Name to which the supervisor's configuration gives a path ("blocksdir", ...).
    pub name: &'static str,
    /// Rights below that path.
    pub rights: &'static [FsRight],
    /// Why the process needs it.
    pub reason: &'static str,
}

/// A file-system right that Landlock can govern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum FsRight {
    Execute,
    ReadFile,
    WriteFile,
    ReadDir,
    RemoveFile,
    RemoveDir,
    MakeReg,
    MakeDir,
    MakeSym,
    MakeChar,
    MakeBlock,
    MakeFifo,
    MakeSock,
    Refer,
    Truncate,
    IoctlDev,
}

/// What Landlock governs in a process. What is governed and not granted by a path is refused.
#[derive(Debug, Clone, Copy)]
pub struct Landlock {
    /// Governed file-system rights.
    pub fs: &'static [FsRight],
    /// Refuse to bind TCP sockets.
    pub deny_tcp_bind: bool,
    /// Refuse to connect TCP sockets.
    pub deny_tcp_connect: bool,
    /// Refuse signals to processes outside.
    pub scope_signal: bool,
    /// Refuse connections to abstract unix sockets outside.
    pub scope_abstract_unix: bool,
}

/// A Linux namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Namespace {
    User,
    Net,
    Pid,
    Ipc,
    Uts,
    Mount,
    Cgroup,
}

impl Namespace {
    /// Name as used in policy files and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Net => "net",
            Self::Pid => "pid",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Mount => "mount",
            Self::Cgroup => "cgroup",
        }
    }

    /// Name of the entry in `/proc/PID/ns`.
    #[must_use]
    pub const fn proc_name(self) -> &'static str {
        match self {
            Self::Mount => "mnt",
            other => other.name(),
        }
    }
}

/// One resource limit; soft and hard value are set to the same number.
#[derive(Debug, Clone, Copy)]
pub struct Rlimit {
    /// Which resource.
    pub resource: Resource,
    /// Limit in the unit of the resource (bytes, processes, descriptors). A lower limit that is already in
    /// force stays.
    pub value: u64,
    /// Why this number.
    pub reason: &'static str,
}

/// A resource with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Resource {
    Core,
    Nofile,
    Nproc,
    Fsize,
    Msgqueue,
    Rtprio,
    Data,
}

/// One rule of a system call list.
#[derive(Debug, Clone, Copy)]
pub struct SyscallRule {
    /// Name of the call.
    pub name: &'static str,
    /// Its number on x86_64.
    pub number: i64,
    /// Conditions on the arguments; all must hold. Empty: any arguments.
    pub args: &'static [Condition],
    /// Why the rule is there.
    pub reason: &'static str,
    /// Who proves that the rule is needed.
    pub proof: Proof,
    /// What is lost when the call is refused, though no test can see it (`unmissed` in the list). The call is made all the same.
    pub unmissed: Option<&'static str>,
}

/// What the test of minimality demands of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The test's node makes a call that the rule admits. This is what a rule without a word about it gets.
    Exercised,
    /// No such call is made, for this reason (`unexercised` in the list). Wrong as soon as one is made.
    Unexercised(&'static str),
    /// Whether one is made depends on timing or load, for this reason (`by_chance` in the list).
    ByChance(&'static str),
    /// The spawner has the rule because a child needs it: filters are inherited. Proved at the child.
    Inherited,
}

impl SyscallRule {
    /// Whether the rule admits a call with these arguments.
    #[must_use]
    pub fn admits(&self, number: i64, args: &[u64; 6]) -> bool {
        self.number == number && self.args.iter().all(|condition| condition.holds(args))
    }
}

/// A condition on one argument of a system call.
#[derive(Debug, Clone, Copy)]
pub struct Condition {
    /// Index of the argument, 0 to 5.
    pub index: u8,
    /// Compare 64 bits; otherwise the low 32.
    pub qword: bool,
    /// Comparison.
    pub op: Op,
    /// Right-hand side.
    pub value: u64,
}

impl Condition {
    /// Whether the arguments of a call meet it.
    #[must_use]
    pub fn holds(&self, args: &[u64; 6]) -> bool {
        let mask = if self.qword { u64::MAX } else { u64::from(u32::MAX) };
        let (left, right) = (args.get(usize::from(self.index)).copied().unwrap_or(0) & mask, self.value & mask);
        match self.op {
            Op::Eq => left == right,
            Op::Ne => left != right,
            Op::Lt => left < right,
            Op::Le => left <= right,
            Op::Gt => left > right,
            Op::Ge => left >= right,
            Op::MaskedEq(mask) => left & mask == right & mask,
        }
    }
}

/// A comparison of a system call argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// The argument masked with the number equals the value.
    MaskedEq(u64),
}

/// One BPF instruction (`struct sock_filter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Opcode.
    pub code: u16,
    /// Jump offset if true.
    pub jt: u8,
    /// Jump offset if false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}
