//! One replay of a chain by one node, ours or Bitcoin Core: how long, how much processor, how much memory.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::port::reserve_port;
use crate::watch::{Usage, watch};

/// Longest that a replay may take.
const LIMIT: Duration = Duration::from_secs(1_800);

/// A chain to replay.
#[derive(Debug, Clone)]
pub struct Task {
    /// File for `-loadblock`.
    pub file: PathBuf,
    /// Hash of the file's last block.
    pub tip: String,
    /// Height at which the node stops.
    pub height: u32,
    /// `-assumevalid=<tip>`: no scripts.
    pub assume_valid: bool,
}

/// Where the blocks come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `-loadblock`, into an empty data directory.
    LoadBlock,
    /// `-reindex-chainstate`, in a data directory that has them.
    ReindexChainstate,
    /// A node of this machine, into an empty data directory.
    Peer {
        /// Its P2P port.
        port: u16,
        /// Over the v2 transport.
        encrypted: bool,
    },
}

/// How a replay went.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// From the first line of the log until the last block was connected, in seconds.
    pub seconds: f64,
    /// Of the whole run, start and last flush included.
    pub usage: Usage,
    /// What the run wrote to debug.log.
    pub log: String,
}

impl Outcome {
    /// Stages of the engine and the seconds that each took, from the last line that tells (`-debug=bench`); Core's are not read.
    pub fn stages(&self) -> Vec<(String, f64)> {
        let last = self.log.lines().rev().find_map(|line| line.split_once("Stages until block ")?.1.split_once(": "));
        let parse = |field: &str| {
            let (name, seconds) = field.split_once('=')?;
            Some((name.to_owned(), seconds.trim_end_matches('s').parse().ok()?))
        };
        last.map_or_else(Vec::new, |(_, text)| text.split_whitespace().filter_map(parse).collect())
    }
}

/// Runs `binary` on `task`, with Core's defaults, `-dbcache=450` and without the self-checks that regtest turns on; `more` are further arguments.
///
/// # Errors
/// When the node does not get to the height, with the end of its log.
pub fn replay(binary: &Path, datadir: &Path, task: &Task, source: Source, more: &[&str]) -> Result<Outcome, String> {
    let log = datadir.join("regtest/debug.log");
    let before = std::fs::metadata(&log).map_or(0, |metadata| metadata.len());
    let mut command = Command::new(binary);
    command
        .args([
            "-regtest",
            "-printtoconsole=0",
            "-listen=0",
            "-dnsseed=0",
            "-logtimemicros=1",
            "-dbcache=450",
            "-checkblockindex=0",
        ])
        .arg(format!("-datadir={}", datadir.display()))
        .arg(format!("-rpcport={}", reserve_port().map_err(|error| error.to_string())?))
        .arg(format!("-stopatheight={}", task.height))
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    match source {
        Source::LoadBlock => command.args(["-connect=0", &format!("-loadblock={}", task.file.display())]),
        Source::ReindexChainstate => command.args(["-connect=0", "-reindex-chainstate"]),
        Source::Peer { port, encrypted } => {
            command.arg(format!("-connect=127.0.0.1:{port}")).arg(format!("-v2transport={}", u8::from(encrypted)))
        }
    };
    if task.assume_valid {
        command.arg(format!("-assumevalid={}", task.tip));
    } else {
        command.arg("-assumevalid=0");
    }
    let mut child = command.spawn().map_err(|error| format!("{}: {error}", binary.display()))?;
    let (status, usage) = watch(&mut child, LIMIT)?;
    let log = read_from(&log, before)?;
    let reached = format!(" height={} ", task.height);
    let last = log.lines().find(|line| line.contains("UpdateTip: ") && line.contains(&reached));
    let end = |count: usize| log.lines().rev().take(count).collect::<Vec<_>>().join("\n");
    let (Some(last), true) = (last, status.success()) else {
        return Err(format!("{} did not get to height {}: {status}\n{}", binary.display(), task.height, end(5)));
    };
    let seconds =
        // Core writes empty lines between the logs of two runs.
        log.lines().find_map(seconds_of_day).zip(seconds_of_day(last)).map(|(from, to)| (to - from).rem_euclid(86_400.0));
    Ok(Outcome { seconds: seconds.ok_or("the log has no times")?, usage, log })
}

fn read_from(path: &Path, offset: u64) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = File::open(path).map_err(failed)?;
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `2026-11-23T00:21:42.903699Z ...`
fn seconds_of_day(line: &str) -> Option<f64> {
    let (_, time) = line.split_once(' ').map_or(line, |(stamp, _)| stamp).trim_end_matches('Z').split_once('T')?;
    time.split(':').try_fold(0.0, |sum, part| Some(sum * 60.0 + part.parse::<f64>().ok()?))
}

#[cfg(test)]
mod tests {
    use super::seconds_of_day;

    #[test]
    fn stages_are_read_from_the_last_line_that_has_them() {
        let line = |read| format!("2026-11-23T01:02:03.500000Z [bench] Stages until block 7: read={read}s flush=1.500s\n");
        let outcome = super::Outcome {
            seconds: 1.0,
            usage: crate::watch::Usage::default(),
            log: line("0.1") + &line("0.25") + "2026-11-23T01:02:03.600000Z more\n",
        };
        assert_eq!(outcome.stages(), vec![("read".to_owned(), 0.25), ("flush".to_owned(), 1.5)]);
    }

    #[test]
    fn times_of_log_lines_are_read() {
        assert_eq!(seconds_of_day("2026-11-23T01:02:03.500000Z UpdateTip: x"), Some(3_723.5));
        assert_eq!(seconds_of_day("no time"), None);
    }
}
