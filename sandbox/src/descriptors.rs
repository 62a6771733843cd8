//! Which descriptors a process holds.

use nix::{errno::Errno, sys::stat::SFlag};
use std::os::fd::RawFd;

/// Closes `first..=last` (to the end without `last`). An empty range is fine. Async-signal-safe.
pub(crate) fn close_range(first: RawFd, last: Option<RawFd>) -> Result<(), Errno> {
    if last.is_some_and(|last| last < first) {
        return Ok(());
    }
    let last = last.map_or(libc::c_uint::MAX, RawFd::cast_unsigned);
    // SAFETY: the caller (a child between clone and exec) owns its copy of the descriptor table.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first.cast_unsigned(), last, 0) }).map(drop)
}

/// Puts `with` into the place of 0, 1 and 2.
pub(crate) fn replace_stdio(with: &std::fs::File) -> Result<(), Errno> {
    for number in 0..=2 {
        // SAFETY: integer arguments; the standard descriptors are replaced on purpose, none is owned by a value.
        Errno::result(unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(with), number) })?;
    }
    Ok(())
}

/// Lists open descriptors as "NUMBER KIND [PATH]", sorted by number.
pub(crate) fn list() -> Vec<String> {
    let mut found = Vec::new();
    // Collect first: the directory that is being read is itself a descriptor, and closed afterwards.
    let numbers: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")
        .map(|entries| entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect())
        .unwrap_or_default();
    for number in numbers {
        // SAFETY: only borrowed for the duration of one fstat; a closed number answers EBADF.
        let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
        let Ok(stat) = nix::sys::stat::fstat(borrowed) else { continue };
        let target = std::fs::read_link(format!("/proc/self/fd/{number}"));
        let path = target.map(|p| p.display().to_string()).unwrap_or_default();
        let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
        found.push((number, describe(kind, &path)));
    }
    found.sort_unstable();
    found.into_iter().map(|(number, text)| format!("{number} {text}")).collect()
}

fn describe(kind: SFlag, path: &str) -> String {
    match kind {
        SFlag::S_IFSOCK => "socket".to_owned(),
        SFlag::S_IFIFO => "pipe".to_owned(),
        SFlag::S_IFDIR => format!("directory {path}"),
        SFlag::S_IFREG => format!("file {path}"),
        SFlag::S_IFCHR => format!("device {path}"),
        _ => path.strip_prefix("anon_inode:").unwrap_or("other").to_owned(),
    }
}
