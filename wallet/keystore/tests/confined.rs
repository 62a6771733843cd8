//! The real process, in its sandbox, over its real stream.
#![allow(clippy::unwrap_used, clippy::panic)]

use bulkhead_control::message::{Configure, LogOptions};
use bulkhead_control::{Edge, FromChild, KeystoreConfig, Parent, Report, ToChild, TypedConfig};
use bulkhead_keystore_edge::{KeystoreClient, Request, wire};
use bulkhead_sandbox::{Mode, SpawnSpec, policy, spawn};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Longer than any step takes; only a hang reaches it.
const PATIENCE: u16 = 60_000;

struct Process {
    pid: i32,
    control: Parent,
    log: tempfile::NamedTempFile,
    report: Report,
}

fn next(control: &Parent) -> FromChild {
    loop {
        if let Some(message) = control.receive().unwrap() {
            return message;
        }
        let ready = poll(&mut [PollFd::new(control.as_fd(), PollFlags::POLLIN)], PollTimeout::from(PATIENCE)).unwrap();
        assert_eq!(ready, 1, "nothing from the key store");
    }
}

/// A confined key store for the wallet in `directory`; none: a one-shot one.
fn start(directory: Option<&Path>) -> (Process, OwnedFd) {
    let (control, child) = bulkhead_control::pair().unwrap();
    let (stream, wire) = bulkhead_control::stream_pair().unwrap();
    let pid = spawn(SpawnSpec {
        program: env!("CARGO_BIN_EXE_bitcoin-keystore").into(),
        args: Vec::new(),
        keep: vec![(child, 3)],
        policy: policy("keystore").unwrap(),
        mode: Mode::Strict,
    })
    .unwrap();
    let control = Parent::new(control);
    let log = tempfile::NamedTempFile::new().unwrap();
    let config = KeystoreConfig {
        network: "regtest".into(),
        name: "confined".into(),
        directory: directory.map_or(String::new(), |path| path.to_str().unwrap().to_owned()),
        file: "wallet.dat".into(),
        one_shot: directory.is_none(),
        keypool: 2,
        ..KeystoreConfig::default()
    };
    let configure = Configure {
        component: "keystore".into(),
        sandbox: "strict".into(),
        memory: None,
        fields: config.to_fields(),
        log: LogOptions::default(),
        descriptors: vec!["log".into()],
    };
    let log_file = File::options().append(true).open(log.path()).unwrap();
    control.send(&ToChild::Configure(configure), &[log_file.as_fd()]).unwrap();
    let report = match next(&control) {
        FromChild::Report(report) => report,
        other => panic!("{other:?}"),
    };
    control
        .send(&ToChild::Wire(vec![Edge { name: "wallet-keystore".into(), instance: "confined".into() }]), &[wire.as_fd()])
        .unwrap();
    assert_eq!(next(&control), FromChild::Ready);
    (Process { pid, control, log, report }, stream)
}

impl Process {
    fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    fn end(self) -> i32 {
        match waitpid(Pid::from_raw(self.pid), None).unwrap() {
            WaitStatus::Exited(_, code) => code,
            other => panic!("{other:?}\n{}", self.log()),
        }
    }
}

#[test]
fn a_confined_key_store_does_its_whole_work() {
    let directory = tempfile::tempdir().unwrap();
    let (process, stream) = start(Some(directory.path()));
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid)).unwrap();
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "Threads:\t1"] {
        assert!(status.contains(line), "{line} in\n{status}");
    }
    assert!(format!("{:?}", process.report).contains("keystore") || !format!("{:?}", process.report).is_empty());

    let mut client = KeystoreClient::new(stream);
    let state = client.create(false, false, b"", 0, true).unwrap();
    assert!(state.file_bytes > 4096);
    assert!(state.has_private_keys && !state.encrypted);
    let records = client.all_records().unwrap();
    assert!(records.len() > 30, "eight descriptors with caches: {}", records.len());
    client.encrypt(b"correct horse").unwrap();
    assert_eq!(client.unlock(b"battery", 10).unwrap_err().code_and_message().0, -14);
    client.unlock(b"correct horse", 100).unwrap();
    client.change_passphrase(b"correct horse", b"staple").unwrap();
    client.set_rules(b"staple", "fee-max 1000\n").unwrap();
    assert_eq!(client.rules().unwrap(), "fee-max 1000\n");
    let backup = tempfile::NamedTempFile::new().unwrap();
    client.backup(&File::options().write(true).open(backup.path()).unwrap().into()).unwrap();
    assert_eq!(std::fs::read(backup.path()).unwrap(), std::fs::read(directory.path().join("wallet.dat")).unwrap());
    client.close().unwrap();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "no journal stays");
    let opened = client.open().unwrap();
    assert!(opened.encrypted && opened.locked);
    client.flush().unwrap();
    client.close().unwrap();

    // The wallet's end closes: the process leaves.
    drop(client);
    let log = process.log();
    assert!(!log.contains("staple") && !log.contains("horse"), "{log}");
    assert_eq!(process.end(), 0);

    let other = tempfile::tempdir().unwrap();
    let (process, stream) = start(Some(other.path()));
    let mut client = KeystoreClient::new(stream);
    client.restore(&File::open(backup.path()).unwrap().into()).unwrap();
    assert_eq!(client.create(true, false, b"", 0, false).unwrap_err().code_and_message().0, -36, "never over a file");
    client.open().unwrap();
    client.unlock(b"staple", 10).unwrap();
    process.control.send(&ToChild::Shutdown, &[]).unwrap();
    assert_eq!(process.end(), 0);
}

#[test]
fn two_key_stores_do_not_share_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let (first, stream) = start(Some(directory.path()));
    let mut client = KeystoreClient::new(stream);
    client.create(true, false, b"", 0, false).unwrap();
    let (second, other) = start(Some(directory.path()));
    let (code, message) = KeystoreClient::new(other).open().unwrap_err().code_and_message();
    assert_eq!(code, -4);
    assert_eq!(
        message,
        "SQLiteDatabase: Unable to obtain an exclusive lock on the database, is it being used by another instance of Bulkhead?\n"
    );
    assert_eq!(second.end(), 0);
    drop(client);
    assert_eq!(first.end(), 0);
}

#[test]
fn a_one_shot_key_store_signs_without_any_file() {
    let (process, stream) = start(None);
    let mut client = KeystoreClient::new(stream);
    let signature = client
        .one_shot_sign_message("cUeKHd5orzT3mz8P9pxyREHfsWtVfgsfDjiZZBcjUBAaGk1BTj7N", "This is just a test message")
        .unwrap();
    assert_eq!(signature, "INbVnW4e6PeRmsv2Qgu8NuopvrVjkcxob+sX8OcZG0SALhWybUjzMLPdAsXI46YZGb0KQTRii+wWIQzRpG/U+S0=");
    assert!(client.create(true, false, b"", 0, false).is_err());
    drop(client);
    assert_eq!(process.end(), 0);
}

#[test]
fn a_peer_that_does_not_speak_the_protocol_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let (process, stream) = start(Some(directory.path()));
    wire::send(&stream, &[4, 0, 0, 0, 1, 2, 3, 4], None).unwrap();
    assert!(matches!(wire::receive(&stream), Err(wire::WireError::Closed)));
    assert!(process.log().contains("malformed frame"), "{}", process.log());
    assert_eq!(process.end(), 0);
    let (process, stream) = start(Some(directory.path()));
    wire::send(&stream, &u32::MAX.to_le_bytes(), None).unwrap();
    assert!(wire::receive(&stream).is_err());
    assert_eq!(process.end(), 0);
}

#[test]
fn loss_of_the_supervisor_ends_the_key_store() {
    let directory = tempfile::tempdir().unwrap();
    let (process, stream) = start(Some(directory.path()));
    let mut client = KeystoreClient::new(stream);
    client.create(true, false, b"", 0, false).unwrap();
    let Process { pid, control, .. } = process;
    drop(control);
    assert!(matches!(waitpid(Pid::from_raw(pid), None).unwrap(), WaitStatus::Exited(_, 1)));
    assert!(client.call(&Request::Status, None).is_err());
}
