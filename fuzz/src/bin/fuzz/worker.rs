//! One job: runs inputs in this process until the time is over or an input is a finding.
//!
//! Every input is written down before it runs, because an abort, a stack overflow or the limit of memory leaves no chance
//! afterwards: into memory that the parent holds too ([`current`]) and reads when the worker is dead.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bulkhead_fuzz::Target;
use bulkhead_fuzz::mutate::{Random, mutate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, UsageWho, getrusage, setrlimit};
use nix::sys::time::TimeValLike;

use crate::corpus::{self, Corpus};
use crate::coverage::{self, Seen};
use crate::options::Options;

/// Exit code of a worker whose target panicked.
pub const PANICKED: i32 = 101;
/// Time between two reports.
const REPORT: Duration = Duration::from_secs(10);
/// How many times the limit of one execution a worker may wait without working.
const WAITING: u64 = 30;
/// Where the input begins in what [`current`] makes.
const INPUT_AT: usize = 16;
/// Executions between two looks at the clock.
const STRIDE: u64 = 64;

static EXECUTIONS: AtomicU64 = AtomicU64::new(0);

/// What takes the input that a job runs now, and becomes the worker's standard input. Not on a disk: a write there waits whenever
/// the one before it is just on its way.
pub fn current() -> io::Result<File> {
    Ok(memfd_create("current", MFdFlags::MFD_CLOEXEC)?.into())
}

/// What it holds: how many inputs ran before and the length of this one, 8 bytes each, then the input.
pub fn read_current(current: &File) -> io::Result<(u64, Vec<u8>)> {
    let length = usize::try_from(current.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    current.read_exact_at(&mut bytes, 0)?;
    let number = |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |number| u64::from_le_bytes(*number));
    let (before, length) = (number(0), number(8));
    bytes.drain(..INPUT_AT.min(bytes.len()));
    bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
    Ok((before, bytes))
}

struct Runner {
    target: Target,
    current: File,
}

impl Runner {
    /// Runs one input; whether it went where none went before, and how long it took.
    fn run(&self, input: &[u8], seen: &mut Seen) -> io::Result<(bool, Duration)> {
        let head = [EXECUTIONS.load(Relaxed), input.len() as u64].map(u64::to_le_bytes);
        self.current.write_all_at(head.as_flattened(), 0)?;
        self.current.write_all_at(input, INPUT_AT as u64)?;
        let begin = Instant::now();
        let ended = coverage::record(|| catch_unwind(AssertUnwindSafe(|| (self.target)(input))));
        let took = begin.elapsed();
        EXECUTIONS.fetch_add(1, Relaxed);
        if ended.is_err() || bulkhead_fuzz::panics() > 0 {
            std::process::exit(PANICKED);
        }
        Ok((seen.take(), took))
    }

    /// As `run`; what is new runs twice, and the shorter time counts: on a busy machine others run in between.
    fn try_out(&self, input: &[u8], seen: &mut Seen) -> io::Result<(bool, Duration)> {
        let (new, took) = self.run(input, seen)?;
        if !new {
            return Ok((false, took));
        }
        let (_, again) = self.run(input, seen)?;
        Ok((true, took.min(again)))
    }
}

/// # Errors
/// Of files.
pub fn work(name: &str, target: Target, options: &Options) -> io::Result<()> {
    let bytes = options.memory.saturating_mul(1 << 20);
    setrlimit(Resource::RLIMIT_AS, bytes, bytes)?;
    bulkhead_fuzz::count_panics();
    let timeout = options.timeout;
    std::thread::spawn(move || watch(timeout));
    let runner = Runner { target, current: io::stdin().as_fd().try_clone_to_owned()?.into() };
    let mut seen = Seen::new();
    let begin = Instant::now();
    let folder = options.work.join("corpus").join(name);
    let mut corpus = Corpus::new(&folder);
    let tagged = |inputs: Vec<Vec<u8>>, committed: bool| inputs.into_iter().map(move |input| (input, committed));
    for (input, committed) in tagged(corpus::read(&corpus::seeds(name))?, true).chain(tagged(corpus::read(&folder)?, false)) {
        let (new, took) = runner.try_out(&input, &mut seen)?;
        if new || coverage::instrumented() == 0 {
            corpus.push(input, took, committed);
        }
    }
    if corpus.len() == 0 {
        corpus.push(Vec::new(), Duration::ZERO, true);
    }
    let initial = corpus.len();
    let mut random = Random::new(options.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut compared = coverage::comparisons();
    let mut reported = Instant::now();
    loop {
        let done = EXECUTIONS.load(Relaxed);
        if options.runs.is_some_and(|runs| done >= runs) {
            break;
        }
        if done.is_multiple_of(STRIDE) {
            if options.seconds.is_some_and(|seconds| begin.elapsed().as_secs() >= seconds) {
                break;
            }
            if reported.elapsed() >= REPORT {
                reported = Instant::now();
                report(name, options, begin, &seen, initial, corpus.len());
            }
        }
        let input = mutate(corpus.pick(&mut random), corpus.pick(&mut random), &compared, &mut random);
        let (new, took) = runner.try_out(&input, &mut seen)?;
        if new {
            corpus.keep(input, took)?;
        }
        if done.is_multiple_of(8) {
            compared = coverage::comparisons();
        }
    }
    report(name, options, begin, &seen, initial, corpus.len());
    Ok(())
}

/// Ends the process when one execution takes too long: in processor time, because a busy machine lets a process wait; or, if it
/// only waits, in [`WAITING`] times as many looks, one a second, because somebody may stop the process for a while.
fn watch(timeout: Duration) {
    let (mut before, mut worked, mut looks) = (0, processor_time(), 0);
    loop {
        std::thread::sleep(Duration::from_secs(1));
        looks += 1;
        let now = EXECUTIONS.load(Relaxed);
        if now != before {
            (before, worked, looks) = (now, processor_time(), 0);
        } else if processor_time() > worked + timeout || looks > timeout.as_secs() * WAITING {
            eprintln!("one execution takes longer than {} s", timeout.as_secs());
            std::process::abort();
        }
    }
}

/// Of this process so far.
fn processor_time() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Duration::ZERO };
    let spent = usage.user_time() + usage.system_time();
    Duration::from_micros(spent.num_microseconds().unsigned_abs())
}

fn report(name: &str, options: &Options, begin: Instant, seen: &Seen, initial: usize, inputs: usize) {
    let executions = EXECUTIONS.load(Relaxed);
    let seconds = begin.elapsed().as_secs_f64();
    let rate = executions as f64 / seconds.max(0.001);
    let coverage = match coverage::instrumented() {
        0 => "no coverage in this build".to_owned(),
        all => format!("edges {} of {all}, corpus {initial} -> {inputs}", seen.edges()),
    };
    println!("{name} job {}: {executions} executions in {seconds:.0} s ({rate:.0}/s), {coverage}", options.seed);
}
