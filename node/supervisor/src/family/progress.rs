//! Whether a process that was asked to end still works on it. Chain may write for an hour before it ends; one that neither computes
//! nor waits for a disk will not end at all.

use std::fs;
use std::time::Duration;

/// How often a process is looked at.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// So many looks in a row that show no work are too many. Looks and not time: whoever is stopped together with us makes none either.
const QUIET_LOOKS: u32 = 60;
/// Clock ticks (a hundredth of a second) of processor time that a process spends without doing anything: its timers.
const IDLE_TICKS: u64 = 10;

/// What was seen of a process so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    ticks: u64,
    quiet: u32,
}

impl Progress {
    /// One more look. False: it has not worked for too long.
    pub(super) fn look(&mut self, pid: i32) -> bool {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let seen = threads.filter_map(|thread| parse(&fs::read_to_string(thread.path().join("stat")).ok()?));
        let seen = seen.reduce(|(sum, any), (ticks, waits)| (sum + ticks, any || waits));
        // A process that /proc hides may do anything.
        seen.is_none_or(|(ticks, waits)| self.seen(ticks, waits))
    }

    /// `ticks`: processor time of all threads. `waits`: one of them waits for a disk.
    fn seen(&mut self, ticks: u64, waits: bool) -> bool {
        // A thread that has ended takes its time along.
        if waits || ticks < self.ticks || ticks > self.ticks + IDLE_TICKS {
            *self = Self { ticks, quiet: 0 };
        } else {
            self.quiet += 1;
        }
        self.quiet < QUIET_LOOKS
    }
}

/// Processor time of a thread and whether it waits for a disk, from its `stat`.
fn parse(stat: &str) -> Option<(u64, bool)> {
    // The name in brackets may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let mut times = fields.skip(10).map(str::parse::<u64>);
    Some((times.next()?.ok()? + times.next()?.ok()?, state == "D"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_and_state_are_read() {
        let stat = "77 (a) b (c) S 1 77 77 0 -1 4194304 1 2 3 4 500 60 7 8 20 0 9 0 100 1 1";
        assert_eq!(parse(stat), Some((560, false)));
        assert_eq!(parse(&stat.replace(" S ", " D ")), Some((560, true)));
        assert_eq!(parse("77 (a"), None);
    }

    #[test]
    fn who_neither_computes_nor_writes_is_given_up() {
        let looks = |work: fn(u64) -> (u64, bool)| {
            let mut progress = Progress::default();
            (1..=10_000).take_while(|look| progress.seen(work(*look).0, work(*look).1)).count()
        };
        assert_eq!(looks(|_| (1000, false)), 60, "one look sees the time that it had before");
        assert_eq!(looks(|look| (look * 20, false)), 10_000);
        assert_eq!(looks(|look| (look / 20, look % 50 == 0)), 10_000, "a slow disk");
        assert_eq!(looks(|look| (look / 20, false)), 59, "timers");
        let mut unseen = Progress::default();
        assert!((0..1000).all(|_| unseen.look(i32::MAX)), "nothing is known of it");
    }
}
