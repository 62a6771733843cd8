//! The log: Core's line format, its categories, one write per line into an inherited O_APPEND descriptor.

mod categories;
mod format;
mod subscriber;

pub use categories::{CATEGORIES, category};
pub use subscriber::{install, levels, payloads_shown, replace_file, set_levels};
