//! The processes of one node, found from outside.

use std::collections::BTreeMap;

use crate::proc::children;

/// A process and the component that it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Process id.
    pub pid: i32,
    /// Component word ("chain"); a fork of the supervisor's binary is a "spawner".
    pub component: String,
}

/// The supervisor (or a window that gave birth to one) and everything below it, without what users' commands start.
#[must_use]
pub fn family(supervisor: i32) -> Vec<Member> {
    let window = binary(supervisor).is_some_and(|binary| binary == "bitcoin-gui");
    let root = if window { "gui" } else { "node" };
    let mut found = vec![Member { pid: supervisor, component: root.to_owned() }];
    let mut queue = vec![supervisor];
    while let Some(parent) = queue.pop() {
        for (pid, _) in children(parent) {
            let Some(binary) = binary(pid) else { continue };
            let Some(word) = binary.strip_prefix("bitcoin-") else { continue };
            // The window gives birth to a supervisor, nobody else does.
            let component = if word == "node" && !(window && parent == supervisor) { "spawner" } else { word };
            found.push(Member { pid, component: component.to_owned() });
            queue.push(pid);
        }
    }
    found.sort_by(|a, b| (&a.component, a.pid).cmp(&(&b.component, b.pid)));
    found
}

fn binary(pid: i32) -> Option<String> {
    let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let name = path.file_name()?.to_str()?;
    Some(name.trim_end_matches(" (deleted)").to_owned())
}

/// One process of each component, by component.
#[must_use]
pub fn by_component(supervisor: i32) -> BTreeMap<String, i32> {
    family(supervisor).into_iter().rev().map(|member| (member.component, member.pid)).collect()
}

/// Data directory of the network of a running node: the folder of its log.
#[must_use]
pub fn datadir(supervisor: i32) -> Option<String> {
    let descriptors = crate::proc::descriptors(supervisor).ok()?;
    descriptors.values().find_map(|path| path.strip_suffix("/debug.log").map(str::to_owned))
}
