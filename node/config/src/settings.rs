//! Where values come from and which one wins (Core's `common/settings.cpp`).

use std::collections::BTreeMap;

/// A value: false when negated, true after a double negation, text, or any JSON in settings.json.
pub type SettingsValue = serde_json::Value;

/// Values by option name, without dash.
pub(crate) type Values = BTreeMap<String, Vec<SettingsValue>>;

/// Every source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub forced: BTreeMap<String, SettingsValue>,
    pub command_line: Values,
    pub read_write: BTreeMap<String, SettingsValue>,
    /// By section; "" is the part before the first section.
    pub config: BTreeMap<String, Values>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Forced,
    CommandLine,
    ReadWrite,
    NetworkSection,
    DefaultSection,
}

impl Source {
    fn is_config(self) -> bool {
        matches!(self, Self::NetworkSection | Self::DefaultSection)
    }
}

/// The values of one source; those up to the last `false` don't count.
#[derive(Clone, Copy)]
pub(crate) struct Span<'a>(&'a [SettingsValue]);

impl<'a> Span<'a> {
    pub fn new(values: &'a [SettingsValue]) -> Self {
        Self(values)
    }
    pub fn negated(self) -> usize {
        self.0.iter().rposition(|value| *value == SettingsValue::Bool(false)).map_or(0, |position| position + 1)
    }
    pub fn last_negated(self) -> bool {
        self.0.last() == Some(&SettingsValue::Bool(false))
    }
    pub fn values(self) -> &'a [SettingsValue] {
        self.0.get(self.negated()..).unwrap_or_default()
    }
    pub fn is_empty(self) -> bool {
        self.values().is_empty()
    }
}

/// How to look a setting up.
#[derive(Clone, Copy, Default)]
pub(crate) struct Lookup<'a> {
    pub section: &'a str,
    /// Network-only options of the default section don't count outside main.
    pub ignore_default_section: bool,
    /// Only settings.json and bitcoin.conf.
    pub persistent_only: bool,
    /// The rules of -regtest and its relatives.
    pub chain_type: bool,
}

impl Settings {
    fn sources<'a>(&'a self, section: &str, name: &str) -> Vec<(Source, Span<'a>)> {
        let mut sources = Vec::new();
        if let Some(value) = self.forced.get(name) {
            sources.push((Source::Forced, Span(std::slice::from_ref(value))));
        }
        if let Some(values) = self.command_line.get(name) {
            sources.push((Source::CommandLine, Span(values)));
        }
        if let Some(value) = self.read_write.get(name) {
            // One value, even if it is a list: a false inside it is no negation.
            sources.push((Source::ReadWrite, Span(std::slice::from_ref(value))));
        }
        let in_section = |section: &str| self.config.get(section).and_then(|values| values.get(name));
        if !section.is_empty()
            && let Some(values) = in_section(section)
        {
            sources.push((Source::NetworkSection, Span(values)));
        }
        if let Some(values) = in_section("") {
            sources.push((Source::DefaultSection, Span(values)));
        }
        sources
    }

    /// The one value in force; `None` when nothing is set. Precedence: forced, command line (last wins),
    /// settings.json, network section, default section (first wins in both).
    pub fn get(&self, name: &str, lookup: Lookup<'_>) -> Option<SettingsValue> {
        for (source, span) in self.sources(lookup.section, name) {
            // A negated value in the default section holds even where other values there would be ignored.
            if lookup.ignore_default_section && source == Source::DefaultSection && !span.last_negated() {
                continue;
            }
            if lookup.persistent_only && matches!(source, Source::CommandLine | Source::Forced) {
                continue;
            }
            if lookup.chain_type && span.last_negated() {
                continue;
            }
            let values = span.values();
            let chosen = if source.is_config() && !lookup.chain_type { values.first() } else { values.last() };
            if let Some(value) = chosen {
                return Some(value.clone());
            }
            if span.last_negated() {
                return Some(SettingsValue::Bool(false));
            }
        }
        None
    }

    /// All values, highest precedence first.
    pub fn list(&self, name: &str, section: &str, ignore_default_section: bool) -> Vec<SettingsValue> {
        let mut result = Vec::new();
        let mut done = false;
        let mut negated_empty = false;
        for (source, span) in self.sources(section, name) {
            if ignore_default_section && source == Source::DefaultSection {
                continue;
            }
            // Values of the file come back when a negation on the command line is followed by another value.
            let revived = source.is_config() && !negated_empty;
            if !done || revived {
                for value in span.values() {
                    match value {
                        SettingsValue::Array(inner) => result.extend(inner.iter().cloned()),
                        other => result.push(other.clone()),
                    }
                }
            }
            done |= span.negated() > 0 || source == Source::Forced;
            negated_empty |= span.last_negated() && result.is_empty();
        }
        result
    }

    /// Set in the default section and nowhere else.
    pub fn only_in_default_section(&self, name: &str, section: &str) -> bool {
        let sources: Vec<_> = self.sources(section, name).into_iter().filter(|(_, span)| !span.is_empty()).collect();
        !sources.is_empty() && sources.iter().all(|(source, _)| *source == Source::DefaultSection)
    }
}

/// A value as text: "0" and "1" for booleans.
#[must_use]
pub fn setting_to_string(value: &SettingsValue) -> String {
    match value {
        SettingsValue::Null => String::new(),
        SettingsValue::Bool(flag) => if *flag { "1" } else { "0" }.to_owned(),
        SettingsValue::String(text) => text.clone(),
        other => other.to_string(),
    }
}
