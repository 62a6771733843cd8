//! Log options, the log file, and its first lines (Core's `init/common.cpp`).

use super::arguments::Options;
use crate::error::{NodeError, init};
use bulkhead_config::version::{CLIENT_NAME, FULL_VERSION};
use bulkhead_config::{ArgsManager, Chain, Files, Severity, join};
use bulkhead_control::LogLevel;
use bulkhead_control::log::{CATEGORIES, category};
use bulkhead_control::message::LogOptions;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A larger log is shortened at start.
const SHRINK_FROM: u64 = 11 * 1_000_000;
/// To this.
const SHRINK_TO: u64 = 10 * 1_000_000;

const LEVELS: &str = "info, debug, trace";

/// The categories that `-debug` and `-debugexclude` leave, with their levels.
pub(crate) fn levels(args: &mut ArgsManager) -> Result<Vec<LogLevel>, NodeError> {
    let mut enabled = [false; 64];
    let given = args.get_all("-debug");
    // What comes before -debug=0 or -debug=none doesn't count.
    let from = given.iter().rposition(|value| value == "0" || value == "none").map_or(0, |position| position + 1);
    for value in given.iter().skip(from) {
        set(args, &mut enabled, "-debug", value, true)?;
    }
    for value in args.get_all("-debugexclude") {
        set(args, &mut enabled, "-debugexclude", &value, false)?;
    }
    let (global, special) = level_words(args)?;
    let level_of = |name: &str| {
        let special = special.iter().rev().find(|(category, _)| category == name).map(|(_, level)| level);
        special.unwrap_or(&global).clone()
    };
    Ok(CATEGORIES
        .iter()
        .zip(enabled)
        .filter(|(_, enabled)| *enabled)
        .map(|(name, _)| LogLevel { category: (*name).to_owned(), level: level_of(name) })
        .collect())
}

fn set(args: &mut ArgsManager, enabled: &mut [bool], option: &str, value: &str, on: bool) -> Result<(), NodeError> {
    match value {
        "" | "1" | "all" => enabled.fill(on),
        "libevent" => args.tell(
            Severity::Warning,
            "The logging category `libevent` is deprecated, does nothing, and will be removed in a future version",
        ),
        name => {
            let slot = category(name).and_then(|index| enabled.get_mut(index));
            *slot.ok_or_else(|| init(format!("Unsupported logging category {option}={name}.")))? = on;
        }
    }
    Ok(())
}

type Levels = (String, Vec<(String, String)>);

/// The global level and those of categories.
fn level_words(args: &ArgsManager) -> Result<Levels, NodeError> {
    let known = |word: &str| matches!(word, "info" | "debug" | "trace");
    let mut global = "debug".to_owned();
    let mut special = Vec::new();
    for given in args.get_all("-loglevel") {
        // Core looks for the colon from the fourth character on.
        let has_colon = given.char_indices().skip(3).any(|(_, character)| character == ':');
        if !has_colon {
            if !known(&given) {
                let text = format!("Unsupported global logging level -loglevel={given}. Valid values: {LEVELS}.");
                return Err(init(text));
            }
            global = given;
            continue;
        }
        let parts: Vec<&str> = given.split(':').collect();
        match parts.as_slice() {
            [name, level] if category(name).is_some() && known(level) => {
                // Messages between processes are shown only to who names their category: a global trace level, as
                // Core's own suite sets it, must not put every request into the log.
                let level = if (*name, *level) == ("ipc", "trace") { "payload" } else { *level };
                special.push(((*name).to_owned(), level.to_owned()));
            }
            _ => {
                return Err(init(format!(
                    "Unsupported category-specific logging level -loglevel={given}. Expected \
                     -loglevel=<category>:<loglevel>. Valid categories: {}. Valid loglevels: {LEVELS}.",
                    CATEGORIES.join(", ")
                )));
            }
        }
    }
    Ok((global, special))
}

/// The shape of lines.
pub(crate) fn options(args: &ArgsManager, levels: Vec<LogLevel>) -> LogOptions {
    LogOptions {
        levels,
        time_micros: args.bool_or("-logtimemicros", false),
        thread_names: args.bool_or("-logthreadnames", false),
        source_locations: args.bool_or("-logsourcelocations", false),
        timestamps: args.bool_or("-logtimestamps", true),
        level_always: args.bool_or("-loglevelalways", false),
        mock_time: args.int_or("-mocktime", 0),
    }
}

/// Path of the log file; `None` with `-nodebuglogfile`.
pub(crate) fn path(options: &Options) -> Option<PathBuf> {
    let path = options.args.path_arg("-debuglogfile", "debug.log");
    (!options.args.is_negated("-debuglogfile")).then(|| join(&options.datadir, &path))
}

/// Opens the log for appending, 0600.
pub(crate) fn open(path: &Path) -> Result<OwnedFd, NodeError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map(OwnedFd::from)
        .map_err(|_| init(format!("Could not open debug log file {}", path.display())))
}

/// Standard output as a second place for the log.
pub(crate) fn console(args: &ArgsManager) -> Option<OwnedFd> {
    let wanted = args.bool_or("-printtoconsole", !args.bool_or("-daemon", false));
    // Without a standard output there is nothing to print to.
    wanted.then(|| nix::unistd::dup(std::io::stdout()).ok()).flatten()
}

/// Cuts a large log down to its end.
pub(crate) fn shrink(path: &Path) {
    // A log that can't be shortened is no reason not to start.
    let _ = try_shrink(path);
}

fn try_shrink(path: &Path) -> std::io::Result<()> {
    if fs::metadata(path)?.len() <= SHRINK_FROM {
        return Ok(());
    }
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-i64::try_from(SHRINK_TO).unwrap_or(0)))?;
    let mut end = Vec::new();
    file.take(SHRINK_TO).read_to_end(&mut end)?;
    OpenOptions::new().write(true).truncate(true).open(path)?.write_all(&end)
}

/// The first lines: version, directories, and every option that was given.
pub(crate) fn introduce(options: &mut Options, files: &impl Files) {
    tracing::info!("{CLIENT_NAME} version {FULL_VERSION} (release build)");
    for message in options.args.take_messages() {
        match message.severity {
            Severity::Info => tracing::info!("{}", message.text),
            Severity::Warning => tracing::warn!("{}", message.text),
        }
    }
    if options.chain == Chain::Test {
        tracing::info!(
            "Warning: Support for testnet3 is deprecated and will be removed in an upcoming release. Consider switching \
             to testnet4."
        );
    }
    tracing::info!("Log output may contain privacy-sensitive information. Be cautious when sharing logs.");
    let home = files.home().unwrap_or_else(|| PathBuf::from("/"));
    tracing::info!("Default data directory {}", home.join(".bitcoin").display());
    tracing::info!("Using data directory {}", options.datadir.display());
    let conf = options.args.config_file(files);
    if options.args.is_negated("-conf") {
        tracing::info!("Config file: <disabled>");
    } else if conf.is_dir() {
        tracing::warn!("Config file: {} (is directory, not file)", conf.display());
    } else if conf.exists() {
        tracing::info!("Config file: {}", conf.display());
    } else {
        tracing::info!("Config file: {} (not found, skipping)", conf.display());
    }
    for line in options.args.log_lines() {
        tracing::info!("{line}");
    }
}
