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

use std::sync::atomic::{AtomicUsize, Ordering};

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
