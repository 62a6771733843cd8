//! Loading the display libraries before confinement.
//!
//! The toolkit opens them with `dlopen` when its window appears, which maps code; a confined process may not. So the
//! process starts itself once more with them preloaded: `dlopen` then finds them in memory.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set in the second life of the process.
const MARK: &str = "BULKHEAD_GUI_PRELOADED";
/// What winit's X11 back end opens at run time.
const LIBRARIES: [&str; 7] = [
    "libX11.so.6",
    "libX11-xcb.so.1",
    "libXcursor.so.1",
    "libXi.so.6",
    "libXrandr.so.2",
    "libxkbcommon.so.0",
    "libxkbcommon-x11.so.0",
];
/// Where distributions keep shared libraries.
const FOLDERS: [&str; 4] = ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"];

/// Returns in the second life; in the first it replaces the process, and returns only the error of doing so.
pub(crate) fn display_libraries() -> std::io::Result<()> {
    if std::env::var_os(MARK).is_some() {
        return Ok(());
    }
    // A missing library is no error here: the toolkit says which display it could not reach.
    let found: Vec<PathBuf> = LIBRARIES.iter().filter_map(|name| find(name)).collect();
    let mut preload = OsString::new();
    for path in found {
        if !preload.is_empty() {
            preload.push(":");
        }
        preload.push(path);
    }
    Err(Command::new(std::env::current_exe()?).args(std::env::args_os().skip(1)).env(MARK, "1").env("LD_PRELOAD", preload).exec())
}

fn find(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists())
}
