//! The `tracing` subscriber that writes Core's log.

use super::categories::{CATEGORIES, category};
use super::format::{Line, Style, line, write_line};
use crate::message::{LogLevel, LogOptions};
use crate::{Component, clock};
use bulkhead_sandbox::Cause;
use std::fmt::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

const OFF: u8 = 0;
const DEBUG: u8 = 1;
const TRACE: u8 = 2;
const PAYLOAD: u8 = 3;

/// What each category writes. A static, because the levels change while every thread logs.
static LEVELS: [AtomicU8; 32] = [const { AtomicU8::new(OFF) }; 32];

static SINKS: RwLock<Sinks> = RwLock::new(Sinks { file: None, console: None });

#[derive(Debug)]
struct Sinks {
    file: Option<OwnedFd>,
    console: Option<OwnedFd>,
}

#[derive(Clone, Copy, Debug)]
struct LogSubscriber {
    style: Style,
    component: Component,
}

/// For the last words of this process.
static SPEAKER: OnceLock<LogSubscriber> = OnceLock::new();

/// Installs the log of this process. `file` is the O_APPEND descriptor of debug.log; `console` is stdout.
pub fn install(component: Component, options: &LogOptions, file: Option<OwnedFd>, console: Option<OwnedFd>) {
    *SINKS.write().unwrap_or_else(PoisonError::into_inner) = Sinks { file, console };
    set_levels(&options.levels);
    let style = Style {
        timestamps: options.timestamps,
        time_micros: options.time_micros,
        thread_names: options.thread_names,
        source_locations: options.source_locations,
        level_always: options.level_always,
    };
    let subscriber = LogSubscriber { style, component };
    // A second call (tests) keeps the first subscriber; sinks and levels above are the new ones.
    let _ = tracing::subscriber::set_global_default(subscriber);
    SPEAKER.get_or_init(|| subscriber);
    bulkhead_sandbox::on_abort(last_words);
}

/// Sets the complete list of enabled categories.
pub fn set_levels(levels: &[LogLevel]) {
    for (slot, name) in LEVELS.iter().zip(CATEGORIES) {
        let level = levels.iter().rev().find(|level| level.category == *name).map_or(OFF, |level| {
            match level.level.as_str() {
                // The supervisor sends this for -loglevel=ipc:trace, which names the category; a global
                // -loglevel=trace alone does not put messages between processes into the log.
                "payload" => PAYLOAD,
                "trace" => TRACE,
                "debug" => DEBUG,
                // Info, warnings and errors are always written.
                _ => OFF,
            }
        });
        slot.store(level, Ordering::Relaxed);
    }
    tracing::callsite::rebuild_interest_cache();
}

/// The complete list of enabled categories that is now in force.
#[must_use]
pub fn levels() -> Vec<LogLevel> {
    LEVELS
        .iter()
        .zip(CATEGORIES)
        .filter_map(|(slot, name)| {
            let level = match slot.load(Ordering::Relaxed) {
                OFF => return None,
                DEBUG => "debug",
                TRACE => "trace",
                _ => "payload",
            };
            Some(LogLevel { category: (*name).to_owned(), level: level.to_owned() })
        })
        .collect()
}

/// Replaces the log file (after SIGHUP).
pub fn replace_file(file: OwnedFd) {
    SINKS.write().unwrap_or_else(PoisonError::into_inner).file = Some(file);
}

/// Says whether a category is written at that level; use it before costly formatting.
fn enabled(target: &str, level: Level) -> bool {
    if level <= Level::INFO {
        return true;
    }
    let Some(slot) = category(target).and_then(|index| LEVELS.get(index)) else {
        return false;
    };
    slot.load(Ordering::Relaxed) >= if level == Level::TRACE { TRACE } else { DEBUG }
}

/// Whether the content of messages between processes is logged (`-loglevel=ipc:trace`).
pub fn payloads_shown() -> bool {
    category("ipc").and_then(|index| LEVELS.get(index)).is_some_and(|slot| slot.load(Ordering::Relaxed) >= PAYLOAD)
}

impl Subscriber for LogSubscriber {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Hints (`tracing::enabled!`) ask the same question as events.
        !metadata.is_span() && enabled(metadata.target(), *metadata.level())
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut text = Text(String::new());
        event.record(&mut text);
        let thread = std::thread::current();
        let facts = Line {
            micros: clock::system_micros(),
            mock_seconds: clock::mock_time(),
            thread: thread.name().filter(|name| *name != "main").unwrap_or(self.component.word()),
            file: metadata.file().unwrap_or(""),
            line: metadata.line().unwrap_or(0),
            module: metadata.module_path().unwrap_or(""),
            category: category(metadata.target()),
            level: *metadata.level(),
            text: &text.0,
        };
        let sinks = SINKS.read().unwrap_or_else(PoisonError::into_inner);
        sinks.write(line(self.style, &facts).as_bytes());
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Sinks {
    /// One write per line: O_APPEND makes lines of different processes whole. A full disk must not stop the node.
    fn write(&self, bytes: &[u8]) {
        for sink in [&self.file, &self.console].into_iter().flatten() {
            let _ = nix::unistd::write(sink, bytes);
        }
    }
}

/// A text that takes no memory but its own; what does not fit is lost.
struct Short {
    bytes: [u8; 256],
    length: usize,
}

impl Short {
    const fn new() -> Self {
        Self { bytes: [0; 256], length: 0 }
    }

    fn text(&self) -> &str {
        // Only whole texts are ever added.
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// Says why this process ends now. Nothing is allocated here, and nobody is waited for.
fn last_words(cause: Cause) {
    let (Some(subscriber), Ok(sinks)) = (SPEAKER.get(), SINKS.try_read()) else { return };
    let (mut text, mut out) = (Short::new(), Short::new());
    let thread = subscriber.component.word();
    // What does not fit is lost.
    let _ = write!(text, "bitcoin-{thread} ends: {cause}");
    let micros = clock::system_micros();
    let facts = Line {
        micros,
        mock_seconds: 0,
        thread,
        file: "",
        line: 0,
        module: "",
        category: None,
        level: Level::ERROR,
        text: text.text(),
    };
    let _ = write_line(&mut out, subscriber.style, &facts);
    sinks.write(out.text().as_bytes());
}

/// The message first, other fields as " name=value".
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String can't fail.
        let _ =
            if field.name() == "message" { write!(self.0, "{value:?}") } else { write!(self.0, " {}={value:?}", field.name()) };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Read;

    #[test]
    fn test_log_writes_enabled_categories_and_all_warnings() {
        let (read, write) = nix::unistd::pipe().unwrap();
        let levels = vec![LogLevel { category: "net".into(), level: "debug".into() }];
        install(Component::Net, &LogOptions { levels, ..LogOptions::default() }, Some(write), None);
        tracing::debug!(target: "net", "one");
        tracing::trace!(target: "net", "two");
        tracing::debug!(target: "rpc", "three");
        tracing::warn!("four {}", 4);
        set_levels(&[LogLevel { category: "rpc".into(), level: "trace".into() }]);
        tracing::debug!(target: "net", "five");
        tracing::trace!(target: "rpc", "six");
        last_words(Cause::Memory(7));
        *SINKS.write().unwrap() = Sinks { file: None, console: None };
        let mut text = String::new();
        std::fs::File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(
            text,
            "[net] one\n[warning] four 4\n[rpc:trace] six\n[error] bitcoin-net ends: out of memory: 7 bytes were refused\n"
        );
    }
}
