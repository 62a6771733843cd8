//! What a process says that must end on the spot, because memory is refused to it or code that it links gives up.
//!
//! `abort` of libc sends a signal to its own process, which no filter permits, and then stumbles into a fault: signal 11, without a
//! word. This one says why, without allocating, and ends with [`ABORT_CODE`]. A process that has nobody to tell ends as ever.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The exit code of a process that gave up: what a shell shows for SIGABRT.
pub const ABORT_CODE: i32 = 134;

/// Size of the last allocation that was refused; 0: none was.
static REFUSED: AtomicUsize = AtomicUsize::new(0);
static SPEAKER: OnceLock<fn(Cause)> = OnceLock::new();
static SPEAKING: AtomicBool = AtomicBool::new(false);

/// Why a process gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// An allocation of so many bytes was refused.
    Memory(usize),
    /// Code called `abort`: an exception that nobody catches, a failed check of a library, a panic within a panic.
    Abort,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory(bytes) => write!(f, "out of memory: {bytes} bytes were refused"),
            Self::Abort => f.write_str("aborted"),
        }
    }
}

/// From now on `speaker` is called before the process gives up. It must not allocate and not wait. The first call counts.
pub fn on_abort(speaker: fn(Cause)) {
    // A second call (tests) changes nothing.
    let _ = SPEAKER.set(speaker);
}

/// The system's allocator; remembers what was refused.
struct Remembering;

#[global_allocator]
static ALLOCATOR: Remembering = Remembering;

fn remember(block: *mut u8, bytes: usize) -> *mut u8 {
    if block.is_null() {
        REFUSED.store(bytes, Ordering::Relaxed);
    }
    block
}

// SAFETY: every call goes to the system's allocator with the caller's own arguments, and its answer comes back unchanged.
unsafe impl GlobalAlloc for Remembering {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        remember(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        remember(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        remember(unsafe { System.realloc(block, layout, size) }, size)
    }
}

/// Takes the place of libc's: the linker finds this one first, for std and for the libraries.
// SAFETY: the name and the type are those of the C standard, and so is the promise never to return.
#[unsafe(no_mangle)]
extern "C" fn abort() -> ! {
    if let Some(speaker) = SPEAKER.get() {
        // Whoever fails while it speaks does not speak again.
        if !SPEAKING.swap(true, Ordering::SeqCst) {
            speaker(match REFUSED.load(Ordering::Relaxed) {
                0 => Cause::Abort,
                bytes => Cause::Memory(bytes),
            });
        }
    } else {
        // SAFETY: sends a signal to the own process; the default action ends it.
        unsafe { libc::raise(libc::SIGABRT) };
    }
    // SAFETY: ends the process without running anything else of it.
    unsafe { libc::_exit(ABORT_CODE) }
}
