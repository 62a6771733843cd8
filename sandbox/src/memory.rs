//! One page for secrets: never swapped, never in a core dump, wiped when dropped.

use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mlock, mmap_anonymous, munmap};

/// Bytes in a page of secrets.
pub const SECRET_PAGE_BYTES: usize = 4096;

/// A locked page.
pub struct SecretPage {
    address: NonNull<c_void>,
}

// SAFETY: the page belongs to this value alone, like a Box.
unsafe impl Send for SecretPage {}

impl SecretPage {
    /// Maps a page, keeps it out of core dumps and locks it into memory.
    ///
    /// # Errors
    /// The error of the system call; `EAGAIN` or `ENOMEM` when `RLIMIT_MEMLOCK` is reached.
    pub fn new() -> io::Result<Self> {
        const LENGTH: NonZeroUsize = match NonZeroUsize::new(SECRET_PAGE_BYTES) {
            Some(length) => length,
            None => NonZeroUsize::MIN,
        };
        // SAFETY: a new private mapping; nothing else refers to it.
        let address =
            unsafe { mmap_anonymous(None, LENGTH, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_PRIVATE) }?;
        let page = Self { address };
        // SAFETY: the range was mapped just above and is released in Drop only.
        unsafe {
            madvise(address, SECRET_PAGE_BYTES, MmapAdvise::MADV_DONTDUMP)?;
            mlock(address, SECRET_PAGE_BYTES)?;
        }
        Ok(page)
    }

    /// Overwrites the page with zeros.
    pub fn wipe(&mut self) {
        let bytes = self.address.cast::<u64>();
        for index in 0..SECRET_PAGE_BYTES / 8 {
            // SAFETY: inside the page, aligned; volatile, so that it is not optimized away.
            unsafe { bytes.add(index).write_volatile(0) };
        }
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
    }
}

impl Deref for SecretPage {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the page is mapped readable and initialized (zeros) for as long as the value lives.
        unsafe { std::slice::from_raw_parts(self.address.cast().as_ptr(), SECRET_PAGE_BYTES) }
    }
}

impl DerefMut for SecretPage {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the exclusive borrow of the value is one of the page.
        unsafe { std::slice::from_raw_parts_mut(self.address.cast().as_ptr(), SECRET_PAGE_BYTES) }
    }
}

impl Drop for SecretPage {
    fn drop(&mut self) {
        self.wipe();
        // SAFETY: mapped in `new`, released once; munlock is implied. An error can't be handled here.
        let _ = unsafe { munmap(self.address, SECRET_PAGE_BYTES) };
    }
}

impl std::fmt::Debug for SecretPage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SecretPage(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_new_page_is_zero_locked_and_writable() {
        let mut page = SecretPage::new().unwrap();
        assert!(page.iter().all(|byte| *byte == 0));
        page[..3].copy_from_slice(b"key");
        assert_eq!(&page[..3], b"key");
        let address = format!("{:x}-", page.as_ptr() as usize);
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let flags = maps.split(&address).nth(1).and_then(|rest| rest.split("VmFlags:").nth(1)).unwrap();
        let flags = flags.lines().next().unwrap();
        assert!(flags.contains(" lo") && flags.contains(" dd"), "locked and not dumped: {flags}");
        page.wipe();
        assert!(page.iter().all(|byte| *byte == 0));
    }
}
