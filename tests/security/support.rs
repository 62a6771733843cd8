//! A family of small confined processes to aim at, born through the real spawner.
//!
//! `spawner::start` forks and so needs a process with one thread, which a test harness is not: the dummy plays the
//! supervisor as well.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tempfile::TempDir;

/// A supervisor and its children, all confined.
pub struct Family {
    pub supervisor: Child,
    pub orders: Option<ChildStdin>,
    pub lines: BufReader<ChildStdout>,
    /// Process id and report by component.
    pub born: BTreeMap<String, (i32, String)>,
    _folder: TempDir,
}

/// A folder in which every component's binary is the dummy.
pub fn binaries() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for policy in bulkhead_policies::ALL {
        std::fs::copy(env!("CARGO_BIN_EXE_bulkhead-dummy"), folder.path().join(policy.binary)).unwrap();
    }
    folder
}

/// Starts a family. `user` runs it as another user (when we are root).
pub fn family(mode: &str, components: &[&str], user: Option<u32>) -> Family {
    let folder = binaries();
    let mut command = Command::new(folder.path().join("bitcoin-node"));
    command.arg("supervise").arg(folder.path()).arg(mode).args(components);
    if let Some(uid) = user {
        use std::os::unix::{fs::PermissionsExt, process::CommandExt};
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        command.uid(uid).gid(uid);
    }
    let mut supervisor = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let orders = supervisor.stdin.take();
    let mut lines = BufReader::new(supervisor.stdout.take().unwrap());
    let mut born = BTreeMap::new();
    while !born.contains_key("node") {
        let line = read_line(&mut lines);
        assert!(!line.is_empty(), "the supervisor ended: {:?}", supervisor.wait());
        let [word, component, pid, report] = line.splitn(4, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        assert_eq!(word, "born", "{line}");
        born.insert(component.to_owned(), (pid.parse().unwrap(), report.to_owned()));
    }
    Family { supervisor, orders, lines, born, _folder: folder }
}

fn read_line(lines: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

impl Family {
    pub fn pid(&self, component: &str) -> i32 {
        self.born[component].0
    }

    /// Has the spawner kill a child; answers the line about its exit.
    pub fn kill(&mut self, pid: i32) -> String {
        writeln!(self.orders.as_mut().unwrap(), "kill {pid}").unwrap();
        read_line(&mut self.lines)
    }

    pub fn spawner(&self) -> i32 {
        let supervisor = i32::try_from(self.supervisor.id()).unwrap();
        let found = bulkhead_tests::family::family(supervisor);
        found.into_iter().find(|member| member.component == "spawner").unwrap().pid
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.supervisor.wait();
    }
}

/// Waits for the end of a process that is not our child.
pub fn wait_for_end(pid: i32) {
    let path = format!("/proc/{pid}/stat");
    let begin = std::time::Instant::now();
    // A zombie counts as ended; nobody may reap it before its parent.
    while std::fs::read_to_string(Path::new(&path)).is_ok_and(|text| !text.contains(") Z ")) {
        assert!(begin.elapsed().as_secs() < 20, "process {pid} does not end");
        std::thread::yield_now();
    }
}
