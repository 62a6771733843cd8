//! What wallets there are (Core's `ListDatabases`).

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Deeper directories hold no wallets.
const MAX_DEPTH: usize = 16;
/// More wallets are not listed.
const MAX_WALLETS: usize = 10_000;
/// How a SQLite file begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Names of the wallets below a directory, as a JSON array. "" is a wallet in the directory itself.
pub(crate) fn list_wallets(walletdir: &Path) -> String {
    let mut names = Vec::new();
    scan(walletdir, walletdir, 0, &mut names);
    names.sort();
    serde_json::Value::from(names).to_string()
}

fn scan(walletdir: &Path, directory: &Path, depth: usize, names: &mut Vec<String>) {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::warn!("Error scanning {}: {error}", directory.display());
            return;
        }
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        // Links to directories are not followed, links to wallets are.
        if kind.is_dir() && depth < MAX_DEPTH && names.len() < MAX_WALLETS {
            scan(walletdir, &path, depth + 1, names);
        } else if entry.file_name() == "wallet.dat" && is_sqlite(&path) {
            let name = directory.strip_prefix(walletdir).unwrap_or(directory);
            names.push(name.to_string_lossy().into_owned());
        } else if depth == 0 && kind.is_file() && is_sqlite(&path) {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
}

fn is_sqlite(path: &Path) -> bool {
    if !fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        return false;
    }
    let mut start = [0; 16];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && &start == MAGIC
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_list_wallets_finds_directories_and_files() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("b/c")).unwrap();
        fs::write(folder.path().join("b/c/wallet.dat"), MAGIC).unwrap();
        fs::write(folder.path().join("wallet.dat"), MAGIC).unwrap();
        fs::write(folder.path().join("w8"), MAGIC).unwrap();
        fs::write(folder.path().join("other"), b"text").unwrap();
        assert_eq!(list_wallets(folder.path()), r#"["","b/c","w8"]"#);
    }
}
