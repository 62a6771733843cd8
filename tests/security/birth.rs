//! Births through the spawner: namespaces, descriptors, environment, deaths.

use bulkhead_tests::actions::{Targets, Verdict, all};
use bulkhead_tests::inject::Held;
use bulkhead_tests::proc::{descriptors, limits, status, threads};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{family, wait_for_end};

const CHILDREN: [&str; 5] = ["chain", "net", "rpc", "wallet", "keystore"];

fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn namespace(pid: i32, name: &str) -> String {
    std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap().to_string_lossy().into_owned()
}

/// Every thread of every process, in the kernel's words.
pub fn assert_confined(component: &str, pid: i32) {
    for tid in threads(pid).unwrap() {
        let status = status(pid, tid).unwrap();
        let field = |name: &str| status.get(name).map(String::as_str).unwrap_or_default();
        assert_eq!(field("NoNewPrivs"), "1", "{component} {tid}");
        assert_eq!(field("Seccomp"), "2", "{component} {tid}");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(field(set), NONE, "{component} {set}");
        }
        if root() {
            assert_eq!(field("CapBnd"), NONE, "{component} CapBnd");
        }
    }
    // The files of an undumpable process belong to root, whoever runs it.
    let [core, _] = limits(pid, "Max core file size").unwrap();
    assert_eq!(core, "0", "{component}");
}

/// Only the loopback interface, and no route: that one is down.
pub fn assert_no_network(pid: i32) {
    let interfaces = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap();
    assert_eq!(interfaces.lines().count(), 3, "{interfaces}");
    let routes = std::fs::read_to_string(format!("/proc/{pid}/net/route")).unwrap();
    assert!(routes.lines().count() <= 1, "{routes}");
}

pub const NONE: &str = "0000000000000000";

#[test]
fn children_are_born_into_their_own_namespaces_with_every_layer() {
    let family = family("strict", &CHILDREN, None);
    let ours = std::process::id().cast_signed();
    for component in CHILDREN {
        let (pid, report) = &family.born[component];
        assert!(report.contains("missing: []"), "{component}: {report}");
        assert_confined(component, *pid);
        for name in ["user", "pid", "ipc", "uts", "mnt", "cgroup", "net"] {
            let separate = namespace(*pid, name) != namespace(ours, name);
            assert_eq!(separate, name != "net" || component != "net", "{component} {name}");
        }
        if component != "net" {
            assert_no_network(*pid);
        }
    }
    assert_confined("node", family.pid("node"));
    assert_confined("spawner", family.spawner());
}

#[test]
fn child_holds_only_the_listed_descriptors_and_an_empty_environment() {
    let family = family("strict", &CHILDREN, None);
    for component in CHILDREN {
        let pid = family.pid(component);
        let found = descriptors(pid).unwrap();
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3], "{component}: {found:?}");
        assert!((0..3).all(|number| found[&number] == "/dev/null"), "{found:?}");
        assert!(found[&3].starts_with("socket:"), "{found:?}");
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        let names: Vec<_> = environment.split(|b| *b == 0).filter(|entry| !entry.is_empty()).collect();
        assert_eq!(names.len(), 1, "{}", String::from_utf8_lossy(&environment));
        assert!(names[0].starts_with(b"BULKHEAD_PARENT_NAMESPACES="));
    }
}

#[test]
fn ordinary_user_gets_the_same_confinement_as_root() {
    if !root() {
        return;
    }
    let family = family("strict", &CHILDREN, Some(65534));
    for component in CHILDREN {
        let (pid, report) = &family.born[component];
        assert!(report.contains("missing: []"), "{component}: {report}");
        let status = status(*pid, *pid).unwrap();
        assert!(status["Uid"].starts_with("65534"), "{}", status["Uid"]);
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd"] {
            assert_eq!(status[set], NONE, "{component} {set}");
        }
        // Undumpable: its files in /proc belong to root.
        use std::os::unix::fs::MetadataExt;
        assert_eq!(std::fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid(), 0, "{component}");
    }
}

#[test]
fn death_of_the_supervisor_ends_everybody() {
    let mut family = family("strict", &CHILDREN, None);
    let spawner = family.spawner();
    family.supervisor.kill().unwrap();
    for component in CHILDREN {
        wait_for_end(family.pid(component));
    }
    wait_for_end(spawner);
}

#[test]
fn death_of_the_spawner_ends_the_children() {
    let family = family("strict", &CHILDREN, None);
    kill(Pid::from_raw(family.spawner()), Signal::SIGKILL).unwrap();
    for component in CHILDREN {
        wait_for_end(family.pid(component));
    }
}

#[test]
fn exit_of_a_child_is_reported() {
    let mut family = family("strict", &["net", "rpc"], None);
    let pid = family.pid("net");
    assert_eq!(family.kill(pid), format!("exit {pid} Signal(9)"));
}

#[test]
fn injected_actions_are_refused_in_confined_and_reached_in_free_processes() {
    if !root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for sub in ["wallets/probe", "blocks"] {
        std::fs::create_dir_all(folder.path().join(sub)).unwrap();
    }
    std::fs::write(folder.path().join("wallets/probe/wallet.dat"), "x").unwrap();
    std::fs::write(folder.path().join("blocks/blk00000.dat"), "x").unwrap();
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for mode in ["strict", "off"] {
        let family = family(mode, &CHILDREN, None);
        for component in CHILDREN.into_iter().chain(["node"]) {
            let sibling = family.pid(if component == "net" { "rpc" } else { "net" });
            let targets = Targets::of(&folder.path().to_string_lossy(), &socket.to_string_lossy(), sibling);
            let mut held = Held::stop(family.pid(component)).unwrap();
            let mut absent = 0;
            for action in all().into_iter().filter(|action| !action.of_log) {
                if mode == "strict" && (action.deadly || action.excuse(component).is_some()) {
                    continue;
                }
                let verdict = action.attempt(&mut held, &targets).unwrap();
                if mode == "strict" {
                    assert!(matches!(verdict, Verdict::Refused(_)), "{component}: {}: {verdict}", action.name);
                } else if verdict == Verdict::Refused(Errno::ENOSYS) {
                    absent += 1;
                } else {
                    assert_eq!(verdict, Verdict::Reached, "{component}: {}", action.name);
                }
            }
            // A kernel may be built without modules or key rings; most doors must be there, or this proves nothing.
            assert!(absent <= 4, "{absent} actions are unknown to this kernel");
            targets.clean();
        }
    }
}

#[test]
fn every_deadly_action_kills_exactly_the_process_that_tried() {
    if !root() {
        return;
    }
    let deadly: Vec<_> = all().into_iter().filter(|action| action.deadly).collect();
    assert!(deadly.len() >= 15);
    for (index, action) in deadly.into_iter().enumerate() {
        let family = family("strict", &["net", "keystore"], None);
        let (victim, sibling) = if index % 2 == 0 { ("net", "keystore") } else { ("keystore", "net") };
        let targets = Targets::of("/nonexistent", "/nonexistent/socket", family.pid(sibling));
        let mut held = Held::stop(family.pid(victim)).unwrap();
        assert_eq!(action.attempt(&mut held, &targets).unwrap(), Verdict::Killed, "{}", action.name);
        drop(held);
        wait_for_end(family.pid(victim));
        assert!(bulkhead_tests::proc::is_alive(family.pid(sibling)), "{}", action.name);
    }
}
