//! Fuzz targets as plain functions. The same function runs under the driver of this folder (`src/bin/fuzz`), under
//! libFuzzer and AFL++, and over the seeds and deterministic mutations of them in `make test` (`tests/replay.rs`).
//! `README.md` says how to run a campaign and how to add a target.
//!
//! A target must not panic, must not allocate without bound, and checks what it can (what decodes encodes to the
//! same meaning again).

pub mod mutate;
#[cfg(feature = "engine")]
pub mod script_case;
mod targets;

pub use targets::TARGETS;
#[cfg(feature = "engine")]
pub use targets::ask;

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::memfd::{MFdFlags, memfd_create};
use tempfile::TempDir;

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts panics from now on, also those that a task or thread of the code under test keeps to itself.
pub fn count_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        before(info);
    }));
}

/// Panics since [`count_panics`].
#[must_use]
pub fn panics() -> usize {
    PANICS.load(Ordering::Relaxed)
}

/// A folder that is gone with its value, in memory where the system has some for files: what is synced there costs nothing.
///
/// # Panics
/// There is no room for one.
#[must_use]
pub fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder")
}

/// A file in memory with these bytes, to be read from its beginning.
///
/// # Panics
/// There is no room for it.
#[must_use]
pub fn file(bytes: &[u8]) -> File {
    let mut file = File::from(memfd_create("file", MFdFlags::MFD_CLOEXEC).expect("memory for a file"));
    file.write_all(bytes).and_then(|()| file.rewind()).expect("room in memory");
    file
}

/// What a file in memory holds.
///
/// # Panics
/// It cannot be read.
#[must_use]
pub fn content_of(mut file: File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("a file in memory");
    bytes
}

/// What a frame of the key store's edge holds behind its length.
#[must_use]
pub fn content(frame: &[u8]) -> &[u8] {
    frame.get(4..).unwrap_or_default()
}

/// A function that takes any bytes.
pub type Target = fn(&[u8]);

/// The target with this name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}
