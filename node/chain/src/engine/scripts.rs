//! Threads that check scripts of a block next to the validation thread (`-par`).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use bulkhead_script::{SpendCheck, VerifyError};

/// Inputs that a thread takes at a time.
const SLICE: usize = 8;

/// The first check of a block, in block order, that was found to fail.
#[derive(Debug, Clone)]
pub struct ScriptFailure {
    /// Which input of which transaction.
    pub debug: String,
    /// What was wrong.
    pub error: VerifyError,
}

#[derive(Debug)]
struct Job {
    checks: Vec<SpendCheck>,
    /// (check, first input, end of inputs)
    slices: Vec<(usize, usize, usize)>,
    next: AtomicUsize,
    stop: AtomicBool,
    /// Check, input, cause.
    failure: Mutex<Option<(usize, usize, VerifyError)>>,
}

impl Job {
    fn work(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(&(check, first, end)) = self.slices.get(at) else { return };
            for input in first..end {
                if let Err(error) = self.checks[check].verify(input) {
                    let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                    if failure.as_ref().is_none_or(|known| check < known.0) {
                        *failure = Some((check, input, error));
                    }
                    self.stop.store(true, Ordering::Relaxed);
                    return;
                }
            }
        }
    }
}

/// The threads. They end when the pool is dropped.
#[derive(Debug)]
pub struct ScriptPool {
    workers: Vec<Sender<(Arc<Job>, Sender<()>)>>,
}

impl ScriptPool {
    /// Starts `threads` threads; with none, the caller does all the work.
    pub fn new(threads: usize) -> Self {
        let workers = (0..threads).filter_map(|number| {
            let (sender, receiver) = channel();
            let builder = std::thread::Builder::new().name(format!("scriptch.{number}"));
            builder.spawn(move || serve(&receiver)).ok().map(|_| sender)
        });
        Self { workers: workers.collect() }
    }

    /// Runs all checks; returns when each was made or one has failed.
    pub fn run(&self, checks: Vec<SpendCheck>) -> Result<(), ScriptFailure> {
        let slices: Vec<_> = checks
            .iter()
            .enumerate()
            .flat_map(|(at, check)| {
                (0..check.inputs()).step_by(SLICE).map(move |first| (at, first, (first + SLICE).min(check.inputs())))
            })
            .collect();
        let helpers = self.workers.len().min(slices.len().saturating_sub(1));
        let job =
            Arc::new(Job { checks, slices, next: AtomicUsize::new(0), stop: AtomicBool::new(false), failure: Mutex::new(None) });
        let (done, finished) = channel();
        for worker in &self.workers[..helpers] {
            // A thread that is gone leaves its share to the others.
            let _ = worker.send((Arc::clone(&job), done.clone()));
        }
        drop(done);
        job.work();
        while finished.recv().is_ok() {}
        let failure = job.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        match failure {
            None => Ok(()),
            Some((check, input, error)) => Err(describe(&job.checks[check], input, error)),
        }
    }
}

fn describe(check: &SpendCheck, input: usize, error: VerifyError) -> ScriptFailure {
    let tx = check.transaction();
    let spent = tx.input.get(input).map(|input| input.previous_output).unwrap_or_default();
    let debug =
        format!("input {input} of {} (wtxid {}), spending {}:{}", tx.compute_txid(), tx.compute_wtxid(), spent.txid, spent.vout);
    ScriptFailure { debug, error }
}

fn serve(jobs: &Receiver<(Arc<Job>, Sender<()>)>) {
    while let Ok((job, done)) = jobs.recv() {
        job.work();
        drop(job);
        // The caller counts the senders that are gone.
        drop(done);
    }
}
