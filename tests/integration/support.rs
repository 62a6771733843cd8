//! Running `bitcoin-node` until it ends, and looking at its processes.

use bulkhead_tests::node::binaries;
use std::path::Path;
use std::process::{Command, Stdio};

/// How a node ended.
pub(crate) struct Failure {
    pub code: Option<i32>,
    pub stderr: String,
}

/// Runs `bitcoin-node` in a data directory until it ends by itself. Ports are picked by the kernel where the test
/// does not say otherwise.
pub(crate) fn run(datadir: &Path, arguments: &[&str]) -> Failure {
    run_binary(&binaries().join("bitcoin-node"), datadir, arguments)
}

/// As [`run`] with another binary.
pub(crate) fn run_binary(binary: &Path, datadir: &Path, arguments: &[&str]) -> Failure {
    let port = bulkhead_tests::port::reserve_port().unwrap();
    let output = Command::new(binary)
        .args(["-regtest", "-printtoconsole=0", "-listen=0", "-listenonion=0"])
        .arg(format!("-datadir={}", datadir.display()))
        .arg(format!("-rpcport={port}"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Failure { code: output.status.code(), stderr: String::from_utf8(output.stderr).unwrap() }
}

impl Failure {
    /// Exit code 1 and exactly this text.
    pub(crate) fn is(&self, text: &str) {
        assert_eq!((self.code, self.stderr.trim_end()), (Some(1), text));
    }

    /// Exit code 1, one error, and this text in it.
    pub(crate) fn has(&self, text: &str) {
        assert_eq!(self.code, Some(1), "{}", self.stderr);
        assert!(self.stderr.starts_with("Error: ") && self.stderr.contains(text), "{:?} lacks {text:?}", self.stderr);
    }
}
