//! What wallets there are (Core's `ListDatabases`).

use bulkhead_config::is_berkeley_db;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Deeper directories hold no wallets.
const MAX_DEPTH: usize = 16;
/// More wallets are not listed.
const MAX_WALLETS: usize = 10_000;
/// How a SQLite file begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Wallets below a directory as a JSON array of objects with `name` and `legacy`. "" is a wallet in the directory itself.
pub(crate) fn list_wallets(walletdir: &Path) -> String {
    let mut found = Vec::new();
    scan(walletdir, walletdir, 0, &mut found);
    found.sort();
    let list = found.into_iter().map(|(name, legacy)| serde_json::json!({"name": name, "legacy": legacy}));
    serde_json::Value::Array(list.collect()).to_string()
}

fn scan(walletdir: &Path, directory: &Path, depth: usize, found: &mut Vec<(String, bool)>) {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if depth == 0 => {
            tracing::warn!("Error scanning directory entries under {}: {error}", directory.display());
            return;
        }
        Err(error) => return complain(directory, &error),
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        let name = path.strip_prefix(walletdir).unwrap_or(&path).to_string_lossy().into_owned();
        // A link to a directory may be a wallet; what is below it is not looked at.
        if kind.is_dir() || (kind.is_symlink() && path.is_dir()) {
            let file = path.join("wallet.dat");
            match fs::metadata(&file) {
                Ok(_) => found.extend(kind_of(&file).map(|legacy| (name, legacy))),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => complain(&file, &error),
            }
            if kind.is_dir() && depth < MAX_DEPTH && found.len() < MAX_WALLETS {
                scan(walletdir, &path, depth + 1, found);
            }
        } else if depth == 0 && kind.is_file() && path.extension().is_none_or(|extension| extension != "bak") {
            match (kind_of(&path), entry.file_name() == "wallet.dat") {
                (Some(legacy), true) => found.push((String::new(), legacy)),
                (Some(true), false) => found.push((name, true)),
                _ => {}
            }
        }
    }
}

fn complain(path: &Path, error: &std::io::Error) {
    tracing::warn!("Error while scanning wallet dir item: {error} [{}].", path.display());
}

/// Whether a file is a wallet of an old version (`true`) or of today (`false`).
fn kind_of(path: &Path) -> Option<bool> {
    if is_legacy(path) {
        return Some(true);
    }
    (read_start(path, 512)? == *MAGIC).then_some(false)
}

/// Whether a file is a Berkeley DB btree: a wallet of an old version.
pub(super) fn is_legacy(path: &Path) -> bool {
    read_start::<16>(path, 4096).is_some_and(|start| is_berkeley_db(&start))
}

/// The first bytes of a regular file that has a size of at least `least`.
fn read_start<const N: usize>(path: &Path, least: u64) -> Option<[u8; N]> {
    if !fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() >= least) {
        return None;
    }
    let mut start = [0; N];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).ok()?;
    Some(start)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_list_wallets_finds_directories_and_old_files() {
        let folder = tempfile::tempdir().unwrap();
        let wallet = [&MAGIC[..], &[0; 496]].concat();
        let mut old = vec![0; 4096];
        old[12..16].copy_from_slice(&[0, 5, 0x31, 0x62]);
        fs::create_dir_all(folder.path().join("b/c")).unwrap();
        fs::write(folder.path().join("b/c/wallet.dat"), &wallet).unwrap();
        fs::write(folder.path().join("wallet.dat"), &wallet).unwrap();
        fs::write(folder.path().join("w8"), old).unwrap();
        fs::write(folder.path().join("sqlite_file"), &wallet).unwrap();
        fs::write(folder.path().join("other"), b"text").unwrap();
        std::os::unix::fs::symlink(folder.path().join("b/c"), folder.path().join("link")).unwrap();
        let expected = r#"[{"legacy":false,"name":""},{"legacy":false,"name":"b/c"},{"legacy":false,"name":"link"},{"legacy":true,"name":"w8"}]"#;
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(json(&list_wallets(folder.path())), json(expected));
    }
}
