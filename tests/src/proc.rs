//! Looking at a process from outside, through /proc.

use std::collections::BTreeMap;

/// The lines of `/proc/<pid>/task/<tid>/status` as a map.
///
/// # Errors
/// When the thread is gone.
pub fn status(pid: i32, tid: i32) -> std::io::Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/status"))?;
    Ok(text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
        .collect())
}

/// Thread ids of a process.
///
/// # Errors
/// When the process is gone.
pub fn threads(pid: i32) -> std::io::Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        found.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    Ok(found)
}

/// Open descriptors of a process and what they refer to. Needs the right to look (root).
///
/// # Errors
/// When the process is gone or closed to us.
pub fn descriptors(pid: i32) -> std::io::Result<BTreeMap<i32, String>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        if let (Some(number), Ok(target)) =
            (entry.file_name().to_str().and_then(|name| name.parse().ok()), std::fs::read_link(entry.path()))
        {
            found.insert(number, target.to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

/// Soft and hard limit of a process, named as in `/proc/<pid>/limits`.
///
/// # Errors
/// When the process is gone, or the kernel knows no such limit.
pub fn limits(pid: i32, name: &str) -> std::io::Result<[String; 2]> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let mut words = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().split_whitespace();
    let both = words.next().zip(words.next()).ok_or(std::io::ErrorKind::NotFound)?;
    Ok([both.0.to_owned(), both.1.to_owned()])
}

/// Whether a process exists (a zombie does not count).
#[must_use]
pub fn is_alive(pid: i32) -> bool {
    status(pid, pid).is_ok_and(|status| status.get("State").is_some_and(|state| !state.starts_with('Z')))
}

/// Children of a process, with their names.
#[must_use]
pub fn children(pid: i32) -> Vec<(i32, String)> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir("/proc") else { return found };
    for entry in entries.flatten() {
        let Some(other) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if let Ok(status) = status(other, other)
            && status.get("PPid").and_then(|parent| parent.parse::<i32>().ok()) == Some(pid)
        {
            found.push((other, status.get("Name").cloned().unwrap_or_default()));
        }
    }
    found
}
