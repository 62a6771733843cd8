//! Fuzz targets as plain functions: the same function runs under libFuzzer (`fuzz_targets/`), and over the
//! seeds and deterministic mutations of them in `make test` (`tests/replay.rs`).
//!
//! A target must not panic, must not allocate without bound, and checks what it can (what decodes encodes to the
//! same meaning again).

mod targets;

pub use targets::TARGETS;
