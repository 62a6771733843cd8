//! The search for private keys where they must not be.

use std::fs::{File, read_to_string};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::Value;

/// Bytes that must not be anywhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// What it is, for messages.
    pub name: String,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.name)
    }
}

/// The private keys of the answer of `listdescriptors true`: raw, and as the text of the extended key.
#[must_use]
pub fn of_descriptors(answer: &Value) -> Vec<Secret> {
    let mut secrets: Vec<Secret> = Vec::new();
    for descriptor in answer["descriptors"].as_array().into_iter().flatten() {
        let text = descriptor["desc"].as_str().unwrap_or_default();
        let Some(key) = text.split(['(', ')', '/', ']', ',']).find(|part| part.starts_with("tprv")) else { continue };
        let Some(raw) = bitcoin::base58::decode_check(key).ok().and_then(|bytes| bytes.get(46..78).map(<[u8]>::to_vec)) else {
            continue;
        };
        for (kind, bytes) in [("key", raw), ("text", key.as_bytes().to_vec())] {
            let name = format!("{kind} of {}", &key[..12]);
            if secrets.iter().all(|known| known.bytes != bytes) {
                secrets.push(Secret { name, bytes });
            }
        }
    }
    secrets
}

fn search(bytes: &[u8], secrets: &[Secret], found: &mut Vec<Secret>) {
    for secret in secrets {
        let Some((first, rest)) = secret.bytes.split_first() else { continue };
        let hit = bytes.iter().enumerate().any(|(at, byte)| byte == first && bytes[at + 1..].starts_with(rest));
        if hit && !found.contains(secret) {
            found.push(secret.clone());
        }
    }
}

/// Those that the memory of a process holds. Root may read the memory of any process.
///
/// # Errors
/// When the memory cannot be opened or its map cannot be read: then nothing is known about what it holds.
pub fn in_memory(pid: i32, secrets: &[Secret]) -> std::io::Result<Vec<Secret>> {
    let mut found = Vec::new();
    let maps = read_to_string(format!("/proc/{pid}/maps"))?;
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut searched = 0;
    for line in maps.lines().filter(|line| line.contains(" r")) {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let Some((Ok(from), Ok(to))) = range.map(|(from, to)| (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16)))
        else {
            continue;
        };
        // Overlapping pieces: a key may lie across a border.
        let mut at = from;
        while at < to {
            let mut piece = vec![0; usize::try_from((to - at).min(4 << 20)).unwrap_or(0)];
            // Pages of devices and of files that were cut short cannot be read.
            let Ok(count) = memory.read_at(&mut piece, at) else { break };
            searched += count;
            search(&piece[..count], secrets, &mut found);
            let step = (count as u64).saturating_sub(256);
            if count == 0 || step == 0 || at + count as u64 >= to {
                break;
            }
            at += step;
        }
    }
    // The memory of a process that has ended is empty.
    if searched == 0 { Err(std::io::ErrorKind::NotFound.into()) } else { Ok(found) }
}

/// Files below a folder that hold one of them, with what they hold.
#[must_use]
pub fn in_files(folder: &Path, secrets: &[Secret]) -> Vec<(String, Vec<Secret>)> {
    let mut hits = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            hits.extend(in_files(&path, secrets));
        } else if kind.is_file() {
            let mut found = Vec::new();
            search(&std::fs::read(&path).unwrap_or_default(), secrets, &mut found);
            if !found.is_empty() {
                hits.push((path.display().to_string(), found));
            }
        }
    }
    hits
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_in_our_own_memory_is_found() {
        let secret = Secret { name: "test".into(), bytes: (0..32).map(|byte| byte * 7 + 1).collect() };
        let pid = std::process::id().cast_signed();
        let found = in_memory(pid, std::slice::from_ref(&secret)).unwrap();
        assert_eq!(found, [secret]);
        assert!(in_memory(i32::MAX, &[]).is_err());
    }

    #[test]
    fn a_key_in_a_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("below")).unwrap();
        std::fs::write(folder.path().join("below/file"), b"....needle....").unwrap();
        let secret = |text: &str| Secret { name: text.into(), bytes: text.as_bytes().to_vec() };
        assert_eq!(in_files(folder.path(), &[secret("needle"), secret("absent")]).len(), 1);
        assert!(in_files(folder.path(), &[secret("absent")]).is_empty());
    }
}
