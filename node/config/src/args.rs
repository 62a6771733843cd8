//! The table of options and the values that were given (Core's `ArgsManager`).

use crate::conf::Files;
use crate::numbers::{atoi, interpret_bool};
use crate::settings::{Lookup, Settings, SettingsValue, Span, Values, setting_to_string};
use crate::{ArgsError, Category, Chain, Flags, Opt, SETTINGS_FILENAME, paths};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// How loud a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Information.
    Info,
    /// A warning in the log, not on stderr.
    Warning,
}

/// A line for the log, which is not open yet while options are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// How loud.
    pub severity: Severity,
    /// The text.
    pub text: String,
}

/// Where a section appears in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionInfo {
    /// Its name.
    pub name: String,
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

/// A key taken apart.
pub(crate) struct Key {
    pub section: String,
    pub name: String,
    pub negated: bool,
}

/// "regtest.nofoo" to section, name and negation.
pub(crate) fn interpret_key(key: &str) -> Key {
    let (section, name) = key.split_once('.').unwrap_or(("", key));
    let (negated, name) = name.strip_prefix("no").map_or((false, name), |rest| (true, rest));
    Key { section: section.to_owned(), name: name.to_owned(), negated }
}

/// Applies negation and the option's flags.
pub(crate) fn interpret_value(
    key: &Key,
    value: Option<&str>,
    flags: Flags,
    messages: &mut Vec<Message>,
) -> Result<SettingsValue, ArgsError> {
    if key.negated {
        if flags.contains(Flags::NO_NEGATION) {
            return Err(ArgsError::NegationForbidden(key.name.clone()));
        }
        if let Some(value) = value.filter(|value| !interpret_bool(value)) {
            let text = format!("Parsed potentially confusing double-negative -{}={value}", key.name);
            messages.push(Message { severity: Severity::Warning, text });
            return Ok(SettingsValue::Bool(true));
        }
        return Ok(SettingsValue::Bool(false));
    }
    if value.is_none() && flags.contains(Flags::NO_ELISION) {
        return Err(ArgsError::ValueNeeded(key.name.clone()));
    }
    Ok(SettingsValue::String(value.unwrap_or_default().to_owned()))
}

/// Options of one program and their values. Names are written with their dash: "-datadir".
#[derive(Clone, Debug, Default)]
pub struct ArgsManager {
    pub(crate) options: BTreeMap<Category, BTreeMap<&'static str, Opt>>,
    network_only: BTreeSet<&'static str>,
    pub(crate) settings: Settings,
    network: String,
    command: Vec<String>,
    accept_any_command: bool,
    pub(crate) sections: Vec<SectionInfo>,
    pub(crate) messages: Vec<Message>,
    /// The bitcoin.conf that was read: a `datadir` in it changes where others would be looked for.
    pub(crate) config_read: Option<PathBuf>,
}

impl ArgsManager {
    /// A manager for these tables. Words without a dash are taken as a command (of any name).
    #[must_use]
    pub fn new(tables: &[&[Opt]]) -> Self {
        let mut manager = Self { accept_any_command: true, ..Self::default() };
        for option in tables.iter().copied().flatten() {
            manager.options.entry(option.category).or_default().insert(option.name, option.clone());
            if option.flags.contains(Flags::NETWORK_ONLY) {
                manager.network_only.insert(option.name);
            }
        }
        manager
    }

    pub(crate) fn flags(&self, name: &str) -> Option<Flags> {
        let name = format!("-{name}");
        self.options.values().find_map(|options| options.get(name.as_str())).map(|option| option.flags)
    }

    /// Adds a line for the log.
    pub fn tell(&mut self, severity: Severity, text: &str) {
        self.note(severity, text);
    }

    pub(crate) fn note(&mut self, severity: Severity, text: &str) {
        self.messages.push(Message { severity, text: text.to_owned() });
    }

    /// Lines for the log, oldest first; they are handed out once.
    pub fn take_messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.messages)
    }

    /// Reads the command line (without the program's name).
    ///
    /// # Errors
    /// The first argument that is no good.
    pub fn parse_parameters(&mut self, arguments: &[String]) -> Result<(), ArgsError> {
        self.settings.command_line.clear();
        self.command.clear();
        for (index, argument) in arguments.iter().enumerate() {
            // bitcoin-tx reads standard input.
            if argument == "-" {
                break;
            }
            let (key, value) = argument.split_once('=').map_or((argument.as_str(), None), |(k, v)| (k, Some(v)));
            let Some(key) = key.strip_prefix('-') else {
                if !self.accept_any_command {
                    return Err(ArgsError::InvalidCommand(argument.clone()));
                }
                self.command.push(key.to_owned());
                self.command.extend(arguments.iter().skip(index + 1).cloned());
                break;
            };
            let key = interpret_key(key.strip_prefix('-').unwrap_or(key));
            let flags = self.flags(&key.name).filter(|_| key.section.is_empty());
            let flags = flags.ok_or_else(|| ArgsError::InvalidParameter(argument.clone()))?;
            let value = interpret_value(&key, value, flags, &mut self.messages)?;
            self.settings.command_line.entry(key.name).or_default().push(value);
        }
        if let Some(value) = self.settings.command_line.get("includeconf").and_then(|v| Span::new(v).values().first()) {
            return Err(ArgsError::IncludeconfOnCommandLine(value.to_string()));
        }
        Ok(())
    }

    /// The words after the options.
    #[must_use]
    pub fn command(&self) -> &[String] {
        &self.command
    }

    /// Makes the section of this chain count.
    pub fn select_network(&mut self, chain: Chain) {
        chain.name().clone_into(&mut self.network);
    }

    fn ignores_default_section(&self, name: &str) -> bool {
        self.network != Chain::Main.name() && self.network_only.contains(name)
    }

    /// The raw value in force.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<SettingsValue> {
        let lookup =
            Lookup { section: &self.network, ignore_default_section: self.ignores_default_section(name), ..Lookup::default() };
        self.settings.get(bare(name), lookup).filter(|value| !value.is_null())
    }

    /// The raw value in settings.json or bitcoin.conf.
    #[must_use]
    pub fn persistent_setting(&self, name: &str) -> Option<SettingsValue> {
        let lookup = Lookup {
            section: &self.network,
            ignore_default_section: self.ignores_default_section(name),
            persistent_only: true,
            ..Lookup::default()
        };
        self.settings.get(bare(name), lookup)
    }

    /// The value as text; "0" when negated.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        self.setting(name).map(|value| setting_to_string(&value))
    }

    /// The value as text, or a default.
    #[must_use]
    pub fn get_or(&self, name: &str, default: &str) -> String {
        self.get(name).unwrap_or_else(|| default.to_owned())
    }

    /// The value as a number (Core's lenient reading).
    #[must_use]
    pub fn get_int(&self, name: &str) -> Option<i64> {
        self.get(name).map(|text| atoi(&text))
    }

    /// The value as a number, or a default.
    #[must_use]
    pub fn int_or(&self, name: &str, default: i64) -> i64 {
        self.get_int(name).unwrap_or(default)
    }

    /// The value as a boolean.
    #[must_use]
    pub fn get_bool(&self, name: &str) -> Option<bool> {
        self.setting(name).map(|value| match value {
            SettingsValue::Bool(flag) => flag,
            other => interpret_bool(&setting_to_string(&other)),
        })
    }

    /// The value as a boolean, or a default.
    #[must_use]
    pub fn bool_or(&self, name: &str, default: bool) -> bool {
        self.get_bool(name).unwrap_or(default)
    }

    /// Every value, highest precedence first.
    #[must_use]
    pub fn get_all(&self, name: &str) -> Vec<String> {
        self.setting_list(name).iter().map(setting_to_string).collect()
    }

    /// Every raw value, highest precedence first.
    #[must_use]
    pub fn setting_list(&self, name: &str) -> Vec<SettingsValue> {
        self.settings.list(bare(name), &self.network, self.ignores_default_section(name))
    }

    /// Whether there is any value, `-nofoo` included.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.setting(name).is_some()
    }

    /// Whether the value in force is a negation.
    #[must_use]
    pub fn is_negated(&self, name: &str) -> bool {
        self.setting(name) == Some(SettingsValue::Bool(false))
    }

    /// Sets a value unless there is one; says whether it did.
    pub fn soft_set(&mut self, name: &str, value: &str) -> bool {
        let free = !self.is_set(name);
        if free {
            self.force_set(name, value);
        }
        free
    }

    /// [`soft_set`](Self::soft_set) for a boolean.
    pub fn soft_set_bool(&mut self, name: &str, value: bool) -> bool {
        self.soft_set(name, if value { "1" } else { "0" })
    }

    /// Sets a value over every other.
    pub fn force_set(&mut self, name: &str, value: &str) {
        self.settings.forced.insert(bare(name).to_owned(), SettingsValue::String(value.to_owned()));
    }

    /// A path: empty when negated, the default when not given, else normalised without trailing slash.
    #[must_use]
    pub fn path_arg(&self, name: &str, default: &str) -> PathBuf {
        match self.setting(name) {
            Some(SettingsValue::Bool(false)) => PathBuf::new(),
            Some(value) => match setting_to_string(&value).as_str() {
                "" => PathBuf::from(default),
                text => paths::normal(text),
            },
            None => PathBuf::from(default),
        }
    }

    /// The data directory, absolute, without the chain's folder.
    #[must_use]
    pub fn datadir(&self, files: &impl Files) -> PathBuf {
        let path = self.path_arg("-datadir", "");
        if path.as_os_str().is_empty() {
            files.home().unwrap_or_else(|| PathBuf::from("/")).join(".bitcoin")
        } else {
            paths::absolute(&files.working_directory(), &path)
        }
    }

    /// Whether `-datadir` is absent or names a directory.
    #[must_use]
    pub fn datadir_option_is_directory(&self, files: &impl Files) -> bool {
        self.path_arg("-datadir", "").as_os_str().is_empty() || files.is_dir(&self.datadir(files))
    }

    /// Path of settings.json below the chain's data directory; `None` with `-nosettings`.
    #[must_use]
    pub fn settings_path(&self, files: &impl Files, chain: Chain) -> Option<PathBuf> {
        let path = self.path_arg("-settings", SETTINGS_FILENAME);
        let below = || paths::join(&self.datadir(files).join(chain.folder()), &path);
        (!path.as_os_str().is_empty()).then(below)
    }

    /// What settings.json holds.
    #[must_use]
    pub fn read_write_settings(&self) -> &BTreeMap<String, SettingsValue> {
        &self.settings.read_write
    }

    /// Replaces what settings.json holds; unknown names are told.
    pub fn set_read_write_settings(&mut self, settings: BTreeMap<String, SettingsValue>) {
        for name in settings.keys() {
            if self.flags(&interpret_key(name).name).is_none() {
                self.note(Severity::Warning, &format!("Ignoring unknown rw_settings value {name}"));
            }
        }
        self.settings.read_write = settings;
    }

    /// Sets one value of settings.json.
    pub fn set_read_write_setting(&mut self, name: &str, value: SettingsValue) {
        self.settings.read_write.insert(name.to_owned(), value);
    }

    /// The name of the chain that the options choose, known or not.
    ///
    /// # Errors
    /// [`ArgsError::ChainCombination`].
    pub fn chain_name(&self) -> Result<String, ArgsError> {
        let chosen = |name: &str| {
            let value = self.settings.get(name, Lookup { chain_type: true, ..Lookup::default() });
            value.is_some_and(|value| match value {
                SettingsValue::Null => false,
                SettingsValue::Bool(flag) => flag,
                other => interpret_bool(&setting_to_string(&other)),
            })
        };
        let chain = self.get("-chain");
        let flags: Vec<_> =
            [("regtest", Chain::Regtest), ("signet", Chain::Signet), ("testnet", Chain::Test), ("testnet4", Chain::Testnet4)]
                .into_iter()
                .filter(|(name, _)| chosen(name))
                .collect();
        if flags.len() + usize::from(chain.is_some()) > 1 {
            return Err(ArgsError::ChainCombination);
        }
        Ok(chain.unwrap_or_else(|| flags.first().map_or(Chain::Main, |(_, chain)| *chain).name().to_owned()))
    }

    /// The chain that the options choose.
    ///
    /// # Errors
    /// A bad combination or an unknown name.
    pub fn chain(&self) -> Result<Chain, ArgsError> {
        let name = self.chain_name()?;
        Chain::from_name(&name).ok_or(ArgsError::UnknownChain(name))
    }

    /// Network-only options that are set in the default section only, where they don't count.
    #[must_use]
    pub fn unsuitable_section_only(&self) -> Vec<&'static str> {
        if self.network.is_empty() || self.network == Chain::Main.name() {
            return Vec::new();
        }
        let only = |name: &&&str| self.settings.only_in_default_section(bare(name), &self.network);
        self.network_only.iter().filter(only).copied().collect()
    }

    /// Sections that are no chain.
    #[must_use]
    pub fn unrecognized_sections(&self) -> Vec<SectionInfo> {
        self.sections.iter().filter(|section| Chain::from_name(&section.name).is_none()).cloned().collect()
    }

    /// Every value that was given, as lines for the log; secrets are hidden.
    #[must_use]
    pub fn log_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (section, values) in &self.settings.config {
            self.log_values("Config file arg:", section, values, &mut lines);
        }
        let settings = self.settings.read_write.iter();
        lines.extend(settings.map(|(name, value)| format!("Setting file arg: {name} = {value}")));
        self.log_values("Command-line arg:", "", &self.settings.command_line, &mut lines);
        lines
    }

    fn log_values(&self, prefix: &str, section: &str, values: &Values, lines: &mut Vec<String>) {
        let section = if section.is_empty() { String::new() } else { format!("[{section}] ") };
        for (name, values) in values {
            let Some(flags) = self.flags(name) else { continue };
            for value in values {
                let shown = if flags.contains(Flags::SENSITIVE) { "****".into() } else { value.to_string() };
                lines.push(format!("{prefix} {section}{name}={shown}"));
            }
        }
    }
}

/// Without the dash.
fn bare(name: &str) -> &str {
    name.strip_prefix('-').unwrap_or(name)
}
