//! What only the supervisor can do for a confined net: replace one of its files, connect to a unix socket that the
//! options name, read the cookie of a Tor control port.
//!
//! # Correctness
//! The supervisor is asked on a thread of its own, because a request waits for its answer. Jobs are done in order,
//! so the last content of a file is the one that stays. Dropping the broker finishes the jobs that wait.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use bulkhead_control::{Answer, ControlError, Handle, OpenFile, Request};
use tokio::sync::oneshot;

/// Files of captured messages that stay open.
const MAX_CAPTURES: usize = 64;

enum Job {
    Replace { name: &'static str, bytes: Vec<u8> },
    Append { path: String, bytes: Vec<u8> },
    Ask { purpose: &'static str, path: String, answer: oneshot::Sender<Result<Answer, ControlError>> },
}

/// The way to the supervisor.
#[derive(Debug)]
pub struct Broker {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Broker {
    /// Starts the thread.
    ///
    /// # Errors
    /// There can't be another thread.
    pub fn start(handle: Handle) -> std::io::Result<Self> {
        let (jobs, waiting) = channel();
        let thread = std::thread::Builder::new().name("broker".into()).spawn(move || work(&handle, &waiting))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Replaces a file as a whole. Failures are logged.
    pub fn replace(&self, name: &'static str, bytes: Vec<u8>) {
        self.push(Job::Replace { name, bytes });
    }

    /// Adds to a file of captured messages. Failures are logged.
    pub fn append(&self, path: String, bytes: Vec<u8>) {
        self.push(Job::Append { path, bytes });
    }

    /// What the supervisor says to `path`; it comes later.
    #[must_use]
    pub fn ask(&self, purpose: &'static str, path: &str) -> oneshot::Receiver<Result<Answer, ControlError>> {
        let (answer, coming) = oneshot::channel();
        self.push(Job::Ask { purpose, path: path.to_owned(), answer });
        coming
    }

    fn push(&self, job: Job) {
        // The thread ends only after this sender is gone.
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(handle: &Handle, jobs: &Receiver<Job>) {
    let mut captures: HashMap<String, File> = HashMap::new();
    for job in jobs {
        match job {
            Job::Replace { name, bytes } => {
                if let Err(error) = replace(handle, name, &bytes) {
                    tracing::error!(target: "net", "Failed to write {name}: {error}");
                }
            }
            Job::Append { path, bytes } => {
                if let Err(error) = append(handle, &mut captures, &path, &bytes) {
                    tracing::error!(target: "net", "Failed to write {path}: {error}");
                }
            }
            Job::Ask { purpose, path, answer } => {
                let said = ask(handle, purpose, &path);
                if let Err(error) = &said {
                    tracing::debug!(target: "net", "{purpose} {path}: {error}");
                }
                // Who asked may be gone.
                let _ = answer.send(said);
            }
        }
    }
}

fn ask(handle: &Handle, purpose: &str, path: &str) -> Result<Answer, ControlError> {
    handle.request(Request::OpenFile(OpenFile { purpose: purpose.to_owned(), path: path.to_owned() }))
}

fn open(handle: &Handle, purpose: &str, path: &str) -> Result<Option<OwnedFd>, ControlError> {
    Ok(ask(handle, purpose, path)?.descriptors.pop())
}

fn append(handle: &Handle, captures: &mut HashMap<String, File>, path: &str, bytes: &[u8]) -> Result<(), ControlError> {
    if let Some(file) = captures.get_mut(path) {
        return Ok(file.write_all(bytes)?);
    }
    if captures.len() >= MAX_CAPTURES {
        captures.clear();
    }
    let opened = open(handle, "captureFile", path)?;
    let mut file = File::from(opened.ok_or_else(|| ControlError::MissingDescriptor(path.to_owned()))?);
    file.write_all(bytes)?;
    captures.insert(path.to_owned(), file);
    Ok(())
}

fn replace(handle: &Handle, name: &str, bytes: &[u8]) -> Result<(), ControlError> {
    let opened = open(handle, "writeNetFile", name)?;
    let mut file = File::from(opened.ok_or_else(|| ControlError::MissingDescriptor(name.to_owned()))?);
    file.write_all(bytes)?;
    // A name that points to content which is not on the disk yet would survive a crash of the machine empty.
    file.sync_data()?;
    open(handle, "finishNetFile", name).map(drop)
}
