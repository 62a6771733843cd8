//! Control groups (cgroup v2), where they are delegated to us: the kernel bounds memory, tasks and processor time of each child as a
//! whole, kernel memory and shared pages included, which no limit of a process does.
//!
//! Below the group that we are started in, each child gets one of its own, named after its component, our process id and a number.
//! We go into one too: a group that has groups below must not hold processes. Nothing here is needed for confinement, so what is
//! not there is told once and done without.

use super::ChildId;
use bulkhead_control::Component;
use bulkhead_policies::{Resource, policy};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What is bounded, where the kernel offers it.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];
/// Tasks of one child: options can ask chain for some 150 threads and rpc for as many as there are workers.
const MOST_TASKS: u64 = 1024;
/// Microseconds in which a share of processor time is counted.
const PERIOD: u64 = 100_000;

/// The group that we were started in, as far as it is ours.
#[derive(Debug)]
pub(crate) struct Cgroups {
    base: PathBuf,
    controllers: Vec<&'static str>,
}

/// The group of one child.
#[derive(Debug)]
pub(crate) struct Leaf(PathBuf);

/// What is written into the files of a group.
type Setting = (&'static str, String);

impl Cgroups {
    /// Takes possession. To be called before the spawners are forked: they come along.
    ///
    /// # Errors
    /// Why there are none, in words.
    pub(crate) fn take() -> Result<Self, String> {
        let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        let base = locate(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?).ok_or("no cgroup v2 is mounted")?;
        let told = |what: &Path, error: &io::Error| format!("{}: {error}", what.display());
        let file = base.join("cgroup.controllers");
        let offered = fs::read_to_string(&file).map_err(|error| told(&file, &error))?;
        let controllers = wanted(&offered);
        if controllers.is_empty() {
            return Err(format!("{} offers none of {}", base.display(), CONTROLLERS.join(", ")));
        }
        sweep(&base);
        // The root of all groups is the one that may hold processes beside groups; it has no type.
        let own = base.join("cgroup.type").exists().then(|| base.join(format!("node.{}", std::process::id())));
        if let Some(own) = &own {
            fs::create_dir(own).map_err(|error| told(own, &error))?;
            if let Err(error) = enter(own, std::process::id()) {
                let _ = fs::remove_dir(own);
                return Err(told(own, &error));
            }
        }
        let switch = base.join("cgroup.subtree_control");
        let order: String = controllers.iter().map(|name| format!("+{name} ")).collect();
        if let Err(error) = write(&switch, order.trim_end()) {
            if let Some(own) = &own {
                // Back to where we were; what cannot be undone harms nobody.
                let _ = enter(&base, std::process::id());
                let _ = fs::remove_dir(own);
            }
            return Err(format!("{} (other processes in that group?)", told(&switch, &error)));
        }
        Ok(Self { base, controllers })
    }

    /// Where they are and what they bound.
    pub(crate) fn describe(&self) -> String {
        format!("{} below {}", self.controllers.join(", "), self.base.display())
    }

    /// A group for a child, and the child in it.
    ///
    /// # Errors
    /// Those of the files. A child that is gone already is none.
    pub(crate) fn put(&self, component: Component, id: ChildId, pid: i32, bounds: &Bounds) -> io::Result<Leaf> {
        let path = self.base.join(format!("{}.{}.{id}", component.word(), std::process::id()));
        fs::create_dir(&path)?;
        let leaf = Leaf(path);
        for (file, value) in bounds.settings(&self.controllers) {
            write(&leaf.0.join(file), &value)?;
        }
        match enter(&leaf.0, pid.unsigned_abs()) {
            Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => Ok(leaf),
            entered => entered.map(|()| leaf),
        }
    }
}

impl Leaf {
    /// Whether the kernel ended somebody in it for the memory that the group had.
    pub(crate) fn exceeded(&self) -> bool {
        fs::read_to_string(self.0.join("memory.events")).is_ok_and(|text| kills(&text) > 0)
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        // One that is not empty yet is swept away by the next node.
        let _ = fs::remove_dir(&self.0);
    }
}

/// The bounds of one child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Bytes of memory of all kinds.
    memory: Option<u64>,
    tasks: Option<u64>,
    /// Percent of one processor.
    cpu: Option<u64>,
}

impl Bounds {
    /// Memory and processor time as the user chose; without a choice the memory that the policy permits as data. The commands of
    /// the user are children of notify and get no bounds but those that were asked for.
    pub(crate) fn of(component: Component, memory: Option<u64>, cpu: Option<u64>) -> Self {
        let limits = policy(component.word()).map_or(&[][..], |policy| policy.rlimits);
        let data = limits.iter().find(|limit| limit.resource == Resource::Data).map(|limit| limit.value);
        Self { memory: memory.or(data), tasks: (component != Component::Notify).then_some(MOST_TASKS), cpu }
    }

    fn settings(&self, controllers: &[&str]) -> Vec<Setting> {
        let mut settings = Vec::new();
        let mut set = |controller: &str, file: &'static str, value: Option<String>| {
            settings.extend(value.filter(|_| controllers.contains(&controller)).map(|value| (file, value)));
        };
        set("memory", "memory.max", self.memory.map(|bytes| bytes.to_string()));
        set("pids", "pids.max", self.tasks.map(|tasks| tasks.to_string()));
        set("cpu", "cpu.max", self.cpu.map(|percent| format!("{} {PERIOD}", percent * (PERIOD / 100))));
        settings
    }
}

/// The folder of our group, from what the kernel says about mounts and about us.
fn locate(mounts: &str, groups: &str) -> Option<PathBuf> {
    let own = Path::new(groups.lines().find_map(|line| line.strip_prefix("0::"))?);
    mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut fields = place.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        // A name with spaces in it is written with backslashes: nobody mounts it there.
        if !kind.starts_with("cgroup2 ") || point.contains('\\') {
            return None;
        }
        Some(Path::new(point).join(own.strip_prefix(root).ok()?))
    })
}

fn wanted(offered: &str) -> Vec<&'static str> {
    CONTROLLERS.into_iter().filter(|name| offered.split_whitespace().any(|offer| offer == *name)).collect()
}

/// How often the kernel ended a process, from the text of `memory.events`.
fn kills(events: &str) -> u64 {
    events.lines().find_map(|line| line.strip_prefix("oom_kill ")).and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// In place: files of control groups exist, and none of them can be cut short.
fn write(file: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(file)?.write_all(text.as_bytes())
}

fn enter(group: &Path, pid: u32) -> io::Result<()> {
    write(&group.join("cgroup.procs"), &pid.to_string())
}

/// Whose group this is: "chain.123.4" is of the node with process id 123.
fn owner(name: &str) -> Option<u32> {
    let (word, rest) = name.split_once('.')?;
    Component::from_word(word)?;
    rest.split('.').next()?.parse().ok()
}

/// Removes what nodes that are gone left behind.
fn sweep(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let gone = |pid: u32| !Path::new(&format!("/proc/{pid}")).exists();
        if entry.file_name().to_str().and_then(owner).is_some_and(gone) {
            // A group that still holds somebody stays.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_group_is_found_below_the_mount() {
        let host = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let hybrid = "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n32 23 0:28 / /sys/fs/cgroup/unified rw shared:4 - cgroup2 none rw\n";
        let inside = "40 23 0:26 /machine/one /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let found = |mounts, groups| locate(mounts, groups).map(|path| path.display().to_string());
        assert_eq!(found(host, "0::/user.slice/x.service\n").as_deref(), Some("/sys/fs/cgroup/user.slice/x.service"));
        assert_eq!(found(hybrid, "1:cpu:/\n0::/\n").as_deref(), Some("/sys/fs/cgroup/unified/"));
        assert_eq!(found(inside, "0::/machine/one/two\n").as_deref(), Some("/sys/fs/cgroup/two"));
        assert_eq!(found(inside, "0::/elsewhere\n"), None);
        assert_eq!(found("", "0::/\n"), None);
        assert_eq!(found(host, "4:memory:/x\n"), None, "no second version");
    }

    #[test]
    fn only_what_is_offered_is_set() {
        let bounds = Bounds { memory: Some(4096), tasks: Some(7), cpu: Some(150) };
        let text = |offered| format!("{:?}", bounds.settings(&wanted(offered)));
        let all = r#"[("memory.max", "4096"), ("pids.max", "7"), ("cpu.max", "150000 100000")]"#;
        assert_eq!(text("cpuset cpu io memory hugetlb pids\n"), all);
        assert_eq!(text("cpu\n"), r#"[("cpu.max", "150000 100000")]"#);
        assert_eq!(text("hugetlb\n"), "[]");
        assert_eq!(Bounds { memory: None, tasks: None, cpu: None }.settings(&CONTROLLERS), []);
    }

    #[test]
    fn only_groups_of_nodes_are_swept() {
        assert_eq!(["chain.12.3", "node.9"].map(owner), [Some(12), Some(9)]);
        for other in ["chain", "chain.x.1", "system.slice", "nobody.1.2", ".1"] {
            assert_eq!(owner(other), None, "{other}");
        }
    }

    #[test]
    fn kills_are_counted() {
        assert_eq!(kills("low 0\nhigh 0\nmax 13\noom 1\noom_kill 1\noom_group_kill 0\n"), 1);
        assert_eq!(kills("low 0\n"), 0);
    }
}
