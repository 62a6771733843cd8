//! bitcoin.conf: sections, includeconf, and what it may not hold (Core's `common/config.cpp`).

use crate::args::{ArgsManager, SectionInfo, Severity, interpret_key, interpret_value};
use crate::settings::Span;
use crate::{ArgsError, CONF_FILENAME, paths};
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The file system, as far as reading options needs it.
pub trait Files {
    /// The whole file as bytes.
    ///
    /// # Errors
    /// That of the file system.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Whether the path is a directory.
    fn is_dir(&self, path: &Path) -> bool;
    /// The working directory.
    fn working_directory(&self) -> PathBuf;
    /// The user's home, if known.
    fn home(&self) -> Option<PathBuf>;
}

/// Why a configuration file is no good. The texts are Core's.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfError {
    /// A leading dash.
    #[error("parse error on line {0}: {1}, options in configuration file must be specified without leading -")]
    LeadingDash(usize, String),
    /// A comment that may be part of a password.
    #[error("parse error on line {0}, using # in rpcpassword can be ambiguous and should be avoided")]
    HashInPassword(usize),
    /// No `=`.
    #[error("parse error on line {0}: {1}")]
    NoValue(usize, String),
    /// `nofoo` without `=1`.
    #[error("parse error on line {0}: {1}, if you intended to specify a negated option, use {1}=1 instead")]
    NoNegatedValue(usize, String),
    /// `conf=`.
    #[error(
        "conf cannot be set in the configuration file; use includeconf= if you want to include additional config \
         files"
    )]
    ConfInside,
    /// Not in the table, where that matters.
    #[error("Invalid configuration value {0}")]
    Invalid(String),
    /// The path is a directory.
    #[error("Config file \"{0}\" is a directory.")]
    Directory(String),
    /// `-conf` names a file that can't be opened.
    #[error("specified config file \"{0}\" could not be opened.")]
    NotOpened(String),
    /// An included path is a directory.
    #[error("Included config file \"{0}\" is a directory.")]
    IncludedDirectory(String),
    /// An included file can't be opened.
    #[error("Failed to include configuration file {0}")]
    NotIncluded(String),
    /// `datadir=` in the file.
    #[error("specified data directory \"{0}\" does not exist.")]
    Datadir(String),
    /// A value that its option does not take, or a bad combination of chains.
    #[error(transparent)]
    Args(#[from] ArgsError),
}

const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

type Parsed = (Vec<(String, String)>, Vec<SectionInfo>);

/// Splits the text into options ("section.name") and the sections that appear.
fn parse(text: &str, file: &str) -> Result<Parsed, ConfError> {
    let mut options = Vec::new();
    let mut sections = Vec::new();
    let mut prefix = String::new();
    for (index, raw) in text.lines().enumerate() {
        let number = index + 1;
        let (line, has_hash) = raw.split_once('#').map_or((raw, false), |(before, _)| (before, true));
        let line = line.trim_matches(BLANKS);
        if line.is_empty() {
            continue;
        }
        let section = |name: &str| SectionInfo { name: name.to_owned(), file: file.to_owned(), line: number };
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            sections.push(section(name));
            prefix = format!("{name}.");
        } else if line.starts_with('-') {
            return Err(ConfError::LeadingDash(number, line.to_owned()));
        } else if let Some((name, value)) = line.split_once('=') {
            let name = format!("{prefix}{}", name.trim_matches(BLANKS));
            if has_hash && name.contains("rpcpassword") {
                return Err(ConfError::HashInPassword(number));
            }
            if let Some(position) = name.rfind('.').filter(|position| prefix.len() <= *position) {
                sections.push(section(&name[..position]));
            }
            options.push((name, value.trim_matches(BLANKS).to_owned()));
        } else if line.len() >= 2 && line.starts_with("no") {
            return Err(ConfError::NoNegatedValue(number, line.to_owned()));
        } else {
            return Err(ConfError::NoValue(number, line.to_owned()));
        }
    }
    Ok((options, sections))
}

impl ArgsManager {
    /// Adds the options of one file's text. Unknown names are told unless `ignore_invalid` is false.
    ///
    /// # Errors
    /// The first line that is no good.
    pub fn read_config_text(&mut self, text: &str, file: &str, ignore_invalid: bool) -> Result<(), ConfError> {
        let (options, sections) = parse(text, file)?;
        self.sections.extend(sections);
        for (name, value) in options {
            let key = interpret_key(&name);
            let flags = self.flags(&key.name);
            if key.name == "conf" {
                return Err(ConfError::ConfInside);
            }
            if key.name == "reindex" {
                self.note(
                    Severity::Warning,
                    "reindex=1 is set in the configuration file, which will significantly slow down startup. Consider \
                     removing or commenting out this option for better performance, unless there is currently a \
                     condition which makes rebuilding the indexes necessary",
                );
            }
            if let Some(flags) = flags {
                let value = interpret_value(&key, Some(&value), flags, &mut self.messages)?;
                self.settings.config.entry(key.section).or_default().entry(key.name).or_default().push(value);
            } else if ignore_invalid {
                self.note(Severity::Warning, &format!("Ignoring unknown configuration value {name}"));
            } else {
                return Err(ConfError::Invalid(name));
            }
        }
        Ok(())
    }

    /// Where bitcoin.conf is, or was when it was read; empty with `-noconf`.
    #[must_use]
    pub fn config_file(&self, files: &impl Files) -> PathBuf {
        if let Some(path) = &self.config_read {
            return path.clone();
        }
        let path = self.path_arg("-conf", CONF_FILENAME);
        if path.is_absolute() || path.as_os_str().is_empty() { path } else { self.datadir(files).join(path) }
    }

    /// Reads bitcoin.conf and the files it includes. Warnings that Core prints come back in order.
    ///
    /// # Errors
    /// The first thing that is no good in any of them.
    pub fn read_config_files(&mut self, files: &impl Files, ignore_invalid: bool) -> Result<Vec<String>, ConfError> {
        self.settings.config.clear();
        self.sections.clear();
        let mut warnings = Vec::new();
        self.config_read = None;
        let path = self.config_file(files);
        self.config_read = Some(path.clone());
        let shown = path.display().to_string();
        if !shown.is_empty() {
            if files.is_dir(&path) {
                return Err(ConfError::Directory(shown));
            }
            match files.read(&path) {
                Ok(bytes) => {
                    self.read_config_text(&String::from_utf8_lossy(&bytes), &shown, ignore_invalid)?;
                    self.read_includes(files, ignore_invalid, &mut warnings)?;
                }
                Err(_) if self.is_set("-conf") => return Err(ConfError::NotOpened(shown)),
                // Without the option it need not exist.
                Err(_) => {}
            }
        }
        if !self.datadir_option_is_directory(files) {
            return Err(ConfError::Datadir(self.get("-datadir").unwrap_or_default()));
        }
        Ok(warnings)
    }

    /// Names of included files in a section, from the given position.
    fn includes(&self, section: &str, skip: usize) -> (Vec<String>, usize) {
        let values = self.settings.config.get(section).and_then(|values| values.get("includeconf"));
        let values = values.map_or(&[][..], Vec::as_slice);
        let from = skip.max(Span::new(values).negated());
        let names = values.iter().skip(from).map(crate::setting_to_string).collect();
        (names, values.len())
    }

    fn read_includes(&mut self, files: &impl Files, ignore_invalid: bool, warnings: &mut Vec<String>) -> Result<(), ConfError> {
        // Only -noincludeconf can be here.
        if self.settings.command_line.contains_key("includeconf") {
            return Ok(());
        }
        let chain = self.chain_name()?;
        let (mut names, in_chain) = self.includes(&chain, 0);
        let (more, in_default) = self.includes("", 0);
        names.extend(more);
        for name in names {
            let path = paths::join(&self.datadir(files), Path::new(&name));
            if files.is_dir(&path) {
                return Err(ConfError::IncludedDirectory(path.display().to_string()));
            }
            let bytes = files.read(&path).map_err(|_| ConfError::NotIncluded(name.clone()))?;
            self.read_config_text(&String::from_utf8_lossy(&bytes), &name, ignore_invalid)?;
            self.note(Severity::Info, &format!("Included configuration file {name}"));
        }
        // Included files can't include.
        let (mut ignored, _) = self.includes(&chain, in_chain);
        ignored.extend(self.includes("", in_default).0);
        let chain_now = self.chain_name()?;
        if chain_now != chain {
            ignored.extend(self.includes(&chain_now, 0).0);
        }
        warnings.extend(
            ignored
                .into_iter()
                .map(|name| format!("warning: -includeconf cannot be used from included files; ignoring -includeconf={name}")),
        );
        Ok(())
    }
}
