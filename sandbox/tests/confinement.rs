//! `enter` and `spawner` seen from outside: what the kernel says about a confined process.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod common;

use bulkhead_policies::{CHAIN, KEYSTORE, NET, NODE, RPC};
use bulkhead_sandbox::{ABORT_CODE, Cause, Mode, PathGrant, SandboxError, SpawnSpec, enter, enter_within, on_abort, spawn};
use common::in_child;
use nix::sys::wait::WaitStatus;
use seccompiler::{SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::{collections::BTreeMap, fs, io::Read, path::Path};

/// Runs in a child and demands that it lived to the end.
fn confined(body: impl FnOnce() -> String) -> String {
    let ended = in_child(body);
    assert!(matches!(ended.status, WaitStatus::Exited(_, 0)), "{ended:?}");
    ended.text
}

fn field(status: &str, name: &str) -> String {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t")).unwrap_or("absent").to_owned()
}

fn errno(result: &std::io::Result<impl Sized>) -> i32 {
    result.as_ref().err().and_then(std::io::Error::raw_os_error).unwrap_or(0)
}

#[test]
fn entered_process_has_every_layer_in_the_kernels_words() {
    let text = confined(|| {
        let mut status = fs::File::open("/proc/self/status").unwrap();
        let report = enter(&CHAIN, &[], Mode::Degraded).unwrap();
        let mut text = vec![0; 8192];
        let length = status.read(&mut text).unwrap();
        assert!(report.no_new_privs && report.seccomp_mode == 2 && !report.dumpable);
        assert_eq!(report.capabilities, "0000000000000000");
        assert_eq!(report.filter_hash, CHAIN.filter_hash);
        String::from_utf8_lossy(&text[..length]).into_owned()
    });
    for (name, value) in [
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("Seccomp_filters", "2"),
        ("CapInh", "0000000000000000"),
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
    ] {
        assert_eq!(field(&text, name), value, "{name}");
    }
    if nix::unistd::geteuid().is_root() {
        assert_eq!(field(&text, "CapBnd"), "0000000000000000");
    }
}

#[test]
fn entered_process_opens_granted_paths_and_no_others() {
    let granted = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    fs::write(granted.path().join("in"), "x").unwrap();
    fs::write(other.path().join("out"), "x").unwrap();
    let text = confined(|| {
        let grant = PathGrant { name: "walletdir", path: granted.path().to_owned() };
        enter(&KEYSTORE, &[grant], Mode::Degraded).unwrap();
        let open = |path: &Path| errno(&fs::File::open(path));
        format!(
            "{} {} {} {} {}",
            open(&granted.path().join("in")),
            errno(&fs::File::create(granted.path().join("new"))),
            open(&other.path().join("out")),
            open(Path::new("/etc/passwd")),
            errno(&fs::File::create(other.path().join("new"))),
        )
    });
    assert_eq!(text, format!("0 0 {0} {0} {0}", libc::EACCES));
}

#[test]
fn entered_process_makes_no_socket_and_runs_no_program() {
    let text = confined(|| {
        enter(&RPC, &[], Mode::Degraded).unwrap();
        let tcp = std::net::TcpStream::connect(("127.0.0.1", 1));
        let unix = std::os::unix::net::UnixStream::connect("/tmp/none");
        format!("{} {}", errno(&tcp), errno(&unix))
    });
    assert_eq!(text, format!("{0} {0}", libc::EPERM));
    let ended = in_child(|| {
        enter(&RPC, &[], Mode::Degraded).unwrap();
        // SAFETY: valid pointers; the call must end the process.
        let answer = unsafe { libc::execve(c"/bin/true".as_ptr(), std::ptr::null(), std::ptr::null()) };
        format!("execve answered {answer}")
    });
    assert!(matches!(ended.status, WaitStatus::Signaled(_, nix::sys::signal::Signal::SIGSYS, _)), "{ended:?}");
}

#[test]
fn entered_net_connects_tcp_only() {
    let text = confined(|| {
        enter(&NET, &[], Mode::Degraded).unwrap();
        let tcp = errno(&std::net::TcpStream::connect(("127.0.0.1", 1)));
        let listen = errno(&std::net::TcpListener::bind(("127.0.0.1", 0)));
        let unix = errno(&std::os::unix::net::UnixStream::connect("/tmp/none"));
        format!("{tcp} {listen} {unix}")
    });
    assert_eq!(text, format!("{0} {1} {1}", libc::ECONNREFUSED, libc::EPERM));
}

#[test]
fn threads_and_allocator_work_under_every_threaded_policy() {
    for policy in [&CHAIN, &NET, &RPC, &bulkhead_policies::WALLET] {
        let text = confined(|| {
            enter(policy, &[], Mode::Degraded).unwrap();
            let worker = std::thread::Builder::new().name("worker".to_owned());
            let handle = worker.spawn(|| vec![1u8; 64 << 20].iter().map(|b| usize::from(*b)).sum::<usize>()).unwrap();
            handle.join().unwrap().to_string()
        });
        assert_eq!(text, (64 << 20).to_string(), "{}", policy.name);
    }
}

#[test]
fn processes_of_one_thread_cannot_make_another_and_allocate_all_the_same() {
    for policy in [&NODE, &bulkhead_policies::NOTIFY, &KEYSTORE] {
        let text = confined(|| {
            enter(policy, &[], Mode::Degraded).unwrap();
            let sum = vec![1u8; 64 << 20].iter().map(|b| usize::from(*b)).sum::<usize>();
            // Not by std: libc has already taken the memory of the stack when the kernel refuses.
            // SAFETY: the flags of a thread without a stack of its own; the filter answers before the kernel looks.
            let answer = unsafe { libc::syscall(libc::SYS_clone, 4_001_536u64, 0usize, 0usize, 0usize, 0usize) };
            format!("{sum} {answer} {}", std::io::Error::last_os_error().raw_os_error().unwrap())
        });
        assert_eq!(text, format!("{} -1 {}", 64 << 20, libc::EPERM), "{}", policy.name);
    }
}

/// Hides a kernel feature: this call, or its use with all of these flags, answers an error from now on.
fn mask(call: i64, flags: i32, errno: i32) {
    let flags = u64::from(flags.cast_unsigned());
    let condition = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flags), flags).unwrap();
    let rules = BTreeMap::from([(call, vec![SeccompRule::new(vec![condition]).unwrap()])]);
    let (free, masked) = (SeccompAction::Allow, SeccompAction::Errno(errno.cast_unsigned()));
    let filter = SeccompFilter::new(rules, free, masked, TargetArch::x86_64).unwrap();
    let program: Vec<seccompiler::sock_filter> = filter.try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

#[test]
fn kernel_without_landlock_is_refused_in_strict_and_told_in_degraded_mode() {
    let outcome = |mode| {
        confined(move || {
            mask(libc::SYS_landlock_create_ruleset, 0, libc::ENOSYS);
            match enter(&NODE, &[], mode) {
                Ok(report) => format!("{} {:?}", report.landlock_abi, report.missing),
                Err(error) => error.to_string(),
            }
        })
    };
    let strict = outcome(Mode::Strict);
    for part in ["Landlock is not available for node", "CONFIG_SECURITY_LANDLOCK", "-sandbox=degraded"] {
        assert!(strict.contains(part), "{strict}");
    }
    let degraded = outcome(Mode::Degraded);
    assert!(degraded.starts_with("0 ") && degraded.contains("CONFIG_SECURITY_LANDLOCK"), "{degraded}");
}

#[test]
fn kernel_without_namespaces_is_refused_in_strict_and_used_in_degraded_mode() {
    let outcome = |mode| {
        confined(move || {
            mask(libc::SYS_clone, libc::CLONE_NEWNET, libc::EPERM);
            let spec = SpawnSpec { program: "/bin/true".into(), args: Vec::new(), keep: Vec::new(), policy: &CHAIN, mode };
            match spawn(spec) {
                Ok(pid) => format!("{:?}", nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None)),
                Err(error) => error.to_string(),
            }
        })
    };
    let strict = outcome(Mode::Strict);
    for part in ["namespaces is not available for chain", "user.max_user_namespaces", "-sandbox=degraded"] {
        assert!(strict.contains(part), "{strict}");
    }
    let degraded = outcome(Mode::Degraded);
    assert!(degraded.contains("Exited") && degraded.contains(", 0)"), "{degraded}");
}

#[test]
fn memory_beyond_the_limit_is_refused_to_the_process() {
    let text = confined(|| {
        enter(&KEYSTORE, &[], Mode::Degraded).unwrap();
        let mut large: Vec<u8> = Vec::new();
        let small = large.try_reserve_exact(64 << 20).is_ok();
        format!("{small} {}", large.try_reserve_exact(1 << 30).is_ok())
    });
    assert_eq!(text, "true false");
}

/// Where a process that gives up writes why.
static WORDS: AtomicI32 = AtomicI32::new(-1);

fn speak(cause: Cause) {
    let text: &[u8] = match cause {
        Cause::Memory(bytes) if bytes == 1 << 30 => b"memory",
        Cause::Memory(_) => b"other memory",
        Cause::Abort => b"abort",
    };
    // SAFETY: a plain write of a static text.
    unsafe { libc::write(WORDS.load(Ordering::Relaxed), text.as_ptr().cast(), text.len()) };
}

#[test]
fn a_process_that_gives_up_says_why_under_every_policy() {
    let endings: [(fn(), &str); 2] =
        [(|| drop(std::hint::black_box(vec![1u8; 1 << 30])), "memory"), (|| std::process::abort(), "abort")];
    for policy in bulkhead_policies::ALL {
        for (end, expected) in endings {
            let (reader, writer) = nix::unistd::pipe().unwrap();
            let ended = in_child(|| {
                WORDS.store(writer.as_raw_fd(), Ordering::Relaxed);
                on_abort(speak);
                enter_within(policy, &[], Mode::Degraded, Some(128 << 20)).unwrap();
                end();
                "it lives on".to_owned()
            });
            drop(writer);
            let mut text = String::new();
            fs::File::from(reader).read_to_string(&mut text).unwrap();
            assert_eq!(text, expected, "{}: {ended:?}", policy.name);
            assert!(matches!(ended.status, WaitStatus::Exited(_, ABORT_CODE)), "{}: {ended:?}", policy.name);
        }
    }
}

#[test]
fn panic_in_a_thread_is_an_error_value_under_the_filter() {
    let text = confined(|| {
        enter(&CHAIN, &[], Mode::Degraded).unwrap();
        std::panic::set_hook(Box::new(|_| {}));
        let result = std::thread::spawn(|| panic!("on purpose")).join();
        result.is_err().to_string()
    });
    assert_eq!(text, "true");
}

#[test]
fn strict_names_the_missing_feature_and_the_remedy() {
    // A plain fork has no namespaces of its own.
    let text = confined(|| match enter(&CHAIN, &[], Mode::Strict) {
        Err(error @ SandboxError::Missing { .. }) => error.to_string(),
        other => format!("{other:?}"),
    });
    for part in ["namespaces", "chain", "max_user_namespaces", "-sandbox=degraded"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn degraded_lists_what_is_missing() {
    let text = confined(|| enter(&CHAIN, &[], Mode::Degraded).unwrap().missing.join("\n"));
    assert!(text.contains("fresh namespaces"), "{text}");
}

#[test]
fn off_enforces_nothing_and_says_so() {
    let text = confined(|| {
        let report = enter(&CHAIN, &[], Mode::Off).unwrap();
        fs::read("/etc/passwd").unwrap();
        assert_eq!((report.seccomp_mode, report.no_new_privs), (0, false));
        report.missing.join("\n")
    });
    assert!(text.contains("everything"), "{text}");
}

#[test]
fn unknown_grant_and_late_call_are_refused() {
    let text = confined(|| {
        let grant = PathGrant { name: "elsewhere", path: "/".into() };
        enter(&KEYSTORE, &[grant], Mode::Degraded).unwrap_err().to_string()
    });
    assert!(text.contains("elsewhere"), "{text}");
    // The test harness itself has threads.
    let error = std::thread::spawn(|| enter(&CHAIN, &[], Mode::Strict)).join().unwrap().unwrap_err();
    assert!(matches!(error, SandboxError::Threads { .. }), "{error}");
}

#[test]
fn supervisor_may_not_run_programs() {
    let text = confined(|| {
        enter(&NODE, &[], Mode::Strict).unwrap();
        let path = std::env::temp_dir();
        let run = std::process::Command::new("/bin/true").status();
        format!("{} {} {}", errno(&fs::read_dir(path)), errno(&std::net::TcpStream::connect("127.0.0.1:1")), errno(&run))
    });
    assert_eq!(text, format!("0 {0} {0}", libc::EPERM));
}
