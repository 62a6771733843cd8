//! Landlock, right by right, decided by the kernel: for every place that a policy names, what it grants works there and nowhere else,
//! and what it does not grant works nowhere. The filters of system calls are left out here, or they would answer first.
//!
//! Not tried: `IoctlDev`, which takes a device, and which no place grants.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod common;

use bulkhead_policies::{ALL, FsRight, Policy};
use bulkhead_sandbox::{Mode, PathGrant, enter};
use common::in_child;
use nix::sys::stat::{Mode as FileMode, SFlag, mknod};
use nix::sys::wait::WaitStatus;
use std::fs;
use std::io::Result;
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;

/// Something that takes exactly these rights, in a folder made by [`furnish`].
struct Probe {
    name: &'static str,
    rights: &'static [FsRight],
    attempt: fn(&Path) -> Result<()>,
}

fn node(path: &Path, kind: SFlag) -> Result<()> {
    Ok(mknod(path, kind, FileMode::S_IRWXU, 0)?)
}

const fn probe(name: &'static str, rights: &'static [FsRight], attempt: fn(&Path) -> Result<()>) -> Probe {
    Probe { name, rights, attempt }
}

const PROBES: [Probe; 16] = [
    probe("read", &[FsRight::ReadFile], |at| fs::File::open(at.join("file")).map(drop)),
    probe("write", &[FsRight::WriteFile], |at| fs::File::options().write(true).open(at.join("file")).map(drop)),
    probe("append", &[FsRight::WriteFile], |at| fs::File::options().append(true).open(at.join("file")).map(drop)),
    probe("truncate", &[FsRight::Truncate], |at| Ok(nix::unistd::truncate(&at.join("file"), 0)?)),
    probe("list", &[FsRight::ReadDir], |at| fs::read_dir(at.join("folder")).map(drop)),
    probe("run", &[FsRight::Execute], |at| match std::process::Command::new(at.join("program")).status() {
        // No interpreter is named, so the kernel does not know what to do with what it was allowed to run.
        Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) => Ok(()),
        other => other.map(drop),
    }),
    probe("make a file", &[FsRight::MakeReg], |at| node(&at.join("new"), SFlag::S_IFREG)),
    probe("make a pipe", &[FsRight::MakeFifo], |at| node(&at.join("pipe"), SFlag::S_IFIFO)),
    probe("make a socket", &[FsRight::MakeSock], |at| node(&at.join("socket"), SFlag::S_IFSOCK)),
    probe("make a character device", &[FsRight::MakeChar], |at| node(&at.join("char"), SFlag::S_IFCHR)),
    probe("make a block device", &[FsRight::MakeBlock], |at| node(&at.join("block"), SFlag::S_IFBLK)),
    probe("make a folder", &[FsRight::MakeDir], |at| fs::create_dir(at.join("made"))),
    probe("make a link", &[FsRight::MakeSym], |at| symlink("/etc", at.join("link"))),
    probe("move between folders", &[FsRight::Refer, FsRight::MakeReg, FsRight::RemoveFile], |at| {
        fs::rename(at.join("folder/moved"), at.join("other/moved"))
    }),
    probe("remove a file", &[FsRight::RemoveFile], |at| fs::remove_file(at.join("doomed"))),
    probe("remove a folder", &[FsRight::RemoveDir], |at| fs::remove_dir(at.join("empty"))),
];

fn furnish(at: &Path) {
    for folder in ["folder", "other", "empty"] {
        fs::create_dir_all(at.join(folder)).unwrap();
    }
    for file in ["file", "folder/moved", "doomed", "program"] {
        fs::write(at.join(file), "nothing that runs").unwrap();
    }
    fs::set_permissions(at.join("program"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// The policy without its filters of system calls.
fn unfiltered(policy: &Policy) -> Policy {
    Policy { allow: &[], kill: &[], ..*policy }
}

/// Runs the probes under a policy in a folder that is granted under `name` and in its neighbour; a line for each wrong answer.
fn wrong(policy: &Policy, name: Option<&'static str>, granted: &[FsRight]) -> String {
    let root = tempfile::tempdir().unwrap();
    let (inside, outside) = (root.path().join("inside"), root.path().join("outside"));
    furnish(&inside);
    furnish(&outside);
    let ended = in_child(|| {
        let grants: Vec<PathGrant> = name.iter().map(|name| PathGrant { name, path: inside.clone() }).collect();
        enter(&unfiltered(policy), &grants, Mode::Degraded).unwrap();
        let mut text = String::new();
        for probe in &PROBES {
            for (place, at) in [("inside", &inside), ("outside", &outside)] {
                // Landlock governs this one always.
                let governed = |right: &FsRight| *right == FsRight::Refer || policy.landlock.fs.contains(right);
                let free = |right: &FsRight| !governed(right) || place == "inside" && granted.contains(right);
                let expected = probe.rights.iter().all(free);
                let outcome = (probe.attempt)(at);
                // What Landlock permits may fail for another reason: a process without capabilities makes no device.
                let refused =
                    outcome.as_ref().is_err_and(|error| matches!(error.raw_os_error(), Some(libc::EACCES | libc::EXDEV)));
                if refused == expected {
                    text += &format!("{} {} {place} {name:?}: {outcome:?}\n", policy.name, probe.name);
                }
            }
        }
        text
    });
    assert!(matches!(ended.status, WaitStatus::Exited(_, 0)), "{}: {ended:?}", policy.name);
    ended.text
}

#[test]
fn each_place_has_the_rights_that_are_written_and_its_neighbour_has_none() {
    let mut text = String::new();
    let mut places = 0;
    for policy in ALL {
        text += &wrong(policy, None, &[]);
        for path in policy.paths {
            places += 1;
            text += &wrong(policy, Some(path.name), path.rights);
        }
    }
    assert_eq!(text, "");
    assert!(places >= 12, "{places}");
}

#[test]
fn network_and_signals_reach_as_far_as_is_written() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    let name = format!("bulkhead-paths-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
    let _abstract = UnixListener::bind_addr(&address).unwrap();
    let parent = nix::unistd::getpid();
    for policy in ALL {
        let ended = in_child(|| {
            enter(&unfiltered(policy), &[], Mode::Degraded).unwrap();
            let refused = [
                TcpStream::connect(("127.0.0.1", port)).is_err(),
                TcpListener::bind("127.0.0.1:0").is_err(),
                nix::sys::signal::kill(parent, None).is_err(),
                UnixStream::connect_addr(&address).is_err(),
            ];
            format!("{refused:?}")
        });
        let landlock = policy.landlock;
        let expected = [landlock.deny_tcp_connect, landlock.deny_tcp_bind, landlock.scope_signal, landlock.scope_abstract_unix];
        assert_eq!(ended.text, format!("{expected:?}"), "{}: {ended:?}", policy.name);
    }
}
