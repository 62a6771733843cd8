//! Runs code in a forked child, so that confinement does not outlive it.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use nix::{
    sys::wait::{WaitStatus, waitpid},
    unistd::{ForkResult, fork, pipe},
};
use std::{fs::File, io::Read, io::Write};

/// How the child ended and what it wrote.
#[derive(Debug)]
pub struct Ended {
    pub status: WaitStatus,
    pub text: String,
}

/// Forks; the child runs `body` and writes its text to a pipe.
pub fn in_child(body: impl FnOnce() -> String) -> Ended {
    let (reader, writer) = pipe().unwrap();
    // SAFETY: the child is single-threaded from here on; glibc makes its allocator usable after fork.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            drop(reader);
            let text = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or_else(|_| "panic".to_owned());
            let _ = File::from(writer).write_all(text.as_bytes());
            // SAFETY: ends the child without running the test harness's exit handlers.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            drop(writer);
            let mut text = String::new();
            File::from(reader).read_to_string(&mut text).unwrap();
            Ended { status: waitpid(child, None).unwrap(), text }
        }
    }
}
