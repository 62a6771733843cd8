//! One line of the log, as text. Pure.

use super::categories::CATEGORIES;
use crate::clock::civil_from_days;
use std::fmt::{self, Write};
use tracing::Level;

/// Which parts a line has (`-logtimestamps` and its relatives).
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools)]
pub(super) struct Style {
    pub timestamps: bool,
    pub time_micros: bool,
    pub thread_names: bool,
    pub source_locations: bool,
    pub level_always: bool,
}

/// The facts of a line.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub micros: i64,
    pub mock_seconds: i64,
    pub thread: &'a str,
    pub file: &'a str,
    pub line: u32,
    pub module: &'a str,
    pub category: Option<usize>,
    pub level: Level,
    pub text: &'a str,
}

/// Seconds since 1970 as "2026-11-22T20:44:00" (Core's `FormatISO8601DateTime` without the Z).
struct DateTime(i64);

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.div_euclid(86_400);
        let second = self.0.rem_euclid(86_400);
        let (year, month, day) = civil_from_days(days);
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
    }
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::TRACE => "trace",
        Level::DEBUG => "debug",
        Level::INFO => "info",
        Level::WARN => "warning",
        Level::ERROR => "error",
    }
}

/// "[net] ", "[net:info] ", "[warning] " or nothing (Core's `GetLogPrefix`).
fn prefix(out: &mut impl Write, style: Style, category: Option<usize>, level: Level) -> fmt::Result {
    let name = category.and_then(|index| CATEGORIES.get(index).copied());
    let shown = name.or(if style.level_always { Some("all") } else { None });
    match shown {
        None if level == Level::INFO => Ok(()),
        None => write!(out, "[{}] ", level_word(level)),
        Some(name) if !style.level_always && level == Level::DEBUG => write!(out, "[{name}] "),
        Some(name) => write!(out, "[{name}:{}] ", level_word(level)),
    }
}

/// The whole line with its newline.
pub(super) fn line(style: Style, facts: &Line<'_>) -> String {
    let mut out = String::with_capacity(facts.text.len() + 96);
    // Writing to a String can't fail.
    let _ = write_line(&mut out, style, facts);
    out
}

/// Writes the whole line with its newline, without allocating. Control characters are escaped, so a peer can't forge lines or
/// colours.
pub(super) fn write_line(out: &mut impl Write, style: Style, facts: &Line<'_>) -> fmt::Result {
    if style.timestamps {
        write!(out, "{}", DateTime(facts.micros.div_euclid(1_000_000)))?;
        if style.time_micros {
            write!(out, ".{:06}", facts.micros.rem_euclid(1_000_000))?;
        }
        out.write_char('Z')?;
        if facts.mock_seconds > 0 {
            write!(out, " (mocktime: {}Z)", DateTime(facts.mock_seconds))?;
        }
        out.write_char(' ')?;
    }
    if style.thread_names {
        write!(out, "[{}] ", facts.thread)?;
    }
    if style.source_locations {
        write!(out, "[{}:{}] [{}] ", facts.file, facts.line, facts.module)?;
    }
    prefix(out, style, facts.category, facts.level)?;
    for character in facts.text.chars() {
        match character {
            '\n' => out.write_char('\n')?,
            '\0'..='\x1f' | '\x7f' => write!(out, "\\x{:02x}", u32::from(character))?,
            _ => out.write_char(character)?,
        }
    }
    if facts.text.ends_with('\n') { Ok(()) } else { out.write_char('\n') }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn prefix_text(style: Style, category: Option<usize>, level: Level) -> String {
        let mut out = String::new();
        prefix(&mut out, style, category, level).unwrap();
        out
    }

    fn facts(category: Option<usize>, level: Level, text: &str) -> Line<'_> {
        Line {
            micros: 1_795_380_240_000_012,
            mock_seconds: 0,
            thread: "http",
            file: "a.rs",
            line: 7,
            module: "m",
            category,
            level,
            text,
        }
    }

    #[test]
    fn test_date_time_known_dates() {
        assert_eq!(DateTime(0).to_string(), "1970-01-01T00:00:00");
        assert_eq!(DateTime(951_782_400).to_string(), "2000-02-29T00:00:00");
        assert_eq!(DateTime(1_317_972_665).to_string(), "2011-10-07T07:31:05");
        assert_eq!(DateTime(-1).to_string(), "1969-12-31T23:59:59");
    }

    #[test]
    fn test_line_full_style() {
        let style =
            Style { timestamps: true, time_micros: true, thread_names: true, source_locations: true, level_always: false };
        let net = super::super::categories::category("net");
        let text = line(style, &facts(net, Level::DEBUG, "x\u{1b}y"));
        assert_eq!(text, "2026-11-22T20:44:00.000012Z [http] [a.rs:7] [m] [net] x\\x1by\n");
    }

    #[test]
    fn test_prefix_like_core() {
        let style = Style::default();
        let always = Style { level_always: true, ..style };
        let net = super::super::categories::category("net");
        assert_eq!(prefix_text(style, None, Level::INFO), "");
        assert_eq!(prefix_text(style, None, Level::WARN), "[warning] ");
        assert_eq!(prefix_text(style, net, Level::DEBUG), "[net] ");
        assert_eq!(prefix_text(style, net, Level::TRACE), "[net:trace] ");
        assert_eq!(prefix_text(style, net, Level::WARN), "[net:warning] ");
        assert_eq!(prefix_text(always, None, Level::INFO), "[all:info] ");
        assert_eq!(prefix_text(always, net, Level::DEBUG), "[net:debug] ");
    }
}
