//! Other processes, and becoming more than one is.

use nix::libc;

use super::{Action, close, open};

const NODE_DIRS: (&str, &str) = ("node", "may open files; a sibling that is not dumpable refuses");

fn number(value: i32) -> u64 {
    u64::from(value.cast_unsigned())
}

pub(super) const ACTIONS: &[Action] = &[
    Action::new("signal a sibling", |held, to| held.call(libc::SYS_kill, &[number(to.sibling), 0])),
    Action::new("signal a thread of a sibling", |held, to| {
        held.call(libc::SYS_tgkill, &[number(to.sibling), number(to.sibling), 0])
    }),
    Action::new("queue a signal to a sibling", |held, to| held.call(libc::SYS_rt_sigqueueinfo, &[number(to.sibling), 0, 0])),
    Action::new("send a signal through a descriptor", |held, _| held.call(libc::SYS_pidfd_send_signal, &[number(-1), 0, 0, 0])),
    Action::new("open a sibling as a descriptor", |held, to| {
        let answer = held.call(libc::SYS_pidfd_open, &[number(to.sibling), 0])?;
        close(held, answer)
    }),
    Action::new("open the memory of a sibling", |held, to| open(held, &format!("/proc/{}/mem", to.sibling), libc::O_RDWR))
        .but(&[NODE_DIRS]),
    Action::new("change limits", |held, _| held.call(libc::SYS_prlimit64, &[0, 7, 0, 0])),
    Action::new("set a limit", |held, _| held.call(libc::SYS_setrlimit, &[7, 0])),
    Action::new("fork", |held, _| {
        // CLONE_SIGHAND without CLONE_VM: the kernel's own code answers EINVAL, so that nothing is born
        // where nothing is confined.
        held.call(libc::SYS_clone, &[number(libc::CLONE_SIGHAND | libc::SIGCHLD), 0, 0, 0, 0])
    }),
    Action::new("clone into new namespaces", |held, _| {
        held.call(libc::SYS_clone, &[number(libc::CLONE_NEWUSER | libc::CLONE_FS | libc::SIGCHLD), 0, 0, 0, 0])
    }),
    Action::new("clone3", |held, _| held.call(libc::SYS_clone3, &[0, 0])),
    Action::new("become another user", |held, _| held.call(libc::SYS_setuid, &[0])),
    Action::new("become another group", |held, _| held.call(libc::SYS_setgid, &[0])),
    Action::new("change supplementary groups", |held, _| held.call(libc::SYS_setgroups, &[0, 0])),
    Action::new("set capabilities", |held, _| held.call(libc::SYS_capset, &[0, 0])),
    Action::new("become dumpable", |held, _| held.call(libc::SYS_prctl, &[number(libc::PR_SET_DUMPABLE), 1, 0, 0, 0])),
    Action::new("let a tracer in", |held, _| held.call(libc::SYS_prctl, &[number(libc::PR_SET_PTRACER), u64::MAX, 0, 0, 0])),
    Action::new("change the priority of its input and output", |held, _| held.call(libc::SYS_ioprio_set, &[99, 0, 0])),
    Action::new("change the scheduling class", |held, _| {
        let parameter = held.place(&[0; 16])?;
        held.call(libc::SYS_sched_setscheduler, &[0, 0, parameter])
    }),
    Action::new("raise the priority", |held, _| held.call(libc::SYS_setpriority, &[0, 0, 0])),
    Action::deadly("run a program", |held, _| {
        let path = held.text("/bulkhead/does/not/exist")?;
        held.call(libc::SYS_execve, &[path, 0, 0])
    }),
    Action::deadly("run a program from a descriptor", |held, _| {
        let empty = held.text("")?;
        held.call(libc::SYS_execveat, &[number(-1), empty, 0, 0, 0x1000])
    }),
    Action::deadly("trace a sibling", |held, to| held.call(libc::SYS_ptrace, &[1, number(to.sibling), 0, 0])),
    Action::deadly("read the memory of a sibling", |held, to| {
        held.call(libc::SYS_process_vm_readv, &[number(to.sibling), 0, 0, 0, 0, 0])
    }),
    Action::deadly("write the memory of a sibling", |held, to| {
        held.call(libc::SYS_process_vm_writev, &[number(to.sibling), 0, 0, 0, 0, 0])
    }),
    Action::deadly("take a descriptor of a sibling", |held, _| held.call(libc::SYS_pidfd_getfd, &[number(-1), 0, 0])),
    Action::deadly("compare itself with a sibling", |held, to| {
        held.call(libc::SYS_kcmp, &[number(to.sibling), number(to.sibling), 0, 0, 0])
    }),
    Action::deadly("leave the namespaces", |held, _| held.call(libc::SYS_setns, &[number(-1), 0])),
    Action::deadly("make new namespaces", |held, _| held.call(libc::SYS_unshare, &[0])),
];
