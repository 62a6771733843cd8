//! Paths without a file system.

use std::path::{Component, Path, PathBuf};

/// C++'s `lexically_normal` and Core's removal of a trailing slash.
#[must_use]
pub fn normal(path: &str) -> PathBuf {
    let mut out = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => match out.components().next_back() {
                Some(Component::Normal(_)) => {
                    out.pop();
                }
                Some(Component::RootDir) => {}
                _ => out.push(".."),
            },
            other => out.push(other),
        }
    }
    if out.as_os_str().is_empty() && !path.is_empty() { PathBuf::from(".") } else { out }
}

/// `path` as it is when absolute, else below `base`.
#[must_use]
pub fn join(base: &Path, path: &Path) -> PathBuf {
    if path.is_absolute() { path.to_owned() } else { base.join(path) }
}

/// `path` seen from the working directory.
#[must_use]
pub fn absolute(working: &Path, path: &Path) -> PathBuf {
    join(working, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_normal_like_cpp() {
        for (path, expected) in [("a/./b/", "a/b"), ("a/../b", "b"), ("/../x", "/x"), ("../x", "../x"), ("a/..", ".")] {
            assert_eq!(normal(path), PathBuf::from(expected), "{path}");
        }
    }
}
