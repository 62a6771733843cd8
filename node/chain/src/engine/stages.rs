//! Where the time of connecting blocks goes.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A part of the work. Those before `Wait` are done by threads that read ahead, or by the validation thread if none do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Reading and decoding blocks, with the ids of their transactions.
    Read,
    /// Checks that need no coins.
    Check,
    /// Reading coins.
    Prefetch,
    /// The validation thread waits for a block.
    Wait,
    /// Coins are spent and made.
    Connect,
    /// Script checks that remain when the coins are done.
    Scripts,
    /// Undo data is written.
    Undo,
    /// The cache is written to disk.
    Flush,
    /// Blocks are taken in: checked in their chain and written to a block file.
    Store,
}

const NAMES: [&str; 9] = ["read", "check", "prefetch", "wait", "connect", "scripts", "undo", "flush", "store"];

/// Nanoseconds spent per stage.
#[derive(Debug, Default)]
pub(super) struct Stages([AtomicU64; NAMES.len()]);

impl Stages {
    /// Runs `work` and adds its time to `stage`.
    pub fn time<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = work();
        let spent = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0[stage as usize].fetch_add(spent, Ordering::Relaxed);
        result
    }
}

/// `read=0.123s check=...`
impl fmt::Display for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, spent)) in NAMES.iter().zip(&self.0).enumerate() {
            let seconds = spent.load(Ordering::Relaxed) as f64 / 1e9;
            write!(f, "{}{name}={seconds:.3}s", if number == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_its_name() {
        let stages = Stages::default();
        assert_eq!(stages.time(Stage::Store, || 5), 5);
        stages.0[Stage::Flush as usize].store(1_500_000_000, Ordering::Relaxed);
        let text = stages.to_string();
        assert!(text.starts_with("read=0.000s check=") && text.contains(" flush=1.500s store=0.000s"), "{text}");
    }
}
