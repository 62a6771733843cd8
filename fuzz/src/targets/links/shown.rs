//! The log of what goes over an edge, as `-debug=ipc` and `-loglevel=ipc:trace` ask for it, for some conversations.

use std::fmt::{self, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use bulkhead_control::LogLevel;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

static SHOWN: AtomicBool = AtomicBool::new(false);

/// Every fourth conversation is shown, as the last byte of its input says, for as long as this value lives.
pub struct Shown;

impl Shown {
    pub fn some(data: &[u8]) -> Self {
        static INSTALL: Once = Once::new();
        INSTALL.call_once(|| {
            // Whoever came first shows nothing, and then this shows nothing either.
            let _ = tracing::subscriber::set_global_default(Log);
            bulkhead_control::log::set_levels(&[LogLevel { category: "ipc".into(), level: "payload".into() }]);
        });
        SHOWN.store(data.last().is_some_and(|last| last % 4 == 3), Ordering::Relaxed);
        Self
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        SHOWN.store(false, Ordering::Relaxed);
    }
}

/// Writes lines that nobody reads.
struct Log;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{value:?}").expect("room in memory");
    }
}

impl Subscriber for Log {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.target() == "ipc" { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "ipc" && SHOWN.load(Ordering::Relaxed)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        assert!(!line.0.is_empty(), "a line that says nothing");
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
