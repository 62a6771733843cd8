//! What a process and everything below it use, sampled from outside through /proc.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::proc::children;

/// Time between two samples.
const STEP: Duration = Duration::from_millis(100);
/// Samples between two looks for new processes.
const REFRESH: u32 = 5;
/// Clock ticks per second in /proc; the same on every Linux.
const TICKS: f64 = 100.0;

/// What was used.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// From the start until the process ended, in seconds.
    pub wall: f64,
    /// Processor time of all processes, in seconds. Of those that nobody waited for, what the last sample saw.
    pub cpu: f64,
    /// Largest sum of the memory of all processes at one moment, in bytes. A page that several share is divided among them
    /// where the kernel lets us see that, otherwise it counts for each.
    pub memory: u64,
}

/// Waits for the end of a process and samples it and its descendants meanwhile.
///
/// # Errors
/// When it cannot be waited for or takes longer than `limit`; it is killed then.
pub fn watch(child: &mut Child, limit: Duration) -> Result<(ExitStatus, Usage), String> {
    let pid = i32::try_from(child.id()).map_err(|error| error.to_string())?;
    let begin = Instant::now();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sampler = scope.spawn(|| sample(pid, &over));
        let ended = wait(child, begin + limit);
        let wall = begin.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        sampler.thread().unpark();
        let (sampled, memory) = sampler.join().map_err(|_| "the sampling thread ended early")?;
        // Each count misses something: samples the time after the last one, the kernel's sum the processes nobody waited for.
        ended.map(|(status, kept)| (status, Usage { wall, cpu: sampled.max(kept) as f64 / TICKS, memory }))
    })
}

/// The end of the process, and the ticks that it and all descendants that were waited for have used.
fn wait(child: &mut Child, deadline: Instant) -> Result<(ExitStatus, u64), String> {
    let pid = i32::try_from(child.id()).map_err(|error| error.to_string())?;
    // Left in place until its counters are read.
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    loop {
        if waitid(Id::Pid(Pid::from_raw(pid)), flags).map_err(|error| error.to_string())? != WaitStatus::StillAlive {
            let used = ticks(pid, 4).ok_or("the ended process has no counters")?;
            return Ok((child.wait().map_err(|error| error.to_string())?, used));
        }
        if Instant::now() > deadline {
            // It may have ended just now.
            let _ = child.kill();
            let _ = child.wait();
            return Err("the process does not end in time".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Processor time in ticks and peak of the memory.
fn sample(root: i32, over: &AtomicBool) -> (u64, u64) {
    let mut members = vec![root];
    let mut seen: BTreeMap<i32, u64> = BTreeMap::new();
    let mut peak = 0;
    for round in 0u32.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        if round % REFRESH == 0 {
            members = descendants(root);
        }
        let mut sum = 0;
        for pid in &members {
            if let Some(used) = ticks(*pid, 2) {
                seen.insert(*pid, used);
            }
            sum += memory(*pid).unwrap_or_default();
        }
        peak = peak.max(sum);
        std::thread::park_timeout(STEP);
    }
    (seen.values().sum(), peak)
}

/// What a process and everything below it has used so far (`cpu`) and uses now (`memory`); `wall` is 0.
#[must_use]
pub fn look(root: i32) -> Usage {
    let members = descendants(root);
    let cpu = members.iter().filter_map(|pid| ticks(*pid, 2)).sum::<u64>() as f64 / TICKS;
    Usage { wall: 0.0, cpu, memory: members.iter().filter_map(|pid| memory(*pid)).sum() }
}

fn descendants(root: i32) -> Vec<i32> {
    let mut found = vec![root];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(children(parent).into_iter().map(|(pid, _)| pid));
        at += 1;
    }
    found
}

/// User and system time (`counters` = 2), also that of the descendants that were waited for (4), in ticks.
fn ticks(pid: i32, counters: usize) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    fields.get(11..11 + counters)?.iter().map(|field| field.parse::<u64>().ok()).sum()
}

/// Memory, in bytes.
fn memory(pid: i32) -> Option<u64> {
    let shared = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok().and_then(|text| kilobytes(&text, "Pss:"));
    let own = || fs::read_to_string(format!("/proc/{pid}/status")).ok().and_then(|text| kilobytes(&text, "VmRSS:"));
    shared.or_else(own).map(|kilobytes| kilobytes * 1024)
}

fn kilobytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::Command;

    #[test]
    fn a_grandchild_counts_however_soon_it_ends() {
        // Over before the second look for new processes.
        let script = "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; true";
        let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        let (status, usage) = watch(&mut child, Duration::from_secs(60)).unwrap();
        assert!(status.success());
        assert!(usage.cpu > 0.0, "{usage:?}");
    }

    #[test]
    fn memory_of_a_process_is_seen() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(memory(own).is_some_and(|bytes| bytes > 100_000));
    }

    #[test]
    fn a_process_that_does_not_end_is_killed() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        assert!(watch(&mut child, Duration::from_millis(20)).is_err());
    }
}
