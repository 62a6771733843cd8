//! Do the targets find what they are for? Each planted fault (`bulkhead_planted::FAULTS`) must be found by its target, and
//! without a fault nothing may be found.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bulkhead_planted::{FAULTS, Row};

use crate::corpus;
use crate::options::Options;
use crate::worker::{PANICKED, current, read_current};
use crate::worker_command;

/// Seconds of a target without a fault.
const CLEAN: u64 = 5;
/// Seconds of a fault, when nobody says another number.
const BUDGET: u64 = 180;
/// All of it takes at most this long.
const WHOLE: Duration = Duration::from_secs(3600);
/// Processor time of one input: less than in a campaign, because an endless loop is among the faults.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Beyond its own time a worker may finish the input that it runs, or its watch ends it; on a busy machine both take longer.
const GRACE: Duration = Duration::from_secs(120);

/// How a worker ended.
enum End {
    /// Its time was over.
    Nothing,
    /// An input made the target fail: what the process said last, executions before it, the input.
    Finding { said: String, before: u64, input: Vec<u8> },
    /// Neither: the driver itself failed.
    Broken(String),
}

/// Whether all is as it must be: nothing found without a fault, and every fault found.
///
/// # Errors
/// Of files and processes.
pub fn run(options: &Options) -> io::Result<bool> {
    let begin = Instant::now();
    let real = clean_run(options)?;
    println!("{:19} {:20} {:7} {:>7} {:>11}  what the target said", "fault", "target", "result", "seconds", "executions");
    let (mut found, mut real) = (0, real);
    for row in FAULTS {
        let left = WHOLE.saturating_sub(begin.elapsed()).as_secs();
        let seconds = options.seconds.unwrap_or(BUDGET).min(left);
        let started = Instant::now();
        let end = work(options, row.name, row.target, Some(row), seconds)?;
        let elapsed = started.elapsed().as_secs_f64();
        let (result, executions, said) = match end {
            End::Finding { said, before, input } => {
                if is_planted(options, row, &input)? {
                    found += 1;
                    ("found", Some(before + 1), said)
                } else {
                    real += 1;
                    let path = corpus::keep_finding(&options.work, row.target, &input)?;
                    ("missed", Some(before + 1), format!("fails without the fault too: {}: {said}", path.display()))
                }
            }
            End::Nothing => ("missed", None, row.what.to_owned()),
            End::Broken(how) => ("missed", None, how),
        };
        let executions = executions.map_or_else(|| "-".to_owned(), |number| number.to_string());
        println!("{:19} {:20} {result:7} {elapsed:7.1} {executions:>11}  {said}", row.name, row.target);
    }
    let seconds = begin.elapsed().as_secs();
    println!("{found} of {} planted faults found, {real} findings without a fault, {seconds} s", FAULTS.len());
    Ok(found == FAULTS.len() && real == 0)
}

/// Runs the targets without a fault; how many findings there were, which are real defects and are kept.
fn clean_run(options: &Options) -> io::Result<usize> {
    let mut targets: Vec<&str> = FAULTS.iter().map(|row| row.target).collect();
    targets.sort_unstable();
    targets.dedup();
    println!("{} targets without a fault, {CLEAN} s each", targets.len());
    let mut findings = 0;
    for target in targets {
        match work(options, "clean", target, None, CLEAN)? {
            End::Nothing => {}
            End::Finding { said, input, .. } => {
                findings += 1;
                let path = corpus::keep_finding(&options.work, target, &input)?;
                println!("{target}: FINDING without a fault, {} bytes: {}: {said}", input.len(), path.display());
            }
            End::Broken(how) => {
                findings += 1;
                println!("{target}: {how}");
            }
        }
    }
    Ok(findings)
}

/// One worker over one target, from the committed inputs on: what earlier runs left does not count.
fn work(options: &Options, name: &str, target: &str, fault: Option<&Row>, seconds: u64) -> io::Result<End> {
    let folder = options.work.join("selftest").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let fault = fault.map(|row| row.name.to_owned());
    let options =
        Options { work: folder.clone(), seconds: Some(seconds), runs: None, timeout: TIMEOUT, fault, ..options.clone() };
    let current = current()?;
    let mut command = worker_command(target, &options)?;
    command.stdin(current.try_clone()?);
    let said = folder.join("said");
    let Some(status) = wait(command, &said, Duration::from_secs(seconds) + GRACE)? else {
        return Ok(End::Broken("the worker did not end".to_owned()));
    };
    if status.success() {
        return Ok(End::Nothing);
    }
    if !is_failure(status) {
        return Ok(End::Broken(format!("the worker ended with {status}: {}", last_words(&said)?)));
    }
    let (before, input) = read_current(&current)?;
    Ok(End::Finding { said: last_words(&said)?, before, input })
}

/// Whether an input that was found with a fault passes without it.
fn is_planted(options: &Options, row: &Row, input: &[u8]) -> io::Result<bool> {
    let folder = options.work.join("selftest").join(row.name);
    let path = folder.join("input");
    fs::write(&path, input)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(row.target).arg("--replay").arg(&path);
    Ok(wait(command, &folder.join("without"), GRACE)?.is_some_and(|status| status.success()))
}

/// How a process ended that says what it has to say into a file; `None`: it had to be ended.
fn wait(mut command: Command, said: &Path, most: Duration) -> io::Result<Option<ExitStatus>> {
    // Looking names up for a backtrace takes seconds.
    command.env("RUST_BACKTRACE", "0");
    let mut child = command.stdout(Stdio::null()).stderr(File::create(said)?).spawn()?;
    let begin = Instant::now();
    while begin.elapsed() < most {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// A panic, or a signal that a process gives itself or gets for what it did: not one from outside.
fn is_failure(status: ExitStatus) -> bool {
    use nix::libc::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP};
    let own = [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP];
    status.code() == Some(PANICKED) || status.signal().is_some_and(|signal| own.contains(&signal))
}

/// The first panic, in one line; without one, the last line.
fn last_words(said: &Path) -> io::Result<String> {
    let text = String::from_utf8_lossy(&fs::read(said)?).into_owned();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("note: ")).collect();
    let panic = lines.iter().position(|line| line.contains(" panicked at "));
    let words = match panic {
        Some(at) => lines[at + 1..].first().or(lines.get(at)),
        None => lines.last(),
    };
    Ok(words.map_or_else(String::new, |line| line.chars().take(100).collect()))
}
