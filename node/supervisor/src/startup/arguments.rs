//! Command line, bitcoin.conf and settings.json, in Core's order (`common/init.cpp`), and `-help`, `-version`.

use super::descriptors::Connections;
use crate::error::{NodeError, init};
use crate::fresh::fresh;
use bulkhead_config::RealFiles;
use bulkhead_config::version::{CLIENT_NAME, FULL_VERSION, license_info};
use bulkhead_config::{ArgsError, ArgsManager, CONF_FILENAME, Chain, ConfError, options, parse_settings, write_settings};
use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// What the options say about where things are.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Every option.
    pub args: ArgsManager,
    /// The chain.
    pub chain: Chain,
    /// The data directory.
    pub base: PathBuf,
    /// The chain's folder in it.
    pub datadir: PathBuf,
    /// Number of the control channel from the window, if it spawned us.
    pub ipc_descriptor: Option<i32>,
    /// The run before this one left its PID file: it was killed, and its children may be about to end.
    pub after_crash: bool,
    /// How many automatic connections net may have.
    pub connections: Connections,
}

/// Takes "-ipcfd N" out of the arguments: how a parent process passes its channel.
fn take_ipc_descriptor(arguments: &mut Vec<String>) -> Option<i32> {
    let position = arguments.iter().position(|argument| argument == "-ipcfd" || argument.starts_with("-ipcfd="))?;
    let first = arguments.remove(position);
    let number = match first.split_once('=') {
        Some((_, number)) => number.to_owned(),
        None if position < arguments.len() => arguments.remove(position),
        None => return None,
    };
    number.parse().ok()
}

/// Reads every source of options. `None`: help or version was printed.
pub(crate) fn read(mut arguments: Vec<String>) -> Result<Option<Options>, NodeError> {
    let ipc_descriptor = take_ipc_descriptor(&mut arguments);
    let mut args = ArgsManager::new(options::NODE);
    args.parse_parameters(&arguments).map_err(|error| init(format!("Error parsing command line arguments: {error}")))?;
    let files = RealFiles;
    if !args.datadir_option_is_directory(&files) {
        let given = args.get("-datadir").unwrap_or_default();
        return Err(init(format!("Specified data directory \"{given}\" does not exist.")));
    }
    let original_datadir = args.datadir(&files);
    let original_conf = args.config_file(&files);
    let warnings = args.read_config_files(&files, true).map_err(|error| match error {
        // What is wrong is not how the file is written.
        ConfError::Args(ArgsError::ChainCombination | ArgsError::UnknownChain(_)) => init(error.to_string()),
        other => init(format!("Error reading configuration file: {other}")),
    })?;
    for warning in warnings {
        eprintln!("{warning}");
    }
    let chain = args.chain().map_err(|error| init(error.to_string()))?;
    args.select_network(chain);
    let base = args.datadir(&files);
    let datadir = base.join(chain.folder());
    for path in [&base, &datadir] {
        if !path.exists() {
            create_directories(&path.join("wallets"))?;
        }
    }
    check_ignored_conf(&mut args, &base, &original_datadir, &original_conf)?;
    open_settings(&mut args, chain)?;
    // Loose words: everything from the first one on is a "command".
    if let Some(word) = args.command().first() {
        let text = format!("Command line contains unexpected token '{word}', see bitcoind -h for a list of options.");
        return Err(init(text));
    }
    if args.help_requested() || args.bool_or("-version", false) {
        print!("{}", about(&args));
        return Ok(None);
    }
    Ok(Some(Options { args, chain, base, datadir, ipc_descriptor, after_crash: false, connections: Connections::default() }))
}

/// Creates a directory and its parents, for the owner only.
pub(crate) fn create_directories(path: &Path) -> Result<(), NodeError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| NodeError::system(format!("cannot create directory {}", path.display()), error))
}

fn about(args: &ArgsManager) -> String {
    let first = format!("{CLIENT_NAME} daemon version {FULL_VERSION} bitcoin-node\n");
    if args.bool_or("-version", false) {
        return format!("{first}{}", license_info());
    }
    format!(
        "{first}\nbitcoin-node runs a Bitcoin node as a set of confined processes: it starts the others, gives each\n\
         what it needs and nothing else, and restarts what dies.\n\nUsage: bitcoin-node [options]\n\n{}",
        args.help_message()
    )
}

/// A bitcoin.conf in the data directory that is not the one in use confuses users.
fn check_ignored_conf(
    args: &mut ArgsManager,
    base: &Path,
    original_datadir: &Path,
    original_conf: &Path,
) -> Result<(), NodeError> {
    let ours = base.join(CONF_FILENAME);
    if !ours.exists() {
        return Ok(());
    }
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let base_text = quoted(&base.display().to_string());
    if original_conf.as_os_str().is_empty() {
        let text = format!(
            "Data directory {base_text} contains a {} file which is explicitly ignored using -noconf.",
            quoted(CONF_FILENAME)
        );
        args.tell(bulkhead_config::Severity::Info, &text);
        return Ok(());
    }
    if same_file(original_conf, &ours) {
        return Ok(());
    }
    let given = args.get_or("-conf", "");
    let source = if given.is_empty() {
        format!("data directory {}", quoted(&original_datadir.display().to_string()))
    } else {
        format!("command line argument {}", quoted(&format!("-conf={given}")))
    };
    let name = quoted(CONF_FILENAME);
    let used = quoted(&original_conf.display().to_string());
    let mut text = format!(
        "Data directory {base_text} contains a {name} file which is ignored, because a different configuration file \
         {used} from {source} is being used instead. Possible ways to address this would be to:\n\
         - Delete or rename the {name} file in data directory {base_text}.\n\
         - Change datadir= or conf= options to specify one configuration file, not two, and use includeconf= to \
         include any other configuration files."
    );
    if args.bool_or("-allowignoredconf", false) {
        args.tell(bulkhead_config::Severity::Warning, &text);
        return Ok(());
    }
    text += "\n- Set allowignoredconf=1 option to treat this condition as a warning, not an error.";
    Err(init(text))
}

fn same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// Reads settings.json and writes it back, so that it exists and its warning is there.
fn open_settings(args: &mut ArgsManager, chain: Chain) -> Result<(), NodeError> {
    let Some(path) = args.settings_path(&RealFiles, chain) else { return Ok(()) };
    let unreadable = |detail: String| init(format!("Settings file could not be read:\n- {detail}"));
    if path.exists() {
        let shown = path.display().to_string();
        let text = fs::read(&path).map_err(|_| unreadable(format!("{shown}. Please check permissions.")))?;
        let settings = parse_settings(&shown, &String::from_utf8_lossy(&text)).map_err(|error| unreadable(error.to_string()))?;
        args.set_read_write_settings(settings);
    }
    save_settings(args, &path)
}

/// Replaces settings.json atomically.
pub(crate) fn save_settings(args: &ArgsManager, path: &Path) -> Result<(), NodeError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let shown = temporary.display();
    let unwritable = |detail: String| init(format!("Settings file could not be written:\n- {detail}"));
    let mut file =
        fresh(&temporary).map_err(|_| unwritable(format!("Error: Unable to open settings file {shown} for writing")))?;
    file.write_all(write_settings(args.read_write_settings()).as_bytes())
        .map_err(|_| unwritable(format!("Error: Unable to write settings file {shown}")))?;
    drop(file);
    fs::rename(&temporary, path).map_err(|_| unwritable(format!("Failed renaming settings file {shown} to {}\n", path.display())))
}
