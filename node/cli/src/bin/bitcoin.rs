//! bitcoin: starts the other programs by name, without remembering theirs.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "Usage: bitcoin [OPTIONS] COMMAND [ARGS...]\n\n\
    Options:\n  -m, --multiprocess  the node runs as several processes (always the case here)\n  \
    -M, --monolithic    accepted for scripts, and refused by what needs one process\n  \
    -v, --version       show the version\n  -h, --help          show this text\n\n\
    Commands:\n  gui [ARGS]     start the window, like 'bitcoin-gui'\n  \
    node [ARGS]    start the node, like 'bitcoin-node'\n  \
    rpc [ARGS]     call a node, like 'bitcoin-cli -named'\n  \
    wallet [ARGS]  use a wallet file offline, like 'bitcoin-wallet'\n  \
    tx [ARGS]      work on transactions, like 'bitcoin-tx'\n  \
    help           show this text\n";

/// Program and leading arguments of a command.
fn program(command: &str) -> Option<(&'static str, &'static [&'static str])> {
    match command {
        "gui" => Some(("bitcoin-gui", &[])),
        "node" => Some(("bitcoin-node", &[])),
        "rpc" => Some(("bitcoin-cli", &["-named"])),
        "wallet" => Some(("bitcoin-wallet", &[])),
        "tx" => Some(("bitcoin-tx", &[])),
        "util" => Some(("bitcoin-util", &[])),
        _ => None,
    }
}

/// Our own folder: beside us, or in libexec when we are in bin.
fn candidates(own: &Path, name: &str) -> Vec<PathBuf> {
    let Some(folder) = own.parent() else { return Vec::new() };
    let mut paths = Vec::new();
    if folder.file_name() == Some(OsStr::new("bin"))
        && let Some(prefix) = folder.parent()
    {
        paths.push(prefix.join("libexec").join(name));
    }
    paths.push(folder.join(name));
    paths
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let called_as = arguments.next().unwrap_or_else(|| OsString::from("bitcoin"));
    loop {
        let Some(word) = arguments.next() else {
            print!("{USAGE}");
            return ExitCode::FAILURE;
        };
        match word.to_str() {
            Some("-m" | "--multiprocess" | "-M" | "--monolithic") => {}
            Some("-v" | "--version") => {
                println!("{} version {}", bulkhead_config::version::CLIENT_NAME, bulkhead_config::version::FULL_VERSION);
                return ExitCode::SUCCESS;
            }
            Some("-h" | "--help" | "help") => {
                print!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            Some(command) => match program(command) {
                Some((name, leading)) => return start(Path::new(&called_as), name, leading, arguments),
                None => return fail(&format!("Unrecognized command: '{command}'")),
            },
            None => return fail("Unrecognized command"),
        }
    }
}

fn fail(text: &str) -> ExitCode {
    eprintln!("Error: {text}\nTry 'bitcoin --help' for more information.");
    ExitCode::FAILURE
}

/// Becomes the program; comes back only when that fails.
fn start(called_as: &Path, name: &str, leading: &[&str], arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let rest: Vec<OsString> = arguments.collect();
    let has_folder = called_as.components().count() > 1;
    let mut paths = if has_folder { candidates(called_as, name) } else { Vec::new() };
    if let Ok(own) = std::env::current_exe() {
        paths.extend(candidates(&own, name));
    }
    if !has_folder {
        paths.push(PathBuf::from(name));
    }
    let mut problem = String::from("not found");
    for path in paths {
        let error = Command::new(&path).args(leading).args(&rest).exec();
        if error.kind() != std::io::ErrorKind::NotFound {
            return fail(&format!("cannot start {}: {error}", path.display()));
        }
        problem = error.to_string();
    }
    fail(&format!("cannot start {name}: {problem}"))
}
