//! Capabilities: all five sets are emptied, and uid 0 stops to mean anything at exec.

use crate::SandboxError;
use nix::errno::Errno;

const CAP_SETPCAP: u32 = 8;
/// Highest capability number that could exist (the sets are 64 bits wide).
const CAP_MAX: libc::c_ulong = 63;
const VERSION_3: u32 = 0x2008_0522;
/// SECBIT_NOROOT, SECBIT_NO_SETUID_FIXUP, SECBIT_NO_CAP_AMBIENT_RAISE, each with its lock, and SECBIT_KEEP_CAPS_LOCKED.
const SECUREBITS: libc::c_ulong = 0b1110_1111;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Drops every capability from the bounding, ambient, inheritable, permitted and effective sets. Calls only
/// async-signal-safe functions and does not allocate, so it may run between clone and exec.
pub(crate) fn drop_all() -> Result<(), Errno> {
    let mut data = read()?;
    // Without CAP_SETPCAP the bounding set cannot shrink. It is harmless then: no_new_privs forbids every gain.
    if data[0].effective & (1 << CAP_SETPCAP) != 0 {
        prctl(libc::PR_SET_SECUREBITS, SECUREBITS)?;
        for capability in 0..=CAP_MAX {
            match prctl(libc::PR_CAPBSET_DROP, capability) {
                Ok(()) => {}
                Err(Errno::EINVAL) => break,
                Err(errno) => return Err(errno),
            }
        }
    }
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong)?;
    data = [Data::default(); 2];
    let header = Header { version: VERSION_3, pid: 0 };
    // SAFETY: header and data have the layout that version 3 of the call demands, and outlive it.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }).map(drop)
}

/// The effective set.
pub(crate) fn effective() -> Result<u64, SandboxError> {
    let data = read().map_err(|errno| SandboxError::system("capget", errno))?;
    Ok(u64::from(data[0].effective) | u64::from(data[1].effective) << 32)
}

fn read() -> Result<[Data; 2], Errno> {
    let header = Header { version: VERSION_3, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: as above; the kernel writes two Data records.
    Errno::result(unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) })?;
    Ok(data)
}

fn prctl(option: libc::c_int, argument: libc::c_ulong) -> Result<(), Errno> {
    // SAFETY: these options take integers only; unused arguments must be zero.
    Errno::result(unsafe { libc::prctl(option, argument, 0 as libc::c_ulong, 0 as libc::c_ulong, 0 as libc::c_ulong) }).map(drop)
}
