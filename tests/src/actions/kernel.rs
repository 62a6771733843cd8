//! Doors into the kernel and around the filter.

use nix::libc;

use super::{Action, close};
use crate::inject::Answer;

/// `PROT_READ | PROT_WRITE | PROT_EXEC`.
const RWX: u64 = 7;

pub(super) const ACTIONS: &[Action] = &[
    Action::new("map executable memory", |held, _| {
        let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
        let answer = held.call(libc::SYS_mmap, &[0, 4096, RWX, flags, u64::MAX, 0])?;
        if let Answer::Value(address) = answer {
            held.call(libc::SYS_munmap, &[address.cast_unsigned(), 4096])?;
        }
        Ok(answer)
    }),
    Action::new("make memory executable", |held, _| {
        let page = held.place(&[0; 16])? & !4095;
        held.call(libc::SYS_mprotect, &[page, 4096, RWX])
    }),
    Action::new("anonymous file", |held, _| {
        let name = held.text("payload")?;
        let answer = held.call(libc::SYS_memfd_create, &[name, 0])?;
        close(held, answer)
    }),
    Action::new("secret memory", |held, _| {
        let answer = held.call(libc::SYS_memfd_secret, &[0])?;
        close(held, answer)
    }),
    Action::new("a number of the x32 interface", |held, _| held.call(0x4000_0000 | libc::SYS_getppid, &[])),
    Action::new("restrict itself anew", |held, _| held.call(libc::SYS_landlock_restrict_self, &[u64::MAX, 0])),
    Action::new("install a system call filter", |held, _| held.call(libc::SYS_seccomp, &[99, 0, 0])),
    Action::new("make a Landlock rule set", |held, _| held.call(libc::SYS_landlock_create_ruleset, &[0, 0, 1])),
    Action::new("change the personality", |held, _| held.call(libc::SYS_personality, &[0xffff_ffff])),
    Action::new("type into a terminal", |held, _| held.call(libc::SYS_ioctl, &[0, libc::TIOCSTI, 0])),
    Action::new("change the thread pointer", |held, _| held.call(libc::SYS_arch_prctl, &[0x1004, 0])),
    Action::new("make a file handle", |held, _| held.call(libc::SYS_name_to_handle_at, &[0, 0, 0, 0, 0])),
    Action::new("make a device node", |held, _| {
        let path = held.text("/bulkhead/does/not/exist")?;
        held.call(libc::SYS_mknod, &[path, 0o020_600, 0])
    }),
    Action::deadly("io_uring", |held, _| held.call(libc::SYS_io_uring_setup, &[1, 0])),
    Action::deadly("io_uring, entered", |held, _| held.call(libc::SYS_io_uring_enter, &[u64::MAX, 0, 0, 0, 0, 0])),
    Action::deadly("io_uring, registered", |held, _| held.call(libc::SYS_io_uring_register, &[u64::MAX, 99, 0, 0])),
    Action::deadly("load another kernel", |held, _| held.call(libc::SYS_kexec_load, &[0, 0, 0, u64::MAX])),
    Action::deadly("swap to a file", |held, _| held.call(libc::SYS_swapon, &[0, 0])),
    Action::deadly("unmount", |held, _| held.call(libc::SYS_umount2, &[0, 0])),
    Action::deadly("load a BPF program", |held, _| held.call(libc::SYS_bpf, &[99, 0, 0])),
    Action::deadly("userfaultfd", |held, _| held.call(libc::SYS_userfaultfd, &[u64::MAX])),
    Action::deadly("performance counters", |held, _| held.call(libc::SYS_perf_event_open, &[0, 0, 0, u64::MAX, 0])),
    Action::deadly("kernel key ring", |held, _| held.call(libc::SYS_keyctl, &[9999, 0, 0])),
    Action::deadly("add a kernel key", |held, _| held.call(libc::SYS_add_key, &[0, 0, 0, 0, 0])),
    Action::deadly("mount", |held, _| held.call(libc::SYS_mount, &[0, 0, 0, 0, 0])),
    Action::deadly("change the root", |held, _| {
        let path = held.text("/bulkhead/does/not/exist")?;
        held.call(libc::SYS_chroot, &[path])
    }),
    Action::deadly("pivot the root", |held, _| held.call(libc::SYS_pivot_root, &[0, 0])),
    Action::deadly("open a file by handle", |held, _| held.call(libc::SYS_open_by_handle_at, &[u64::MAX, 0, 0])),
    Action::deadly("load a kernel module", |held, _| held.call(libc::SYS_init_module, &[0, 0, 0])),
    Action::deadly("reboot", |held, _| held.call(libc::SYS_reboot, &[1, 2, 3, 0])),
    Action::deadly("set the clock", |held, _| held.call(libc::SYS_clock_settime, &[99, 0])),
    Action::deadly("edit segment descriptors", |held, _| held.call(libc::SYS_modify_ldt, &[99, 0, 0])),
];
