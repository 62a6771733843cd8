//! Control groups of a node to which one was delegated, where this machine lets us delegate: as root, with the controllers of
//! memory, pids and cpu in version 2.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use bulkhead_tests::family::family;
use bulkhead_tests::node::{Node, binaries};
use bulkhead_tests::proc::is_alive;
use serde_json::json;

/// A group of our own with the controllers that it may use; removed in the end.
struct Delegated(PathBuf);

impl Delegated {
    /// `None`: there is no second version here, or its memory is not for us to bound.
    fn new() -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let root = mounts.lines().filter(|line| line.contains(" cgroup2 ")).find_map(|line| line.split(' ').nth(1))?;
        let controllers = std::fs::read_to_string(Path::new(root).join("cgroup.controllers")).ok()?;
        if !["memory", "pids", "cpu"].iter().all(|name| controllers.split_whitespace().any(|offer| offer == *name)) {
            return None;
        }
        std::fs::write(Path::new(root).join("cgroup.subtree_control"), "+memory +pids +cpu").ok()?;
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(root).join(format!("bulkhead-test.{}.{number}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        Some(Self(path))
    }

    /// A node that is started in it.
    fn node(&self, arguments: &[&str]) -> Node {
        let mut command = Command::new("sh");
        let procs = self.0.join("cgroup.procs");
        command.args(["-c", &format!("echo $$ > {}; exec \"$@\"", procs.display()), "sh"]).arg(binaries().join("bitcoin-node"));
        Node::start_by(command, arguments).unwrap()
    }

    fn file(&self, group: &str, name: &str) -> String {
        let path = self.0.join(group).join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let _ = std::fs::remove_dir(entry.path());
        }
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// The last part of the name of a process's group.
fn group(pid: i32) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    line.rsplit('/').next().unwrap().to_owned()
}

#[test]
fn who_exceeds_the_memory_of_its_group_ends_alone() {
    let Some(delegated) = Delegated::new() else {
        // The node must say so and go on.
        let node = Node::start(&[]).unwrap();
        let log = node.log();
        assert_eq!(log.matches("No control groups, so each process").count() + log.matches("Control groups bound").count(), 1);
        node.stop().unwrap();
        println!("SKIPPED: no control group of version 2 can be delegated here");
        return;
    };
    let mut node =
        delegated.node(&["-debug=ipc", "-dbcache=64", "-maxmempool=64", "-processmemory=rpc:300", "-processcpu=net:150"]);
    assert!(node.log().contains("Control groups bound memory, pids, cpu below "), "{}", node.log());
    node.call("createwallet", json!(["w"])).unwrap();
    let members = family(node.pid().cast_signed());
    for member in &members {
        let word = if member.component == "spawner" { "node" } else { &member.component };
        assert!(group(member.pid).starts_with(&format!("{word}.{}", node.pid())), "{}: {}", member.component, group(member.pid));
    }
    let pid = |component: &str| members.iter().find(|member| member.component == component).unwrap().pid;
    let of = |component: &str, file: &str| delegated.file(&group(pid(component)), file);
    assert_eq!(of("rpc", "memory.max"), (300u64 << 20).to_string());
    assert_eq!(of("keystore", "memory.max"), (512u64 << 20).to_string(), "of the policy");
    assert_eq!(of("chain", "memory.max"), ((8u64 << 30) + (128 << 20) + 128_000_000).to_string(), "by its caches");
    assert_eq!((of("net", "cpu.max"), of("rpc", "cpu.max")), ("150000 100000".into(), "max 100000".into()));
    assert_eq!(of("net", "pids.max"), "1024");

    // Less than it may have as data: only the group is in its way.
    std::fs::write(delegated.0.join(group(pid("rpc"))).join("memory.max"), (40u64 << 20).to_string()).unwrap();
    let text = json!(["x".repeat(30 << 20)]);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            // Nobody who is answered by a process that ends gets an answer.
            scope.spawn(|| drop(node.call("echo", text.clone())));
        }
    });
    node.wait_for("the end of rpc", |node| node.log().contains("[warning] bitcoin-rpc ended with signal 9")).unwrap();
    assert!(node.log().contains("[error] bitcoin-rpc exceeded the memory of its control group"), "{}", node.log());
    for member in members.iter().filter(|member| member.component != "rpc") {
        assert!(is_alive(member.pid), "{} ended", member.component);
    }
    node.wait_until_ready().unwrap();
    let next = node.pid_of("rpc").unwrap();
    assert!(next != pid("rpc") && group(next).starts_with("rpc."), "{}", group(next));
    assert_eq!(delegated.file(&group(next), "memory.max"), (300u64 << 20).to_string());
    assert!(node.stop().unwrap().status.success());
    let left: Vec<_> = std::fs::read_dir(&delegated.0).unwrap().flatten().filter(|entry| entry.path().is_dir()).collect();
    assert!(left.len() <= 1, "{left:?}");
}

/// A process that turns in circles gets no more than was allowed to it.
#[test]
fn processor_time_of_a_process_is_bounded() {
    let Some(delegated) = Delegated::new() else { return };
    let node = delegated.node(&["-processcpu=chain:10"]);
    let address = "bcrt1p9yfmy5h72durp7zrhlw9lf7jpwjgvwdg0jr0lqmmjtgg83266lqsekaqka";
    // Proof of work, even of regtest, takes time.
    node.call("generatetoaddress", json!([300, address])).unwrap();
    let group = group(node.pid_of("chain").unwrap());
    let stat = delegated.file(&group, "cpu.stat");
    let throttled = stat.lines().find_map(|line| line.strip_prefix("nr_throttled ")).unwrap();
    assert!(throttled.parse::<u64>().unwrap() > 0, "{stat}");
    node.stop().unwrap();
}
